"""Rules of rows and batches, the compare step, problems of a spec, the Plan as JSON."""

from __future__ import annotations

import msgspec
import pytest
from compile_harness import RUN, plan_of

from nexus_engine.compile.compiler import CompileError
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.options import encode_text

ROW_RULES = [
    ({"expect": "not_null", "field": "v"}, "Nullable(Int32)", [1, None], [1, 0]),
    ({"expect": "expect_column_values_to_not_be_null", "field": "v"}, "Nullable(Int32)", [1, None], [1, 0]),
    ({"expect": "between", "field": "v", "min": "-1.5", "max": "1e7"}, "Nullable(Int32)", [-2, -1, 10000000, 10000001, None], [0, 1, 1, 0, 1]),
    ({"expect": "between", "field": "v", "min": "18446744073709551615"}, "UInt64", ["18446744073709551614", "18446744073709551615"], [0, 1]),
    ({"expect": "between", "field": "v", "max": "0.1"}, "Decimal(30, 20)", ["0.1", "0.10000000000000000001"], [1, 0]),
    ({"expect": "between", "field": "v", "min": "2024-01-01"}, "Date", ["2023-12-31", "2024-01-01"], [0, 1]),
    ({"expect": "expect_column_values_to_be_between", "field": "v", "min": "0"}, "Float64", ["-0.0", "-1e-300"], [1, 0]),
    ({"expect": "in_set", "field": "v", "values": ["a", "b'"]}, "String", ["a", "b'", "c"], [1, 1, 0]),
    ({"expect": "in_set", "field": "v", "values": ["1", "3"]}, "UInt8", [1, 2], [1, 0]),
    ({"expect": "not_in_set", "field": "v", "values": ["a"]}, "LowCardinality(Nullable(String))", ["a", "b", None], [0, 1, 1]),
    ({"expect": "match_regex", "field": "v", "regex": "^[A-Z]{3}$"}, "String", ["USD", "usd", "USDT"], [1, 0, 0]),
    ({"expect": "not_match_regex", "field": "v", "regex": "x"}, "String", ["ax", "b"], [0, 1]),
    ({"expect": "value_lengths_between", "field": "v", "min": "1", "max": "2"}, "String", ["", "é", "ééé"], [0, 1, 0]),
    ({"expect": "sql", "sql": "v > 1 AND v % 2 = 0"}, "Nullable(Int32)", [2, 3, None], [1, 0, 0]),
    ({"expect": "null", "field": "v"}, "Nullable(Int32)", [None, 1], [1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "kind", "values", "ok"), ROW_RULES, ids=[f"{row[0]['expect']}-{row[1]}" for row in ROW_RULES])
def test_row_rule(feed, rule, kind, values, ok) -> None:
    bench = feed({"v": kind}, validate=[rule])
    assert [row["_ok"] for row in bench.map([{"v": value} for value in values])] == ok
    assert sorted(i for _, i in bench.refused()) == [n for n, good in enumerate(ok) if not good]
    assert all("rule:" in reasons[0] for reasons in bench.refused().values())


BATCH_RULES = [
    ({"expect": "row_count", "min": "2"}, True), ({"expect": "row_count_between", "min": "5"}, False), ({"expect": "unique", "field": "k"}, False),
    ({"expect": "unique", "field": "k", "mostly": "0.7"}, True), ({"expect": "compound_unique", "fields": ["k", "v"]}, True),
    ({"expect": "increasing", "field": "v"}, True), ({"expect": "increasing", "field": "k"}, False),
    ({"expect": "freshness", "field": "d", "within": "2d"}, True), ({"expect": "freshness", "field": "d", "within": "1h"}, False),
    ({"expect": "mean_between", "field": "v", "min": "2", "max": "3"}, True), ({"expect": "max_between", "field": "v", "max": "3"}, False),
    ({"expect": "min_between", "field": "d", "min": "2026-01-01"}, True), ({"expect": "sum_between", "field": "v", "min": "10", "max": "10"}, True),
    ({"expect": "between", "field": "v", "max": "3", "mostly": "0.7"}, True), ({"expect": "between", "field": "v", "max": "3", "mostly": "0.9"}, False),
    ({"expect": "between", "field": "v", "max": "3", "severity": "warn"}, False), ({"expect": "between", "field": "v", "max": "4", "severity": "fail"}, True),
]  # fmt: skip


def test_batch_rules(engine, feed) -> None:
    rules = [msgspec.convert(rule, dict) for rule, _ in BATCH_RULES]
    rules = [{**rule, **({"mostly": float(rule["mostly"])} if "mostly" in rule else {})} for rule in rules]
    bench = feed({"k": "String", "v": "Int32", "d": "Date"}, validate=rules)
    rows = bench.map([{"k": k, "v": v, "d": "2026-01-01"} for k, v in (("a", 1), ("c", 2), ("b", 3), ("a", 4))])
    assert all(row["_ok"] for row in rows)
    (counts,) = engine.rows(bench.plan.query.rules_sql(bench.mapped, RUN))
    verdicts = bench.plan.query.judge_rules(counts)
    assert [verdict.ok for verdict in verdicts] == [ok for _, ok in BATCH_RULES]
    assert [verdict.severity for verdict in verdicts][-2:] == ["warn", "fail"]
    assert verdicts[1].message == "row_count_between: 4, allowed is 5 to .."
    assert verdicts[2].message == "unique(k): 1 of 4 rows fail"


def test_compare_by_key(feed) -> None:
    fields = {
        "s": {"type": "LowCardinality(String)", "from": "each.s"}, "d": "Date", "v": "Nullable(Float64)", "x": "Decimal(40, 5)", "l": "Array(Nullable(UInt8))",
        "m": "Map(String, UInt8)", "e": "Enum8('a' = 1, 'b' = 2)", "u": "Nullable(UUID)", "w": "Int256", "t": "Tuple(a UInt8, b Nullable(String))", "at": {"type": "DateTime", "from": "run.started_at"},
    }  # fmt: skip
    bench = feed(fields, each={"s": ["q"]}, target={"key": ["s", "d"]})
    base = {"v": None, "x": "1.5", "l": [1, None], "m": {"k": 1}, "e": "a", "u": None, "w": str(-(2**200)), "t": {"a": 1, "b": None}}
    k = {"each_s": "q"}
    bench.map([{**base, "d": "2024-01-01"}, {**base, "d": "2024-01-02", "v": 1}, {**base, "d": "2024-01-01"}], k=k)
    assert bench.counts() == {"new": 2, "revised": 0, "unchanged": 0, "superseded": 1}
    assert bench.counts(compare=False) == {"new": 2, "revised": 0, "unchanged": 0, "superseded": 1}
    # each id is newer than the one before by its first half, and smaller in its second
    batches = (f"0190{n:04x}-0000-7000-{0xBFFF - n:04x}-000000000000" for n in range(1000))
    bench.land(next(batches))
    assert len(bench.table()) == 2
    changes = [{"v": 0}, {"x": "1.50001"}, {"l": [1]}, {"m": {"k": 2}}, {"e": "b"}, {"u": "61f0c404-5cb3-11e7-907b-a6006ad3dba0"}, {"w": "1"}, {"t": {"a": 1, "b": ""}}]
    for n, change in enumerate(changes):
        changed = {**base, **change, "d": "2024-01-01"}
        bench.map([changed, {**base, "d": "2024-01-02", "v": "1.0"}, {**base, "d": f"2024-02-{n + 1:02}"}], k=k)
        # the second day follows `base` in all but `v`, one change behind
        assert bench.counts() == {"new": 1, "revised": 1 if n < 2 else 2, "unchanged": 1 if n < 2 else 0, "superseded": 0}, change
        bench.land(next(batches))
        bench.map([changed], k=k)
        assert bench.counts() == {"new": 0, "revised": 0, "unchanged": 1, "superseded": 0}, change
        bench.land(next(batches))
        bench.map([{**base, "d": "2024-01-01"}], k=k)
        assert bench.counts()["revised"] == 1, change
        bench.land(next(batches))
        base = {**base, **change}
        bench.map([{**base, "d": "2024-01-01"}], k=k)
        bench.land(next(batches))


def test_latest_view_follows_the_order_of_batches(engine, feed) -> None:
    bench = feed({"k": "String", "v": "UInt8"}, target={"key": ["k"]})
    for batch, value in (("01900000-0000-7000-bfff-ffffffffffff", 1), ("01900001-0000-7000-8000-000000000000", 2)):
        bench.map([{"k": "a", "v": value}])
        bench.land(batch)
    target = bench.plan.target
    assert engine.rows(f"SELECT * FROM {target.database}.{target.table}_latest") == [{"k": "a", "v": 2}]


def test_plan_is_plain_data() -> None:
    plan = plan_of({"k": "String", "v": "Nullable(Float64)"}, validate=[{"expect": "row_count", "min": "1"}], cursor={"field": "k"}, target={"key": ["k"]})
    text = msgspec.json.encode(plan, enc_hook=encode_text)
    assert msgspec.json.decode(text, type=Plan) == plan


def test_position_hash_is_over_meaning() -> None:
    def hashed(**words) -> str:
        return plan_of({"d": "Date"}, cursor={"field": "d"}, target={"table": "m.t"}, **words).position_hash

    base = hashed(options={"endpoint": "http://x/a", "timeout": "1s"}, each={"s": ["1"]})
    assert base == hashed(options={"endpoint": "http://x/a", "timeout": "9s", "rate": "1/s"}, each={"s": ["1", "2"]})
    assert base != hashed(options={"endpoint": "http://x/b"}, each={"s": ["1"]})
    assert base != hashed(options={"endpoint": "http://x/a"}, each={"t": ["1"]})
    assert base != hashed(options={"endpoint": "http://x/a"}, each={"s": ["1"]}, records="x")


def test_every_problem_at_its_key() -> None:
    with pytest.raises(CompileError) as caught:
        plan_of(
            {
                "a": "Strng", "b": {"type": "String", "from": "each.sries"}, "c": {"type": "String", "from": "x..y"}, "d": {"type": "UInt8", "epoch": "s"},
                "e": {"type": "Date", "format": "%Q"}, "_p": "UInt8", "f": {"type": "UInt8", "sql": "now()"}, "g": {"type": "UInt8", "value": "1", "from": "x"},
                "n": "Nullable(UInt8)", "h": {"type": "String", "value": "{{ run.startd_at }}"},
            },
            each={"series": ["x"]}, validate=[{"expect": "betwen", "field": "a"}, {"expect": "not_null", "field": "zz"}, {"expect": "between", "field": "d"}],
            target={"key": ["nope", "n"], "table": "x", "partition_by": "rand()"}, cursor={"field": "zzz"},
        )  # fmt: skip
    found = {(problem.path, problem.code) for problem in caught.value.problems}
    assert found == {
        ("fields.a.type", "bad-type"), ("fields.b.from", "unknown-name"), ("fields.c.from", "unknown-name"), ("fields.d.epoch", "bad-format"), ("fields.e.format", "bad-format"),
        ("fields._p", "reserved-name"), ("fields.f.sql", "bad-sql"), ("fields.g", "two-sources"), ("fields.h.value", "unknown-name"), ("validate[0].expect", "unknown-rule"),
        ("validate[1].field", "unknown-field"), ("validate[2]", "bad-rule"), ("target.table", "bad-table"), ("target.key", "unknown-field"), ("target.key", "nullable-key"),
        ("target.partition_by", "bad-sql"), ("cursor.field", "unknown-field"),
    }  # fmt: skip
    suggested = {problem.path: problem.suggestion for problem in caught.value.problems}
    assert suggested["fields.a.type"] == "String"
    assert suggested["fields.b.from"] == "each.series"
    assert suggested["fields.h.value"] == "run.started_at"
    assert suggested["validate[0].expect"] == "between"
