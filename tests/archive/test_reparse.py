"""Reparse: kept answers through the present spec; the source is not asked, and the newest answer of a key wins."""

import json

import pytest
from archive_world import PLAIN, says
from raw_server import answer

from nexus_engine.deliver.run import Limits
from nexus_engine.errors import ConfigError

MENDED = PLAIN.replace("v: String", "v: {type: String, from: w}")
PAGED = "records: rows\n  paginate: {page: page, pages: pages}"
NUMBERS = """
fields: {id: UInt32, v: UInt32}
target: {table: a.rows, key: [id]}
max_refused: 1
"""


def row(number, v):
    return {"id": number, "v": v, "w": f"w{v}"}


def latest(world):
    """The newest row of each key."""
    found = {}
    for one in sorted(world.batches, key=lambda one: (one["_nexus_batch"], one["_nexus_row"])):
        found[one["id"]] = one["v"]
    return found


@pytest.mark.capability("Raw archive: kept answers parsed again by today's spec, nothing asked", spec="archive: true")
def test_a_new_field_is_filled_from_what_is_kept(world, server):
    world.feed()
    says(server, {"rows": [row(1, "a"), row(2, "b")]}, {"rows": [row(2, "c"), row(3, "d")]})
    world.run()
    world.run()
    assert world.rows == [(1, "a"), (2, "b"), (2, "c"), (3, "d")]
    asked = len(server.requests)
    world.feed(more=MENDED)
    report = world.reparse()
    assert (report.status, report.trigger, report.read, report.landed, report.superseded, report.requests) == ("ok", "reparse", 4, 3, 1, 0)
    assert world.rows == [(1, "a"), (1, "wa"), (2, "b"), (2, "c"), (2, "wc"), (3, "d"), (3, "wd")]
    assert len(server.requests) == asked
    assert set(world.positions) == {""}
    again = world.reparse()
    assert (again.status, again.read, again.landed, again.unchanged) == ("ok", 4, 0, 3)
    assert len(world.kept) == 2, "what was parsed again is no further answer"


def test_rows_parsed_again_lead_to_the_same_body(world, server):
    world.feed(source=PAGED)
    says(server, {"pages": 2, "rows": [row(1, "a")]}, {"pages": 2, "rows": [row(2, "b")]})
    world.run()
    world.feed(source=PAGED, more=MENDED)
    world.reparse()
    bodies = world.bodies()
    first = {kept.page: kept for kept in world.kept}
    with world.open() as session:
        for one in world.batches:
            [found] = session.store.answers_of(one["_nexus_batch"], one["_nexus_row"])
            assert one["id"] in [item["id"] for item in json.loads(bodies[found.sha256])["rows"]]
            assert found.origin in ("", first[found.page].batch_id) and (found.origin == "") == (not one["v"].startswith("w"))


def test_a_later_answer_wins_in_whatever_batches_they_are(world, server):
    world.feed()
    says(server, *({"rows": [row(1, f"{n}"), row(n, "x")]} for n in range(2, 7)))
    for _ in range(5):
        world.run()
    world.limits = Limits(batch_pages=1)
    world.feed(more=MENDED)
    report = world.reparse()
    assert (report.batches, report.landed, report.superseded) == (5, 6, 4)
    assert latest(world) == {1: "w6", **{n: "wx" for n in range(2, 7)}}
    assert [one for one in world.rows if one[0] == 1 and one[1].startswith("w")] == [(1, "w6")], "nothing older landed on the way"
    assert world.reparse().landed == 0


def test_an_answer_that_was_not_kept_is_not_set_back(world, server):
    says(server, {"rows": [row(1, "old"), row(2, "old")]}, {"rows": [row(1, "new")]}, {"rows": [row(3, "z")]})
    world.feed()
    world.run()
    world.feed(archive="false")
    world.run()
    world.feed()
    world.run()
    world.feed(more=MENDED)
    assert world.reparse().landed == 2
    assert latest(world) == {1: "new", 2: "wold", 3: "wz"}
    world.feed(more=PLAIN.replace("v: String", "v: {type: String, sql: \"concat(w, '!')\"}"))
    assert world.reparse().landed == 2, "what was parsed again is as old as its answer"
    assert latest(world) == {1: "new", 2: "wold!", 3: "wz!"}


