"""Quoting round-trips through the engine, types parse or say where not, DDL is deterministic, the diff knows ClickHouse's own spelling."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_engine.clickhouse import ddl, diff, spool
from nexus_engine.clickhouse.engine import Engine
from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import parse_type
from nexus_engine.contract.sink import Column, Target


@pytest.fixture(scope="module")
def engine():
    engine = Engine(None)
    yield engine
    engine.close()


HOSTILE = ["a\\", "a`; drop table x.z -- ", "\\`", "``", "\n", "\t", "\0", "\b\f\r", "\u202e", "'", '"', ".", "a.b", "😀", "\x7f", "\x1b", "\\n", "{x:String}", "/*", "--", "%s", "\u2028"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, max_size=60))
def test_texts_and_names_round_trip(engine, texts) -> None:
    names = list(dict.fromkeys([*texts, *HOSTILE]))
    (row,) = engine.rows(f"SELECT [{', '.join(map(literal, names))}] AS got")
    assert row["got"] == names
    engine.query("CREATE DATABASE IF NOT EXISTS q")
    engine.query(f"CREATE OR REPLACE TABLE q.t ({', '.join(f'{ident(name)} UInt8' for name in names)}) ENGINE = Memory")
    assert [found["name"] for found in engine.rows("SELECT name FROM system.columns WHERE database = 'q' AND table = 't' ORDER BY position")] == names


def test_what_cannot_be_named() -> None:
    for wrong in ("", "\ud800"):
        with pytest.raises(ValueError):
            ident(wrong)
    with pytest.raises(ValueError, match="character 2"):
        literal("a\ud800")


TYPES = [
    ("UInt8", ""), ("Int256", ""), ("Float32", ""), ("Decimal(10,2)", "Decimal(10, 2)"), ("Decimal(5)", "Decimal(5, 0)"), ("Decimal64(3)", "Decimal(18, 3)"), ("Decimal(76,76)", "Decimal(76, 76)"),
    ("DateTime", ""), ("DateTime('UTC')", ""), ("DateTime64(6,'America/New_York')", "DateTime64(6, 'America/New_York')"), ("DateTime64(3)", ""), ("Enum8('a'=1,'b\\'x'=-2)", "Enum8('b\\'x' = -2, 'a' = 1)"),
    ("Enum('x','y')", "Enum8('x' = 1, 'y' = 2)"), ("Enum16('x' = 300)", ""), ("LowCardinality(Nullable(String))", ""), ("FixedString( 3 )", "FixedString(3)"), ("Tuple(UInt8,String)", "Tuple(UInt8, String)"),
    ("Array(Tuple(a UInt8, `b c` Map(String,Array(Nullable(Date)))))", "Array(Tuple(a UInt8, `b c` Map(String, Array(Nullable(Date)))))"), ("Map(LowCardinality(String),UInt8)", "Map(LowCardinality(String), UInt8)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "canonical"), TYPES, ids=[row[0] for row in TYPES])
def test_types(engine, text: str, canonical: str) -> None:
    kind = parse_type(text)
    assert str(kind) == (canonical or text)
    assert parse_type(str(kind)) == kind
    (row,) = engine.rows(f"SELECT toTypeName(defaultValueOfTypeName({literal(text)})) AS name")
    assert str(parse_type(row["name"])) == str(kind)  # the engine reads it the same way


WRONG = [
    ("Uint8", "did you mean UInt8? at character 1"), ("Nullable(Array(String))", "character 1"), ("Array(", "character 7"), ("Foo(3)", "unknown type"), ("DateTime('Mars/X')", "character 10"),
    ("Array(String) x", "character 15"), ("", "character 1"), ("Decimal(80,2)", "1 to 76 at character 9"), ("Decimal(5,6)", "character 11"), ("Map(String", "character 11"), ("Map(Nullable(String), UInt8)", "key"),
    ("LowCardinality(UInt8)", "LowCardinality"), ("Enum8('a'=1,'a'=2)", "twice"), ("Enum8('a'=200)", "value"), ("Tuple(a UInt8, String)", "name all"), ("String'; DROP", "character 7"), ("JSON", "unknown type"),
    ("Nullable(LowCardinality(String))", "Nullable cannot"), ("FixedString(0)", "length"), ("DateTime64(10)", "0 to 9"), ("Array(" * 40 + "String" + ")" * 40, "deeper"), ("AggregateFunction(sum, UInt8)", "unknown type"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[row[0][:30] for row in WRONG])
def test_wrong_types(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_type(text)
    assert message in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("Nulabe(Strig)UIt8,' `=0123Tup\\DecmlAyMdx"), max_size=40))
def test_any_text_is_a_type_or_a_value_error(text: str) -> None:
    try:
        parse_type(text)
    except ValueError as error:
        assert "character" in str(error)


def target(**words) -> Target:
    columns = (
        Column("a b", "LowCardinality(String)", comment="it's", codec="ZSTD(3)"), Column("d", "Date"), Column("v", "Nullable(Decimal(10,2))"), Column("tz", "DateTime64(3,'UTC')", codec="Delta, ZSTD"),
        Column("e", "Enum('b','a')"), Column("t", "Tuple(x UInt8, `y z` String)"),
    )  # fmt: skip
    base = Target(sink="c", database="m", table="t", columns=columns, key=("a b", "d"), order_by=("a b", "d"))
    return msgspec.structs.replace(base, **words)


def live(engine, wanted: Target) -> diff.LiveTable | None:
    return diff.live_table(*(engine.rows(sql) for sql in diff.live_queries(wanted)))


CASES = [
    {}, {"partition_by": "toYYYYMM( d )", "ttl": "d + INTERVAL 10 YEAR"}, {"partition_by": "(toYYYYMM(d), tz)"}, {"key": (), "order_by": ()}, {"order_by": ("toStartOfMonth(d)", "a b")}, {"partition_by": "d", "order_by": ("d",)},
    {"engine": "ReplacingMergeTree(tz)"}, {"engine": "ReplacingMergeTree"}, {"indexes": ("idx_d d TYPE minmax GRANULARITY 3",), "comment": "it's", "settings": {"index_granularity": "1024"}}, {"engine": "MergeTree()"},
]  # fmt: skip


@pytest.mark.parametrize("n", range(len(CASES)))
def test_what_was_made_needs_nothing(engine, n: int) -> None:
    wanted = target(table=f"made{n}", **CASES[n])
    assert live(engine, wanted) is None
    first = diff.plan(wanted, None)
    assert first.statements == tuple(ddl.statements(wanted))
    for _ in range(2):  # every statement may run twice
        for statement in first.statements:
            engine.query(statement)
    assert diff.plan(wanted, live(engine, wanted)) == diff.Diff()
    (row,) = engine.rows(f"SELECT count() AS n FROM m.made{n}")
    assert row["n"] == 0
    assert "_nexus" not in str(engine.rows(f"DESCRIBE (SELECT * FROM m.made{n})"))
    assert "fsync_after_insert = 1" in live(engine, wanted).engine


def test_missing_columns_are_added_and_differences_block(engine) -> None:
    old = target(table="grown")
    for statement in ddl.statements(old):
        engine.query(statement)
    more = target(table="grown", columns=(Column("new", "UInt8"), *old.columns, Column("last`", "Array(String)", comment="c")))
    found = diff.plan(more, live(engine, more))
    assert not found.blocking
    for statement in found.statements:
        engine.query(statement)
    assert diff.plan(more, live(engine, more)) == diff.Diff()
    assert [row["name"] for row in engine.rows("DESCRIBE m.grown_latest")] == [column.name for column in more.columns]
    other = target(table="grown", columns=(Column("v", "Float64"),), order_by=("v",), partition_by="v", engine="ReplacingMergeTree")
    blocked = diff.plan(other, live(engine, other))
    assert blocked.text(other).splitlines() == [
        "--- spec", "+++ live table m.grown", "-  v Float64", "+  v Nullable(Decimal(10, 2))", "-  ENGINE = ReplacingMergeTree", "+  ENGINE = MergeTree", "-  PARTITION BY v", "+  PARTITION BY (none)",
        "-  ORDER BY v", "+  ORDER BY ab,d",
    ]  # fmt: skip


def test_foreign_table_gets_lineage(engine) -> None:
    engine.query("CREATE DATABASE IF NOT EXISTS m")
    engine.query("CREATE TABLE m.foreign (k String, v Float64, extra UInt8) ENGINE = MergeTree ORDER BY k")
    engine.query("INSERT INTO m.foreign VALUES ('a', 1, 2)")
    wanted = Target(sink="c", database="m", table="foreign", columns=(Column("k", "String"), Column("v", "Float64")), key=("k",), order_by=("k",))
    found = diff.plan(wanted, live(engine, wanted))
    assert not found.blocking and len(found.statements) == 3
    for statement in found.statements:
        engine.query(statement)
    assert diff.plan(wanted, live(engine, wanted)) == diff.Diff()
    assert engine.rows("SELECT *, toString(_nexus_batch) AS b FROM m.foreign") == [{"k": "a", "v": 1, "extra": 2, "b": ddl.NO_BATCH}]


def test_replicated_engines_are_the_same_table() -> None:
    made = diff.LiveTable(engine="ReplicatedMergeTree('/x/{shard}', '{replica}') ORDER BY k SETTINGS x = 1", partition_key="", sorting_key="k", columns={"k": "String", "_nexus_batch": "UUID", "_nexus_row": "UInt32"})
    wanted = Target(sink="c", database="m", table="r", columns=(Column("k", "String"),), order_by=("k",))
    assert diff.plan(wanted, made) == diff.Diff()
    replacing = msgspec.structs.replace(made, engine="ReplicatedReplacingMergeTree('/x/{shard}', '{replica}', v) ORDER BY k")
    assert diff.plan(msgspec.structs.replace(wanted, engine="ReplacingMergeTree(v)"), replacing) == diff.Diff()


def test_codec_and_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="no codec"):
        ddl.create_table(target(columns=(Column("a", "UInt8", codec="ZSTD) , x String"),)))
    with pytest.raises(ValueError, match="table setting"):
        ddl.create_table(target(settings={"a = 1, b": "2"}))


def test_feed_ddl_is_deterministic() -> None:
    one = ddl.feed_ddl(target(settings={"b": "x'", "a": "1"}))
    assert one == ddl.feed_ddl(target(settings={"a": "1", "b": "x'"}))
    assert one.endswith(";\n") and one.count(";\n") == 3
    assert "SETTINGS a = 1, b = 'x\\'', fsync_after_insert = 1, fsync_part_directory = 1" in one


def test_spool_structure() -> None:
    columns = (Column("a`b", "Array(LowCardinality(String))"), Column("k", "LowCardinality(Nullable(String))"), Column("n", "Int256"))
    assert spool.structure(columns) == "`a\\`b` Array(String), `k` Nullable(String), `n` Int256, `_nexus_row` UInt32, _ok Nullable(UInt8)"
    assert [spool.read_expression(column) for column in columns] == ["CAST(`a\\`b`, 'Array(LowCardinality(String))')", "CAST(`k`, 'LowCardinality(Nullable(String))')", "`n`"]
