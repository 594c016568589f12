"""Kill -9 at every crash point, at each visit, of a run that keeps its answers and of a reparse: 0 lost, 0 duplicated, each row leads
to the body it came from, and no body is left that no row leads to. The index is read with sqlite3, the bodies with pyarrow."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from raw_server import RawServer, answer

import kill_visits
from nexus_engine.deliver import crash

HERE = Path(__file__).parent
# What only a start with something to recover comes to is swept by test_kill: recovery is the same whatever ran.
POINTS = [p for p in crash.POINTS if not p.startswith(("side.", "recovery.", "orphans.", "uncertain.", "missing.", "replace.", "shape."))]
FEED = """
name: days
source:
  endpoint: {url}/days
  each: {{symbol: [AAA, BBB]}}
  params: {{s: "{{{{ each.symbol }}}}", from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
  paginate: {{page: page, pages: pages}}
  records: rows
cursor: {{field: day, initial: 2024-01-07, step: 4d}}
fields: {{symbol: {{from: each.symbol, type: String}}, day: Date, v: {{from: {column}, type: UInt32}}}}
target: {{table: m.days{key}}}
archive: {{keep: 90d, max_size: {size}}}
max_refused: 1
"""
DAYS = [f"2024-01-{day:02}" for day in range(1, 7)]


def script(request):
    """Two days to a page; what `v` and `w` are follows from symbol and day. The last day is no number."""
    words = request.query
    days = [day for day in DAYS if words["from"] <= day < words["to"]]
    page = int(words["page"])
    some = [{"day": day, "v": int(day[-2:]), "w": "x" if day == DAYS[-1] else 100 + int(day[-2:])} for day in days[2 * page - 2 : 2 * page]]
    return answer({"pages": -(-len(days) // 2), "symbol": words["s"], "rows": some})


@pytest.fixture
def server():
    with RawServer(script) as server:
        yield server


def home(path, url, *, column="v", key="", size="10GB"):
    (path / "sources.d").mkdir(parents=True, exist_ok=True)
    (path / "sources.d" / "days.yaml").write_text(FEED.format(url=url, column=column, key=key, size=size))
    return path


def child(mover, *homes, crash_at=""):
    command = [sys.executable, str(HERE / "archive_child.py"), mover, *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at}, capture_output=True, text=True)


def truths(mover, *homes):
    done = child(mover, *homes)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep(tmp_path, mover, prepare, points):
    """``prepare(path)`` makes a home. Every home that was killed."""
    return kill_visits.sweep(points, lambda name: prepare(tmp_path / name), lambda path, at: child(mover, path, crash_at=at))


def check_archive(truth):
    """Each row leads to one body, which has it; each file has an index row, and each index row its file."""
    folder = Path(truth["home"]) / "data"
    files = {}
    for path in (folder / "archive").rglob("*"):
        if path.is_file():
            with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as stream:
                body = stream.read()
            assert hashlib.sha256(body).hexdigest() == path.stem, path
            files[path.stem] = json.loads(body)
    with sqlite3.connect(folder / "state.db") as state:
        index = state.execute("SELECT batch_id, first_row, last_row, sha256, partition FROM body").fetchall()
    assert {row[3] for row in index} == set(files), truth["home"]
    for symbol, day, _, batch, number in truth["rows"]:
        found = {sha for owner, first, last, sha, _ in index if owner == batch and first is not None and first <= number <= last}
        assert len(found) == 1, (truth["home"], symbol, day, found)
        body = files[found.pop()]
        assert body["symbol"] == symbol and day in [row["day"] for row in body["rows"]], (truth["home"], symbol, day)


def whole(truth):
    assert not truth["staged"] and not truth["left"], truth
    lineage = {(batch, number) for *_, batch, number in truth["rows"]}
    assert len(lineage) == len(truth["rows"]), truth
    check_archive(truth)


def test_a_run_that_keeps_its_answers(tmp_path, server, capsys):
    """Into a table without a key, where nothing would absorb what comes twice."""
    killed = sweep(tmp_path, "range", lambda path: home(path, server.url), [point for point in POINTS if point != "archive.freed"])
    for truth in truths("range", *killed):
        assert [row[:3] for row in truth["rows"]] == [[symbol, day, int(day[-2:])] for symbol in ("AAA", "BBB") for day in DAYS], truth
        whole(truth)
    assert {path.name.rpartition("-")[0] for path in killed} == set(POINTS) - {"archive.freed"}
    with capsys.disabled():
        print(f" [{len(killed)} kills: 0 lost, 0 duplicated]", end="")


def test_reparse(tmp_path, server, capsys):
    """Another column of what is kept, of which one value is refused."""
    before = home(tmp_path / "before", server.url, key=", key: [symbol, day]")
    [truth] = truths("range", before)
    asked = len(server.requests)
    assert len(truth["rows"]) == 12

    def mended(path):
        shutil.copytree(before, path, symlinks=True)
        return home(path, server.url, key=", key: [symbol, day]", column="w")

    points = [point for point in POINTS if not point.startswith("archive.") or point == "archive.expired"]
    killed = sweep(tmp_path, "reparse", mended, points)
    found = truths("reparse", *killed)
    old = [[symbol, day, int(day[-2:])] for symbol in ("AAA", "BBB") for day in DAYS]
    new = [[symbol, day, 100 + v] for symbol, day, v in old if day != DAYS[-1]]
    for truth in found:
        assert [row[:3] for row in truth["rows"]] == sorted(old + new), truth
        assert len(truth["refused"]) == 2, truth
        assert not [name for name in truth["positions"] if name.startswith("reparse")], truth
        whole(truth)
    assert any(truth["read"] < 12 for truth in found), "one that was cut off goes on, and does not start again"
    assert {path.name.rpartition("-")[0] for path in killed} == set(points)
    assert len(server.requests) == asked
    with capsys.disabled():
        print(f" [{len(killed)} kills: 0 lost, 0 duplicated]", end="")


def test_bodies_that_go(tmp_path, server):
    """Killed while the oldest make room, at a run's end or at the beginning of the next: that start removes what nothing leads to."""
    killed = sweep(tmp_path, "range", lambda path: home(path, server.url, size="300B"), ["archive.freed", "archive.expired"])
    assert len(killed) >= 2
    full = home(tmp_path / "full", server.url)
    truths("range", full)

    def small(path):
        shutil.copytree(full, path, symlinks=True)
        return home(path, server.url, size="300B")

    for visit in (1, 2):
        killed.append(small(tmp_path / f"begins-{visit}"))
        assert child("range", killed[-1], crash_at=f"archive.freed#{visit}").returncode == -9
    for path in killed:
        home(path, server.url)
    for truth in truths("range", *killed):
        files = {path.stem for path in (Path(truth["home"]) / "data" / "archive").rglob("*.zst")}
        with sqlite3.connect(Path(truth["home"]) / "data" / "state.db") as state:
            assert files == {sha for (sha,) in state.execute("SELECT sha256 FROM body")}


@pytest.mark.capability("Raw archive: retention by age and by size, oldest first", spec="archive: {keep: 90d, max_size: 10GB}")
def test_a_feed_that_never_finishes_keeps_no_more_than_it_may(tmp_path, server):
    def kept():
        with sqlite3.connect(path / "data" / "state.db") as state:
            return dict(state.execute("SELECT sha256, packed FROM body").fetchall())

    path = home(tmp_path / "home", server.url)
    assert child("range", path, crash_at="done.after#2").returncode == -9
    before = kept()
    home(path, server.url, size="300B")
    assert child("range", path, crash_at="intent.before").returncode == -9
    assert set(kept()) < set(before) and sum(kept().values()) <= 300
    assert not {file.stem for file in (path / "data" / "archive").rglob("*.zst")} & (set(before) - set(kept()))
