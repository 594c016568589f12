"""Quarantine replay: what passes the mended spec leaves, what does not stays with new reasons, what cannot be replayed says so."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nexus_engine.compile.feeds import load_feeds  # noqa: E402
from nexus_engine.compile.raw import compose, envelope, records_of  # noqa: E402
from nexus_engine.contract.records import Records  # noqa: E402
from nexus_engine.contract.registry import build_registry  # noqa: E402
from nexus_engine.deliver.replay import Replay  # noqa: E402
from nexus_engine.deliver.session import Session  # noqa: E402
from nexus_engine.errors import NexusError  # noqa: E402
from nexus_engine.project.project import Project  # noqa: E402

FEED = """
name: prices
source:
  plugin: scripted
  file: {file}
  each: {{symbol: ["A;A", BBB]}}
  records: {records}
cursor: {{field: day, initial: 2024-01-01}}
fields:
  symbol: {{type: String, from: each.symbol}}
  since: {{type: Date, from: window.start}}
{more}
  day: Date
  v: UInt16
validate: [{{expect: between, field: v, max: {most}}}, {{expect: row_count, min: 2, severity: fail}}]
target: {{table: m.prices, key: [symbol, day]}}
max_refused: 1
"""


class World:
    def __init__(self, root):
        self.root = root
        (root / "sources.d").mkdir()

    def feed(self, most, records="rows", more=""):
        text = FEED.format(file=self.root / "pages.json", records=records, most=most, more=more)
        (self.root / "sources.d" / "prices.yaml").write_text(text)

    def pages(self, *bodies):
        (self.root / "pages.json").write_text(json.dumps({"symbol=A%3BA": list(bodies), "symbol=BBB": [{"rows": {} if isinstance(bodies[0]["rows"], dict) else []}]}))

    def run(self, mover=None):
        registry = build_registry(["scripted_source"])
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            report = session.run(feeds.plans["prices"], mover=mover)
            self.positions = session.store.positions("prices")
            self.quarantine = session.store.quarantine("prices")
            try:
                self.rows = [tuple(row.values()) for row in session.engine.rows("SELECT * FROM m.prices ORDER BY ALL")]
            except Exception:  # noqa: BLE001  no table yet
                self.rows = []
        assert report.closes(), report
        print(report.status, report.errors, report.warnings)  # shown when a test fails
        return report


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def row(day, v):
    return {"day": f"2024-01-{day:02}", "v": v}


@pytest.mark.capability("Quarantine replay: records through the mended spec", spec="nexus-engine quarantine replay FEED")
@pytest.mark.capability("Quarantine replay: the books close", spec="nexus-engine quarantine replay FEED")
def test_what_passes_leaves_and_what_does_not_stays(world):
    world.feed(255)
    world.pages({"rows": [row(2, 1), row(3, 700), row(4, "many"), row(5, 800), row(6, 5)]})
    assert (world.run().landed, len(world.quarantine)) == (2, 3)
    position = world.positions
    world.feed(65535)
    report = world.run(Replay().job)
    assert (report.status, report.read, report.landed, report.new, report.quarantined) == ("ok", 3, 2, 2, 1)
    assert [(r[0], r[1], r[3]) for r in world.rows] == [("A;A", "2024-01-01", v) for v in (1, 700, 800, 5)]
    [left] = world.quarantine
    assert (left.raw, left.reasons) == ('{"day": "2024-01-04", "v": "many"}', ('v: cast: "many" is no UInt16',))
    assert world.positions == position
    again = world.run(Replay().job)
    assert (again.read, again.quarantined, again.landed, len(world.quarantine)) == (1, 1, 0, 1)


def test_old_records_that_lack_a_field_stop_no_replay(world):
    note = "  note: {type: Nullable(String), from: note}"
    world.feed(255, more=note)
    world.pages({"rows": [{**row(2, 1), "note": "a"}, {**row(3, 2), "note": "b"}, row(4, 700)]})
    world.run()
    world.feed(65535, more=note)
    feed = world.root / "sources.d" / "prices.yaml"
    feed.write_text(feed.read_text() + "drift: fail\n")
    report = world.run(Replay().job)
    assert (report.status, report.landed, world.quarantine) == ("ok", 1, [])
    assert report.warnings == ["`note` stands in none of the records looked at, so its field is null"]


def test_only_the_records_that_are_named(world):
    world.feed(255)
    world.pages({"rows": [row(2, 1), row(3, 700), row(4, 800), row(5, 1)]})
    world.run()
    world.feed(65535)
    older, newer = sorted(q.id for q in world.quarantine)
    with pytest.raises(NexusError, match="is not in the quarantine of prices"):
        raise_for(world.run(Replay((newer + 1,)).job))
    assert world.run(Replay((newer,)).job).landed == 1
    assert [q.id for q in world.quarantine] == [older]


def raise_for(report):
    if report.error:
        raise NexusError(report.error.what)


def test_what_stood_beside_the_record_is_kept(world):
    world.feed(255, more="  unit: {type: String, from: body.meta.unit}\n  n: {type: UInt8, from: body.n}")
    world.pages({"meta": {"unit": "kg", "much": "x" * 70_000}, "n": 7, "rows": [row(2, 1), row(3, 700), row(4, 1)]})
    world.run()
    assert world.quarantine[0].envelope == '{"meta":{"unit":"kg"},"n":7}'
    world.feed(65535, more="  unit: {type: String, from: body.meta.unit}\n  n: {type: UInt8, from: body.n}")
    assert world.run(Replay().job).landed == 1
    assert ("A;A", "2024-01-01", "kg", 7, "2024-01-03", 700) in world.rows


def test_what_cannot_be_replayed_stays_and_says_so(world):
    world.feed(255)
    world.pages({"rows": [row(2, 1), {**row(3, 700), "note": "x" * 70_000}, row(4, 800), row(5, 1)]})
    world.run()
    with sqlite3.connect(world.root / "data" / "state.db") as state:  # as if a secret had been masked in it
        state.execute("UPDATE quarantine SET altered = 1 WHERE NOT truncated")
    world.feed(65535)
    report = world.run(Replay().job)
    assert (report.status, report.read, len(world.quarantine)) == ("empty", 0, 2)
    assert any("longer than 64000 bytes" in text for text in report.warnings) and any("without a secret" in text for text in report.warnings)


def test_parallel_arrays_without_an_array_that_is_wanted_now(world):
    """It would read as null: the array may have been in the answer."""
    zipped = "{zip: true, path: rows}"
    world.feed(255, zipped, more="  w: {type: Nullable(UInt8), from: each.symbol, missing: [A;A]}")
    world.pages({"rows": {"day": ["2024-01-02", "2024-01-03", "2024-01-04"], "v": [1, 700, 2], "w": [1, 2, 3]}})
    assert world.run().landed == 2
    world.feed(65535, zipped, more="  w: Nullable(UInt8)")
    assert "1 record not replayed: kept without 'w'" in world.run(Replay().job).warnings[0]
    world.feed(65535, zipped, more="  w: {type: Nullable(UInt8), from: each.symbol, missing: [A;A]}")
    assert (world.run(Replay().job).landed, world.quarantine) == (1, [])


def test_records_behind_lists_and_objects_keep_their_keys_and_parents(world):
    more = "  k: String\n  up: {type: String, from: parent.id}\n  unit: {type: String, from: body.unit}"
    world.feed(255, "rows.{k}.points[]", more)
    world.pages({"unit": "kg", "rows": {
        "A": {"id": "a", "much": "x" * 70_000, "points": [row(2, 1), row(3, 700)]}, "B": {"points": []}, "C": {"id": "c", "points": [row(4, "many"), row(5, [1]), row(6, 5)]},
    }})  # fmt: skip
    assert world.run().landed == 2
    assert sorted((q.raw, q.envelope) for q in world.quarantine) == [
        ('{"A":{"id":"a","points":[{"day": "2024-01-03", "v": 700}]}}', '{"unit":"kg"}'),
        ('{"C":{"id":"c","points":[{"day": "2024-01-04", "v": "many"}]}}', '{"unit":"kg"}'),
        ('{"C":{"id":"c","points":[{"day": "2024-01-05", "v": [1]}]}}', '{"unit":"kg"}'),
    ]
    world.feed(65535, "rows.{k}.points[]", more)
    report = world.run(Replay().job)
    assert (report.read, report.landed, report.quarantined) == (3, 1, 2)
    assert ("A;A", "2024-01-01", "A", "a", "kg", "2024-01-03", 700) in world.rows
    world.feed(65535, "rows.{k}.points[]", more + "\n  note: {type: Nullable(String), from: parent.note}")
    assert "kept without 'parent.note'" in world.run(Replay().job).warnings[0]
    world.feed(65535, "rows[].points[]", "  up: {type: String, from: parent.id}\n  unit: {type: String, from: body.unit}")
    assert "kept in another shape" in " ".join(world.run(Replay().job).warnings)
    assert len(world.quarantine) == 2


def test_a_record_that_breaks_the_query_is_found_between_lists(world):
    more = "  k: String\n  up: {type: String, from: parent.id}\n  deep: {type: Nullable(String), from: o.x}"
    world.feed(255, "rows.{k}.points[]", more)
    bad = {**row(4, 1), "o": [1]}  # a list where the query reads an object
    world.pages({"rows": {"A": {"id": "a", "points": [row(2, 1), bad, row(3, 2)]}, "B": {"id": "b", "points": [row(5, 3)]}, "C": {"id": "c", "points": [{**bad, "day": "2024-01-06"}]}}})
    assert world.run().landed == 3
    assert sorted(q.raw[:15] for q in world.quarantine) == ['{"A":{"id":"a",', '{"C":{"id":"c",']
    assert [r[2:4] for r in world.rows] == [("A", "a"), ("A", "a"), ("B", "b")]
    world.feed(255, "rows.{k}.points[]", more.replace("o.x", "o"))
    assert world.run(Replay().job).landed == 2
    assert sorted(map(str, (r[2:5] for r in world.rows))) == sorted(
        map(str, [("A", "a", None), ("A", "a", None), ("A", "a", "[1]"), ("B", "b", None), ("C", "c", "[1]")])
    )


SHAPES = [
    (Records(path="a.rows"), (), {"a": {"rows": [{"x": 1.50}, {"x": [2]}]}}),
    (Records(path="[1]"), (), [{"page": 1}, [{"x": 1}]]),
    (Records(path="."), (), [{"x": 1}, {"x": 2}]),
    (Records(path="by", by="id"), (), {"by": {"a b": {"x": 1}, "c": 2}}),
    (Records(path="a[].b.{k}[]"), ("x", "parent.id"), {"a": [{"id": 1, "b": {"k": [{"x": 1}, {"x": 2}]}}, {"b": {"l": [3]}}]}),
    (Records(path="one", one=True), (), {"one": {"x": {"y": 1}}}),
    (Records(path=".", one=True), (), {"x": 1}),
    (Records(path="c", columns=("ts", "v")), (), {"c": [[1, 2], [3, 4]]}),
    (Records(path="c", zip=True), ("time", "q.close"), {"c": {"time": [1, 2], "q": {"close": [3, None]}}}),
]


@pytest.mark.parametrize(("records", "leaves", "body"), SHAPES, ids=[str(n) for n in range(len(SHAPES))])
def test_a_composed_body_has_that_one_record(records, leaves, body):
    text = json.dumps(body).encode()
    for record in records_of(text, records, False, leaves):
        for around in (b"", envelope(json.dumps({"beside": 1}).encode(), ["beside"]) if isinstance(body, dict) and records.path != "." else b""):
            assert records_of(compose(record, around, records, False, leaves), records, False, leaves) == [record]
