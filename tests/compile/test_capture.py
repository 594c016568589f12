"""`new_fields: capture`: what the captured column holds, against the texts that the records were written from."""

from __future__ import annotations

import json
import random

import pytest

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.compiler import CompileError

FIELDS = {"a": "Nullable(Int64)", "b": {"type": "Nullable(String)", "from": "o.b"}, "d": {"type": "Nullable(String)", "from": "o.p.d"}}
VALUES = [
    "1", "1.10", "-0", "1e400", "1E+5", "123456789012345678901234567890", "0.1000000000000000055511151231257827", "null", "true", "false",
    '""', '"x"', '"a,b:{}[]"', r'"\u00e9\/\n\"q\\"', '"é😀"', r'"\ud800"', "[]", "{}", "[1, 2.50,\t[null]]", '{"k" : {"l":[1.0, "}"]}, "k2":""}', '"\\\\"',
]  # fmt: skip
NAMES = ["x", "a b", "a.b", 'q\\"t', "back\\\\slash", "ünï", "😀", "`", "'", "b", "O", "1", "-", "{", "[,]", "_nexus_row", "p", "slash\\/"]


def written(members: list[tuple[str, str]], space: str) -> str:
    return "{" + space + f"{space},{space}".join(f'"{name}"{space}:{space}{value}' for name, value in members) + space + "}"


