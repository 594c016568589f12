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


def test_a_finding_closes_with_what_its_run_learned_or_not_at_all(tmp_path):
    text = source(batches=3, rows=7)
    old, new = json.loads(dressed(text, old=3)), json.loads(dressed(text, old=0))
    for feed, parts in new.items():
        for part, batches in parts.items():
            old[feed][part][1] = batches[1]
    home = None
    for batches in (1, 2):
        some = json.dumps({feed: {part: pages[:batches] for part, pages in parts.items()} for feed, parts in old.items()})
        home = home or new_home(tmp_path / "home", some)
        (home / "source.json").write_text(some)
        assert child(home).returncode == 0
    (home / "source.json").write_text(json.dumps(old))
    homes, _ = sweep(tmp_path, home, False, ["intent.after", "shape.before", "shape.after"])
    judge(homes)
    for killed in homes:
        state = sqlite3.connect(killed / "data" / "state.db")
        for feed in ("alpha", "beta"):
            states = {row[0] for row in state.execute("SELECT state FROM drift WHERE feed = ?", (feed,))}
            assert states in ({"back"}, {"open"}), killed.name
            if "shape.after" in killed.name:
                assert states == {"back"}, killed.name
        state.close()
