"""Bounds of one run: the size of a batch, what is read and mapped ahead, and how often a source may lose its connection."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.contract.source import Partition
from nexus_engine.deliver.fetch import RECONNECTS, Arrival, Channel, Ticket
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.deliver.windows import Position
from nexus_engine.events import BatchLanded, Observers
from nexus_engine.project.project import Project

FEED = """
name: f
source: {{{source}}}
fields: {{id: UInt32}}
target: {{table: b.f}}
"""


def run(root: Path, source: str, *modules: str, limits: Limits | None = None, seen=lambda _: None):
    (root / "sources.d").mkdir(exist_ok=True)
    (root / "sources.d" / "f.yaml").write_text(FEED.format(source=source))
    registry = build_registry(list(modules))
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry, observers=Observers(seen)) as session:
        session.limits = limits or session.limits
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


def scripted(root: Path, *pages: object) -> str:
    (root / "pages.json").write_text(json.dumps({"": pages}))
    return f"plugin: scripted, file: {root / 'pages.json'}, records: rows"


def batches(rows: list[dict[str, object]]) -> list[int]:
    names = [row["b"] for row in rows]
    return [names.count(name) for name in dict.fromkeys(names)]


def test_no_more_batches_wait_than_may_be_ahead(tmp_path: Path) -> None:
    """Each page is a batch. What is closed and has not landed stands in data/raw/, the one that lands among them."""
    waiting = []

    def seen(event: object) -> None:
        if isinstance(event, BatchLanded):
            waiting.append(len([path for path in (tmp_path / "data" / "raw").glob("*.jsonl") if path.stem.rpartition("-")[2].isdigit()]))

    source = scripted(tmp_path, *({"rows": [{"id": n}]} for n in range(12)))
    report, rows = run(tmp_path, source, "scripted_source", limits=Limits(batch_pages=1), seen=seen)
    assert (report.status, batches(rows)) == ("ok", [1] * 12)
    assert (len(waiting), max(waiting)) == (12, 3)


def test_a_batch_ends_with_its_last_page_and_the_first_one_is_smaller(tmp_path: Path) -> None:
    """20,000 pages, or 12 MiB of the first batch of a run, however small or few they are."""
    pages = [{"rows": [{"id": n, "text": "x" * 6_400_000 if n == 1 else ""}]} for n in range(3)]
    report, rows = run(tmp_path, scripted(tmp_path, pages[0], pages[1], pages[1], *[pages[2]] * 20_001), "scripted_source", limits=Limits(linger_s=600))
    assert (report.status, batches(rows)) == ("ok", [3, 20_000, 1])


def test_a_batch_ends_when_it_has_waited_long_enough(tmp_path: Path) -> None:
    """The second page is held back until the first has landed, which it does when its time is over."""
    landed = threading.Event()

    def script(request):
        page = int(request.query["page"])
        if page == 2:
            assert landed.wait(60)
        return answer({"rows": [{"id": page}] if page < 3 else []})

    with RawServer(script) as server:
        report, rows = run(
            tmp_path, f'endpoint: "{server.url}", paginate: {{page: page}}, records: rows',
            limits=Limits(linger_s=0.2), seen=lambda event: landed.set() if isinstance(event, BatchLanded) else None,
        )  # fmt: skip
    assert (report.status, batches(rows)) == ("ok", [1, 1])


def test_reading_waits_where_the_loop_is_behind() -> None:
    channel = Channel(100)
    ticket, passed = Ticket(Partition(), Position()), threading.Event()

    def read() -> None:
        for _ in range(3):
            channel.put(Arrival(ticket), 60)
        passed.set()

    threading.Thread(target=read).start()
    for _ in range(2):
        assert not passed.wait(0.05)
        assert channel.get(None) is not None
    assert passed.wait(60)
    assert channel.get(0.0) is not None


def test_partitions_are_read_side_by_side_as_many_as_there_may_be(tmp_path: Path) -> None:
    """Four, unless the feed or its API says otherwise: no answer comes before four were asked for."""
    now, most, lock, four = [0], [0], threading.Lock(), threading.Barrier(4)

    def script(request):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        four.wait(60)
        time.sleep(0.02)  # a fifth would come now
        with lock:
            now[0] -= 1
        return answer({"rows": [{"id": int(request.query["n"])}]})

    with RawServer(script) as server:
        source = f'endpoint: "{server.url}", records: rows, params: {{n: "{{{{ each.n }}}}"}}, each: {{n: [{", ".join(map(str, range(12)))}]}}'
        report, rows = run(tmp_path, source)
    assert (report.status, len(rows), most[0]) == ("ok", 12, 4)


def test_json_is_read_to_a_depth(tmp_path: Path) -> None:
    """900 levels are read, 1,000 stop the feed in front of the page."""

    def script(request):
        levels = 900 if request.query["page"] == "1" else 1000
        return answer(b'{"rows": [{"id": %d, "deep": %s%s}]}' % (levels, b"[" * levels, b"]" * levels))

    with RawServer(script) as server:
        report, rows = run(tmp_path, f'endpoint: "{server.url}", paginate: {{page: page}}, records: rows')
    assert (report.status, [row["id"] for row in rows]) == ("failed", [900])
    assert "nested too deeply (page 2 of" in report.errors[0].what
