"""Kill -9 at every crash point of a feed of parents and children: 0 lost, 0 duplicated; the next run asks the listings again and
goes on inside each child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_engine.deliver import crash
from raw_server import RawServer, answer

HERE = Path(__file__).parent
OWNERS, ITEMS, ROWS, SIZE = ("x", "y"), ("a", "b", "c"), 12, 4  # 6 children of 3 pages, two pages to a batch
# What only a start with something to recover comes to is swept by test_kill: recovery is the same whatever ran.
POINTS = [p for p in crash.POINTS if not p.startswith(("side.", "shape.", "recovery.", "orphans.", "uncertain.", "missing.", "replace.", "archive."))]
FEED = """
name: children
source:
  endpoint: {url}/{home}/items/{{{{ each.owner }}}}/{{{{ each.item }}}}
  params: {{after: "{{{{ window.start }}}}", kind: "{{{{ each.kind }}}}"}}
  each:
    owner: [x, y]
    item:
      request: {{endpoint: "{url}/{home}/owners/{{{{ each.owner }}}}", paginate: {{page: page, stop_when: empty_page}}}}
      records: items
      column: id
      with: {{kind: kind}}
  paginate: {{offset: offset, limit: {{param: limit, size: {size}}}, total: count}}
  records: rows
cursor: {{field: id, initial: "0"}}
fields:
  owner: {{from: each.owner, type: String}}
  item: {{from: each.item, type: String}}
  kind: {{from: each.kind, type: String}}
  id: UInt32
target: {{table: m.children{key}}}
"""
WHOLE = {f"{owner}/{item}/kind {owner}{item}": list(range(1, ROWS + 1)) for owner in OWNERS for item in ITEMS}


def api(request):
    _, home, kind, owner, *item = request.path.split("/")
    if kind == "owners":  # a listing of two pages
        page = int(request.query["page"])
        names = {1: ITEMS[:2], 2: ITEMS[2:]}.get(page, ())
        return answer({"items": [{"id": name, "kind": f"kind {owner}{name}"} for name in names]})
    assert request.query["kind"] == f"kind {owner}{item[0]}"
    start, after = int(request.query["offset"]), int(request.query["after"])
    ids = range(after + 1, ROWS + 1)
    return answer({"count": len(ids), "rows": [{"id": n} for n in ids[start : start + SIZE]]})


def child(*homes: Path, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "pages_child.py"), *map(str, homes)]
    return subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": crash_at}, capture_output=True, text=True, check=False)


@pytest.mark.fault("Fan-out: kill -9 between parent and child", behaviour="0 lost, 0 duplicated: listings are asked again, each child goes on from its position")
@pytest.mark.parametrize("key", ["", ", key: [owner, item, id]"], ids=["unkeyed", "keyed"])
def test_no_row_of_a_child_is_lost_or_landed_twice(tmp_path, key, visit=3):
    with RawServer(api) as server:

        def killed(point: str) -> Path:
            home = tmp_path / f"{point}-{visit}"
            (home / "sources.d").mkdir(parents=True)
            (home / "sources.d" / "children.yaml").write_text(FEED.format(url=server.url, home=home.name, size=SIZE, key=key))
            done = child(home, crash_at=f"{point}#{visit}")
            assert done.returncode == -9, f"{point}#{visit}: {done.returncode}\n{done.stderr[-3000:]}"
            return home

        with ThreadPoolExecutor(2) as pool:
            homes = list(pool.map(killed, POINTS))
        server.requests.clear()
        done = child(*homes)
        assert done.returncode == 0, done.stderr[-3000:]
        first: dict[str, int] = {}
        for request in server.requests:
            if "/items/" in request.path:
                first.setdefault(request.path, int(request.query["after"]) + int(request.query["offset"]))
        assert any(offset > 0 for offset in first.values())  # children whose pages were safe go on behind them
        done = child(*homes)  # nothing is left to read
        assert done.returncode == 0, done.stderr[-3000:]
    oracle = subprocess.run([sys.executable, "-I", str(HERE / "fan_out_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    bad = [
        (home.name, verdict)
        for home, verdict in zip(homes, map(json.loads, oracle.stdout.splitlines()), strict=True)
        if verdict != {"ids": WHOLE, "repeated": 0}
    ]
    assert not bad
    print(f"{len(homes)} kills at visit {visit}: 0 lost, 0 duplicated")
