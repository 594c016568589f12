"""Kill -9 at every crash point of a conditional feed over several runs: 0 lost, 0 duplicated, and nothing is "unchanged" that did not land.

The table has no key, so nothing would absorb what comes twice; a body whose rows were lost while its ETag was kept would be
missing for good."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kill_visits import ALL
from nexus_engine.deliver import crash
from raw_server import RawServer, answer

HERE = Path(__file__).parent
# What only a start with something to recover comes to is swept by test_kill: recovery is the same whatever ran.
POINTS = [p for p in crash.POINTS if not p.startswith(("recovery.", "orphans.", "uncertain.", "missing.", "replace.", "archive."))]
FEED = """
name: pages
source:
  endpoint: {url}/{home}/{{{{ each.series }}}}
  each: {{series: [a, b]}}
  conditional: true
fields: {{series: {{from: each.series, type: String}}, id: UInt32}}
target: {{table: m.pages}}
"""
STORY = [{"a": 0, "b": 0}, {"a": 0, "b": 1}, {"a": 0, "b": 1}, {"a": 2, "b": 1}]  # the version of each series, run by run
CALM = [["ok", 0, 4], ["ok", 1, 2], ["unchanged", 2, 0], ["ok", 1, 2]]


def api(rounds: dict[str, int]):
    def script(request):
        home, _, series = request.path[1:].partition("/")
        if not series:
            rounds[home] = int(request.query["round"])
            return answer([])
        version = STORY[rounds[home]][series]
        etag = {"ETag": f'"{version}"'} if series == "a" else {}  # of `b` only the body says that it is the same
        if etag and request.headers.get("if-none-match") == etag["ETag"]:
            return answer(b"", 304, etag)
        return answer([{"id": version * 10 + n} for n in range(2)], 200, etag)

    return script


def child(*homes: Path, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "conditional_child.py"), str(len(STORY)), *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at}, capture_output=True, text=True, check=False)


@pytest.mark.capability("Conditional polling: exactly once", spec="conditional: true")
@pytest.mark.fault("F24: kill -9 between a change and its rows", behaviour="the next run asks in full: never unchanged for rows that did not land")
def test_nothing_is_lost_landed_twice_or_taken_for_unchanged(tmp_path):
    with RawServer(api({})) as server:

        def made(name: str) -> Path:
            home = tmp_path / name
            (home / "sources.d").mkdir(parents=True)
            (home / "sources.d" / "pages.yaml").write_text(FEED.format(url=server.url, home=name))
            (home / "server").write_text(server.url)
            return home

        def killed(point: str) -> list[Path]:
            homes = []
            for visit in range(1, 30, 2 if ALL else 6):
                home = made(f"{point}-{visit}")
                done = child(home, crash_at=f"{point}#{visit}")
                if done.returncode == 0:
                    assert json.loads(done.stdout) == CALM
                    shutil.rmtree(home)
                    return homes
                assert done.returncode == -9, f"{point}#{visit}: {done.returncode}\n{done.stderr[-3000:]}"
                homes.append(home)
            raise AssertionError(f"{point} never ends")

        with ThreadPoolExecutor(2) as pool:
            homes = [home for found in pool.map(killed, POINTS) for home in found]
        done = child(*homes)
        assert done.returncode == 0, done.stderr[-3000:]
    oracle = subprocess.run([sys.executable, "-I", str(HERE / "pages_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    whole = {"ids": {"a": [0, 1, 20, 21], "b": [0, 1, 10, 11]}, "repeated": 0}
    bad = [(home.name, verdict) for home, verdict in zip(homes, map(json.loads, oracle.stdout.splitlines()), strict=True) if verdict != whole]
    assert not bad
    print(f"{len(homes)} kills: 0 lost, 0 duplicated")
