"""`sql:` fields and `transform:`: what works, what is refused and where, and that the engine is asked before anything runs."""

from __future__ import annotations

import pytest
from compile_harness import plan_of

from nexus_engine.compile import scalar_functions, sqlcheck
from nexus_engine.compile.checks import check_with_engine
from nexus_engine.compile.compiler import CompileError


def bind(parts: tuple[str, ...]) -> str:
    return f"<{'/'.join(parts)}>"


@pytest.mark.parametrize(
    ("written", "rebuilt"),
    [
        ("toFloat64(value) * 1.5 + o.h", "(toFloat64(<value>) * 1.5 + <o/h>)"),
        ("arrayMap(x -> x + 1, tags)", "(arrayMap(x -> x + 1, <tags>))"),
        ("`a b` || \"c\"", "(<a b> || <c>)"),
        ("toDate(d) + INTERVAL 1 DAY", "(toDate(<d>) + INTERVAL 1 DAY)"),
        ("x ? 1 : 2", "(<x> ? 1 : 2)"),
        ("v::Decimal(10, 2)", "(<v>::Decimal(10, 2))"),
        ("a -- the rest", "(<a>)"),
        ("a /* b */ + c", "(<a> + <c>)"),
        ("CASE WHEN a THEN b ELSE 'x\\'y' END", "(CASE WHEN <a> THEN <b> ELSE 'x\\'y' END)"),
        ("a NOT IN (1, 2) AND b IS NULL", "(<a> NOT IN (1, 2) AND <b> IS NULL)"),
        ("map('k', 1)['k'] + t.2", "(map('k', 1)['k'] + <t/2>)"),
    ],
)
def test_expression(written: str, rebuilt: str) -> None:
    assert sqlcheck.expression(written, bind) == rebuilt


@pytest.mark.parametrize(
    "written",
    ["now()", "rand()", "today()", "generateUUIDv4()", "file('/etc/passwd')", "`file`('/etc/passwd')", "url('http://x')", "dictGet('d', 'a', 1)",
     "(SELECT 1)", "x IN (SELECT 1)", "count()", "sum(x) OVER ()", "sleep(1)", "getSetting('x')", "hostName()", "currentUser()", "joinGet('t', 'c', 1)",
     "a) FROM b", "a; DROP TABLE t", "{a:String}", "a AS b", "*", "a, b", "", "a +", "$$x$$", "arrayJoin(a)", "throwIf(1)", "EXISTS(SELECT 1)", "version()",
     "rowNumberInAllBlocks()", "a SETTINGS x = 1", "a FORMAT Null", "a INTO OUTFILE 'x'", "'unclosed", "@@x", "remote('h', 'd', 't')"],
)  # fmt: skip
def test_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^line 1, column \d+: "):
        sqlcheck.expression(written, bind)


def test_position_and_suggestion() -> None:
    with pytest.raises(ValueError, match=r"^line 2, column 4: `toflot64` is not a scalar function that works here, did you mean toFloat64\?"):
        sqlcheck.expression("a\n + toflot64(b)", bind)


def test_allow_list_is_still_right(engine) -> None:
    names = sorted(scalar_functions.CASE_SENSITIVE)
    quoted = ", ".join(f"'{name}'" for name in names)
    wrong = engine.rows(
        f"SELECT name FROM system.functions WHERE name IN ({quoted}) AND (is_aggregate OR NOT ifNull(deterministic, 1)) AND alias_to = ''"
    )
    assert wrong == []


def test_sql_fields(engine, feed) -> None:
    bench = feed(
        {
            "a": "Float64",
            "b": {"type": "Decimal(10, 2)", "sql": "a * 2 + toFloat64(o.x)"},
            "c": {"type": "String", "sql": "upper(each.s) || name"},
            "d": {"type": "Nullable(Date)", "sql": "day"},
            "e": {"type": "UInt8", "sql": "b > 3.5"},
            "f": {"type": "Enum8('x' = 1)", "sql": "lower(name)"},
        },
        each={"s": ["x"]},
    )
    assert check_with_engine(bench.plan, engine) == []
    rows = bench.map(
        [
            {"a": 1.5, "o": {"x": "2"}, "name": "X", "day": "2024-02-29"},
            {"a": 1.25, "o": {"x": "0.005"}, "name": "x"},
            {"a": 1, "o": {"x": "1"}, "name": "y"},
        ],
        k={"each_s": "zz"},
    )
    assert [(row["b"], row["c"], row["d"], row["e"], row["f"], row["_ok"]) for row in rows] == [
        ("5", "ZZX", "2024-02-29", 1, "x", 1),
        (None, "ZZx", None, None, "x", 0),
        ("3", "ZZy", None, 0, None, 0),
    ]
    assert bench.refused() == {(0, 1): ["b: null: no value", "e: null: no value"], (0, 2): ["f: null: no value"]}


def test_engine_finds_wrong_sql(engine) -> None:
    plan = plan_of({"a": "Float64", "b": {"type": "String", "sql": "toDate(a, 1, 2, 3)"}, "c": {"type": "String", "sql": "upper(a)"}})
    problems = check_with_engine(plan, engine)
    assert [problem.path for problem in problems] == ["fields.b.sql", "fields.c.sql"]
    assert "toDate" in problems[0].message


