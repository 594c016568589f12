"""Kill -9 at every crash point of every mover, at each visit: 0 lost, 0 duplicated, and the same command goes on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kill_visits
from nexus_engine.deliver import crash

HERE = Path(__file__).parent
# What only a start with something to recover comes to is swept by test_kill: recovery is the same whatever ran.
REPLACING = [p for p in crash.POINTS if not p.startswith(("side.", "recovery.", "orphans.", "uncertain.", "missing.", "archive.", "shape."))]
POINTS = [p for p in REPLACING if not p.startswith("replace.")]
FEED = """
name: days
source:
  plugin: ranged
  file: {home}/days.json
  start: "{{{{ window.start }}}}"
  end: "{{{{ window.end }}}}"
  each: {{symbol: [AAA, BBB]}}
  records: rows
cursor: {{field: day, initial: 2024-01-09, step: 4d}}
fields: {{symbol: {{from: each.symbol, type: String}}, day: Date, v: UInt32}}
validate: [{{expect: between, field: v, max: {most}}}]
target: {{table: m.days}}
max_refused: 1
"""


def home(path, days, *, most=9999):
    (path / "sources.d").mkdir(parents=True)
    (path / "sources.d" / "days.yaml").write_text(FEED.format(home=path, most=most))
    (path / "days.json").write_text(json.dumps({symbol: {f"2024-01-{day:02}": v for day, v in days.items()} for symbol in ("AAA", "BBB")}))
    return path


def child(mover, *homes, crash_at="", **words):
    command = [sys.executable, str(HERE / "mover_child.py"), mover, *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at, **words}, capture_output=True, text=True)


def truths(mover, *homes):
    done = child(mover, *homes)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep(tmp_path, mover, prepare, points=POINTS):
    """``prepare(path)`` makes a home. Every home that was killed."""
    return kill_visits.sweep(points, lambda name: prepare(tmp_path / name), lambda path, at: child(mover, path, crash_at=at))


def expected(days):
    return sorted([symbol, f"2024-01-{day:02}", v] for symbol in ("AAA", "BBB") for day, v in days.items())


@pytest.mark.capability("Backfill: an interrupted one goes on", spec="nexus-engine run FEED --from 2020-01-01 --to 2021-01-01")
def test_backfill(tmp_path, capsys):
    """Into a table without a key, where nothing would absorb what comes twice."""
    days = {day: day for day in range(1, 7)}
    killed = sweep(tmp_path, "backfill", lambda path: home(path, days))
    found = truths("backfill", *killed)
    for truth in found:
        assert truth["rows"] == expected(days), truth
        assert truth["lineage"] == len(truth["rows"]) and not truth["staged"] and not truth["left"], truth
        assert truth["positions"] == {f"backfill 2024-01-01..2024-01-09|symbol={s}": {"cursor": "2024-01-09"} for s in ("AAA", "BBB")}
    assert any(truth["read"] < len(expected(days)) for truth in found), "a backfill that was cut off goes on, and does not start again"
    assert {path.name.rpartition("-")[0] for path in killed} == set(POINTS)
    with capsys.disabled():
        print(f" [{len(killed)} kills: 0 lost, 0 duplicated]", end="")


@pytest.mark.capability("Quarantine replay: the books close", spec="nexus-engine quarantine replay FEED")
def test_quarantine_replay(tmp_path, capsys):
    """Records refused by an old spec, into a table without a key; most of them pass the new one."""
    days = {9: 1, 10: 1010, 11: 1011, 12: "x"}
    before = home(tmp_path / "before", days, most=255)
    [truth] = truths("live", before)
    assert (len(truth["rows"]), len(truth["refused"])) == (2, 6)

    def mended(path):
        shutil.copytree(before, path, symlinks=True)
        (path / "sources.d" / "days.yaml").write_text(FEED.format(home=path, most=9999))
        return path

    killed = sweep(tmp_path, "replay", mended)
    found = truths("replay", *killed)
    good = {day: v for day, v in days.items() if v != "x"}
    for truth in found:
        assert truth["rows"] == expected(good), truth
        assert truth["lineage"] == len(truth["rows"]) and not truth["staged"] and not truth["left"], truth
        assert [reason for _, reason in truth["refused"]] == ['v: cast: "x" is no UInt32'] * 2, truth
        assert set(truth["positions"]) == {"symbol=AAA", "symbol=BBB"}
    assert {path.name.rpartition("-")[0] for path in killed} == set(POINTS)
    with capsys.disabled():
        print(f" [{len(killed)} kills: 0 lost, 0 duplicated]", end="")


OLD, NEW = {1: 1, 3: 3, 4: 4, 5: 5, 8: 8}, {1: 101, 3: 3, 4: 104, 6: 6, 7: 7, 9: 109}
LEFT = {day: v for day, v in OLD.items() if not 3 <= day < 9} | {day: v for day, v in NEW.items() if 3 <= day < 9}


def filled(tmp_path, key, sink=""):
    """A home with the old rows in its table and the new ones at its source."""
    before = home(tmp_path / "before", OLD)
    feed = before / "sources.d" / "days.yaml"
    feed.write_text(feed.read_text().replace("{table: m.days}", f"{{table: m.days{key}}}"))
    if sink:
        (before / "sinks.d").mkdir()
        (before / "sinks.d" / "clickhouse.yaml").write_text(f"name: clickhouse\nplugin: {sink}\n")
    truths("backfill", before)
    (before / "days.json").write_text(home(tmp_path / "new", NEW).joinpath("days.json").read_text())  # all of them read it there
    return before


def oracle(*homes):
    done = subprocess.run([sys.executable, str(HERE / "days_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.fault("Backfill: kill -9 while a range is replaced", behaviour="the same command goes on; the range is exactly the source's, the rest untouched")
@pytest.mark.parametrize("key", ["", ", key: [symbol, day]"], ids=["no key", "key"])
def test_replace(tmp_path, capsys, key):
    """Over rows that an earlier backfill brought; some are gone at the source since, some differ, some are new."""
    before = filled(tmp_path, key)

    def changed(path):
        return shutil.copytree(before, path, symlinks=True)

    killed = sweep(tmp_path, "replace", changed, REPLACING)
    found = truths("replace", *killed)
    for truth in found:
        assert not truth["staged"] and not truth["left"], truth
        done = {"backfill 2024-01-01..2024-01-09", "backfill 2024-01-03..2024-01-09"}
        assert truth["positions"] == {f"{space}|symbol={s}": {"cursor": "2024-01-09"} for s in ("AAA", "BBB") for space in done}
    for line in oracle(*killed):
        assert line == {"rows": expected(LEFT), "repeated": 0, "replacing": 0, "batch": 0}, line
    assert any(truth["read"] < 8 for truth in found), "what was cut off goes on, and does not start again"
    assert {path.name.rpartition("-")[0] for path in killed} == set(REPLACING)
    with capsys.disabled():
        print(f" [{len(killed)} kills: 0 lost, 0 duplicated]", end="")


@pytest.mark.fault("Backfill: kill -9 inside the removing of old rows", behaviour="ClickHouse goes on with it at the next start; the same command ends the replacing")
@pytest.mark.parametrize("key", ["", ", key: [symbol, day]"], ids=["no key", "key"])
def test_replace_killed_inside_the_mutation(tmp_path, key):
    path = filled(tmp_path, key, "dying_sink")
    assert child("replace", path, NEXUS_TEST_DIES="1").returncode == -9
    assert list((path / "data" / "clickhouse").rglob("mutation_*.txt"))
    [found] = oracle(path)  # a look at it is a start, too: the rows may be gone by now, or not yet
    assert (found["replacing"], found["repeated"]) == (1, 0) and all(row in found["rows"] for row in expected({1: 1, **{n: NEW[n] for n in (4, 6, 7)}}))
    [truth] = truths("replace", path)
    assert truth["read"] == 0 and not truth["staged"] and not truth["left"], truth
    assert oracle(path) == [{"rows": expected(LEFT), "repeated": 0, "replacing": 0, "batch": 0}]
