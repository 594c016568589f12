"""Kill -9 at every crash point while pages are fetched side by side, of a source that has grown at the restart: 0 lost, 0 duplicated, and
reading goes on inside the window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_engine.deliver import crash
from raw_server import RawServer, answer

HERE = Path(__file__).parent
ROWS, SIZE, GROWN = 60, 5, 7  # pages of two partitions, two pages to a batch
# What only a start with something to recover comes to is swept by test_kill: recovery is the same whatever ran.
POINTS = [p for p in crash.POINTS if not p.startswith(("side.", "shape.", "recovery.", "orphans.", "uncertain.", "missing.", "archive.", "replace."))]
FEED = """
name: pages
source:
  endpoint: {url}/{home}
  params: {{series: "{{{{ each.series }}}}", after: "{{{{ window.start }}}}"}}
  each: {{series: [a, b]}}
  paginate: {{offset: offset, limit: {{param: limit, size: {size}}}, total: count}}
  concurrency: 4
  records: rows
cursor: {{field: id, initial: "0"}}
fields: {{series: {{from: each.series, type: String}}, id: UInt32}}
target: {{table: m.pages}}
"""


class Api:
    """Later pages answer sooner; ``most`` at once. ``rows``: how many there are by now."""

    def __init__(self) -> None:
        self.rows = ROWS
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        start, after = int(request.query["offset"]), int(request.query["after"])
        time.sleep(0.02 if start // SIZE % 2 else 0.005)
        ids = range(after + 1, self.rows + 1)
        with self.lock:
            self.running -= 1
        return answer({"count": len(ids), "rows": [{"id": n} for n in ids[start : start + SIZE]]})


def child(*homes: Path, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "pages_child.py"), *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at}, capture_output=True, text=True, check=False)


@pytest.mark.capability("Paging: pages side by side, in order", spec="paginate: {page: page, pages: pages}\nconcurrency: 4")
def test_no_page_is_lost_or_landed_twice(tmp_path, visit=4):
    api = Api()
    with RawServer(api) as server:

        def killed(point: str) -> Path:
            home = tmp_path / f"{point}-{visit}"
            (home / "sources.d").mkdir(parents=True)
            (home / "sources.d" / "pages.yaml").write_text(FEED.format(url=server.url, home=home.name, size=SIZE))
            done = child(home, crash_at=f"{point}#{visit}")
            assert done.returncode == -9, f"{point}#{visit}: {done.returncode}\n{done.stderr[-3000:]}"
            return home

        with ThreadPoolExecutor(2) as pool:
            homes = list(pool.map(killed, POINTS))
        assert api.most > 2
        server.requests.clear()
        api.rows += GROWN
        done = child(*homes)
        assert done.returncode == 0, done.stderr[-3000:]
        first = {}
        for request in server.requests:
            first.setdefault((request.path, request.query["series"]), int(request.query["offset"]))
        assert any(offset > 0 for offset in first.values())  # batches were safe before the kill: what is behind them is asked
        done = child(*homes)  # nothing is left to read
        assert done.returncode == 0, done.stderr[-3000:]
    oracle = subprocess.run([sys.executable, "-I", str(HERE / "pages_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    whole = list(range(1, ROWS + GROWN + 1))
    bad = [
        (home.name, verdict)
        for home, verdict in zip(homes, map(json.loads, oracle.stdout.splitlines()), strict=True)
        if verdict != {"ids": {"a": whole, "b": whole}, "repeated": 0}
    ]
    assert not bad
    print(f"{len(homes)} kills at visit {visit}: 0 lost, 0 duplicated")
