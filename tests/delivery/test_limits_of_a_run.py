"""Bounds of one run: the size of a batch, and how often a source may lose its connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.fetch import RECONNECTS
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

FEED = """
name: f
source: {{{source}}}
fields: {{id: UInt32}}
target: {{table: b.f}}
"""


def run(root: Path, source: str, *modules: str):
    (root / "sources.d").mkdir(exist_ok=True)
    (root / "sources.d" / "f.yaml").write_text(FEED.format(source=source))
    registry = build_registry(list(modules))
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry) as session:
        report = session.run(feeds.plans["f"])
        rows = session.engine.rows("SELECT id, toString(_nexus_batch) AS b FROM b.f ORDER BY id")
    assert report.closes()
    return report, rows


@pytest.mark.parametrize(("size", "batches"), [("50MB", [6]), ("5kB", [3, 3]), ("1kB", [1] * 6)])
def test_a_batch_ends_with_the_page_that_fills_it(tmp_path: Path, size: str, batches: list[int]) -> None:
    def script(request):
        page = int(request.query["page"])
        return answer({"rows": [{"id": page, "text": "x" * 2000}] if page < 7 else []})

    (tmp_path / "nexus.yaml").write_text(f"limits: {{batch_bytes: {size}}}\n")
    with RawServer(script) as server:
        report, rows = run(tmp_path, f'endpoint: "{server.url}", paginate: {{page: page}}, records: rows')
    assert (report.status, [row["id"] for row in rows]) == ("ok", [1, 2, 3, 4, 5, 6])
    names = [row["b"] for row in rows]
    assert [names.count(name) for name in dict.fromkeys(names)] == batches


@pytest.mark.parametrize(("lost", "status", "landed"), [(RECONNECTS, "ok", 5), (RECONNECTS + 1, "failed", 2)])
def test_a_source_reconnects_a_few_times_and_then_stops(tmp_path: Path, lost: int, status: str, landed: int) -> None:
    (tmp_path / "lost.json").write_text(json.dumps(lost))
    report, rows = run(tmp_path, f"plugin: losing, file: {tmp_path / 'lost.json'}", "losing_source")
    assert (report.status, [row["id"] for row in rows]) == (status, list(range(1, landed + 1)))
    if status == "failed":
        assert report.errors[0].kind == "Reconnect"
        report, rows = run(tmp_path, f"plugin: losing, file: {tmp_path / 'lost.json'}", "losing_source")
        assert (report.status, [row["id"] for row in rows]) == ("ok", [1, 2, 3, 4, 5])
