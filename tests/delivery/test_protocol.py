"""The protocol, step by step, with the real store, engine and sink; only the sink's answers are made to lie."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nexus_engine.clickhouse import spool as spool_file
from nexus_engine.clickhouse.engine import Engine
from nexus_engine.contract.sink import Batch, Column, Rejects, Target
from nexus_engine.deliver import crash, protocol, spool
from nexus_engine.deliver.recovery import recover
from nexus_engine.errors import OutOfSpace, PositionConflict, StateDamaged, StopFeed, TableDiffers
from nexus_engine.events import BatchLanded, Observers
from nexus_engine.state.records import Intent, WindowCounts
from nexus_engine.state.store import Store
from nexus_plugins.sinks.clickhouse.options import ClickHouseOptions
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink

COLUMNS = (Column("id", "UInt64"), Column("part", "LowCardinality(String)"))


class Bench:
    """A data folder with everything open, and batches of rows 0..n-1 in two partitions."""

    def __init__(self, data: Path) -> None:
        self.data_dir = data
        self.store = Store.open(data / "state.db")
        self.engine = Engine(data / "clickhouse")
        for name in ("raw", "spool"):
            (data / name).mkdir(exist_ok=True)
        self.sink = ClickHouseSink(ClickHouseOptions(), self)
        self.events: list[Any] = []
        self.observers = Observers(self.events.append)

    def target(self, table: str = "t", **more: Any) -> Target:
        target = Target(sink="clickhouse", database="d", table=table, columns=COLUMNS, order_by=("id",), partition_by="part", **more)
        self.sink.prepare(target, apply=True)
        return target

    def staged(self, rows: int = 10, target: Target | None = None, *, refused: int = 0) -> Batch:
        """A batch of ``rows`` rows; its file begins with others that are not to land."""
        target = target or self.target()
        id, seq = self.store.new_batch_id()
        produced = self.data_dir / "raw" / f"{id}.spool.arrow"
        self.engine.query(
            f"INSERT INTO FUNCTION file('{produced}', 'Arrow', 'id Nullable(UInt64), part Nullable(String), _nexus_row UInt32, _ok UInt8') "
            f"SELECT if(number < {refused}, NULL, number), if(number % 2, 'odd', 'even'), number, number >= {refused} FROM numbers({rows + refused})"
        )
        path, digest = spool.commit(produced, self.data_dir / "spool" / f"{id}.arrow")
        batch = Batch(id=id, seq=seq, feed="f", run_id="r", target=target, path=str(path), rows=rows, sha256=digest)
        books = (WindowCounts(partition="", counts={"read": rows, "in_flight": rows}),)
        protocol.intend(self.store, Intent(id=id, feed="f", run_id="r", advances={}, batch=batch, books=books))
        return batch

    def deliver(self, batch: Batch, sink: Any = None, **more: Any) -> None:
        protocol.deliver(batch, sink or self.sink, self.store, self.observers, pause=lambda _: None, **more)

    def rows(self, batch: Batch) -> list[int]:
        return sorted(self.sink.landed(batch))

    def recover(self, sink: Any = None) -> list[Any]:
        return recover(self.store, lambda _: sink or self.sink, self.data_dir, self.observers)


@pytest.fixture
def bench(tmp_path):
    opened = Bench(tmp_path)
    yield opened
    opened.engine.close(), opened.store.close()


class Lying:
    """A sink whose first writes go wrong: each step is (rows that land: all | none | half, what is raised after)."""

    def __init__(self, sink: Any, *steps: tuple[str, Exception | None]) -> None:
        self.sink, self.steps, self.calls, self.readable = sink, list(steps), [], True

    def write(self, batch: Batch, rows: Sequence[int] | None = None) -> Rejects | None:
        self.calls.append(None if rows is None else len(rows))
        lands, error = self.steps.pop(0) if self.steps else ("all", None)
        if lands == "half":
            self.sink.write(batch, list(range(0, batch.rows, 2)))
        elif lands == "all":
            self.sink.write(batch, rows)
        if error:
            raise error
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)


def closed(bench: Bench, batch: Batch) -> bool:
    return bench.store.staged() == [] and not Path(batch.path).exists() and not list(bench.data_dir.glob("spool/*"))


def test_rows_that_stay_behind_are_not_of_the_batch(bench):
    batch = bench.staged(6, refused=4)
    assert batch.table().column_names == ["id", "part", "_nexus_row"]
    bench.sink.write(batch, [5, 7])
    bench.deliver(batch, recovered=True)
    assert bench.rows(batch) == [*range(4, 10)]
    assert bench.engine.rows("SELECT min(id) AS low, count() AS n FROM d.t") == [{"low": 4, "n": 6}]
    assert bench.store.staged() == []


def test_a_clean_delivery_reads_nothing_back(bench):
    batch = bench.staged()
    sink = Lying(bench.sink)
    sink.landed = sink.settle = lambda _: pytest.fail("presence is asked for only after uncertainty")
    bench.deliver(batch, sink)
    assert bench.rows(batch) == list(range(10)) and closed(bench, batch)
    assert bench.store.books("r")[0].counts == {"read": 10, "in_flight": 0, "landed": 10, "quarantined": 0}


RESET = ConnectionResetError("reset")


@pytest.mark.parametrize(
    "steps, calls",
    [
        ([("all", RESET)], [None]),  # executed, then error
        ([("none", RESET)], [None, None]),
        ([("half", RESET)], [None, 5]),
        ([("half", RESET), ("none", RESET), ("all", RESET)], [None, 5, 5]),
        ([("none", RESET), ("none", RESET), ("none", OSError(errno.EIO, "io"))], [None, None, None, None]),
    ],
)
def test_any_answer_but_success_writes_only_what_is_missing(bench, steps, calls):
    batch, sink = bench.staged(), Lying(bench.sink, *steps)
    bench.deliver(batch, sink)
    assert bench.rows(batch) == list(range(10)) and closed(bench, batch) and sink.calls == calls


def test_tries_are_bounded_and_the_batch_stays_ours(bench):
    batch, sink = bench.staged(), Lying(bench.sink, *[("none", RESET)] * 20)
    with pytest.raises(StopFeed, match="could not be delivered to d.t: ConnectionResetError: reset") as error:
        bench.deliver(batch, sink)
    assert len(sink.calls) == 1 + protocol.TRIES and error.value.do
    assert bench.store.staged() == [batch] and Path(batch.path).exists()
    assert [r.error for r in bench.recover()] == [None]
    assert bench.rows(batch) == list(range(10)) and closed(bench, batch)


def test_a_full_disk_stops_the_engine_and_keeps_the_batch(bench):
    batch, sink = bench.staged(), Lying(bench.sink, *[("none", OSError(errno.ENOSPC, "full"))] * 20)
    with pytest.raises(OutOfSpace):
        bench.deliver(batch, sink)
    assert bench.store.staged() == [batch]


@pytest.mark.parametrize("more, found", [([3], "11 rows of the batch, 10 of them different"), ([77], "11 rows of the batch, 11 of them different")])
def test_more_rows_than_the_batch_has_stop_the_feed(bench, more, found):
    batch = bench.staged()
    bench.sink.write(batch)
    bench.engine.query(f"INSERT INTO d.t (id, part, _nexus_batch, _nexus_row) SETTINGS insert_allow_materialized_columns=1 VALUES (1, 'x', '{batch.id}', {more[0]})")
    with pytest.raises(StopFeed, match=found):
        bench.deliver(batch, recovered=True)
    assert bench.store.staged() == [batch] and len(bench.rows(batch)) == 11


def test_a_foreign_row_number_stops_the_feed(bench):
    batch = bench.staged()
    bench.engine.query(f"INSERT INTO d.t (id, part, _nexus_batch, _nexus_row) SETTINGS insert_allow_materialized_columns=1 VALUES (1, 'x', '{batch.id}', 500)")
    with pytest.raises(StopFeed, match="rows that the batch does not have"):
        bench.deliver(batch, recovered=True)
    assert bench.rows(batch) == [500]


@pytest.mark.parametrize("damage, says", [(lambda p: p.unlink(), "is missing"), (lambda p: p.write_bytes(p.read_bytes()[:-9]), "is damaged")])
def test_a_damaged_spool_file_is_never_inserted(bench, damage, says):
    batch, other = bench.staged(), bench.staged(target=bench.target("other"))
    later = bench.staged()
    damage(Path(batch.path))
    outcomes = bench.recover()
    assert [(o.batch.id, o.error is None) for o in outcomes] == [(batch.id, False), (other.id, True), (later.id, False)]
    assert says in outcomes[0].error.what
    assert bench.rows(batch) == [] == bench.rows(later), "a later batch of the table waits for the earlier one"
    assert [b.id for b in bench.store.staged()] == [batch.id, later.id] and Path(later.path).exists()


def test_a_missing_spool_file_does_not_matter_once_every_row_is_there(bench):
    batch = bench.staged()
    bench.sink.write(batch)
    Path(batch.path).unlink()
    assert [o.error for o in bench.recover()] == [None] and closed(bench, batch)


def test_recovery_delivers_in_sequence_cleans_up_and_closes_runs(bench):
    bench.store.start_run("r", "f", "once", "2026-01-01T00:00:00Z")
    batches = [bench.staged(rows) for rows in (3, 4, 5)]
    bench.sink.write(batches[0], [0, 2])
    for orphan in ("raw/x.jsonl", "spool/y.arrow", "spool/z.rows"):
        (bench.data_dir / orphan).write_text("x")
    assert [o.batch.id for o in bench.recover()] == [b.id for b in batches]
    assert [bench.rows(b) for b in batches] == [list(range(n)) for n in (3, 4, 5)]
    assert list(bench.data_dir.glob("raw/*")) + list(bench.data_dir.glob("spool/*")) == []
    assert [e.recovered for e in bench.events if isinstance(e, BatchLanded)] == [True] * 3
    assert bench.store.run("r").status == "interrupted" and bench.recover() == []


def test_recovery_works_from_a_folder_that_was_moved(tmp_path):
    old = Bench(tmp_path / "old")
    batch = old.staged()
    old.engine.close(), old.store.close()
    new = Bench((tmp_path / "old").rename(tmp_path / "new"))
    assert [o.error for o in new.recover()] == [None] and new.rows(batch) == list(range(10))
    new.engine.close(), new.store.close()


def test_recovery_waits_for_an_insert_that_its_caller_gave_up(bench):
    batch = bench.staged(1_000_000)
    thread = threading.Thread(target=bench.sink.write, args=(batch,))
    thread.start()
    while not bench.engine.rows("SELECT 1 FROM system.processes WHERE query_kind = 'Insert'") and thread.is_alive():
        pass
    bench.deliver(batch, recovered=True)
    thread.join()
    assert bench.engine.rows("SELECT count() AS n, uniqExact(_nexus_row) AS u FROM d.t") == [{"n": 1_000_000, "u": 1_000_000}]


def test_rows_a_sink_refuses_for_good_go_to_quarantine(bench):
    class Refusing(Lying):
        def write(self, batch: Batch, rows: Sequence[int] | None = None) -> Rejects:
            self.sink.write(batch, [n for n in range(batch.rows) if n != 4])
            return Rejects({4: "too odd"})

    batch = bench.staged()
    bench.deliver(batch, Refusing(bench.sink))
    (kept,) = bench.store.quarantine("f")
    assert json.loads(kept.raw) == {"id": 4, "part": "even", "_nexus_row": 4} and kept.reasons == ("sink: too odd",)
    assert bench.store.books("r")[0].counts == {"read": 10, "in_flight": 0, "landed": 9, "quarantined": 1}
    keyed = bench.target("keyed", key=("id",))
    for _ in range(2):
        bench.deliver(bench.staged(target=keyed), Refusing(bench.sink))
    assert [entry.times for entry in bench.store.quarantine("f")] == [2, 1]


def test_a_sink_that_cannot_be_read_back_is_written_again(bench):
    batch, sink = bench.staged(), Lying(bench.sink, ("none", RESET))
    sink.readable, sink.landed = False, lambda _: pytest.fail("not readable")
    bench.deliver(batch, sink)
    assert sink.calls == [None, None] and closed(bench, batch)


def test_a_lost_table_stops_its_feed_only(bench):
    lost, kept = bench.staged(target=bench.target("lost")), bench.staged()
    bench.engine.query("DROP TABLE d.lost")
    first, second = bench.recover()
    assert first.error is not None and "lost" in str(first.error) and second.error is None
    assert bench.rows(kept) == list(range(10)) and bench.store.staged() == [lost]


def test_an_insert_over_many_rows_and_blocks_is_one_part_per_partition(bench):
    batch = bench.staged(2_500_000)
    bench.deliver(batch)
    parts = bench.engine.rows("SELECT partition, count() AS n FROM system.parts WHERE table = 't' AND level = 0 AND active GROUP BY 1 ORDER BY 1")
    assert parts == [{"partition": "even", "n": 1}, {"partition": "odd", "n": 1}]


def test_identical_batches_both_land(bench):
    for batch in (bench.staged(), bench.staged()):
        bench.engine.query("ALTER TABLE d.t MODIFY SETTING non_replicated_deduplication_window = 100")
        bench.deliver(batch)
    assert bench.engine.rows("SELECT count() AS n FROM d.t") == [{"n": 20}]


def test_a_merging_engine_may_have_rows_inserted_again_and_a_folding_one_may_not(bench):
    target = bench.target("r", engine="ReplacingMergeTree")
    batch = bench.staged(target=target)
    bench.sink.write(batch, [1, 2])
    bench.deliver(batch, recovered=True)
    assert bench.engine.rows("SELECT count() AS n FROM d.r FINAL") == [{"n": 10}]
    folding = bench.staged(target=bench.target("s", engine="SummingMergeTree"))
    bench.sink.write(folding, [1, 2])
    with pytest.raises(StopFeed, match="its merges fold rows"):
        bench.deliver(folding, recovered=True)


def test_spooling_names_what_the_disk_says(tmp_path):
    with pytest.raises(StateDamaged, match="the disk failed"):
        spool.commit(tmp_path / "missing", tmp_path / "id.arrow")
    with pytest.raises(OutOfSpace, match="no space is left"), spool.disk_errors(tmp_path):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")


def test_a_conflict_before_the_intent_leaves_the_table_alone(bench):
    batch = bench.staged()
    bench.deliver(batch)
    intent = Intent(id="x", feed="f", run_id="r", advances={"": ({"at": 1}, {"at": 2})}, batch=batch)
    with pytest.raises(PositionConflict):
        protocol.intend(bench.store, intent)
    assert bench.store.staged() == []


def test_prepare_makes_what_is_missing_and_stops_at_what_differs(bench):
    keyed = Target(sink="clickhouse", database="new", table="t", columns=COLUMNS, key=("id",))
    assert bench.sink.current(keyed) is None
    statements = bench.sink.prepare(keyed, apply=False)
    assert len(statements) == 3 and bench.sink.current(keyed) is None
    assert bench.sink.prepare(keyed, apply=True) == statements and bench.sink.prepare(keyed, apply=True) == ()
    assert bench.sink.current(keyed) == "`new`.`t`"
    assert bench.engine.rows("SELECT count() AS n FROM new.t_latest") == [{"n": 0}]
    wider = Target(sink="clickhouse", database="new", table="t", columns=(*COLUMNS, Column("more", "String")), key=("id",))
    assert any("ADD COLUMN" in statement for statement in bench.sink.prepare(wider, apply=True))
    other = Target(sink="clickhouse", database="new", table="t", columns=(Column("id", "String"), *COLUMNS[1:]), key=("id",))
    with pytest.raises(TableDiffers, match=r"\+  id UInt64"):
        bench.sink.prepare(other, apply=True)


def test_every_crash_point_is_described_and_unknown_ones_are_refused(monkeypatch):
    monkeypatch.setenv("NEXUS_CRASH_AT", "none")
    for name in crash.POINTS:
        assert f"{name.split('.')[0]}." in crash.__doc__
        crash.point(name)
    with pytest.raises(ValueError, match="not a registered crash point"):
        crash.point("insert.sideways")