def captured(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(sorted((f'"{name}":{value}' for name, value in members), key=str.encode)) + "}"


def made(seed: int) -> tuple[str, str]:
    """A record's text, and what is to be captured of it."""
    dice = random.Random(seed)
    space = dice.choice(["", " ", "  ", "\t"])
    unknown = [(name, dice.choice(VALUES)) for name in dice.sample(NAMES, dice.randrange(8))]
    below = [(name, dice.choice(VALUES)) for name in dice.sample(["x", "y", "b2"], dice.randrange(3))]
    deep = [(name, dice.choice(VALUES)) for name in dice.sample(["x", "dd"], dice.randrange(2))]
    members, nested, inner = [*unknown], [*below], [*deep]
    if dice.random() < 0.7:
        inner.append(("d", '"D"'))
        nested.append(("p", written(inner, space)))
        below += [("p", captured(deep))] if deep else []
    if dice.random() < 0.7:
        nested.append(("b", dice.choice(['"B"', "[1]", "null"])))
    members += [("a", str(seed))]
    if dice.random() < 0.8:
        members.append(("o", written(nested, space)))
        unknown += [("o", captured(below))] if below else []
    dice.shuffle(members)
    return written(members, space), captured(unknown)


SHAPES = {
    "list": (".", lambda texts: "[" + ", ".join(texts) + "]"),
    "list below": ("data[1].rows", lambda texts: '{"data":[0,{"rows":[' + ",".join(texts) + '],"more":[1]}],"z":{}}'),
    "by": ({"path": "coins", "by": "id"}, lambda texts: '{"coins":{' + ",".join(f'"k{n}":{text}' for n, text in enumerate(texts)) + "}}"),
}


@pytest.mark.capability("Drift: what no field reads kept as JSON, each value in its own text", spec="new_fields: capture")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_value_that_no_field_reads_keeps_its_own_text(feed, shape: str) -> None:
    records, body = SHAPES[shape]
    made_ones = [made(seed) for seed in range(400)]
    bench = feed(FIELDS, records=records, new_fields="capture")
    rows = bench.map(*(body([text for text, _ in made_ones[n : n + 50]]).encode() for n in range(0, 400, 50)))
    assert [row["extra"] for row in rows] == [rest for _, rest in made_ones]
    assert [row["a"] for row in rows] == [*range(400)]
    bench.land()
    landed = bench.table("a, extra", "ORDER BY a")
    assert [(row["a"], row["extra"]) for row in landed] == [(n, rest) for n, (_, rest) in enumerate(made_ones)]


def test_an_independent_reader_finds_the_same_names_and_values(feed) -> None:
    made_ones = [made(seed)[0] for seed in range(300)]
    bench = feed(FIELDS, new_fields={"capture": "rest"})
    for text, row in zip(made_ones, bench.map(("[" + ",".join(made_ones) + "]").encode()), strict=True):
        record = json.loads(text, parse_float=str, parse_int=str)
        record.pop("a", None)
        if "o" in record:
            record["o"].pop("b", None)
            record["o"].get("p", {}).pop("d", None)
            record["o"] = {name: value for name, value in record["o"].items() if (name, value) != ("p", {})}
        wanted = {name: value for name, value in record.items() if (name, value) != ("o", {})}
        assert json.loads(row["rest"], parse_float=str, parse_int=str) == wanted


def test_one_record_and_bare_values(feed) -> None:
    bench = feed({"a": "Int32"}, records={"path": "x", "one": True}, new_fields="capture")
    rows = bench.map(b'{"x":{"z": 1.0,"a":1}}', b'{"x": {"a":2} , "y":5}')
    assert [row["extra"] for row in rows] == ['{"z":1.0}', "{}"]
    bench = feed({"a": {"type": "Int32", "from": "."}}, records={"path": ".", "by": "day"}, new_fields="capture")
    assert [(row["a"], row["extra"]) for row in bench.map(b'{"d1":1,"d2":2}')] == [(1, "{}"), (2, "{}")]


def test_lists_are_read_as_a_whole_and_texts_of_sql_count_as_read(feed) -> None:
    fields = {"a": {"type": "Nullable(String)", "from": "l[0].q"}, "s": {"type": "Nullable(String)", "sql": "upper(other)"}}
    bench = feed(fields, new_fields="capture")
    (row,) = bench.map(b'[{"l":[{"q":1,"z":2}],"other":"x","more":3}]')
    assert (row["a"], row["s"], row["extra"]) == ("1", "X", '{"more":3}')


def test_bytes_that_are_no_text_and_records_that_are_null(feed) -> None:
    bench = feed({"a": "Nullable(Int32)"}, new_fields="capture")
    rows = bench.map(b'[{"a":1,"z":"\xff","y":2},null,{}]')
    assert [row["extra"] for row in rows] == ['{"y":2,"z":"\ufffd"}', "{}", "{}"]


def test_escaped_names_are_names(feed) -> None:
    bench = feed({"a/b": "Nullable(Int32)", 'q"': "Nullable(Int32)"}, new_fields="capture")
    (row,) = bench.map(rb'[{"a\/b":1,"q\"":2,"z\/":3}]')
    assert (row["a/b"], row['q"'], row["extra"]) == (1, 2, r'{"z\/":3}')


def test_rules_transforms_and_refusals_see_the_column(feed) -> None:
    fields = {"a": "Int32", "has": {"type": "UInt8", "sql": "extra != '{}'"}}
    rule = [{"expect": "sql", "sql": "length(extra) < 20"}]
    bench = feed(fields, new_fields="capture", transform=[{"sql": "SELECT * FROM input WHERE a > 0"}], validate=rule)
    rows = bench.map(b'[{"a":1},{"a":2,"z":1},{"a":0,"z":2},{"a":"x","z":3},{"a":4,"z":"a long text for the rule"}]')
    assert [(row["_ok"], row["_filtered"]) for row in rows] == [(1, 0), (1, 0), (0, 1), (0, 0), (0, 0)]
    assert [(row["has"], row["extra"]) for row in rows[:2]] == [(0, "{}"), (1, '{"z":1}')]
    assert {key: reasons[0].split(":")[0] for key, reasons in bench.refused().items()} == {(0, 3): "a", (0, 4): "row"}


@pytest.mark.capability("Drift: a change of a captured value alone is a revision", spec="new_fields: {capture: more}")
def test_a_change_of_captured_values_alone_is_a_revision(feed) -> None:
    bench = feed({"a": "Int32"}, new_fields={"capture": "more"}, target={"key": ("a",)})
    bench.map(b'[{"a":1,"z":1.0,"y":2},{"a":2}]')
    bench.land()
    bench.map(b'[{"y":2,"a":1,"z":1.0},{"a":2}]')  # the order of names says nothing
    assert bench.counts() == {"new": 0, "revised": 0, "unchanged": 2, "superseded": 0}
    bench.map(b'[{"a":1,"z":1.00,"y":2},{"a":2,"new":null}]')
    assert bench.counts() == {"new": 0, "revised": 2, "unchanged": 0, "superseded": 0}


class Flat:
    flat = True
    gives_others = True


def test_flat_formats_give_what_no_field_names(feed) -> None:
    bench = feed({"a": "Int32", "b": {"type": "Nullable(String)", "from": "x/y"}}, format="csv", formats={"csv": Flat}, new_fields="capture")
    assert bench.plan.source.want.others == "all"
    rows = bench.map([{"a": "1", "x/y": "t", "z": "", "q": "7"}, {"a": "2", "x/y": None}])
    assert [(row["b"], row["extra"]) for row in rows] == [("t", '{"q":"7","z":""}'), (None, "{}")]
    assert feed({"a": "Int32"}, format="csv", formats={"csv": Flat}).plan.source.want.others == "some"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"records": {"zip": True}}, "new_fields"),
        ({"records": {"columns": ["a"]}}, "new_fields"),
        ({"format": "xml", "formats": {"xml": type("Old", (), {"flat": True})}}, "new_fields"),
        ({"new_fields": {"capture": "a"}}, "new_fields.capture"),
        ({"new_fields": {"capture": "_row"}}, "new_fields.capture"),
        ({"transform": [{"sql": "SELECT a FROM input"}]}, "transform"),
    ],
)
def test_where_there_is_nothing_to_capture_it_is_refused(feed, words: dict[str, object], path: str) -> None:
    with pytest.raises(CompileError) as caught:
        feed({"a": "Int32"}, **{"new_fields": "capture", **words})
    assert [problem.path for problem in caught.value.problems] == [path]


def test_without_it_nothing_is_read_twice(feed) -> None:
    assert feed({"a": "Int32"}).plan.query.select.count("JSONEachRow") == 1
    assert feed({"a": "Int32"}, new_fields="capture").plan.query.select.count("JSONEachRow") == 2


def test_what_breaks_the_query_without_it_breaks_it_with_it(feed) -> None:
    bench = feed({"a": "Int32"}, new_fields="capture")
    for body in (b"[1]", b'{"a":1}', b'[{"a":NaN}]'):
        with pytest.raises(EngineError):
            bench.map(body)
