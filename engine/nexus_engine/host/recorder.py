"""Recording exchanges as cassettes in vcrpy's YAML format, one file per feed, secrets redacted."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import yaml

from nexus_engine import __version__
from nexus_engine.host.redact import Redactor

REDACTED: Final = "REDACTED"
_HIDDEN: Final = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})
_OF_THE_WIRE: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"})


def _status_text(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


class Recorder:
    """Appends each exchange to ``<folder>/<feed>.yaml`` as it happens. Thread-safe.

    Bodies are kept as they decompress, so the headers that speak of the wire are left out.

    Raises:
        FileExistsError: the folder already holds a cassette of that feed; a recording is never overwritten.
    """

    def __init__(self, folder: Path, redactor: Redactor, recorded_at: datetime) -> None:
        self._folder = folder
        self._redactor = redactor
        self._recorded_at = recorded_at
        self._started: set[str] = set()
        self._lock = threading.Lock()

    def exchanged(
        self, feed: str, method: str, url: str, headers: dict[str, str], body: bytes | None, status: int,
        answer_headers: dict[str, str], answer: bytes,
    ) -> None:
        interaction = {
            "request": {"method": method, "uri": self._text(url), "headers": self._headers(headers), "body": self._body(body)},
            "response": {
                "status": {"code": status, "message": _status_text(status)},
                "headers": self._headers(answer_headers),
                "body": {"string": self._body(answer)},
            },
        }
        text = yaml.dump([interaction], Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False, width=2**30)
        with self._lock:
            if feed not in self._started:
                self._start(feed)
            with self._path(feed).open("a", encoding="utf-8") as file:
                file.write(text)

    def _path(self, feed: str) -> Path:
        return self._folder / f"{feed}.yaml"

    def _start(self, feed: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        when = self._recorded_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._path(feed).open("x", encoding="utf-8") as file:
            file.write(f'version: 1\nmetadata: {{recorded_at: "{when}", recorder: "nexus-engine {__version__}"}}\ninteractions:\n')
        self._started.add(feed)

    def _text(self, text: str) -> str:
        return self._redactor.redact(text, REDACTED)

    def _body(self, data: bytes | None) -> str | bytes | None:
        """Text where it is UTF-8, else bytes (``!!binary`` in YAML), as vcrpy keeps them."""
        if data is None:
            return None
        try:
            return self._text(data.decode())
        except UnicodeDecodeError:
            return self._redactor.redact_bytes(data, REDACTED)

    def _headers(self, headers: dict[str, str]) -> dict[str, Any]:
        return {
            name: [REDACTED if name in _HIDDEN else self._text(value)]
            for name, value in headers.items()
            if name not in _OF_THE_WIRE
        }
