"""Bodies that are compressed files (`compression:`), whatever their headers say: unpacked in bounded steps under the limits of a body,
and only whole. A content coding (`Content-Encoding`) is :mod:`nexus_engine.host.body`'s affair."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, BinaryIO, Final

from nexus_engine.contract.format import Format, Piece, Streaming
from nexus_engine.contract.records import Want
from nexus_engine.host.body import Limits

_MEMBERS: Final = 10_000
_DAMAGED = (EOFError, OSError, zlib.error, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError)


class Unpacking:
    """A format over unpacked bodies. The members of a zip are read one after the other, by name.

    Args:
        kind: gzip, bz2, zstd or zip.
        members: which members of a zip are read; a glob over the whole name.
    """

    def __init__(self, inner: Format, kind: str, members: str = "*", limits: Limits | None = None) -> None:
        self._inner = inner
        self._kind = kind
        self._members = members
        self._limits = limits or Limits()
        self.options = type(inner).options
        self.flat = type(inner).flat

    def __getattr__(self, name: str) -> Any:
        if name == "stream":
            return self._stream if isinstance(self._inner, Streaming) else getattr(self._inner, name)
        if name == "notices_cuts":
            return True  # a compressed file has an end mark
        return getattr(self._inner, name)

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """Raises:
        ValueError: no such compressed file, cut, larger than allowed; or what the format says.
        LookupError: no member of the zip has such a name.
        """
        for file in self._files(io.BytesIO(body)):
            yield from self._inner.pieces(file.read(), content_type=content_type, want=want)

    def _stream(self, body: BinaryIO, *, content_type: str, want: Want, size: int) -> Iterator[Piece]:
        inner: Any = self._inner
        for file in self._files(body):
            yield from inner.stream(file, content_type=content_type, want=want, size=size)

    def _files(self, body: BinaryIO) -> Iterator[BinaryIO]:
        """The unpacked files, as readers that count what they give."""
        bound = _Bound(self._limits.max_decompressed)
        if not body.read(1):
            raise ValueError(f"the body is empty; a {self._kind} file was due, so it was cut")
        body.seek(0)
        if self._kind == "zip":
            yield from self._zipped(body, bound)
        else:
            yield io.BufferedReader(_Counted(_opened(body, self._kind), self._kind, bound), 1 << 18)

    def _zipped(self, body: BinaryIO, bound: _Bound) -> Iterator[BinaryIO]:
        try:
            archive = zipfile.ZipFile(body)
        except _DAMAGED as error:
            raise ValueError(f"the body is not a zip file: {error}") from None
        names = sorted(item.filename for item in archive.infolist() if not item.is_dir())
        wanted = [name for name in names if fnmatchcase(name, self._members)]
        if not wanted or len(wanted) > _MEMBERS:
            shown = ", ".join(names[:5])[:120]
            raise LookupError(f"{len(wanted) or 'no'} members of the zip match {self._members!r}; it has: {shown}")
        for name in wanted:
            try:
                member = archive.open(name)
            except _DAMAGED as error:
                raise ValueError(f"the member {name[:80]!r} of the zip cannot be read: {error}") from None
            yield io.BufferedReader(_Counted(member, "zip", bound), 1 << 18)


class _Bound:
    """How many bytes may still come."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit


class _Counted(io.RawIOBase):
    """A decompressing reader that stops at the limit and names damage for what it is."""

    def __init__(self, file: Any, kind: str, bound: _Bound) -> None:
        self._file = file
        self._kind = kind
        self._bound = bound

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data: bytes = self._file.read(len(buffer))
        except _DAMAGED as error:
            raise ValueError(f"the {self._kind} body is damaged or was cut: {str(error)[:100]}") from None
        self._bound.left -= len(data)
        if self._bound.left < 0:
            raise ValueError(f"the body unpacks to more than {self._bound.limit:,} bytes (the limit is twice `max_body`)")
        buffer[: len(data)] = data
        return len(data)


def _opened(body: BinaryIO, kind: str) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=body)
    if kind == "bz2":
        return bz2.BZ2File(body)
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(body, mode="r"), "zstd")

