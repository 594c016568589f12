"""Which charset a body of text is in: its byte order mark, else what the spec says, else what the server says, else UTF-8."""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO, TextIO

_NAMED = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def charset(start: bytes, content_type: str, option: str) -> str:
    """The name of the charset; ``start`` is the first four bytes of the body.

    Raises:
        ValueError: it is not known.
    """
    named = _NAMED.search(content_type)
    name = next((name for mark, name in _MARKS if start.startswith(mark)), option or (named[1] if named else "utf-8"))
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"the encoding {name[:40]!r} is not known") from None
    return name


def reader(body: BinaryIO, content_type: str, option: str) -> TextIO:
    """The body as text, line ends kept. Reading it may raise UnicodeDecodeError: see :func:`undecodable`."""
    buffered = body if hasattr(body, "peek") else io.BufferedReader(_Raw(body))
    name = charset(buffered.peek(4)[:4], content_type, option)
    return io.TextIOWrapper(buffered, encoding=name, newline="")


def undecodable(error: UnicodeDecodeError) -> ValueError:
    name = error.encoding.removesuffix("-sig")
    return ValueError(f"the body is not {name}: byte {error.start} of what was read last (option `encoding` names another)")


class _Raw(io.RawIOBase):
    """Any binary file as the raw file that a buffer needs; closing it leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
