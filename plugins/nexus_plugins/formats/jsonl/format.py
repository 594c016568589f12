"""JSON lines: one record per line. The text of each record is handed on as it came, a list of them per piece."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, ClassVar, Final

from msgspec import Meta
from msgspec.structs import replace

from nexus_engine.contract.format import Piece
from nexus_engine.contract.lines import line_ends, listed_lines
from nexus_engine.contract.options import Options
from nexus_engine.contract.records import Want
from nexus_engine.host.charset import charset, reader, undecodable

_LINE_BYTES: Final = 64_000_000  # the longest record allowed
_UTF8: Final = frozenset({"utf-8", "utf8", "ascii", "us-ascii"})


class JsonlOptions(Options, frozen=True):
    """Options of the `jsonl` format."""

    encoding: Annotated[str, Meta(description="charset, when the server names none or the wrong one")] = ""

    def __post_init__(self) -> None:
        charset(b"", "", self.encoding)


class JsonlFormat:
    """Each line is one JSON value. Blank lines are left out."""

    options: ClassVar[type[JsonlOptions]] = JsonlOptions
    flat: ClassVar[bool] = False
    lines: ClassVar[bool] = True
    notices_cuts: ClassVar[bool] = False

    def __init__(self, options: JsonlOptions) -> None:
        self._encoding = options.encoding

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """One list of the whole body. Raises as :meth:`stream`."""
        want = replace(want, lines=False)
        found = self.stream(io.BytesIO(body), content_type=content_type, want=want, size=len(body) + 1)
        yield b"[" + b",".join(piece.text[1:-1] for piece in found) + b"]"  # a last line without an end is a piece of its own

    def stream(self, body: BinaryIO, *, content_type: str, want: Want, size: int) -> Iterator[Piece]:
        """Raises:
        ValueError: a line is not one JSON value; names the line.
        LookupError: there is no line.
        """
        number, found = 0, False
        for chunk in _whole_lines(self._utf8(body, content_type, size)):
            count = (line_ends(chunk) if want.lines else chunk.count(b"\n")) + (not chunk.endswith(b"\n"))
            if want.lines and _plain(chunk):
                piece = Piece(chunk, count, number + 1, chunk)
            else:
                piece = Piece(*listed_lines(chunk, number + 1), came=chunk)
            number += count
            if piece.records:
                found = True
                yield piece
        if not found:
            raise LookupError("the body is empty: not one line came")

    def _utf8(self, body: BinaryIO, content_type: str, size: int) -> Iterator[bytes]:
        """The body in UTF-8, in parts of ``size`` bytes, without a byte order mark."""
        start = body.read(4)
        zeros = start.count(0) and not start.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16 without its mark
        name = json.detect_encoding(start) if zeros else charset(start, content_type, self._encoding)
        if name.lower().removesuffix("-sig") in _UTF8:
            yield start.removeprefix(b"\xef\xbb\xbf") + body.read(size - len(start))
            while part := body.read(size):
                yield part
            return
        text = reader(io.BufferedReader(_Ahead(start, body)), "", name)
        try:
            while written := text.read(size):
                yield written.encode()
        except UnicodeDecodeError as error:
            raise undecodable(error) from None


class _Ahead(io.RawIOBase):
    """A file whose first bytes were read already."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._start or self._rest.read(len(buffer))
        self._start = b""
        buffer[: len(data)] = data
        return len(data)


def _plain(chunk: bytes) -> bool:
    r"""Whether the lines may be handed on as they are: no blank one, as far as that is seen at a glance (a count is compared later), no
    list, which ClickHouse would open, and no ``\u``, which may stand in a name."""
    if chunk.startswith((b"\n", b"\r", b"[")) or chunk.endswith((b"\n\n", b"\n\r\n")):
        return False
    return b"\\" not in chunk or b"\\u" not in chunk  # one byte is looked for ten times faster than two


def _whole_lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts, each cut behind its last line end; what is behind the last one comes last."""
    kept: list[bytes] = []
    waiting = 0
    for part in parts:
        end = part.rfind(b"\n") + 1
        if not end:
            kept.append(part)
            waiting += len(part)
            if waiting > _LINE_BYTES:
                raise ValueError(f"a line is longer than {_LINE_BYTES:,} bytes")
            continue
        yield b"".join((*kept, memoryview(part)[:end]))
        kept, waiting = [part[end:]], len(part) - end
    if rest := b"".join(kept):
        yield rest
