"""A run over records that have drifted, killed at every crash point and every visit: no row is lost or doubled, and what is new or
retyped is recorded once. What is missing is judged at a run's end: a kill there may leave it to the next run, never record it twice."""

from __future__ import annotations

import json
import sqlite3

import pytest
from test_kill import child, judge, new_home, source, sweep

from nexus_engine.deliver import crash


def dressed(text: str, old: int) -> str:
    """The source's first ``old`` batches of each partition with the fields of before, the others with those of after."""
    feeds = json.loads(text)
    for parts in feeds.values():
        for batches in parts.values():
            for number, batch in enumerate(batches):
                for row in batch:
                    row.update({"kind": "a", "old": 1} if number < old else {"kind": 1, "fresh": {"a": row["id"]}})
    return json.dumps(feeds)


@pytest.mark.fault("F15: killed while a drifted field is recorded", behaviour="recorded once with the batch it came in; a missing one by the next run that sees it")
def test_drift_is_recorded_once_whenever_the_run_is_killed(tmp_path, capsys):
    whole = dressed(source(batches=2, rows=7), old=1)
    first = json.loads(whole)
    for parts in first.values():
        for batches in parts.values():
            del batches[1:]
    home = new_home(tmp_path / "home", json.dumps(first))
    assert child(home).returncode == 0
    (home / "source.json").write_text(whole)
    homes, points = sweep(tmp_path, home, False, [p for p in crash.POINTS if not p.startswith(("recovery.", "orphans."))])
    assert {"intent.before", "intent.after", "shape.before", "shape.after"} <= points
    judge(homes)
    missing = 0
    for killed in homes:
        state = sqlite3.connect(killed / "data" / "state.db")
        found = state.execute("SELECT feed, kind, path, was, now, state, runs FROM drift ORDER BY feed, kind, path").fetchall()
        shapes = dict(state.execute("SELECT feed, learned FROM shape"))
        state.close()
        assert shapes == {"alpha": 1, "beta": 1}, killed.name
        for feed in ("alpha", "beta"):
            mine = [row[1:6] for row in found if row[0] == feed]
            gone = [row for row in mine if row[0] == "missing"]
            missing += len(gone)
            assert gone in ([], [("missing", "old", "number", "", "open")]), killed.name
            assert [row for row in mine if row not in gone] == [
                ("new", "fresh", "", "object", "open"), ("retyped", "kind", "text", "number", "open")], killed.name  # fmt: skip
        assert all(row[6] <= 2 for row in found), killed.name
    assert missing > len(homes)
    with capsys.disabled():
        print(f" [{len(homes)} kills at {len(points)} points]", end="")


def test_a_killed_first_run_has_learned_what_landed(tmp_path):
    home = new_home(tmp_path / "home", dressed(source(batches=2, rows=7), old=2))
    homes, _ = sweep(tmp_path, home, False, ["intent.after", "shape.before"])
    judge(homes)
    for killed in homes:
        state = sqlite3.connect(killed / "data" / "state.db")
        assert state.execute("SELECT count(*) FROM drift").fetchone() == (0,), killed.name
        for (shape,) in state.execute("SELECT shape FROM shape"):
            assert set(json.loads(shape)["members"]) == {"id", "part", "text", "price", "kind", "old"}, killed.name
        state.close()
