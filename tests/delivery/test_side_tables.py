"""A batch in a side table: the target takes its parts in as they are, and after any doubt its rows are read back and written one by one."""

from __future__ import annotations

from typing import Any

import pytest
from test_protocol import RESET, Bench, Lying

from nexus_engine.contract.sink import Batch, Sides, Target
from nexus_engine.contract.source import Partition, Payload, Window
from nexus_engine.deliver import protocol
from nexus_engine.deliver.lines import missing_lines
from nexus_engine.deliver.stage import Stage
from nexus_engine.errors import RetryLater, StopFeed
from nexus_engine.state.records import Intent, WindowCounts
from nexus_plugins.sinks.clickhouse.options import ClickHouseOptions
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink

SIDE = "_nexus_side_clickhouse"


class SideBench(Bench):
    def side(self, rows: int = 10, target: Target | None = None) -> Batch:
        """A staged batch of ``rows`` rows in two partitions."""
        target = target or self.target()
        id, seq = self.store.new_batch_id()
        table = self.sink.side_table(target, id, [batch.id for batch in self.store.staged()])
        assert table is not None
        self.engine.query(
            f"INSERT INTO {table} (id, part, _nexus_batch, _nexus_row) SELECT number, if(number % 2, 'odd', 'even'), '{id}', number FROM numbers({rows})",
            settings={"insert_allow_materialized_columns": 1},
        )
        batch = Batch(id=id, seq=seq, feed="f", run_id="r", target=target, path=str(self.data_dir / "spool" / f"{id}.arrow"), rows=rows, sha256="")
        books = (WindowCounts(partition="", counts={"read": rows, "in_flight": rows}),)
        protocol.intend(self.store, Intent(id=id, feed="f", run_id="r", advances={}, batch=batch, books=books))
        return batch

    def sides(self) -> list[str]:
        return [row["name"] for row in self.engine.rows(f"SELECT name FROM system.tables WHERE database = '{SIDE}' ORDER BY name")]

    def parts(self, table: str = "t") -> list[dict[str, Any]]:
        """Active parts of a table, and whether any insert wrote them there: a part that was taken in is linked."""
        return self.engine.rows(f"SELECT partition, path, rows FROM system.parts WHERE table = '{table}' AND active ORDER BY partition")


@pytest.fixture
def bench(tmp_path):
    opened = SideBench(tmp_path)
    yield opened
    opened.engine.close(), opened.store.close()


def closed(bench: SideBench) -> bool:
    return bench.store.staged() == [] and bench.sides() == [] and not list(bench.data_dir.glob("spool/*"))


def test_the_clickhouse_sink_has_side_tables(bench):
    assert isinstance(bench.sink, Sides)


def test_parts_are_taken_in_as_they_are(bench):
    batch = bench.side()
    files = {row["partition"]: bench.data_dir.joinpath(row["path"], "data.bin").stat().st_ino for row in bench.parts(batch.id)}
    sink = Lying(bench.sink)
    sink.landed = sink.settle = lambda _: pytest.fail("presence is asked for only after uncertainty")
    bench.deliver(batch, sink)
    assert bench.rows(batch) == list(range(10))
    taken = {row["partition"]: bench.data_dir.joinpath(row["path"], "data.bin").stat().st_ino for row in bench.parts()}
    assert taken == files
    assert set(files) == {"even", "odd"}
    assert closed(bench)


@pytest.mark.parametrize(
    "steps, calls",
    [
        ([("all", RESET)], [None]),  # executed, then error
        ([("none", RESET)], [None, 10]),
        ([("half", RESET)], [None, 5]),
        ([("half", RESET), ("none", RESET), ("all", RESET)], [None, 5, 5]),
    ],
)
def test_any_answer_but_success_writes_only_what_is_missing(bench, steps, calls):
    batch, sink = bench.side(), Lying(bench.sink, *steps)
    bench.deliver(batch, sink)
    assert bench.rows(batch) == list(range(10))
    assert closed(bench)
    assert sink.calls == calls


