"""The second run of keyed feeds, killed at every crash point and every visit: what is there already is compared, one value is
revised, one row is new, one record is refused again, and after a clean run the tables hold exactly that, and the quarantine one entry
per refused record that counts what the books count. The judge reads the tables with chdb alone."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from test_kill import FEED, child, new_home, sweep

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.options import encode_text
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver import crash
from nexus_engine.project.project import Project

JUDGE = """
import json, sys
from chdb import session
for root in sys.argv[1:]:
    chdb = session.Session(root + "/data/clickhouse")
    sql = "SELECT id, toString(price) AS price, count() AS n FROM kill.{} GROUP BY ALL ORDER BY id, price FORMAT JSONCompactEachRow"
    print(json.dumps({feed: [json.loads(line) for line in chdb.query(sql.format(feed)).bytes().splitlines()] for feed in ("alpha", "beta")}))
    chdb.close()
"""
Rows = dict[str, dict[int, str]]


def source(rows: Rows) -> str:
    """Two partitions of one page each per feed: odd and even numbers, and a record without a text."""
    pages = {
        feed: {
            part: [[*({"id": n, "part": part, "text": "t", "price": price} for n, price in sorted(found.items()) if n % 2 == odd), {"id": 5, "text": None}]]
            for part, odd in (("p", 1), ("q", 0))
        }
        for feed, found in rows.items()
    }
    return json.dumps(pages)


def keyed() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "sources.d").mkdir()
        for name in ("alpha", "beta"):
            text = FEED.format(name=name).replace('initial: "0"', 'initial: "0", lookback: "1000"').replace("order_by: [id]", "key: [id]")
            (root / "sources.d" / f"{name}.yaml").write_text(text)
        registry = build_registry(["kill_plugin"])
        feeds = load_feeds(Project.load(root, registry=registry), registry)
        assert not feeds.problems, feeds.problems
        return msgspec.json.encode(list(feeds.plans.values()), enc_hook=encode_text)


def expected(first: Rows, second: Rows) -> dict[str, list[list[object]]]:
    """Every version of every row, once."""
    return {
        feed: [[n, price, 1] for n in sorted(second[feed]) for price in sorted({first[feed].get(n, second[feed][n]), second[feed][n]})]
        for feed in first
    }


def refused(home: Path) -> tuple[int, int, int]:
    """Entries in quarantine, how often they were refused, and what the books say of that."""
    state = sqlite3.connect(home / "data" / "state.db")
    [(entries, times)] = state.execute("SELECT count(*), sum(times) FROM quarantine").fetchall()
    books = sum(json.loads(counts)["quarantined"] for (counts,) in state.execute("SELECT counts FROM book"))
    state.close()
    return entries, times, books


@pytest.mark.fault("F15: a record refused again, and kill -9", behaviour="one entry in quarantine; how often it was refused is what the books say")
def test_a_killed_second_run_revises_and_adds_once(tmp_path, capsys):
    first: Rows = {feed: {n: f"{n}.5" for n in range(1, 9)} for feed in ("alpha", "beta")}
    second: Rows = {feed: {**rows, 3: "3.75", 9: "9.5"} for feed, rows in first.items()}
    home = new_home(tmp_path / "home", source(first))
    (home / "plans.json").write_bytes(keyed())
    assert child(home).returncode == 0
    (home / "source.json").write_text(source(second))
    homes, points = sweep(tmp_path, home, False, [p for p in crash.POINTS if not p.startswith(("recovery.", "orphans.", "archive.", "replace."))])
    assert {"query.mapped", "query.finished", "spool.renamed", "intent.after", "insert.after", "done.before"} <= points
    again = child(*homes)
    assert again.returncode == 0, again.stderr[-3000:]
    done = subprocess.run([sys.executable, "-I", "-c", JUDGE, *map(str, homes)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for killed, line in zip(homes, done.stdout.splitlines(), strict=True):
        assert json.loads(line) == expected(first, second), killed.name
        entries, times, books = refused(killed)
        assert (entries, times) == (4, books), killed.name
    with capsys.disabled():
        print(f" [{len(homes)} kills at {len(points)} points of a second run]", end="")
