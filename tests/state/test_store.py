"""The Store: transactions, compare-and-set, ids, history, and every way its file can be wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import uuid
from pathlib import Path

import pytest

from nexus_engine.contract.sink import Batch, Column, Target
from nexus_engine.errors import Locked, PositionConflict, StateDamaged
from nexus_engine.state.history import KEEP_QUARANTINED, KEEP_RUNS
from nexus_engine.state.records import MAX_RAW_BYTES, Body, Intent, Quarantined, Request, WindowCounts
from nexus_engine.state.store import Store
from nexus_engine.state.tables import SCHEMA

TARGET = Target(sink="clickhouse", database="m", table="t", columns=(Column("a", "UInt64"),), settings={"b": "1"})


@pytest.fixture
def store(tmp_path):
    with_store = Store.open(tmp_path / "state.db")
    yield with_store
    with_store.close()


def intent(store: Store, *, rows: int = 5, feed: str = "f", run_id: str = "r", advances=None, **more) -> Intent:
    id, seq = store.new_batch_id()
    batch = Batch(id=id, seq=seq, feed=feed, run_id=run_id, target=TARGET, path=f"/x/{id}", rows=rows, sha256="s", advances=advances or {})
    return Intent(id=id, feed=feed, run_id=run_id, advances=advances or {}, batch=batch if rows else None, **more)


def test_stage_moves_positions_and_keeps_the_batch_until_done(store):
    made = intent(store, advances={"p": (None, {"page": 2}), "q": (None, [1])}, position_hash="h1", target="m.t")
    store.stage(made)
    assert store.positions("f") == {"p": {"page": 2}, "q": [1]}
    assert store.position("f", "p") == {"page": 2} and store.position("f", "none") is None
    assert store.position_hash("f") == "h1" and store.position_hash("other") is None
    assert store.feeds_with("h1", "m.t") == ["f"]
    assert store.staged() == [made.batch] == store.staged("m.t")
    assert store.staged("m.other") == []
    assert store.done(made.id) is True
    assert store.staged() == [] and store.done(made.id) is False


def test_a_batch_without_rows_moves_the_position_and_stages_nothing(store):
    store.stage(intent(store, rows=0, advances={"": (None, {"n": 1})}))
    assert store.position("f", "") == {"n": 1} and store.staged() == []


def test_a_conflict_on_one_partition_changes_nothing_at_all(store):
    store.set_position("f", "b", {"at": 7})
    refused = Quarantined(partition="a", record=0, raw="{}", reasons=("v: cast: no",))
    made = intent(store, advances={"a": (None, 1), "b": ({"at": 6}, 2)}, quarantined=(refused,))
    with pytest.raises(PositionConflict, match=r"'b' stands at \{\"at\":7\}.*from \{\"at\":6\}"):
        store.stage(made)
    assert store.positions("f") == {"b": {"at": 7}}
    assert store.staged() == [] and store.quarantine() == []


def test_key_order_of_a_position_does_not_matter(store):
    store.stage(intent(store, advances={"": (None, {"a": 1, "b": 2})}))
    store.stage(intent(store, advances={"": ({"b": 2, "a": 1}, None)}))
    assert store.positions("f") == {}


def test_of_two_threads_that_start_from_the_same_position_one_wins(store):
    store.set_position("f", "", 0)
    intents = [intent(store, advances={"": (0, n)}) for n in (1, 2, 3, 4)]
    results: list[object] = []

    def go(made: Intent) -> None:
        try:
            store.stage(made)
            results.append(made.advances[""][1])
        except PositionConflict:
            results.append(None)

    threads = [threading.Thread(target=go, args=(made,)) for made in intents]
    [t.start() for t in threads], [t.join() for t in threads]
    winners = [r for r in results if r is not None]
    assert len(winners) == 1 and store.position("f", "") == winners[0] and len(store.staged()) == 1


def test_ids_grow_when_the_clock_jumps_back_and_over_a_restart(tmp_path):
    now = [1_800_000_000_000_000_000]
    ids = []
    for jump_s in (0, 0, -86400, 3600, -10**6, 5):
        now[0] += jump_s * 10**9
        store = Store.open(tmp_path / "state.db", clock_ns=lambda: now[0])
        for _ in range(50):
            made = intent(store, advances={})
            ids.append((made.batch.id, made.batch.seq))
            store.stage(made)
        store.close()
    texts, seqs = [i for i, _ in ids], [s for _, s in ids]
    assert seqs == list(range(1, 301))
    assert texts == sorted(texts) and len(set(texts)) == 300
    second_halves = [uuid.UUID(t).int & (2**64 - 1) for t in texts]
    assert second_halves == sorted(second_halves), "ClickHouse compares the second half of a UUID first"
    assert {uuid.UUID(t).version for t in texts} == {7} and {uuid.UUID(t).variant for t in texts} == {uuid.RFC_4122}


def test_quarantine_keeps_the_raw_record_up_to_its_cap(store):
    long = "é" * MAX_RAW_BYTES
    records = (
        Quarantined(partition="p", record=3, raw='{"v": "x"}', reasons=("v: cast to Float64",), page=2, url="http://x/?k=***", window_start="2020-01-01"),
        Quarantined(partition="p", record=4, raw=long, reasons=()),
    )
    made = intent(store, rows=0, quarantined=records)
    store.stage(made)
    cut, kept = store.quarantine("f")
    assert (kept.raw, kept.reasons, kept.page, kept.record, kept.url, kept.window_start, kept.truncated) == (
        '{"v": "x"}', ("v: cast to Float64",), 2, 3, "http://x/?k=***", "2020-01-01", False)
    assert kept.batch_id == made.id and kept.run_id == "r" and kept.at.endswith("Z")
    assert cut.truncated and len(cut.raw.encode()) <= MAX_RAW_BYTES and set(cut.raw) == {"é"}
    assert store.quarantine("other") == [] and len(store.quarantine(run_id="r", limit=1)) == 1


def test_books_add_up_and_close_over_batches_and_rejects(store):
    def window(**counts):
        return WindowCounts(partition="p", window_start="2020-01-01", counts=counts)

    first = intent(store, rows=4, books=(window(read=6, unchanged=2, in_flight=4),))
    second = intent(store, rows=5, books=(window(read=5, in_flight=5), WindowCounts(partition="q", counts={"read": 0}, complete=True)))
    store.stage(first), store.stage(second)
    store.done(first.id)
    store.done(second.id, [Quarantined(partition="", record=2, raw="{}", reasons=("sink: no",))])
    p, q = store.books("r")
    counts = p.counts
    assert counts == {"read": 11, "unchanged": 2, "in_flight": 0, "landed": 8, "quarantined": 1}
    assert counts["read"] == sum(n for name, n in counts.items() if name != "read")
    assert (p.window_start, p.complete, q.window_start, q.complete) == ("2020-01-01", False, None, True)
    assert len(store.quarantine()) == 1


def test_run_history(store):
    store.start_run("r1", "f", "once", "2026-01-01T00:00:00Z")
    store.start_run("r2", "f", "schedule", "2026-01-02T00:00:00Z")
    store.add_requests("r1", [Request(method="GET", url="http://x", status=200, body_bytes=3, elapsed_ms=1.5), Request(method="GET", url="http://y", status=0, body_bytes=0, elapsed_ms=9, attempt=2, error="reset")])
    store.finish_run("r1", "ok", {"read": 5})
    assert [r.run_id for r in store.runs()] == ["r2", "r1"] and store.runs("other") == []
    assert store.run("r1").report == {"read": 5} and store.run("r1").status == "ok" and store.run("nope") is None
    assert [r.error for r in store.requests("r1")] == ["", "reset"] and store.requests("r1")[0].at
    assert store.interrupt_runs() == ["r2"] and store.run("r2").status == "interrupted"


def test_history_is_bounded(store, tmp_path):
    for n in range(60):
        store.start_run(f"r{n:03}", "f", "once", f"2026-01-01T00:{n:02}:00Z")
        store.add_requests(f"r{n:03}", [Request(method="GET", url="u", status=200, body_bytes=0, elapsed_ms=0)])
        store.finish_run(f"r{n:03}", "ok", {})
    assert store.requests("r000") == [] and len(store.requests("r059")) == 1 and len(store.runs(limit=100)) == 60


def test_history_and_quarantine_keep_the_newest(store):
    refused = tuple(Quarantined(partition="p", record=n, raw="{}", reasons=("x",)) for n in range(KEEP_QUARANTINED + 2))
    store.start_run("q", "g", "once", "2026-01-01T00:00:00Z")
    store.stage(intent(store, feed="g", run_id="q", rows=0, quarantined=refused, target="m.g"))
    store.finish_run("q", "ok", {})
    kept = store.quarantine("g", limit=KEEP_QUARANTINED + 10)
    assert len(kept) == KEEP_QUARANTINED
    assert {0, 1}.isdisjoint(found.record for found in kept)
    for n in range(KEEP_RUNS + 3):
        store.start_run(f"r{n:04}", "f", "once", f"2026-01-01T00:00:{n:06}Z")
        store.finish_run(f"r{n:04}", "ok", {})
    runs = store.runs(feed="f", limit=KEEP_RUNS + 10)
    assert len(runs) == KEEP_RUNS
    assert {run.run_id for run in runs}.isdisjoint({"r0000", "r0001", "r0002"})


def test_reset_rename_adopt_export(store):
    store.stage(intent(store, feed="old", advances={"a": (None, 1), "b": (None, 2)}, position_hash="h", target="m.t"))
    store.set_next_run("old", "2026-01-01T00:00:00Z")
    store.stage(intent(store, feed="old", rows=0, quarantined=(Quarantined(partition="", record=0, raw="{}", reasons=("x",)),)))
    assert store.rename("old", "new") == 2
    assert [q.feed for q in store.quarantine()] == ["new"]
    assert store.positions("old") == {} and store.next_run("new") == "2026-01-01T00:00:00Z"
    store.adopt("new", "h2")
    assert store.export() == {"new": {"position_hash": "h2", "target": "m.t", "positions": {"a": 1, "b": 2}}}
    store.set_position("other", "", 1)
    with pytest.raises(PositionConflict, match="positions of its own"):
        store.rename("other", "new")
    assert store.reset("new", "a") == 1 and store.reset("new") == 1 and store.position_hash("new") is None
    assert store.export("nope") == {}


def test_rate_stamps_survive_a_restart(tmp_path):
    store = Store.open(tmp_path / "state.db")
    assert store.load("fred") == []
    store.save("fred", [1.5, 2.25]), store.save("fred", [2.25, 3.0])
    store.close()
    assert Store.open(tmp_path / "state.db").load("fred") == [2.25, 3.0]


def test_only_the_owner_reads_the_files(tmp_path):
    store = Store.open(tmp_path / "data" / "state.db")
    store.set_position("f", "", 1)
    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    store.close()


def test_a_reader_sees_commits_while_the_owner_writes(tmp_path):
    path = tmp_path / "state.db"
    writer = Store.open(path)
    reader = Store.open(path, read_only=True)
    writer.set_position("f", "", 1)
    assert reader.position("f", "") == 1
    with pytest.raises(StateDamaged):
        reader.set_position("f", "", 2)
    writer.close(), reader.close()
    alone = Store.open(path, read_only=True)
    assert alone.position("f", "") == 1


def test_reading_where_nothing_ever_ran_is_empty_and_creates_nothing(tmp_path):
    store = Store.open(tmp_path / "data" / "state.db", read_only=True)
    assert store.runs() == [] and store.staged() == [] and not (tmp_path / "data").exists()


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in error.value.what and error.value.do
    return error.value.what


@pytest.mark.parametrize("trace", ["clickhouse/metadata/macro.sql", "spool/0190.arrow"])
def test_a_missing_state_with_an_earlier_life_is_never_made_anew(tmp_path, trace):
    (tmp_path / trace).parent.mkdir(parents=True)
    (tmp_path / trace).write_text("x")
    for read_only in (False, True):
        with pytest.raises(StateDamaged) as error:
            Store.open(tmp_path / "state.db", read_only=read_only)
        assert "missing, but this data folder was in use" in one_line(error)
        assert not (tmp_path / "state.db").exists()


def test_a_state_without_tables_is_new_or_lost(tmp_path):
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL"), connection.close()  # its first owner died before the first transaction
    assert path.stat().st_size > 0
    Store.open(path).close()
    (tmp_path / "spool").mkdir(), (tmp_path / "spool" / "x.arrow").touch()
    Store.open(path).close()  # with tables again: nothing to refuse
    path.write_bytes(b"")
    with pytest.raises(StateDamaged):
        Store.open(path)


def closed_state(path: Path) -> Path:
    store = Store.open(path)
    for n in range(300):
        store.set_position("f", f"{n}" * 20, {"n": n})
    store.close()
    return path


@pytest.mark.parametrize("offset, data", [(0, b"not a database at all"), (4096, b"\xff" * 4096), (12288, None)], ids=["header", "page", "cut off"])
def test_a_damaged_file_is_refused_and_kept(tmp_path, offset, data):
    path = closed_state(tmp_path / "state.db")
    with path.open("r+b") as file:
        file.seek(offset)
        file.truncate() if data is None else file.write(data)
    before = path.read_bytes()
    with pytest.raises(StateDamaged) as error:
        Store.open(path)
    assert "state file" in one_line(error) and path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("CREATE TABLE other (x)"), connection.commit(), connection.close()
    with pytest.raises(StateDamaged, match="not one of this engine"):
        Store.open(tmp_path / "state.db")


def test_a_newer_state_is_refused(tmp_path):
    path = closed_state(tmp_path / "state.db")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'"), connection.commit(), connection.close()
    with pytest.raises(StateDamaged) as error:
        Store.open(path)
    assert one_line(error) == f"the state file has version 99, this engine knows {SCHEMA}"


@pytest.mark.parametrize("what, mode", [("state.db", 0o400), (".", 0o500)])
def test_a_read_only_file_or_folder_is_refused(tmp_path, what, mode):
    path = closed_state(tmp_path / "d" / "state.db")
    os.chmod(path.parent / what, mode)
    try:
        with pytest.raises(StateDamaged) as error:
            Store.open(path)
        assert "cannot be written" in one_line(error)
    finally:
        os.chmod(path.parent / what, 0o700)


def test_a_second_writer_is_named_after_its_lock(tmp_path, store):
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with store._db.read() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    with pytest.raises(Locked):
        store.set_position("f", "", 1)
    other.execute("ROLLBACK")
    store.set_position("f", "", 1)
    other.close()


def test_a_file_of_an_older_version_gets_what_it_lacks(tmp_path):
    path = tmp_path / "state.db"
    Store.open(path).close()
    with sqlite3.connect(path) as db:  # as version 1 made it
        db.execute("DROP INDEX quarantine_by_identity")
        for column in ("window_end", "envelope", "altered", "identity", "times", "first_at"):
            db.execute(f"ALTER TABLE quarantine DROP COLUMN {column}")
        for table in ("stamp", "replacing"):
            db.execute(f"DROP TABLE {table}")
        db.execute("INSERT INTO quarantine VALUES (1, 'f', 'r', 'b', 'p', NULL, 1, 0, 'u', '[\"v: null: no value\"]', '{}', 0, 'now')")
        db.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")
    with pytest.raises(StateDamaged, match="version 1"):
        Store.open(path, read_only=True)
    store = Store.open(path)
    [kept] = store.quarantine("f")
    assert (kept.raw, kept.window_end, kept.envelope, kept.altered) == ("{}", None, "", False)
    assert (kept.identity, kept.times, kept.first_at) == ("", 1, "now")
    assert store.load("any") == []
    assert store.begin_replace("f", "replace 1..2")
    store.close()
    Store.open(path, read_only=True).close()


def test_a_file_of_version_3_keeps_its_quarantine(tmp_path):
    path = tmp_path / "state.db"
    store = Store.open(path)
    refused(store, "r1", {"identity": "a", "reasons": ("x",)})
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP INDEX quarantine_by_identity")
        for column in ("identity", "times", "first_at"):
            db.execute(f"ALTER TABLE quarantine DROP COLUMN {column}")
        db.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
    store = Store.open(path)
    for run_id in ("r2", "r3"):  # the entry of then has no identity, so there is one beside it
        refused(store, run_id, {"identity": "a", "reasons": ("x",)})
    assert [(q.run_id, q.times) for q in store.quarantine("f")] == [("r3", 2), ("r1", 1)]
    store.close()
    with sqlite3.connect(path) as db:
        assert ("quarantine_by_identity",) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()


def test_a_file_of_version_2_gets_the_index_of_the_archive(tmp_path):
    path = tmp_path / "state.db"
    Store.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE body")
        db.execute("UPDATE meta SET value = '2' WHERE name = 'schema'")
    store = Store.open(path)
    assert store.readings("f") == [] and store.kept_sizes() == []
    store.close()


def refused(store, run_id, *records, **more):
    store.stage(intent(store, rows=0, run_id=run_id, quarantined=tuple(Quarantined(partition="p", record=n, raw="{}", **one) for n, one in enumerate(records)), **more))


def test_a_record_refused_again_has_one_entry(store):
    null, cast = ("v: null: no value",), ("v: cast: no",)
    refused(store, "r1", {"identity": "a", "reasons": null}, {"identity": "b", "reasons": null}, {"reasons": null})
    [nameless, second, first] = store.quarantine("f")
    refused(store, "r2", {"identity": "b", "reasons": null}, {"identity": "b", "reasons": null}, {"identity": "a", "reasons": cast}, {"reasons": null})
    found = {q.id: (q.run_id, q.record, q.reasons, q.times) for q in store.quarantine("f")}
    assert (found[first.id], found[second.id], found[nameless.id]) == (("r1", 0, null, 1), ("r2", 1, null, 3), ("r1", 2, null, 1))
    assert sorted(entry for number, entry in found.items() if number > nameless.id) == [("r2", 2, cast, 1), ("r2", 3, null, 1)]
    assert {q.id: q.first_at for q in store.quarantine("f")}[second.id] == second.at
    refused(store, "r3", {"identity": "b", "reasons": null}, released=(first.id, second.id))  # parsed again: it is there once more
    assert [(q.run_id, q.times) for q in store.quarantine("f") if q.id in (first.id, second.id)] == [("r3", 4)]
    refused(store, "r4", {"identity": "a", "reasons": null})  # what left is new when it comes again
    assert store.quarantine("f")[0].times == 1


def test_what_a_conflict_refuses_counts_nothing(store):
    refused(store, "r1", {"identity": "a", "reasons": ("x",)})
    with pytest.raises(PositionConflict):
        refused(store, "r2", {"identity": "a", "reasons": ("x",)}, advances={"p": (9, 10)})
    with pytest.raises(PositionConflict):
        refused(store, "r2", {"identity": "a", "reasons": ("x",)}, released=(99,))
    [entry] = store.quarantine("f")
    assert (entry.times, entry.run_id) == (1, "r1")


def test_records_refused_again_are_found_by_their_index(store, tmp_path):
    refused(store, "r1", {"identity": "a", "reasons": ("x",)})
    with sqlite3.connect(tmp_path / "state.db") as db:
        [(*_, how)] = db.execute("EXPLAIN QUERY PLAN SELECT identity, reasons, id FROM quarantine WHERE feed = 'f' AND identity IN ('a', 'b')").fetchall()
    assert "quarantine_by_identity" in how


def kept(number, **words):
    names = {"partition": "p", "sha256": f"{number:064}", "at": f"2024-01-0{number}T00:00:00.000Z", "size": 100, "packed": 10, **words}
    return Body(exchange=number, method="GET", url="u", status=200, first_row=number, last_row=number, **names)


def test_answers_are_there_exactly_when_their_rows_are(store):
    with pytest.raises(PositionConflict):
        store.stage(intent(store, rows=2, advances={"p": (9, 10)}, bodies=(kept(1),)))
    assert store.readings("f") == []
    one = intent(store, rows=2, bodies=(kept(1), kept(2)))
    store.stage(one)
    [reading] = store.readings("f")
    assert [(body.exchange, body.batch_id) for body in store.answers(reading)] == [(1, one.id), (2, one.id)]
    assert [body.exchange for body in store.answers_of(one.id, 2)] == [2] and store.answers_of(one.id, 3) == []
    assert store.readings("f", "2024-01-02") == [] and len(store.readings("f", "2024-01-01")) == 1
    assert store.unknown_bodies([f"{number:064}" for number in (1, 5)]) == [f"{5:064}"]


def test_the_oldest_answers_go_but_none_of_a_batch_that_has_not_landed(store):
    first = intent(store, rows=2, bodies=(kept(1), kept(2), kept(3)))
    store.stage(first)
    assert store.expire_bodies("f", "2030", 0) == set()
    store.done(first.id)
    assert store.expire_bodies("f", "2024-01-02", 10_000) == {f"{1:064}"}
    assert store.expire_bodies("f", "2024-01-02", 10) == {f"{2:064}"}
    assert [(size.feed, size.answers, size.packed) for size in store.kept_sizes()] == [("f", 1, 10)]


def test_records_leave_the_quarantine_once(store):
    store.stage(intent(store, rows=0, quarantined=[Quarantined(partition="p", record=n, raw="{}", reasons=("v: null: no value",)) for n in range(3)]))
    first, second, third = sorted(q.id for q in store.quarantine("f"))
    [group], unfit = store.replayable("f", beside=False)
    assert (group.partition, group.records, group.last, unfit) == ("p", 3, third, {})
    assert store.replayable("f", [second], beside=True)[0] == []
    store.stage(intent(store, rows=0, released=(first,), refused_again={second: ("v: cast: no",)}))
    assert {q.id: q.reasons for q in store.quarantine("f")} == {second: ("v: cast: no",), third: ("v: null: no value",)}
    with pytest.raises(PositionConflict, match="not in quarantine any more"):
        store.stage(intent(store, rows=0, advances={"p": (None, 1)}, released=(first, third)))
    assert store.position("f", "p") is None and len(store.quarantine("f")) == 2
