"""Every example of shapes.md is run: its body served on loopback, its feed landed, its rows compared with the table on the page."""

from __future__ import annotations

import bz2
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from doc_pages import ROOT, Block, blocks, tables

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

PAGE = ROOT / "docs/shapes.md"
NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)
CONTENT_TYPES = {"json": "application/json", "xml": "application/atom+xml", "csv": "text/csv", "jsonl": "application/x-ndjson"}


@dataclass(frozen=True)
class Example:
    """``rows`` are the cells of the page's table, header first; ``error`` the text that must come instead."""

    name: str
    body: Block
    feed: Block
    rows: list[list[str]] | None
    error: str


def examples() -> list[Example]:
    found, pending = [], None
    page = list(blocks(PAGE))
    lines = PAGE.read_text().splitlines(keepends=True)
    for number, block in enumerate(page):
        if block.kind == "body":
            pending = block
        elif block.kind == "feed":
            end = page[number + 1].line - 1 if number + 1 < len(page) else len(lines)
            rows = next(tables("".join(lines[block.line : end])), None)
            after = page[number + 1] if number + 1 < len(page) else None
            error = after.text.strip() if after is not None and after.kind == "error" else ""
            name = block.text.split("name: ", 1)[1].split()[0]
            found.append(Example(name, pending, block, rows, error))
    return found


EXAMPLES = {example.name: example for example in examples()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        example = EXAMPLES[urlsplit(self.path).path.strip("/")]
        body = example.body.text.encode()
        if "compression: bz2" in example.feed.text:
            body = bz2.compress(body)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPES.get(example.body.language, "text/plain"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, dict[str, Any]]]:
    root = tmp_path_factory.mktemp("shapes")
    (root / "sources.d").mkdir()
    for name, example in EXAMPLES.items():
        (root / "sources.d" / f"{name}.yaml").write_text(example.feed.text)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (root / "nexus.yaml").write_text(f'base_urls: {{"https://api.example.com": "http://127.0.0.1:{server.server_port}"}}\n')
    registry = build_registry()
    project = Project.load(root, "", registry=registry)
    loaded = load_feeds(project, registry)
    assert not loaded.problems, [str(problem) for problem in loaded.problems]
    with Session.open(project, registry, now=lambda: NOW) as opened:
        yield opened, loaded.plans
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_rows_are_those_of_the_page(name: str, session: tuple[Session, dict[str, Any]]) -> None:
    opened, plans = session
    example, plan = EXAMPLES[name], plans[name]
    report = opened.run(plan)
    if example.error:
        assert report.status == "failed"
        assert example.error in report.error.what
        return
    assert report.error is None, report.error
    assert report.quarantined == 0
    header, *wanted = example.rows
    columns = ", ".join(f"toString({column}) AS {column}" for column in header)
    landed = opened.engine.rows(f"SELECT {columns} FROM {plan.target.name} ORDER BY ALL")
    cells = [["null" if row[column] is None else row[column] for column in header] for row in landed]
    assert header == [column.name for column in plan.target.columns]
    assert sorted(cells) == sorted(wanted)


def test_every_example_has_rows_or_an_error() -> None:
    assert len(EXAMPLES) >= 12
    assert [example.feed.place for example in EXAMPLES.values() if example.rows is None and not example.error] == []