def test_other_paging_other_records_other_windows(world, server):
    cursor = "cursor: {field: day, initial: 2024-01-01, step: 1d, end: 2024-01-03}\n"
    fields = "fields: {day: Date, id: UInt32}\ntarget: {table: a.rows, key: [id]}\n"
    source = "records: rows\n  params: {from: '{{ window.start }}'}\n  paginate: {page: page, limit: {param: size, size: 2}}"
    world.feed(source=source, more=cursor + fields)

    def script(request):
        day, page = request.query["from"], int(request.query["page"])
        base = 100 * int(day[-2:]) + 10 * page
        return answer({"rows": [{"day": day, "id": base + n, "n": n + 1} for n in range(2 if page < 3 else 0)]})

    server.script = script
    assert world.run().landed == 8
    live, asked = world.positions, len(server.requests)
    source = "records: rows\n  params: {from: '{{ window.start }}'}"
    world.feed(source=source, more=cursor + fields.replace("id: UInt32", "id: UInt32, start: {type: Date, from: window.start}, n: UInt8"))
    report = world.reparse()  # today's spec knows no pages: each answer is a beginning
    assert (report.status, report.read, report.landed, report.windows) == ("ok", 8, 8, 2)
    assert {(str(day), str(start)) for day, _, start, _ in world.rows if _ is not None} >= {("2024-01-01", "2024-01-01"), ("2024-01-02", "2024-01-02")}
    assert world.positions == live and len(server.requests) == asked


def test_partitions_and_since(world, server):
    source = "records: rows\n  each: {s: [A, 'B;C']}\n  params: {s: '{{ each.s }}'}"
    more = "fields: {s: {type: String, from: each.s}, id: UInt32, v: String}\ntarget: {table: a.rows, key: [s, id]}\n"
    world.feed(source=source, more=more)
    server.script = lambda request: answer({"rows": [row(1, f"{request.query['s']}{len(server.requests)}")]})
    world.run()
    between = max(kept.at for kept in world.kept)
    world.run()
    world.feed(source=source, more=more.replace("v: String", "v: {type: String, from: w}"))
    report = world.reparse(since=max(kept.at for kept in world.kept)[:19] + "Z")
    assert report.status == "ok" and report.partitions == 2
    assert world.reparse(since="1d").read == 4 and world.reparse(since="2020-01-01").read == 4
    assert sorted(one[0] for one in world.rows if one[2].startswith("w")) == ["A", "B;C"]
    assert between
    for since, what in (("soon", "is no time"), ("2999-01-01", "no answer of it is kept since 2999-01-01")):
        assert what in world.reparse(since=since).errors[0].what


def test_a_long_body_again(world, server):
    lines = [json.dumps({"id": n, "v": "x" * 200, "w": f"w{n}"}) for n in range(20_000)]
    world.feed(source="format: jsonl")
    says(server, answer("\n".join(lines)))
    assert world.run().landed == 20_000
    world.feed(source="format: jsonl", more=MENDED)
    report = world.reparse()
    assert (report.status, report.read, report.landed) == ("ok", 20_000, 20_000)
    assert latest(world)[19_999] == "w19999"


