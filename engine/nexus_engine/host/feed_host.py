"""What ``Source.read`` is given: a feed's HTTP and its format, for one unit of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from nexus_engine.contract.format import Format, Piece, Streaming
from nexus_engine.contract.host import HttpResponse, SourceHttp
from nexus_engine.contract.records import Want
from nexus_engine.host.live import LARGE
from nexus_engine.host.unpack import Unpacking

_PIECE: Final = 1 << 18  # bytes of a body that is read in pieces
_LINES: Final = 1 << 20  # of one whose lines are handed on as they came: nothing but bytes is touched, so what a piece costs counts


class FeedHost:
    """:class:`nexus_engine.contract.host.Host`: what ``Source.read`` is given."""

    def __init__(self, http: SourceHttp, format: Format, stop: threading.Event, warn: Callable[[str], None] = lambda _: None) -> None:
        self._http = http
        self._format = format
        self._stop = stop
        self._warn = warn
        self.logged: list[tuple[str, dict[str, Any]]] = []

    @property
    def http(self) -> SourceHttp:
        return self._http

    @property
    def flat(self) -> bool:
        return self._format.flat

    @property
    def notices_cuts(self) -> bool:
        return bool(getattr(self._format, "notices_cuts", True))

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        return self._format.pieces(body, content_type=content_type, want=want)

    @property
    def streams(self) -> bool:
        return isinstance(self._format, Streaming)

    def stream(self, response: HttpResponse, *, want: Want) -> Iterator[Piece]:
        assert isinstance(self._format, Streaming)
        assert response.file is not None
        want = replace(want, lines=want.lines and response.size >= LARGE)
        size = _LINES if want.lines else _PIECE
        return self._format.stream(response.file, content_type=response.headers.get("content-type", ""), want=want, size=size)

    def require_end(self, response: HttpResponse) -> None:
        if isinstance(self._format, Unpacking) and response.file is not None:
            self._format.require_end(response.file)

    def stopping(self) -> bool:
        return self._stop.is_set()

    def log(self, message: str, **fields: Any) -> None:
        self.logged.append((message, fields))

    def warn(self, message: str) -> None:
        self._warn(self._http.redact(message))
