"""A body that is read while it comes: what is read of it is bounded by the reader, not by a file or by memory.

Only a body of known length, as sent, is handed on like this: whether it is whole is then known at its end, and no earlier.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from nexus_engine.host.body import BodyCut
from nexus_engine.host.connection import Deadline

# Bytes of a body, as sent, from which on it may be read while it comes, and its lines are handed on as they came: such a body fills
# batches of its own.
LARGE: Final = 4 << 20


class LiveBody(io.RawIOBase):
    """Read forwards only, in one thread.

    Args:
        pieces: the body as sent.
        length: of all of it, in bytes.
        deadline: of the request; put off by the time in which nobody reads.
        named: gives errors of the wire their names.
        release: gives the connection back, or closes it.
    """

    def __init__(
        self, pieces: Iterator[bytes], length: int, deadline: Deadline, named: Callable[[], AbstractContextManager[None]], release: Callable[[], None]
    ) -> None:
        self._pieces = pieces
        self._deadline = deadline
        self._named = named
        self._release = release
        self._piece = b""
        self._at = 0  # in the piece
        self._left_at = time.monotonic()
        self.length = length
        self.came = 0  # bytes
        self.failed: Callable[[Exception], Exception] = lambda error: error  # what reading raises instead
        self.ended: list[Callable[[], None]] = []  # called once, when it is closed

    def begin(self, size: int) -> bytes:
        """The first bytes, which stay to be read.

        Raises:
            BodyCut, and what ``pieces`` raises
        """
        self._piece = self._next()
        return self._piece[:size]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes; fewer only at the end."""
        if size < 0:
            return self.readall()
        parts = []
        while size > 0:
            if self._at == len(self._piece):
                self._piece, self._at = self._waited(), 0
                if not self._piece:
                    break
            part = self._piece[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)  # a piece as it came is not copied

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._release()
            for told in self.ended:
                told()

    def _waited(self) -> bytes:
        """The next piece, for who reads."""
        self._deadline.put_off(time.monotonic() - self._left_at)
        try:
            with self._named():
                return self._next()
        except Exception as error:  # noqa: BLE001  what it means, the owner of the request knows
            raise self.failed(error) from None
        finally:
            self._left_at = time.monotonic()

    def _next(self) -> bytes:
        piece = next(self._pieces, b"")
        self.came += len(piece)
        if not piece and self.came != self.length:
            raise BodyCut(f"{self.came:,} of {self.length:,} bytes came")
        return piece