def test_a_list_of_a_text_that_may_be_null_says_what_to_write(engine, feed) -> None:
    """ClickHouse's own words for it are `Nested type Array(String) cannot be inside Nullable type`."""
    wrong = {"b": "JSONExtractArrayRaw(tags)", "c": "JSONExtractArrayRaw(other)", "d": "JSONExtract(tags, 'Map(String, String)')"}
    plan = plan_of({"tags": "Nullable(String)", **{name: {"type": "String", "sql": f"toString({sql})"} for name, sql in wrong.items()}})
    problems = check_with_engine(plan, engine)
    assert [problem.path for problem in problems] == ["fields.b.sql", "fields.c.sql", "fields.d.sql"]
    assert problems[0].message == "the expression gives Array(String) of a value that may be null, and Array cannot be null"
    assert problems[0].suggestion == "for that value x write ifNull, as in JSONExtractArrayRaw(ifNull(x, '[]')), or assumeNotNull(x)"
    assert "JSONExtract(ifNull(x, '{}'), 'Map(String, String)')" in problems[2].suggestion

    right = {
        "b": ("Array(String)", "JSONExtractArrayRaw(ifNull(tags, '[]'))"), "c": ("Array(String)", "JSONExtractArrayRaw(assumeNotNull(other))"),
        "d": ("Map(String, String)", "JSONExtract(ifNull(words, '{}'), 'Map(String, String)')"),
    }
    bench = feed({"tags": "Nullable(String)", "words": "Nullable(String)", **{name: {"type": kind, "sql": sql} for name, (kind, sql) in right.items()}})
    assert check_with_engine(bench.plan, engine) == []
    rows = bench.map([{"tags": "[1, \"x\"]", "other": "[2]", "words": "{\"a\": \"b\"}"}, {"tags": None}])
    assert [(row["b"], row["c"], row["d"], row["_ok"]) for row in rows] == [(["1", '"x"'], ["2"], {"a": "b"}, 1), ([], [], {}, 1)]


def test_circular_sql() -> None:
    with pytest.raises(CompileError) as caught:
        plan_of({"a": {"type": "UInt8", "sql": "b + 1"}, "b": {"type": "UInt8", "sql": "a + 1"}})
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [("fields.a.sql", "circular"), ("fields.b.sql", "circular")]


def test_transform_filters_and_explodes(engine, feed) -> None:
    bench = feed(
        {"id": "UInt32", "tags": "Array(String)", "tag": "String", "n": "Int64"},
        transform=[{"sql": "SELECT id, tag, length(tag) AS n FROM input ARRAY JOIN tags AS tag WHERE tag != 'skip'"}],
        validate=[{"expect": "between", "field": "n", "max": "3"}],
    )
    assert check_with_engine(bench.plan, engine) == []
    assert [column.name for column in bench.plan.target.columns] == ["id", "tag", "n"]
    rows = bench.map([{"id": 1, "tags": ["a", "bb", "skip", "long"]}, {"id": 2, "tags": []}, {"id": "x", "tags": ["q"]}, {"id": 3, "tags": 5}])
    assert [(row["_i"], row["tag"], row["_ok"], row["_filtered"]) for row in rows] == [
        (0, "a", 1, 0), (0, "bb", 1, 0), (0, "skip", 0, 1), (0, "long", 0, 0), (1, "", 0, 1), (2, "q", 0, 0), (3, "", 0, 0),
    ]  # fmt: skip
    assert bench.refused() == {
        (0, 0): ["n: rule:between: 4"], (0, 2): ['id: cast: "x" is no UInt32'], (0, 3): ['tags: cast: "5" is no Array(String)'],
    }  # fmt: skip
    (stats,) = engine.rows(bench.plan.query.stats_sql(bench.mapped))
    assert (stats["read"], stats["ok"], stats["filtered"]) == (7, 2, 2)
    bench.land()
    assert bench.table("id, tag, n") == [{"id": 1, "tag": "a", "n": 1}, {"id": 1, "tag": "bb", "n": 2}]


def test_transform_steps_follow_each_other(feed) -> None:
    bench = feed(
        {"a": "String", "b": "UInt8"},
        transform=[{"sql": "SELECT upper(a) AS a, b FROM input"}, {"sql": "SELECT *, b + 255 AS b FROM input WHERE a != 'X'"}],
    )
    rows = bench.map([{"a": "x", "b": 1}, {"a": "y", "b": 0}, {"a": "z", "b": 9}])
    assert [(row["a"], row["b"], row["_ok"], row["_filtered"]) for row in rows] == [("X", None, 0, 1), ("Y", 255, 1, 0), ("Z", None, 0, 0)]


@pytest.mark.parametrize(
    "written",
    ["SELECT a FROM input GROUP BY a", "SELECT a FROM file('x')", "SELECT a + 1 FROM input", "SELECT a FROM (SELECT 1)", "SELECT a FROM input, b", "DROP TABLE x",
     "SELECT a FROM input SETTINGS x = 1", "SELECT a, a FROM input", "SELECT zz FROM input", "SELECT a FROM input LIMIT 1", "SELECT count() AS a FROM input", "SELECT a"],
)  # fmt: skip
def test_transforms_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^line 1, column \d+: "):
        sqlcheck.transform(written, ["a", "b"])


def test_sql_transformer_plugin(feed) -> None:
    class Doubled:
        options = dict

        def __init__(self, options) -> None: ...

        def sql(self, input: str) -> str:
            return f"SELECT a * 2 AS a FROM {input}"

    from compile_harness import Bench, spec_of

    from nexus_engine.compile.compiler import compile_feed

    bench = feed({"a": "UInt8"})
    plan = compile_feed(spec_of({"a": "UInt8"}, transform=[{"plugin": "doubled"}]), formats={}, transformers={"doubled": Doubled})
    rows = Bench(bench.engine, bench.folder, plan).map([{"a": 4}, {"a": 200}])
    assert [(row["a"], row["_ok"]) for row in rows] == [(8, 1), (None, 0)]
