"""`archive: true`: each answer is kept as it came, durable before its rows, linked with them; nothing else is."""

import gzip
import hashlib
import json
import stat
from datetime import UTC, datetime

import pytest
from archive_world import PLAIN, says
from raw_server import answer

from nexus_engine.deliver.backfill import checked_range
from nexus_engine.deliver.run import Limits

PAGED = "records: rows\n  paginate: {page: page, limit: {param: size, size: 2}}"


def rows(*numbers):
    return {"rows": [{"id": number, "v": f"v{number}"} for number in numbers]}


def sha(body):
    return hashlib.sha256(body).hexdigest()


def one_page(*numbers):
    return lambda request: answer(json.dumps(rows(*numbers)), headers={"ETag": '"x1"'})


@pytest.mark.capability("Raw archive: each answer kept, compressed, by its hash, with its request", spec="archive: true")
def test_an_answer_is_kept_with_its_request(world, server):
    body = json.dumps(rows(1, 2), indent=2).encode()
    world.feed(source="records: rows\n  params: {a: b c}\n  headers: {X-Who: me}")
    says(server, answer(body, headers={"Content-Type": "application/json", "X-Trace": "t1"}, gzip=True))
    world.run()
    [kept] = world.kept
    assert world.bodies() == {sha(body): body}
    assert (kept.method, kept.url, kept.status, kept.size, kept.whole) == ("GET", f"{server.url}/rows?a=b%20c", 200, len(body), True)
    assert kept.headers["x-trace"] == "t1" and kept.request["headers"] == {"x-who": "me"}
    assert (kept.first_row, kept.last_row, kept.page, kept.origin) == (0, 1, 1, "")
    assert {row["_nexus_batch"] for row in world.batches} == {kept.batch_id}
    files = [path for path in (world.data / "archive").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [world.data / "archive", *files] if path.is_dir()} == {0o700}
    assert not [path for path in files if path.is_file() and path.suffix != ".zst"]


def test_without_the_word_nothing_is_kept(world, server):
    world.feed(archive="false")
    says(server, rows(1))
    world.run()
    assert world.kept == [] and not (world.data / "archive").exists()


def test_the_body_of_a_post_is_kept_with_it(world, server):
    world.feed(source='records: rows\n  method: POST\n  idempotent: true\n  json: {day: "2024-01-01"}')
    says(server, rows(1))
    world.run()
    assert json.loads(world.kept[0].request["body"]) == {"day": "2024-01-01"}
    assert world.kept[0].request["sha256"] == sha(world.kept[0].request["body"].encode())


def test_a_replaced_range_keeps_its_answers(world, server):
    world.feed(
        source="params: {from: '{{ window.start }}', to: '{{ window.end }}'}\n  records: rows",
        more="cursor: {field: day, initial: 2024-01-01}\nfields: {id: UInt32, day: Date}\ntarget: {table: a.rows, key: [id]}\n",
    )
    left = {"rows": [{"id": 2, "day": "2024-01-02"}]}
    says(server, {"rows": [{"id": 1, "day": "2024-01-02"}, *left["rows"]]}, left)
    world.run()
    wanted = checked_range(world.plans["rows"], "2024-01-01", "2024-01-05", [], datetime(2026, 1, 1, tzinfo=UTC), replacing=True)
    report = world.run(mover=wanted.job)
    assert (report.status, report.removed, [row[0] for row in world.rows]) == ("ok", 2, [2])
    assert json.loads(world.bodies()[world.kept[-1].sha256]) == left


def test_each_row_leads_to_its_page(world, server):
    world.feed(source=PAGED)
    says(server, rows(1, 2), rows(3, 4), rows(5))
    world.run()
    assert [(kept.page, kept.exchange) for kept in world.kept] == [(1, 1), (2, 2), (3, 3)]
    bodies = world.bodies()
    with world.open() as session:
        for row in world.batches:
            [found] = session.store.answers_of(row["_nexus_batch"], row["_nexus_row"])
            assert row["id"] in [item["id"] for item in json.loads(bodies[found.sha256])["rows"]]


def test_pages_fetched_ahead_keep_their_order(world, server):
    world.feed(source="records: rows\n  concurrency: 4\n  paginate: {page: page, pages: pages}")
    server.script = lambda request: answer({"pages": 9, **rows(*range(10 * int(request.query["page"]), 10 * int(request.query["page"]) + 3))})
    world.run()
    bodies = world.bodies()
    assert [kept.page for kept in world.kept] == list(range(1, 10))
    assert [json.loads(bodies[kept.sha256])["rows"][0]["id"] for kept in world.kept] == [10 * page for page in range(1, 10)]
    assert [f"page={kept.page}" in kept.url for kept in world.kept] == [True] * 9


def test_failed_attempts_are_not_kept(world, server):
    world.feed(source="records: rows\n  retry: {attempts: 3, base: 1ms}\n  errors: [{path: error, then: retry}]")
    says(server, answer("no", status=503), {"error": "busy", "rows": []}, rows(1))
    world.run()
    assert list(world.bodies().values()) == [json.dumps(rows(1)).encode()]


def test_the_same_body_is_kept_once(world, server):
    world.feed()
    world.feed("other", more=PLAIN.replace("a.rows", "a.other"))
    says(server, rows(1), rows(1), rows(1))
    world.run()
    world.run()
    assert len(world.kept) == 2 and len(world.bodies()) == 1
    world.run("other")
    assert len(world.bodies()) == 1