def test_tries_are_bounded_and_the_side_table_stays(bench):
    batch, sink = bench.side(), Lying(bench.sink, *[("none", RESET)] * 20)
    with pytest.raises(StopFeed, match="could not be delivered to d.t: ConnectionResetError: reset"):
        bench.deliver(batch, sink)
    assert bench.sides() == [batch.id]
    other = bench.side(3)  # another process would begin so: what is staged is not swept away
    again = ClickHouseSink(ClickHouseOptions(), bench)
    assert again.side_table(bench.target("u"), "01900000-0000-7000-8000-000000000001", [batch.id, other.id])
    assert bench.sides() == ["01900000-0000-7000-8000-000000000001", batch.id, other.id]
    assert [outcome.error for outcome in bench.recover()] == [None, None]
    assert [bench.rows(one) for one in (batch, other)] == [list(range(10)), list(range(3))]


def test_what_a_dead_process_left_is_removed_at_the_first_call(bench):
    batch = bench.side()
    for name in ("dead-1", "dead-2"):
        bench.engine.query(f"CREATE TABLE {SIDE}.`{name}` AS d.t")
    assert len(bench.sides()) == 3
    again = ClickHouseSink(ClickHouseOptions(), bench)
    again.side_table(batch.target, "new-1", [batch.id])
    assert sorted(bench.sides()) == sorted([batch.id, "new-1"])
    again.side_table(batch.target, "new-2", [])  # later calls remove nothing: other feeds of this process are at work
    assert sorted(bench.sides()) == sorted([batch.id, "new-1", "new-2"])


@pytest.mark.parametrize("change", ["ADD COLUMN more String DEFAULT 'd'", "MODIFY TTL toDateTime(id) + INTERVAL 100 YEAR", "ADD INDEX i id TYPE minmax", "MODIFY COLUMN part String"])
@pytest.mark.parametrize("recovered", [False, True])
def test_a_target_that_changed_since_gets_the_rows(bench, change, recovered):
    batch = bench.side()
    bench.engine.query(f"ALTER TABLE d.t {change}")
    bench.deliver(batch, recovered=recovered)
    assert bench.rows(batch) == list(range(10))
    assert bench.engine.rows("SELECT count() AS n, sum(id) AS s FROM d.t WHERE part IN ('even', 'odd')") == [{"n": 10, "s": 45}]
    assert closed(bench)


def test_a_materialized_view_sees_every_row(bench):
    batch = bench.side()
    bench.engine.query("CREATE TABLE d.sums (part String, n UInt64) ENGINE = SummingMergeTree ORDER BY part")
    bench.engine.query("CREATE MATERIALIZED VIEW d.feeder TO d.sums AS SELECT part, count() AS n FROM d.t GROUP BY part")
    bench.deliver(batch)
    assert bench.engine.rows("SELECT part, sum(n) AS n FROM d.sums GROUP BY part ORDER BY part") == [{"part": "even", "n": 5}, {"part": "odd", "n": 5}]
    assert bench.sink.side_table(batch.target, "one-more", []) is None, "the next batch goes another way from the start"
    assert closed(bench)


@pytest.mark.parametrize("more", [{"engine": "ReplacingMergeTree"}, {"ttl": "toDateTime(id) + INTERVAL 100 YEAR"}])
def test_targets_that_do_more_to_rows_than_keep_them_have_no_side_tables(bench, more):
    assert bench.sink.side_table(bench.target(**more), "id", []) is None
    assert not bench.sides()


def test_a_target_that_is_not_there_has_none(bench):
    assert bench.sink.side_table(Target(sink="clickhouse", database="d", table="gone", columns=()), "id", []) is None


def test_a_target_that_cannot_be_copied_has_none(bench):
    """ClickHouse asks anew whether a type is allowed, which a setting of the session allowed when the table was made."""
    target = bench.target()
    bench.engine.query("ALTER TABLE d.t ADD COLUMN odd LowCardinality(UInt8) SETTINGS allow_suspicious_low_cardinality_types = 1")
    assert bench.sink.side_table(target, "id", []) is None
    assert not bench.sides()


def test_a_side_table_that_cannot_be_dropped_holds_nothing_up(bench):
    class NoDrop(Lying):
        def drop_side(self, target: Target, batch_id: str) -> None:
            raise RetryLater("DROP timed out", did="nothing")

    batch, later = bench.side(), bench.side(3)
    bench.deliver(batch, NoDrop(bench.sink))
    assert [staged.id for staged in bench.store.staged()] == [later.id]
    assert [outcome.error for outcome in bench.recover(NoDrop(bench.sink))] == [None]
    assert [bench.rows(one) for one in (batch, later)] == [list(range(10)), list(range(3))]
    assert bench.sides() == [batch.id, later.id]


