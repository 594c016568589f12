"""Kill -9 at every crash point of every mover, at each visit: 0 lost, 0 duplicated, and the same command goes on."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_engine.deliver import crash

HERE = Path(__file__).parent
# What only a start with something to recover comes to is swept by test_kill: recovery is the same whatever ran.
POINTS = [p for p in crash.POINTS if not p.startswith(("recovery.", "orphans.", "uncertain.", "missing."))]
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


def child(mover, *homes, crash_at=""):
    command = [sys.executable, str(HERE / "mover_child.py"), mover, *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at}, capture_output=True, text=True)


def truths(mover, *homes):
    done = child(mover, *homes)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep(tmp_path, mover, prepare):
    """``prepare(path)`` makes a home. Every home that was killed, by its name."""

    def one(point):
        killed = []
        for visit in range(1, 100):
            path = prepare(tmp_path / f"{point}-{visit}")
            done = child(mover, path, crash_at=f"{point}#{visit}")
            if done.returncode == 0:
                shutil.rmtree(path)
                return killed
            assert done.returncode == -9, f"{point}#{visit}: {done.stderr[-3000:]}"
            killed.append(path)
        raise AssertionError(f"{point} never ends")

    with ThreadPoolExecutor(2) as pool:
        return [path for found in pool.map(one, POINTS) for path in found]


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