def test_what_was_refused_is_judged_anew(world, server):
    world.feed(more=NUMBERS)
    says(server, {"rows": [row(1, 10), row(2, "x"), row(3, "y")]})
    world.run()
    assert [refused.record for refused in world.quarantine] == [2, 1]
    world.feed(more=NUMBERS.replace("v: UInt32", "v: {type: UInt32, missing: [x], default: 0}"))
    assert world.reparse().quarantined == 1
    assert [(refused.record, refused.reasons) for refused in world.quarantine] == [(2, ('v: cast: "y" is no UInt32',))]
    world.feed(more=NUMBERS.replace("v: UInt32", "v: {type: UInt32, missing: [x, y], default: 0}"))
    world.reparse()
    assert world.quarantine == [] and latest(world) == {1: 10, 2: 0, 3: 0}


def test_what_was_refused_twice_has_one_entry_and_leaves_once(world, server):
    world.feed(more=NUMBERS)
    says(server, {"rows": [row(1, 10), row(2, "x")]}, {"rows": [row(1, 11), row(2, "x")]})
    world.run()
    world.run()
    [entry] = world.quarantine
    assert entry.times == 2
    assert world.reparse().quarantined == 2
    assert [(q.id, q.times) for q in world.quarantine] == [(entry.id, 4)]
    world.feed(more=NUMBERS.replace("v: UInt32", "v: {type: UInt32, missing: [x], default: 0}"))
    world.reparse()
    assert world.quarantine == [] and latest(world) == {1: 11, 2: 0}


@pytest.mark.fault("F7: a body of the archive is missing or damaged", behaviour="the reparse names the file, parses the rest, and ends as failed")
def test_lost_bodies_are_named_and_the_rest_goes_on(world, server):
    world.feed()
    says(server, *({"rows": [row(n, "x" * n)]} for n in range(1, 5)))
    for _ in range(4):
        world.run()
    paths = [world.data / "archive" / kept.sha256[:2] / f"{kept.sha256}.zst" for kept in world.kept]
    paths[1].unlink()
    paths[2].write_bytes(paths[0].read_bytes())
    world.feed(more=MENDED)
    report = world.reparse()
    assert report.status == "failed" and report.landed == 2
    assert [(error.what, error.where) for error in report.errors] == [
        ("a body of the archive is missing", str(paths[1])), ("a body of the archive is damaged: it is not what was kept", str(paths[2])),
    ]  # fmt: skip
    assert all(error.did and error.do for error in report.errors)
    assert latest(world) == {1: "wx", 2: "xx", 3: "xxx", 4: "wxxxx"}


def test_an_answer_that_is_no_page_by_todays_spec_stops_and_a_mended_spec_begins_anew(world, server):
    world.limits = Limits(batch_pages=1)
    world.feed()
    says(server, {"rows": [row(1, "a")]}, {"rows": [row(2, "b")], "list": []})
    world.run()
    world.run()
    world.feed(source="records: list", more=MENDED)
    report = world.reparse()
    assert report.status == "failed" and report.errors[0].kind == "PageError"
    world.feed(more=MENDED)
    report = world.reparse()
    assert (report.status, report.read, report.landed) == ("ok", 2, 2)
    assert set(world.positions) == {""}


def test_an_error_inside_an_answer_that_the_spec_skips(world, server):
    world.feed(source="records: rows\n  errors: [{status: 404, then: empty}]")
    says(server, answer({"no": 1}, status=404), {"rows": [row(1, "a")]})
    world.run()
    world.run()
    world.feed(more=MENDED)
    report = world.reparse()
    assert report.status == "failed" and "a kept answer is HTTP 404" in report.errors[0].what
    world.feed(source="records: rows\n  errors: [{status: 404, then: not_yet}]", more=MENDED)
    report = world.reparse()
    assert (report.status, report.landed, len(report.warnings)) == ("ok", 1, 1)


def test_a_table_without_a_key_is_refused(world, server):
    world.feed(more="fields: {id: UInt32}\ntarget: {table: a.rows}")
    says(server, {"rows": [row(1, "a")]})
    world.run()
    report = world.reparse()
    [error] = report.errors
    assert error.kind == ConfigError.__name__ and "has no `key`" in error.what and error.where and error.did and error.do
    assert world.rows == [(1,)]
