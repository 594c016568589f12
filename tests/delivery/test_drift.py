"""Drift of a source's fields: learned, recorded, told, refused, accepted; over real chdb and a real state store."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.drift import accept
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.events import Observers, RuleWarned
from nexus_engine.project.project import Project

FEED = """
name: ticks
source: {{plugin: scripted, file: {file}, {source}}}
fields: {{{fields}}}
{words}
target: {{table: m.ticks, key: [id]}}
"""
FIELDS = "id: UInt32, price: {type: Nullable(Float64), from: quote.price}"


class World:
    """A project of one feed over scripted pages; each ``run`` is a session of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.warned: list[tuple[str, str]] = []
        (root / "sources.d").mkdir()
        self.feed()

    def feed(self, words: str = "", *, source: str = "records: rows", fields: str = FIELDS) -> None:
        text = FEED.format(file=self.root / "pages.json", source=source, fields=fields, words=words)
        (self.root / "sources.d" / "ticks.yaml").write_text(text)

    def run(self, *pages: object, limits: Limits | None = None, parts: dict[str, list[object]] | None = None):
        (self.root / "pages.json").write_text(json.dumps(parts or {"": pages}))
        registry = build_registry(["scripted_source"])
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        events: list[object] = []
        with Session.open(project, registry, observers=Observers(events.append)) as session:
            session.store.reset("ticks")  # every run reads all pages
            session.limits = limits or session.limits
            report = session.run(feeds.plans["ticks"])
            self.drift = session.store.drift("ticks")
            self.positions = session.store.positions("ticks")
            try:
                self.rows = session.engine.rows("SELECT * FROM m.ticks ORDER BY ALL")
            except Exception:  # noqa: BLE001  no table yet
                self.rows = []
        assert report.closes(), report
        self.warned = [(event.rule, event.message) for event in events if isinstance(event, RuleWarned)]
        assert [message for _, message in self.warned] == report.warnings
        return report

    def accept(self) -> None:
        registry = build_registry(["scripted_source"])
        with Session.open(Project.load(self.root, registry=registry), registry) as session:
            found = [item for item in session.store.drift("ticks") if item.state == "open"]
            known = session.store.known_shape("ticks")
            assert known is not None
            session.store.accept_drift("ticks", found, accept(known, found))

    def open(self) -> list[tuple[str, str, str, str]]:
        return [(item.kind, item.path, item.was, item.now) for item in self.drift if item.state == "open"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def rows(*records: dict[str, object]) -> dict[str, object]:
    return {"rows": list(records)}


def tick(number: int, **more: object) -> dict[str, object]:
    return {"id": number, "quote": {"price": number + 0.5, "venue": "X"}, "note": None, **more}


@pytest.mark.capability("Drift: new, missing and retyped fields recorded and told once per run", spec="drift: warn")
@pytest.mark.fault("F15: a new, missing or retyped field", behaviour="recorded with its run and a sample, told by a warning; `drift: fail` stops the feed before the batch")
def test_what_is_new_missing_and_retyped_is_recorded_and_told(world: World) -> None:
    assert world.run(rows(tick(1), tick(2)), rows(tick(3))).warnings == []
    assert world.drift == []
    changed = [{"id": n, "quote": {"price": str(n), "size": 7}, "note": "a", "tags": ["x"]} for n in (4, 5)]
    report = world.run(rows(*changed), rows(tick(6), tick(7)), limits=Limits(batch_pages=1))
    assert report.status == "ok"
    assert world.open() == [("retyped", "quote.price", "number", "text"), ("new", "quote.size", "", "number"), ("new", "tags", "", "list")]
    sizes = {item.path: item for item in world.drift}
    assert (sizes["quote.price"].sample, sizes["quote.price"].page, sizes["quote.price"].read) == ('"4"', 1, True)
    assert (sizes["tags"].sample, sizes["tags"].runs, sizes["tags"].first_run) == ("[1 item]", 1, report.run_id)
    assert world.warned == [
        ("drift", "`quote.price` was number and is text, like \"4\""), ("drift", "`quote.size` is new: number, like 7"),
        ("drift", "`tags` is new: list, like [1 item]"),
    ]  # fmt: skip


def test_what_is_missing_is_judged_over_the_whole_run(world: World) -> None:
    world.run(rows(*map(tick, range(20))), rows(tick(30)))
    gone = {"id": 4, "quote": {"price": 1}}
    report = world.run(rows(gone), rows(gone), rows(tick(5)), limits=Limits(batch_pages=1))
    assert (world.open(), report.warnings) == ([], [])
    report = world.run(rows(gone, gone, gone), rows({"id": 5, "quote": {}}))
    assert report.warnings == [
        "`note`, which was null, stands in none of the records looked at", "`quote.venue`, which was text, stands in none of the records looked at",
    ]  # fmt: skip
    assert world.open() == [("missing", "note", "null", ""), ("missing", "quote.venue", "text", "")]
    report = world.run(rows(tick(6)))
    assert (report.warnings, world.open(), [item.state for item in world.drift]) == ([], [], ["back", "back"])


def test_a_field_that_is_often_absent_is_not_missing(world: World) -> None:
    world.run(rows(*[tick(n, **({"rare": 1} if n % 5 == 0 else {})) for n in range(50)]))
    assert world.run(rows(*map(tick, range(10)))).warnings == []
    assert [item[1] for item in world.open()] == []
    world.run(rows(*map(tick, range(200))))
    assert [item[1] for item in world.open()] == ["rare"]


def test_runs_are_counted_and_a_warning_comes_again_until_it_is_accepted(world: World) -> None:
    world.run(rows(tick(1)))
    for count in (1, 2, 3):
        report = world.run(rows(tick(1, extra={"a": 1})), rows(tick(2, extra={"a": 2})), limits=Limits(batch_pages=1))
        assert report.warnings == ["`extra` is new: object, like {a}"]
        assert [(item.runs, item.last_run == report.run_id) for item in world.drift] == [(count, True)]
    world.accept()
    assert world.run(rows(tick(1, extra={"a": 1}))).warnings == []
    assert [(item.state, item.runs) for item in world.drift] == [("accepted", 3)]
    assert world.run(rows(tick(1, extra={"a": "x", "b": 1}))).warnings == ['`extra.a` was number and is text, like "x"', "`extra.b` is new: number, like 1"]


def test_all_kinds_are_accepted(world: World) -> None:
    world.run(rows(tick(1)))
    now = rows({"id": 1, "quote": [{"price": 2}], "more.over": {"x": [{"y": 1}]}})
    world.feed(fields="id: UInt32, q: {type: Nullable(String), from: quote}")
    assert len(world.run(now).warnings) == 3
    world.accept()
    assert world.run(now).warnings == []
    assert world.run(rows({"id": 1, "quote": [{"price": 2}], "more.over": {"x": [{"y": "t"}]}})).warnings == ['`"more.over".x[].y` was number and is text, like "t"']


def test_a_name_of_the_spec_that_stands_nowhere_can_be_accepted(world: World) -> None:
    world.feed(fields=FIELDS + ", odd: {type: Nullable(String), from: vanue}, venue: {type: Nullable(String), from: quote.venu}")
    wanted = ["`quote.venu` stands in none of the records looked at, so its field is null; did you mean `venue`?",
              "`vanue` stands in none of the records looked at, so its field is null"]  # fmt: skip
    assert world.run(rows(tick(1))).warnings == wanted
    assert world.run(rows(tick(1))).warnings == wanted
    world.accept()
    assert world.run(rows(tick(1))).warnings == []
    assert world.run(rows(tick(1, vanue="x"))).warnings == []


@pytest.mark.capability("Drift: a changed field stops the feed before its batch lands", spec="drift: fail")
def test_fail_stops_before_the_batch_lands(world: World) -> None:
    world.feed("drift: fail")
    assert world.run(rows(tick(1)), rows(tick(2))).status == "ok"
    bad = {"id": 13, "quote": {"price": "n/a"}, "note": None, "secret": "x" * 100}
    report = world.run(rows(tick(11)), rows(tick(12)), rows(bad), rows(tick(14)), limits=Limits(batch_pages=2))
    assert (report.status, [row["id"] for row in world.rows]) == ("failed", [1, 2, 11, 12])
    error = report.errors[0]
    assert error.kind == "FieldsDrifted"
    secret = '"' + "x" * 58 + "…"
    assert error.what == f'2 fields have changed: `quote.price` retyped (number before, text now, like "n/a"); `secret` new (text, like {secret})'
    assert error.where.startswith("page 3 of scripted:?page=3, feed ticks, ")
    assert error.did == "nothing of the batch landed; the position is kept"
    assert error.do == (
        "if the change is right, mend the feed where it needs it, then: nexus-engine drift ticks --accept "
        "(for one field only, add --field quote.price); to be warned instead, write `drift: {new: warn, missing: fail, retyped: warn}`"
    )
    assert world.positions[""]["resume"] == {"page": 2}
    assert world.open() == [("retyped", "quote.price", "number", "text"), ("new", "secret", "", "text")]
    world.feed("drift: {retyped: warn, new: fail, missing: ignore}")
    assert world.run(rows(bad)).errors[0].what.startswith("`secret` is new: text, like")
    world.accept()
    world.feed("drift: fail\nmax_refused: 1")
    assert world.run(rows(tick(11), bad, tick(3))).status == "ok"


def test_a_missing_field_stops_the_feed_before_its_last_batch(world: World) -> None:
    world.feed("drift: {missing: fail}")
    gone = [{"id": n, "quote": {"price": 1, "venue": "X"}} for n in range(10, 16)]
    assert world.run(rows(tick(1)), rows(tick(2))).status == "ok"
    report = world.run(*map(rows, gone), limits=Limits(batch_pages=2))
    assert (report.status, [row["id"] for row in world.rows]) == ("failed", [1, 2, 10, 11, 12, 13])
    assert report.errors[0].what == "`note`, which was null, stands in none of the records looked at"
    assert report.errors[0].did == "the batches before are kept; this one did not land; the position is kept"
    assert world.run(*map(rows, [*gone, tick(20)]), limits=Limits(batch_pages=2)).status == "ok"


@pytest.mark.capability("Drift: each kind for itself: recorded only, told, or refused", spec="drift: {new: ignore, retyped: fail}")
def test_ignore_records_only(world: World) -> None:
    world.feed("drift: ignore")
    world.run(rows(tick(1)))
    assert world.run(rows({"id": "2", "quote": {"price": 1}, "more": 1})).warnings == []
    assert [item[:2] for item in world.open()] == [("retyped", "id"), ("new", "more"), ("missing", "note"), ("missing", "quote.venue")]


def test_null_and_numbers_of_another_form_are_no_drift(world: World) -> None:
    world.run(rows({"id": 1, "quote": {"price": 1}, "a": "1", "b": None, "c": [], "d": {}, "e": 1}))
    now = {"id": 2, "quote": {"price": 1.5e300}, "a": "x", "b": {"y": 1}, "c": [1], "d": {}, "e": None}
    assert world.run(rows(now)).warnings == []
    assert world.run(rows({**now, "b": {"y": "t"}, "c": ["t"]})).warnings == ['`b.y` was number and is text, like "t"', '`c[]` was number and is text, like "t"']


def test_objects_by_key_are_one_place(world: World) -> None:
    by_id = {f"coin{n}": {"usd": n} for n in range(400)}
    world.run(rows(tick(1, days={"2024-01-01": 1, "2024-01-02": 2}, ids={"0xabcdef12": {"v": 1}}, coins=by_id)))
    more = tick(1, days={"2024-01-03": 1}, ids={"0xfedcba98": {"v": 2}}, coins={**by_id, "another": {"usd": 5}})
    assert world.run(rows(more)).warnings == []
    assert world.run(rows(tick(1, days={"2024-01-04": "x"}, ids={"0xfedcba99": {"w": 2}}, coins={"few": {"usd": "t"}}))).warnings == [
        '`days.*` was number and is text, like "x"', "`ids.*.w` is new: number, like 2", '`coins.*.usd` was number and is text, like "t"',
        "`ids.*.v`, which was number, stands in none of the records looked at",
    ]  # fmt: skip
    names = [f"chain{n}" for n in range(40)]
    world.feed(fields="id: UInt32")
    world.run(rows(*[{"id": n, "tvl": {names[n]: {"x": 1}}} for n in range(40)]))


def test_names_that_differ_from_record_to_record_are_keys(world: World) -> None:
    world.feed(fields="id: UInt32")
    world.run(rows(*[{"id": n, "tvl": {f"chain{n}": n, f"chain{n + 1}": n}} for n in range(40)]))
    assert world.run(rows({"id": 1, "tvl": {"chainX": 1}})).warnings == []


SHAPES = {
    "one": ("records: {path: ., one: true}", "id: UInt32, a: {type: Nullable(String), from: x.a}", {"id": 1, "x": {"a": "t"}}, {"id": 2, "x": {"a": "t"}, "z": 1}, "`z` is new: number, like 1"),
    "by": ("records: {path: c, by: id}", "id: String, a: Nullable(String)", {"c": {"k1": {"a": "t"}, "k2": {"a": "t"}}}, {"c": {"k3": {"a": "t", "b": True}}}, "`b` is new: boolean, like true"),
    "columns": ("records: {path: c, columns: [id, v]}", "id: UInt32, v: Nullable(String)", {"c": [[1, 2], [2, 3]]}, {"c": [[1, 2, "x"], [2, 3, "y"]]}, '`[2]` is new: text, like "x"'),
    "fewer columns": ("records: {path: c, columns: [id, v, w]}", "id: UInt32, v: Nullable(String)", {"c": [[1, 2, 3]]}, {"c": [[1, 2], [2, 3]]}, "`w`, which was number, stands in none of the records looked at"),
    "zip": ("records: {path: c, zip: true, optional: [v]}", "id: UInt32, v: Nullable(String)", {"c": {"id": [1, 2], "v": [1, 2]}}, {"c": {"id": [1, 2], "w": [3, 4]}}, "`w` is new: list, like [2 items]"),
    "zip retyped": ("records: {path: c, zip: true}", "id: UInt32, v: {type: Nullable(String), from: 'q[0].v'}", {"c": {"id": [1, 2], "q": [{"v": [1, None]}]}}, {"c": {"id": [1, 2], "q": [{"v": ["x", None]}]}}, '`q[].v[]` was number and is text, like "x"'),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_records(world: World, name: str) -> None:
    source, fields, before, after, wanted = SHAPES[name]
    world.feed(source=source, fields=fields)
    assert world.run(before).warnings == []
    assert world.run(before).warnings == []
    assert world.run(after).warnings == [wanted]
    world.accept()
    assert world.run(after).warnings == []


def test_another_meaning_of_the_feed_is_learned_anew(world: World) -> None:
    world.run(rows(tick(1)))
    world.run(rows(tick(1, extra=1)))
    assert len(world.open()) == 1
    world.feed(source="records: items")
    assert world.run({"items": [{"id": 1, "quote": {"price": 1}, "other": 1}]}).warnings == []
    assert world.drift == []
    assert world.run({"items": [{"id": 1, "quote": {"price": 1}, "third": 1}]}).warnings == [
        "`third` is new: number, like 1", "`other`, which was number, stands in none of the records looked at"]  # fmt: skip


@pytest.mark.capability("Drift: what no field reads lands with its record", spec="new_fields: capture")
def test_captured_fields_land_through_the_loop(world: World) -> None:
    world.feed("new_fields: capture\ndrift: {new: ignore}")
    world.run(rows(tick(1), tick(2, a=1)))
    assert [(row["id"], row["extra"]) for row in world.rows] == [(1, '{"note":null,"quote":{"venue": "X"}}'.replace(": ", ":")), (2, '{"a":1,"note":null,"quote":{"venue":"X"}}')]
    report = world.run(rows(tick(1), tick(2, a=2)))
    assert (report.unchanged, report.revised) == (1, 1)


@pytest.mark.capability("Drift: a finding that the API has undone closes by itself", spec="drift: warn")
@pytest.mark.fault("F15: a new or retyped field that is as before again", behaviour="the finding closes at the end of a whole run that shows it; a part of a run closes nothing")
def test_what_the_api_has_undone_closes_by_itself(world: World) -> None:
    world.run(rows(tick(1), tick(2)))
    changed = [{"id": n, "quote": {"price": str(n), "venue": "X", "size": 7}, "note": None, "tags": ["x"]} for n in (4, 5)]
    world.run(rows(*changed))
    assert len(world.open()) == 3
    assert world.run(rows()).status == "empty"
    assert len(world.open()) == 3, "no record says nothing"
    world.run(rows({"id": 1, "quote": None, "note": None, "tags": []}))
    assert [item[:2] for item in world.open()] == [("retyped", "quote.price"), ("new", "quote.size"), ("new", "tags")]
    world.run(rows(tick(6)))
    assert (world.open(), {item.state for item in world.drift}) == ([], {"back"})
    world.run(rows(*changed))
    assert [(item.state, item.runs) for item in world.drift] == [("open", 2), ("open", 2), ("open", 3)]


def test_a_rare_new_field_closes_when_its_absence_is_no_coincidence(world: World) -> None:
    world.run(rows(*map(tick, range(20))))
    world.run(rows(*[tick(n, **({"rare": 1} if n == 3 else {})) for n in range(10)], {**tick(11), "id": "x1"}))
    assert [item[:2] for item in world.open()] == [("retyped", "id"), ("new", "rare")]
    for _ in range(3):
        world.run(rows(*map(tick, range(20))))
        assert [item[1] for item in world.open()] == ["id", "rare"]
    world.run(rows(*map(tick, range(20))))
    assert world.open() == []


def test_a_run_that_was_stopped_leaves_older_findings_as_they_are(world: World) -> None:
    gone = {"id": 4, "quote": {"price": 1, "venue": "X"}}
    world.run(rows(tick(1)), rows(tick(2)))
    world.run(rows({**gone, "extra": 1}))
    assert world.open() == [("new", "extra", "", "number"), ("missing", "note", "null", "")]
    world.feed("drift: {retyped: fail}")
    report = world.run(rows(tick(3)), rows({"id": 5, "quote": {"price": "x"}}), rows(tick(6)), limits=Limits(batch_pages=1))
    assert (report.status, report.errors[0].kind) == ("failed", "FieldsDrifted")
    assert world.open() == [("new", "extra", "", "number"), ("retyped", "quote.price", "number", "text")], "`note` was there; the rest was not seen"
    assert world.run(rows(tick(3))).status == "ok"
    assert world.open() == []


def test_an_error_names_a_handful_of_fields_with_what_happened_to_each(world: World) -> None:
    world.feed("drift: fail")
    world.run(rows(tick(1)))
    report = world.run(rows({"id": 2, "quote": {"price": 1}, **{f"f{n}": n for n in range(6)}}))
    fields = "; ".join(f"`f{n}` new (number, like {n})" for n in range(5))
    assert report.errors[0].what == f"8 fields have changed: {fields}; and 3 more"
    world.feed("drift: {missing: fail}")
    report = world.run(rows({"id": 2, "quote": {"price": 1}}))
    assert report.errors[0].what == "2 fields have changed: `note` missing (was null); `quote.venue` missing (was text)"
    assert report.errors[0].do.endswith("(for one field only, add --field note); to be warned instead, write `drift: warn`")
    assert world.run(rows({"id": 2, "quote": {"price": 1, "venue": "X"}})).errors[0].do.count("--field") == 0


def test_what_encloses_a_record_is_not_watched(world: World) -> None:
    fields = "id: UInt32, city: {type: Nullable(String), from: parent.city}, odd: {type: Nullable(String), from: parent.citty}"
    world.feed(source="records: 'venues[].trades[]'", fields=fields)
    world.run({"venues": [{"city": "c", "trades": [{"id": 1}]}]})
    world.run({"venues": [{"town": 3, "trades": [{"id": 2}]}], "more": 1})
    assert (world.drift, len(world.rows)) == ([], 2)


def test_a_field_that_some_partitions_have_is_not_missing_where_those_had_nothing_new(world: World) -> None:
    world.feed("drift: {missing: fail}", source="records: rows, each: {s: [A, B, C]}")
    both = {"s=A": [rows(*[tick(n, a=1) for n in range(20)])], "s=B": [rows(*map(tick, range(20, 40)))], "s=C": [rows(*map(tick, range(40, 60)))]}
    assert world.run(parts=both).status == "ok"
    assert world.run(parts={**both, "s=A": [rows()]}).status == "ok"
    assert world.drift == []
    gone = [{"id": n, "quote": {"price": 1}, "note": None} for n in range(60, 80)]
    assert world.run(parts={"s=A": [rows()], "s=B": [rows(*gone)], "s=C": [rows()]}).errors[0].what.startswith("`quote.venue`")
