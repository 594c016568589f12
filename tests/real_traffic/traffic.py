"""A loopback server of recorded bodies, and a project around the shipped feeds that asks it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parents[2]
SECRETS = (
    "FRED_API_KEY", "GLASSNODE_API_KEY", "ETHERSCAN_API_KEY", "WHALE_ALERT_API_KEY", "REDDIT_CLIENT_ID", "REDDIT_CLIENT_SECRET", "X_BEARER_TOKEN",
)  # fmt: skip


@dataclass
class Answer:
    body: bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass
class Traffic:
    """``url`` of the server, and every request it saw as (path, query)."""

    url: str
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)


Answering = Callable[[str, Mapping[str, str]], Answer]


@contextmanager
def serving(answering: Answering) -> Iterator[Traffic]:
    """Serve ``answering(path, query)`` on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            traffic.seen.append((parts.path, query))
            answer = answering(parts.path, query)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    traffic = Traffic(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield traffic
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """``text`` with each change made; one that is not found is an error, so that a test cannot drift from the feed."""
    for old, new in changes.items():
        assert old in text, f"the shipped file does not say {old!r}"
        text = text.replace(old, new)
    return text


def project(folder: Path, feed: str, url: str, *, changes: Mapping[str, str] = {}, api: str = "", api_changes: Mapping[str, str] = {}) -> Path:
    """A project of one shipped feed, its API pointed at ``url``. ``changes`` are made to the shipped text, which is otherwise
    used as it is."""
    for name in ("sources.d", "apis.d", "sinks.d"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    text = (ROOT / "sources.d" / f"{feed}.yaml").read_text()
    (folder / "sources.d" / f"{feed}.yaml").write_text(replaced(text, changes))
    api = api or next(line.split("api:")[1].strip(" {},\n").split(",")[0] for line in text.splitlines() if "api:" in line)
    api_text = replaced((ROOT / "apis.d" / f"{api}.yaml").read_text(), api_changes)
    (folder / "apis.d" / f"{api}.yaml").write_text(api_text)
    (folder / "sinks.d" / "clickhouse.yaml").write_text((ROOT / "sinks.d" / "clickhouse.yaml").read_text())
    base_url = next(line.split("base_url:")[1].strip() for line in [*text.splitlines(), *api_text.splitlines()] if "base_url:" in line)
    host = "https://" + urlsplit(base_url).netloc
    nexus = (ROOT / "nexus.yaml").read_text()
    (folder / "nexus.yaml").write_text(f'{nexus}base_urls: {{"{host}": "{url}"}}\n')
    return folder
