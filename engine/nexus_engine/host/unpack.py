"""Bodies that are compressed files (`compression:`), whatever their headers say: unpacked in bounded steps under the limits of a body,
and only whole. A content coding (`Content-Encoding`) is :mod:`nexus_engine.host.body`'s affair."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, BinaryIO, Final

from nexus_engine.contract.format import Cut, Format, Piece, Streaming
from nexus_engine.contract.records import Want
from nexus_engine.host.body import Limits

_MEMBERS: Final = 10_000
_STEP: Final = 1 << 18
_BEGINS: Final = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "zstd": b"\x28\xb5\x2f\xfd", "zip": b"PK"}
_UNREADABLE: Final = (RuntimeError, NotImplementedError)  # whole, but encrypted or packed in a way nobody knows
_DAMAGED: Final = (EOFError, OSError, zlib.error, zipfile.BadZipFile, ValueError)


class Unpacking:
    """A format over unpacked bodies. The members of a zip are read one after the other, by name; what is wrong in one names it.

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
        Cut: it is damaged, or ends too early.
        ValueError: no such compressed file, larger than allowed; or what the format says.
        LookupError: no member of the zip has such a name.
        """
        for member, file in self._files(io.BytesIO(body)):
            with _naming(member):
                yield from self._inner.pieces(file.read(), content_type=content_type, want=want)

    def _stream(self, body: BinaryIO, *, content_type: str, want: Want, size: int) -> Iterator[Piece]:
        inner: Any = self._inner
        for member, file in self._files(body):
            with _naming(member):
                yield from inner.stream(file, content_type=content_type, want=want, size=size)

    def require_end(self, body: BinaryIO) -> None:
        """Look for the end of the compressed file: that of a zip is a list of its members, the others are unpacked up to it.

        Raises:
            Cut, ValueError: as :meth:`pieces`.
        """
        if self._kind == "zip":
            self._archive(body)
        else:
            for _, file in self._files(body):
                while file.read(_STEP):
                    pass
        body.seek(0)

    def _files(self, body: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
        """The names of the members ("" where there are none) and what they unpack to, as readers that count what they give."""
        bound = _Bound(self._limits.max_decompressed)
        if self._kind == "zip":
            yield from self._zipped(body, bound)
            return
        what = self._seen(body)
        yield "", io.BufferedReader(_Counted(_opened(body, self._kind), what, bound), _STEP)

    def _seen(self, body: BinaryIO) -> str:
        """What the body is called in messages.

        Raises:
            Cut: it is empty.
            ValueError: it is no such file.
        """
        size = body.seek(0, io.SEEK_END)
        body.seek(0)
        start = body.read(4)
        body.seek(0)
        if not size:
            raise Cut(f"the body is empty; a {self._kind} file was due, so it was cut")
        mark = _BEGINS[self._kind]
        if start[: len(mark)] != mark[: len(start)]:
            raise ValueError(f"the body is not a {self._kind} file, which `compression` says it is")
        return f"the {self._kind} body of {size:,} bytes"

    def _archive(self, body: BinaryIO) -> zipfile.ZipFile:
        what = self._seen(body)
        try:
            return zipfile.ZipFile(body)
        except (*_DAMAGED, *_UNREADABLE):
            raise Cut(f"{what} was cut or is damaged: the list of its members, which ends it, cannot be read") from None

    def _zipped(self, body: BinaryIO, bound: _Bound) -> Iterator[tuple[str, BinaryIO]]:
        archive = self._archive(body)
        names = sorted(item.filename for item in archive.infolist() if not item.is_dir())
        wanted = [name for name in names if fnmatchcase(name, self._members)]
        if not wanted or len(wanted) > _MEMBERS:
            shown = ", ".join(names[:5])[:120]
            raise LookupError(f"{len(wanted) or 'no'} members of the zip match {self._members!r}; it has: {shown}")
        for name in wanted:
            what = f"the member {name[:80]!r} of the zip ({archive.getinfo(name).compress_size:,} bytes in it)"
            try:
                member = archive.open(name)
            except _UNREADABLE as error:
                raise ValueError(f"{what} cannot be read: {error}") from None
            except _DAMAGED as error:
                raise Cut(f"{what} is damaged: {str(error)[:100]}") from None
            yield name, io.BufferedReader(_Counted(member, what, bound), _STEP)


@contextmanager
def _naming(member: str) -> Iterator[None]:
    """What is wrong with the content of a member names it: `a/1.csv, line 6: ...`."""
    try:
        yield
    except Cut:
        raise
    except (ValueError, LookupError) as error:
        if not member:
            raise
        text = str(error.args[0] if isinstance(error, LookupError) and error.args else error)
        kind = LookupError if isinstance(error, LookupError) else ValueError
        raise kind(f"{member[:80]}{',' if text.startswith('line ') else ':'} {text}") from None


class _Bound:
    """How many bytes may still come."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit


class _Counted(io.RawIOBase):
    """A decompressing reader that stops at the limit and names damage for what it is."""

    def __init__(self, file: Any, what: str, bound: _Bound) -> None:
        self._file = file
        self._what = what
        self._bound = bound

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data: bytes = self._file.read(len(buffer))
        except gzip.BadGzipFile:
            raise Cut(f"{self._what} is damaged, or something follows its end") from None
        except _UNREADABLE as error:
            raise ValueError(f"{self._what} cannot be read: {error}") from None
        except _DAMAGED as error:
            raise Cut(f"{self._what} is damaged or was cut: {str(error)[:100]}") from None
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

