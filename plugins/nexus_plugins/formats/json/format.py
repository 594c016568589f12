"""JSON: the body is handed on as it came, less a byte order mark; UTF-16 and UTF-32 become UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from nexus_engine.contract.options import Options
from nexus_engine.contract.records import Want


class JsonOptions(Options, frozen=True):
    """The `json` format has no options."""


class JsonFormat:
    """Bodies in JSON. Nothing is parsed here."""

    options: ClassVar[type[JsonOptions]] = JsonOptions
    flat: ClassVar[bool] = False

    def __init__(self, options: Any) -> None:
        pass

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        if body[:3] == b"\xef\xbb\xbf":
            body = body[3:]
        elif body[:4].count(b"\0"):  # JSON text starts with ASCII: a zero byte there is UTF-16 or UTF-32 (RFC 4627)
            encoding = json.detect_encoding(body)
            try:
                body = body.decode(encoding).removeprefix("\ufeff").encode()
            except UnicodeDecodeError as error:
                raise ValueError(f"the body is not {encoding}: byte {error.start}") from None
        elif body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            body = body.decode("utf-16", "replace").encode()
        yield body
