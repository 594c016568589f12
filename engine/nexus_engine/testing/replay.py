"""Replay: a real HTTP server on loopback that answers from cassettes, in the place of every API.

A request matches a recorded one by method, host (the Host header keeps the API's own), path and query; ``REDACTED`` in a
cassette matches anything. The n-th request of a kind gets the n-th answer recorded for it. A request that was not
recorded, or more often than recorded, gets an answer that stops the feed and names the nearest recorded request.
"""

from __future__ import annotations

import difflib
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from nexus_engine.host.feed_http import UNMATCHED_HEADER
from nexus_engine.host.recorder import REDACTED

UNMATCHED: Final = 599
_SKIPPED_HEADERS: Final = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive"})

_GZIP: Final = b"\x1f\x8b"


class _Loader(yaml.CSafeLoader):
    """Times stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class BadCassette(Exception):
    """A file in the folder is no cassette; names the file."""


@dataclass
class Interaction:
    """One recorded exchange. ``host`` is without the scheme's own port."""

    method: str
    host: str
    path: str
    query: list[tuple[str, str]]
    uri: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    used: bool = False

    def answers(self, method: str, host: str, path: str, query: list[tuple[str, str]]) -> bool:
        if method != self.method or host != self.host or not _same(self.path, path) or len(query) != len(self.query):
            return False
        left = list(query)
        for name, value in self.query:
            match = next((pair for pair in left if pair[0] == name and _same(value, pair[1])), None)
            if match is None:
                return False
            left.remove(match)
        return True


def _same(recorded: str, asked: str) -> bool:
    if REDACTED not in recorded:
        return recorded == asked
    pattern = ".*".join(re.escape(part) for part in recorded.split(REDACTED))
    return re.fullmatch(pattern, asked, re.DOTALL) is not None


def _host(netloc: str) -> str:
    netloc = netloc.rpartition("@")[2].lower()
    return netloc.removesuffix(":443").removesuffix(":80")


def _read(path: Path) -> tuple[str, list[Interaction]]:
    """(recorded_at, interactions) of one cassette.

    Raises:
        BadCassette
    """
    try:
        data = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506  a CSafeLoader
        stamp = (data.get("metadata") or {}).get("recorded_at", "") if isinstance(data, dict) else ""
        return str(stamp), [_interaction(item) for item in data["interactions"]]
    except (yaml.YAMLError, UnicodeError, KeyError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else ""
        raise BadCassette(f"{path}: not a cassette: {type(error).__name__}: {first}") from None


def _interaction(item: dict[str, Any]) -> Interaction:
    request, response = item["request"], item["response"]
    parts = urlsplit(request["uri"])
    body = response["body"].get("string", b"") or b""
    kept = {"content-encoding"} if isinstance(body, bytes) and body[:2] == _GZIP else set()  # vcrpy keeps what came over the wire
    headers: list[tuple[str, str]] = []
    for name, values in (response.get("headers") or {}).items():
        if name.lower() not in _SKIPPED_HEADERS - kept:
            headers.extend((name, str(value)) for value in (values if isinstance(values, list) else [values]))
    return Interaction(
        request["method"], _host(parts.netloc), unquote(parts.path) or "/", parse_qsl(parts.query, keep_blank_values=True),
        request["uri"], int(response["status"]["code"]), headers, body if isinstance(body, bytes) else body.encode(),
    )


def _cassettes(source: Path) -> list[Path]:
    found = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
    found = [path for path in found if path.is_file() and not path.name.endswith(".test.yaml")]
    if not found:
        raise BadCassette(f"{source}: no cassette is there")
    return found


@dataclass
class _Asked:
    """What was asked of the server, for tests and reports."""

    matched: int = 0
    unmatched: list[str] = field(default_factory=list)


class ReplayServer:
    """Serves all cassettes of a folder (or one file); a context manager.

    Args:
        sources: folders of ``*.yaml`` cassettes, or cassettes.
        repeat_last: answer further repeats of a request with its last answer instead of an error.

    Raises:
        BadCassette: a file is no cassette, or there is none.
    """

    def __init__(self, *sources: Path, repeat_last: bool = False) -> None:
        files = [path for source in sources for path in _cassettes(source)]
        self._interactions: list[Interaction] = []
        stamps: list[str] = []
        for path in files:
            stamp, found = _read(path)
            stamps += [stamp] if stamp else []
            self._interactions += found
        self.recorded_at: datetime | None = _moment(max(stamps)) if stamps else None
        self.asked = _Asked()
        self._repeat_last = repeat_last
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="replay", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def base_url(self) -> str:
        """What takes the place of every origin: the ``replay`` argument of HttpHost."""
        assert self._server is not None, "the server runs inside `with`"
        return f"http://127.0.0.1:{self._server.server_port}"

    def now(self) -> datetime:
        """The clock of a session on this replay: it stands at the recorded time (where none was kept, it does not stand)."""
        return self.recorded_at or datetime.now(UTC)

    def unused(self) -> list[str]:
        """The recorded requests that nobody made (again), `METHOD URL`."""
        return [f"{item.method} {item.uri}" for item in self._interactions if not item.used]

    def find(self, method: str, host: str, target: str) -> Interaction | str:
        """The answer to a request, or why there is none."""
        parts = urlsplit(target)
        wanted = (method, _host(host), unquote(parts.path) or "/", parse_qsl(parts.query, keep_blank_values=True))
        with self._lock:
            alike = [item for item in self._interactions if item.answers(*wanted)]
            fresh = next((item for item in alike if not item.used), None)
            if fresh is None and alike and self._repeat_last:
                fresh = alike[-1]
            if fresh is not None:
                fresh.used = True
                self.asked.matched += 1
                return fresh
            why = self._why(f"{method} {wanted[1]}{target}", wanted[1], len(alike))
            self.asked.unmatched.append(why)
            return why

    def _why(self, asked: str, host: str, times: int) -> str:
        """Why there is no answer, with the nearest request of the same host: one of another API was never meant."""
        if times:
            return f"the replay has no more answers for {asked}: it was recorded {times} time{'s' * (times > 1)}"
        known = list(dict.fromkeys(f"{item.method} {item.uri.partition('://')[2]}" for item in self._interactions if item.host == host))
        if not known:
            hosts = ", ".join(sorted({item.host for item in self._interactions}))
            return f"the replay holds no answer for {asked}; it was recorded from {hosts or 'nowhere'}"
        nearest = difflib.get_close_matches(asked, known, 1, 0)
        return f"the replay holds no answer for {asked}; the nearest recorded request of this host is {nearest[0]}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def _handler(replay: ReplayServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = replay.find(self.command, self.headers.get("Host", ""), self.path)
            if isinstance(found, str):
                body = found.encode()
                self.send_response(UNMATCHED, "No Recorded Answer")
                self.send_header(UNMATCHED_HEADER, "unmatched")
                self.send_header("Content-Type", "text/plain; charset=utf-8")
            else:
                body = found.body
                self.send_response(found.status)
                for name, value in found.headers:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = _answer  # noqa: N815  http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
