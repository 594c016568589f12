"""Kill -9 at every crash point while one body is read in pieces, each with a position inside it: 0 lost, 0 duplicated, and the next
run goes on behind the last safe piece; and at every point of the recovery of its batches. Judged by an oracle that knows nothing of the
project. A small body's rows are spooled in files, those of a large one in side tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.layout import layout_of
from nexus_engine.deliver import crash

HERE = Path(__file__).parent
LINES = 240  # of each series: pieces of a quarter of a megabyte, of lines four times as much; two of them to a batch
POINTS = [p for p in crash.POINTS if not p.startswith(("shape.", "recovery.", "orphans.", "uncertain.", "missing.", "archive.", "replace."))]
RECOVERY = [p for p in crash.POINTS if p.startswith(("recovery.", "orphans.", "uncertain.", "missing.", "done.", "drop."))]
FEED = """
name: pages
source:
  endpoint: {url}/{home}
  params: {{series: "{{{{ each.series }}}}", after: "{{{{ window.start }}}}"}}
  each: {{series: [a, b]}}
  format: jsonl
  records: {{empty: [absent]}}
  concurrency: 1
cursor: {{field: id, initial: "0"}}
fields: {{series: {{from: each.series, type: String}}, id: UInt32, text: String}}
target: {{table: m.pages}}
"""


def body(request, line_bytes):
    after = int(request.query["after"])
    return answer("".join(json.dumps({"id": n, "text": chr(97 + n % 26) * line_bytes}) + "\n" for n in range(after + 1, LINES + 1)))


def child(*homes: Path, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "pages_child.py"), *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at}, capture_output=True, text=True, check=False)


def new_home(home: Path, url: str) -> Path:
    (home / "sources.d").mkdir(parents=True)
    (home / "sources.d" / "pages.yaml").write_text(FEED.format(url=url, home=home.name))
    return home


def kill(home: Path, at: str) -> Path:
    done = child(home, crash_at=at)
    assert done.returncode == -9, f"{at}: {done.returncode}\n{done.stderr[-3000:]}"
    return home


def finish(homes: list[Path]) -> None:
    done = child(*homes)
    assert done.returncode == 0, done.stderr[-3000:]


def judge(homes: list[Path], lines: int = LINES) -> None:
    oracle = subprocess.run([sys.executable, "-I", str(HERE / "pages_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    whole = list(range(1, lines + 1))
    bad = [
        (home.name, {series: len(ids) for series, ids in verdict["ids"].items()}, verdict["repeated"])
        for home, verdict in zip(homes, map(json.loads, oracle.stdout.splitlines()), strict=True)
        if verdict != {"ids": {"a": whole, "b": whole}, "repeated": 0}
    ]
    assert not bad


@pytest.mark.slow
@pytest.mark.capability("Formats: a body larger than memory", spec="format: jsonl")
@pytest.mark.parametrize(("visit", "line_bytes", "other"), [(2, 8_000, "side."), (3, 30_000, "spool.")])  # 1.9 MB are staged as lists, 7.2 MB as lines
def test_no_line_of_a_body_in_pieces_is_lost_or_landed_twice(tmp_path, visit, line_bytes, other):
    with RawServer(lambda request: body(request, line_bytes)) as server, ThreadPoolExecutor(2) as pool:
        points = [point for point in POINTS if not point.startswith(other)]
        homes = list(pool.map(lambda point: kill(new_home(tmp_path / f"{point}-{visit}", server.url), f"{point}#{visit}"), points))
        server.requests.clear()
        finish(homes)
        asked = [(request.path, request.query["series"], request.query["after"]) for request in server.requests]
        assert ("/insert.after-" + str(visit), "a", "0") in asked  # the window that was cut off is asked for again, and read from inside
        finish(homes)
    judge(homes)
    print(f"{len(homes)} kills at visit {visit}: 0 lost, 0 duplicated")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["insert.before", "insert.after"])
def test_a_side_table_outlives_every_kill_of_its_recovery(tmp_path, first):
    """The target took nothing, or all of it, when the process died; then the next one dies, at each point that it comes to."""
    with RawServer(lambda request: body(request, 20_000)) as server, ThreadPoolExecutor(2) as pool:
        points = RECOVERY if first == "insert.before" else ["uncertain.settled", "uncertain.read", "done.after", "drop.after"]
        homes = list(pool.map(lambda point: kill(kill(new_home(tmp_path / point, server.url), f"{first}#2"), point), points))
        finish(homes)
    judge(homes)
    print(f"{len(homes)} kills behind {first}: 0 lost, 0 duplicated")


@pytest.mark.slow
def test_no_line_that_is_cut_is_lost_or_landed_twice(tmp_path):
    """Short lines that are all laid out alike are read another way; the points are those at which that could show."""
    lines, text = 45_000, "x" * 100
    assert layout_of(f'{{"id":1,"text":"{text}"}}'.encode()) is not None

    def short(request):
        return answer("".join(f'{{"id":{n},"text":"{text}"}}\n' for n in range(int(request.query["after"]) + 1, lines + 1)))

    points = [point for point in POINTS if point.startswith(("side.", "query.", "insert.", "done."))]
    with RawServer(short) as server, ThreadPoolExecutor(2) as pool:
        homes = list(pool.map(lambda point: kill(new_home(tmp_path / point, server.url), f"{point}#2"), points))
        finish(homes)
    judge(homes, lines)
    print(f"{len(homes)} kills over lines that are cut: 0 lost, 0 duplicated")


@pytest.mark.slow
def test_side_tables_of_a_dead_process_are_removed(tmp_path):
    """When the next one makes its first, and only those that no batch needs any more."""
    with RawServer(lambda request: body(request, 20_000)) as server:
        home = kill(new_home(tmp_path / "home", server.url), "side.filled#4")
        assert len(side_tables(home)) >= 1
        finish([home])
    judge([home])
    assert not side_tables(home)


def side_tables(home: Path) -> list[str]:
    """Asked in a process of its own: there is one folder of ClickHouse's to a process."""
    code = (
        "import sys; from pathlib import Path; from nexus_engine.clickhouse.engine import Engine; engine = Engine(Path(sys.argv[1]))\n"
        "for row in engine.rows(\"SELECT name FROM system.tables WHERE database LIKE '%side%'\"): print(row['name'])\n"
        "engine.close()"
    )
    return subprocess.run([sys.executable, "-c", code, str(home / "data" / "clickhouse")], capture_output=True, text=True, check=True).stdout.split()