def test_a_long_body_is_one_answer_of_many_payloads(world, server):
    world.feed(source="format: jsonl")
    lines = [json.dumps({"id": n, "v": "x" * 200}) for n in range(20_000)]
    body = ("\n".join(lines) + "\n").encode()
    says(server, answer(body))
    report = world.run()
    assert report.landed == 20_000
    assert world.bodies() == {sha(body): body}
    assert len(world.kept) == 1
    with world.open() as session:
        found = session.store.answers_of(world.batches[-1]["_nexus_batch"], world.batches[-1]["_nexus_row"])
    assert [item.exchange for item in found] == [1] and found[0].page > 1


def test_a_compressed_file_is_kept_as_it_came(world, server):
    packed = gzip.compress(b"id,v\n1,a\n2,b\n")
    world.feed(source="format: csv\n  compression: gzip")
    says(server, answer(packed))
    assert world.run().landed == 2
    assert world.bodies() == {sha(packed): packed}


def test_a_page_that_does_not_land_is_not_kept(world, server):
    world.feed(source=PAGED)
    says(server, rows(1, 2), {"rows": [{"id": "x"}, {"id": "y"}]})
    assert world.run().status == "failed"
    assert [kept.page for kept in world.kept] == [1] and len(world.bodies()) == 1
    says(server, rows(1, 2), rows(3), rows())  # the page that is safe is looked at again: it is kept already
    assert world.run().status == "ok"
    assert [kept.page for kept in world.kept] == [1, 2, 3] and len(world.bodies()) == 3


def test_what_was_kept_before_a_failure_stays(world, server):
    world.limits = Limits(batch_pages=1)
    world.feed(source=PAGED + "\n  retry: {attempts: 1}")
    says(server, rows(1, 2), rows(3, 4), answer("no", status=500))
    assert world.run().status == "failed"
    assert [kept.page for kept in world.kept] == [1, 2] and len(world.bodies()) == 2


@pytest.mark.capability("Raw archive: retention by age and by size, oldest first", spec="archive: {keep: 90d, max_size: 10GB}")
def test_the_oldest_go_when_there_is_too_much(world, server):
    texts = ["".join(hashlib.sha256(f"{run} {n}".encode()).hexdigest() for n in range(100)) for run in range(4)]
    world.feed(archive="{max_size: 8kB}")
    for n, text in enumerate(texts):
        says(server, {"rows": [{"id": n, "v": text}]})
        world.run()
    kept = [json.loads(body)["rows"][0]["id"] for body in world.bodies().values()]
    assert sorted(kept) == [2, 3] and len(world.kept) == 2
    assert len(world.rows) == 4


@pytest.mark.capability("Raw archive: retention by age and by size, oldest first", spec="archive: {keep: 90d, max_size: 10GB}")
def test_what_is_too_old_goes_but_not_what_came_again(world, server):
    world.feed(archive="{keep: 10ms}")
    world.feed("other", more=PLAIN.replace("a.rows", "a.other"))
    says(server, rows(1), rows(1), rows(2))
    world.run("other")
    world.run()
    assert len(world.bodies()) == 1
    world.run()
    with world.open() as session:
        assert {body.sha256 for reading in session.store.readings("other") for body in session.store.answers(reading)} <= set(world.bodies())
    assert json.dumps(rows(1)).encode() in world.bodies().values(), "another feed has it"


def test_orphans_of_a_dead_process_go_at_the_next_start(world, server):
    world.feed()
    says(server, rows(1))
    world.run()
    folder = world.data / "archive"
    (folder / "00").mkdir(exist_ok=True)
    (folder / "00" / "left.part").write_bytes(b"x")
    (folder / "ab").mkdir(exist_ok=True)
    (folder / "ab" / f"ab{'0' * 62}.zst").write_bytes(b"x")
    (folder / ".open").touch()
    with world.open():
        assert [path.suffix for path in folder.rglob("*") if path.is_file()] == [".zst"]
    assert len(world.bodies()) == 1


def test_secrets_are_masked_wherever_they_stand(world, server):
    secret = "Zq7canaryZq7canary+1"
    (world.root / ".env").write_text(f"KEY='{secret}'\n")
    world.feed(source='format: jsonl\n  params: {key: "{{ secrets.KEY }}"}\n  headers: {X-Key: "{{ secrets.KEY }}"}')
    pad = (1 << 20) - 30  # one of them lies across the border of two pieces
    lines = [json.dumps({"id": 1, "v": "y" * (pad - 40) + secret}), json.dumps({"id": 2, "v": secret})]
    says(server, answer("\n".join(lines), headers={"X-Echo": secret}))
    assert world.run().landed == 2
    [body] = world.bodies().values()
    assert b"canary" not in body and body.count(b"***") == 2
    assert b"canary" not in (world.data / "state.db").read_bytes()
    assert world.kept[0].headers["x-echo"] == "***" and world.kept[0].request["headers"]["x-key"] == "***"
    assert world.kept[0].url.endswith("key=***")


def test_a_renamed_feed_keeps_its_answers(world, server):
    world.feed(more=PLAIN + "cursor: {field: id}")
    says(server, rows(1))
    world.run()
    (world.root / "sources.d" / "rows.yaml").unlink()
    with world.open() as session:
        assert session.store.rename("rows", "renamed") == 1
        assert [len(session.store.readings(name)) for name in ("rows", "renamed")] == [0, 1]