def test_a_sink_that_has_no_side_tables_any_more_is_named(bench):
    class Other:
        readable = True

        def settle(self, batch: Batch) -> None: ...

        def landed(self, batch: Batch) -> list[int]:
            return []

    batch = bench.side()
    (outcome,) = bench.recover(Other())
    assert "in a side table of the sink clickhouse, which is one without side tables now" in outcome.error.what
    assert [staged.id for staged in bench.store.staged()] == [batch.id]


def test_a_lost_side_table_stops_its_feed_and_nothing_is_guessed(bench):
    batch, other = bench.side(), bench.side(target=bench.target("other"))
    bench.engine.query(f"DROP TABLE {SIDE}.`{batch.id}` SYNC")
    first, second = bench.recover()
    assert "the side table of batch" in first.error.what
    assert "holds 0 rows, and its 10 rows are not all in d.t" in first.error.what
    assert second.error is None
    assert bench.rows(batch) == []
    assert [staged.id for staged in bench.store.staged()] == [batch.id]


def test_a_lost_side_table_does_not_matter_once_every_row_is_there(bench):
    batch = bench.side()
    bench.sink.write(batch)
    bench.engine.query(f"DROP TABLE {SIDE}.`{batch.id}` SYNC")
    assert [outcome.error for outcome in bench.recover()] == [None]
    assert bench.rows(batch) == list(range(10))
    assert closed(bench)


def test_indexes_and_codecs_are_taken_along(bench):
    bench.target("wide", indexes=("at id TYPE minmax GRANULARITY 1",), settings={"index_granularity": "512"})
    target = bench.target("wide")
    batch = bench.side(5000, target)
    bench.deliver(batch)
    assert bench.engine.rows("SELECT count() AS n, sum(id) AS s FROM d.wide") == [{"n": 5000, "s": sum(range(5000))}]
    assert bench.engine.rows("SELECT sum(secondary_indices_compressed_bytes) > 0 AS there FROM system.parts WHERE table = 'wide' AND active") == [{"there": 1}]


@pytest.mark.parametrize("records, good", [(10, [0, 1, 2, 9]), (3, []), (4, [0, 1, 2, 3]), (100, [*range(50), *range(90, 100)])])
def test_refused_records_are_the_missing_numbers(bench, records, good):
    table = bench.sink.side_table(bench.target(), "x", [])
    if good:
        bench.engine.query(f"INSERT INTO {table} (id, _nexus_row) SETTINGS insert_allow_materialized_columns = 1 VALUES {', '.join(f'({n}, {n})' for n in good)}")
    assert missing_lines(bench.engine, table, records) == [n for n in range(records) if n not in good]


def test_numbers_of_lines_are_records_of_payloads(tmp_path):
    stage = Stage(tmp_path / "lines.jsonl")
    unit = stage.unit(Partition("", {}), Window(), stage)
    for lines, text in ((2, b"1\n2\n"), (0, b""), (3, b"3\n4\n5\n"), (1, b"6\n")):
        stage.add(unit, Payload(text, {}, line=1, records=lines))
    stage.close()
    assert stage.places([0, 1, 3, 5]) == {0: [0, 1], 2: [1], 3: [0]}
    assert stage.places([]) == {}


@pytest.mark.parametrize("lengths", [[5] * 9000, [40_000] + [1] * 3000, [1] * 3000 + [40_000], [30_000] * 3])
def test_records_are_found_however_long_the_lines_before_them_are(tmp_path, lengths):
    """A part of the payload is read, as if all lines had one length; more of it where they have not."""
    lines = [b"%d%s" % (number, b"x" * length) for number, length in enumerate(lengths)]
    text = b"\n".join(lines) + b"\n"
    stage = Stage(tmp_path / "lines.jsonl")
    unit = stage.unit(Partition("", {}), Window(), stage)
    for _ in range(2):
        stage.add(unit, Payload(text, {}, line=1, records=len(lines)))
    stage.close()
    for staged in stage.payloads:
        for numbers in ([0], [len(lines) - 1], [len(lines) // 2], [0, 1, len(lines) - 1]):
            assert stage.records(staged, numbers) == [lines[number] for number in numbers]
        with pytest.raises(IndexError):
            stage.records(staged, [len(lines)])
