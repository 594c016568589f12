"""Texts that auth methods keep over restarts, in one file that only its owner may read: refresh tokens that a server replaced.

The file is written whole beside itself and moved into place. A lock file makes holders wait for each other, in other processes
too: a preview beside the service must not use up the refresh token that the service is about to send.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from nexus_engine.errors import StateDamaged

_MODE: Final = 0o600


@dataclass(frozen=True)
class Slot:
    """:class:`nexus_engine.contract.auth.Kept`: one name in the file."""

    file: TokenFile
    name: str

    def read(self) -> str | None:
        return self.file.load().get(self.name)

    def write(self, text: str) -> None:
        self.file.save({**self.file.load(), self.name: text})


@dataclass
class TokenFile:
    """Names and texts in a JSON file; in memory where there is no path.

    Args:
        path: made, with its folder, at the first write.
    """

    path: Path | None = None
    _memory: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def slot(self, name: str) -> Iterator[Slot]:
        """The text of that name, for this holder alone."""
        with self._lock:
            if self.path is None:
                yield Slot(self, name)
                return
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
            try:
                fcntl.flock(held, fcntl.LOCK_EX)
                yield Slot(self, name)
            finally:
                os.close(held)

    def load(self) -> dict[str, str]:
        """Raises:
        StateDamaged: the file is none that this class wrote.
        """
        if self.path is None:
            return self._memory
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError:
            raise StateDamaged(
                "the file of kept tokens cannot be read", where=str(self.path), did="no token was asked for",
                do="remove it; APIs whose refresh token was replaced need a new one in the secrets",
            ) from None

    def save(self, texts: dict[str, str]) -> None:
        if self.path is None:
            self._memory = texts
            return
        beside = self.path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as out:
            out.write(msgspec.json.encode(texts))
            out.flush()
            os.fsync(out.fileno())
        beside.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
