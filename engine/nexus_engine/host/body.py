"""Reading an answer's body: bounded as sent and as decompressed, and whole or not at all.

HTTP clients hand out what came of a cut gzip or close-delimited body as if it were all; here the end of the compressed
stream and the announced length are checked, and a body that is not whole is an error that may be retried.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

HEAD: Final = 1 << 16  # of a body in a file, what is looked at as a whole
_STEP: Final = 1 << 20
_RATIO_FROM: Final = 16 << 20  # small bodies may repeat themselves; above this the ratio counts
_GZIP: Final = 16 + zlib.MAX_WBITS


class BodyCut(Exception):
    """The body is not whole: it may be, when asked again."""


class LimitMet(Exception):
    """The answer is larger than a limit: asking again changes nothing. ``option`` names the limit."""

    def __init__(self, what: str, option: str) -> None:
        super().__init__(what)
        self.option = option


@dataclass(frozen=True)
class Limits:
    """Bounds of one answer, in bytes unless said otherwise."""

    max_body: int = 256_000_000  # as sent
    max_decompressed: int = 512_000_000
    ratio: int = 200  # decompressed to sent
    header_bytes: int = 65_536
    redirects: int = 5


class _Inflate:
    """A gzip or deflate stream, read in steps so that a bomb is noticed before it is in memory."""

    def __init__(self, coding: str, limits: Limits, keep: Callable[[bytes], object]) -> None:
        self._coding = coding
        self._limits = limits
        self._stream = zlib.decompressobj(_GZIP if coding == "gzip" else zlib.MAX_WBITS)
        self._started = False
        self._sent = 0
        self._out = keep
        self._size = 0

    def add(self, data: bytes) -> None:
        self._sent += len(data)
        while data:
            if self._stream.eof:
                data = self._next_member(data)
                continue
            try:
                piece = self._stream.decompress(data, _STEP)
            except zlib.error as error:
                if self._coding == "deflate" and not self._started:  # some servers send it without the zlib header
                    self._stream, self._started = zlib.decompressobj(-zlib.MAX_WBITS), True
                    continue
                raise BodyCut(f"the {self._coding} body is damaged: {error}") from None
            self._started = True
            self._keep(piece)
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def _next_member(self, data: bytes) -> bytes:
        """Members may stand one after the other in gzip; zeros after the last are padding."""
        if self._coding == "gzip" and data[:1] == b"\x1f":
            self._stream = zlib.decompressobj(_GZIP)
            return data
        if data.strip(b"\0"):
            raise BodyCut(f"data follows the end of the {self._coding} body")
        return b""

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limits.max_decompressed:
            raise LimitMet(f"the answer decompresses to more than {self._limits.max_decompressed:,} bytes", "limits.max_decompressed")
        if self._size > _RATIO_FROM and self._size > self._sent * self._limits.ratio:
            raise LimitMet(f"the answer decompresses to more than {self._limits.ratio} times its size", "limits.max_ratio")
        self._out(piece)

    def finish(self) -> None:
        if self._sent:
            self._keep(self._stream.flush())
            if not self._stream.eof:
                raise BodyCut(f"the {self._coding} body ends before its end mark: it was cut")


def coding_of(header: str) -> str:
    """The content coding: "" | gzip | deflate.

    Raises:
        LimitMet: a coding nobody asked for, or several.
    """
    coding = header.strip().lower()
    if coding in ("", "identity"):
        return ""
    if coding in ("gzip", "x-gzip"):
        return "gzip"
    if coding == "deflate":
        return coding
    raise LimitMet(f"the answer's Content-Encoding is {coding[:40]!r}; gzip and deflate were offered", "headers.Accept-Encoding")


def read_body(pieces: Iterable[bytes], length: int | None, coding: str, limits: Limits, file: BinaryIO | None = None) -> bytes:
    """The whole body, decompressed; with ``file``: its beginning, and all of it in there.

    Args:
        pieces: the body as sent; reading on is refused at the first limit.
        length: its announced length in bytes, None where none was.
        coding: what :func:`coding_of` says.

    Raises:
        BodyCut, LimitMet, and what ``pieces`` raises
    """
    if length is not None and length > limits.max_body:
        raise LimitMet(f"the answer's body has {length:,} bytes; {limits.max_body:,} are allowed", "max_body")
    parts: list[bytes] = []
    keep = parts.append if file is None else file.write
    stream = _Inflate(coding, limits, keep) if coding else None
    came = 0
    for piece in pieces:
        came += len(piece)
        if came > limits.max_body:
            raise LimitMet(f"the answer's body has more than {limits.max_body:,} bytes", "max_body")
        if stream is None:
            keep(piece)
        else:
            stream.add(piece)
    if length is not None and came != length:
        raise BodyCut(f"{came:,} of {length:,} bytes came")
    if stream is not None:
        stream.finish()
    if file is None:
        return b"".join(parts)
    file.seek(0)
    start = file.read(HEAD)
    file.seek(0)
    return start
