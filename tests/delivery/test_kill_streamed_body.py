"""Kill -9 at every crash point while one body is read in pieces, each with a position inside it: 0 lost, 0 duplicated, and the next
run goes on behind the last safe piece. Judged by an oracle that knows nothing of the project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.deliver import crash

HERE = Path(__file__).parent
LINES = 240  # of each series: pieces of a quarter of a megabyte, two of them to a batch
POINTS = [p for p in crash.POINTS if not p.startswith(("shape.", "recovery.", "orphans.", "uncertain.", "missing.", "archive.", "replace."))]
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


@pytest.mark.slow
@pytest.mark.capability("Formats: a body larger than memory", spec="format: jsonl")
@pytest.mark.parametrize(("visit", "line_bytes"), [(2, 8_000), (3, 20_000)])  # 1.9 MB are staged as lists, 4.8 MB as lines
def test_no_line_of_a_body_in_pieces_is_lost_or_landed_twice(tmp_path, visit, line_bytes):
    with RawServer(lambda request: body(request, line_bytes)) as server:

        def killed(point: str) -> Path:
            home = tmp_path / f"{point}-{visit}"
            (home / "sources.d").mkdir(parents=True)
            (home / "sources.d" / "pages.yaml").write_text(FEED.format(url=server.url, home=home.name))
            done = child(home, crash_at=f"{point}#{visit}")
            assert done.returncode == -9, f"{point}#{visit}: {done.returncode}\n{done.stderr[-3000:]}"
            return home

        with ThreadPoolExecutor(2) as pool:
            homes = list(pool.map(killed, POINTS))
        server.requests.clear()
        done = child(*homes)
        assert done.returncode == 0, done.stderr[-3000:]
        asked = [(request.path, request.query["series"], request.query["after"]) for request in server.requests]
        assert ("/insert.after-" + str(visit), "a", "0") in asked  # the window that was cut off is asked for again, and read from inside
        done = child(*homes)
        assert done.returncode == 0, done.stderr[-3000:]
    oracle = subprocess.run([sys.executable, "-I", str(HERE / "pages_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    whole = list(range(1, LINES + 1))
    bad = [
        (home.name, {series: len(ids) for series, ids in verdict["ids"].items()}, verdict["repeated"])
        for home, verdict in zip(homes, map(json.loads, oracle.stdout.splitlines()), strict=True)
        if verdict != {"ids": {"a": whole, "b": whole}, "repeated": 0}
    ]
    assert not bad
    print(f"{len(homes)} kills at visit {visit}: 0 lost, 0 duplicated")
