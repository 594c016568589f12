"""Lines that are all laid out alike are cut, not parsed. What lands and what is refused is what JSON gives; the first line of another
layout, and all of its batch, is read as JSON."""

from __future__ import annotations

import json
import random

import pytest
from lines_world import World
from raw_server import RawServer, answer
from test_lines_as_they_came import engine, plan_of, worked  # noqa: F401  a fixture

from nexus_engine.compile.layout import Layout, layout_of
from nexus_engine.deliver.worked import Layouts

FIELDS = {
    "text": {"type": "LowCardinality(String)", "default": "none"},
    "n": {"type": "Nullable(Int32)", "missing": ["."]},
    "price": {"type": "Float64"},
    "at": {"type": "DateTime64(6)"},
    "flag": {"type": "Nullable(Bool)"},
    "absent": {"type": "Nullable(String)"},
    "sum": {"type": "Nullable(Float64)", "sql": "price + coalesce(n, 0)"},
    "series": {"type": "String", "from": "each.series"},
}
QUOTED = {
    "text": ["a", "", "é", "null", "x,y", "{}", "a:b", " ", "it's", "1"],
    "n": ["5", "", ".", "x", "-3", "1e2", "2.0"],
    "price": ["1.5", "", "nan", "1e308", "1e400", "-0", " 1"],
    "at": ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05.123456", "2026-02-30T00:00:00Z", "", "2026-01-02"],
    "flag": ["true", "0", "yes", ""],
    "other": ["z", "", "]"],
}
BARE = {
    "text": ["1", "1.50", "true", "-0", "10000000000000000000001", "null", "0"],
    "n": ["5", "null", "-7", "1e2", "2.0", "99999999999", "0.5", "true", "1E+2"],
    "price": ["1.5", "0", "-0.0", "1e400", "12345678901234567890", "null", "false", "1e-7"],
    "at": ["1767323045", "null", "1.5"],
    "flag": ["true", "false", "null", "1", "0"],
    "other": ["17", "null", "0.10"],
}


def line(order: list[str], values: dict[str, str], quoted: set[str]) -> bytes:
    members = (f'"{name}":"{values[name]}"' if name in quoted else f'"{name}":{values[name]}' for name in order)
    return f"{{{','.join(members)}}}\n".encode()


@pytest.mark.parametrize("seed", range(8))
def test_cut_lines_give_what_lists_give(tmp_path, engine, seed):  # noqa: F811
    rng, plan = random.Random(seed), plan_of(FIELDS)
    assert plan.query.flat
    order = rng.sample(list(QUOTED), rng.choice([4, 6]))
    quoted = {name for name in order if rng.random() < 0.6} | ({"at"} & set(order))
    texts = []
    for _ in range(3):
        records = [{name: rng.choice(QUOTED[name] if name in quoted else BARE[name]) for name in order} for _ in range(rng.choice([1, 20]))]
        texts.append(b"".join(line(order, values, quoted) for values in records))
    lists = worked(engine, tmp_path, plan, texts, how="lists")
    for how in ("lines", "aside"):
        layouts = Layouts()
        assert worked(engine, tmp_path, plan, texts, how=how, layouts=layouts) == lists
        assert layouts.alike, "the lines were not cut"


GOOD = b'{"text":"a","price":1.5,"at":"2026-01-02T03:04:05Z"}\n'


@pytest.mark.parametrize(
    ("other", "lands"),
    [
        (b'{"text": "b","price":1.5,"at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"text":"b","price": 1.5,"at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"text":"b","price":1.5 ,"at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"text":"b","price":1.5,"at":"2026-01-02T03:04:05Z"} ', "b"),
        (b' {"text":"b","price":1.5,"at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"text":"b","price":1.5,"at":"2026-01-02T03:04:05Z"}\r', "b"),
        (b'{"price":1.5,"text":"b","at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"price":1.5,"at":"2026-01-02T03:04:05Z"}', "none"),
        (b'{"text":"b","price":1.5,"at":"2026-01-02T03:04:05Z","more":1}', "b"),
        (b'{"text":"b","price":"1.5","at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"text":7,"price":1.5,"at":"2026-01-02T03:04:05Z"}', "7"),
        (b'{"text":null,"price":1.5,"at":"2026-01-02T03:04:05Z"}', "none"),
        (b'{"text":"\\"price\\":9,","price":1.5,"at":"2026-01-02T03:04:05Z"}', '"price":9,'),
        (b'{"text":"b\\\\","price":1.5,"at":"2026-01-02T03:04:05Z"}', "b\\"),
        (b'{"text":"\\u0062","price":1.5,"at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"a":{"text":"no"},"text":"b","price":1.5,"at":"2026-01-02T03:04:05Z"}', "b"),
        (b'{"text":"b","price":1.5,"at":"2026-01-02T03:04:05Z","x":{"text":"no"}}', "b"),
        (b'{"text":["b"],"price":1.5,"at":"2026-01-02T03:04:05Z"}', '["b"]'),
    ],
)
@pytest.mark.parametrize("how", ["lines", "aside"])
def test_a_line_of_another_layout_is_read_as_json(tmp_path, engine, how, other, lands):  # noqa: F811
    plan, layouts = plan_of(FIELDS), Layouts()
    texts = [GOOD * 3 + other + b"\n" + GOOD]
    found = worked(engine, tmp_path, plan, texts, how=how, layouts=layouts)
    assert [row["text"] for row in found["rows"]] == ["a", "a", "a", lands, "a"]
    assert found == worked(engine, tmp_path, plan, texts, how="lists")
    assert not layouts.alike


@pytest.mark.parametrize("token", ["01", "+1", "1.", ".5", "NaN", "inf", "Infinity", "tru", "True", "0x1", "1_0", "--1", "1e", "", "-", "1 2", "1}", "'1'"])
@pytest.mark.parametrize("how", ["lines", "aside"])
def test_what_is_no_json_value_is_none_when_it_is_cut(tmp_path, engine, how, token):  # noqa: F811
    """Some of it ClickHouse's JSON takes, so that is what lands."""
    texts, plan = [GOOD, GOOD + GOOD.replace(b"1.5", token.encode())], plan_of(FIELDS)
    layouts = Layouts()
    found = worked(engine, tmp_path, plan, texts, how=how, layouts=layouts)
    assert found == worked(engine, tmp_path, plan, texts, how=how, layouts=Layouts(alike=False))
    assert not layouts.alike
    if token not in ("01", "+1", "1.", ".5"):
        (said,) = found["failures"].values()
        assert "line 3 is not one JSON value" in said
        assert [row["_p"] for row in found["rows"]] == [0]


@pytest.mark.parametrize("text", [b"\t", b"\x00", b"\x1f", b"\x7f", b"\xff\xfe", b"\xed\xa0\x80", "\u2028".encode()])
@pytest.mark.parametrize("how", ["lines", "aside"])
def test_text_that_ought_not_to_stand_in_json_is_what_it_is_uncut(tmp_path, engine, how, text):  # noqa: F811
    texts, plan, layouts = [GOOD + GOOD.replace(b'"a"', b'"a%sz"' % text)], plan_of(FIELDS), Layouts()
    found = worked(engine, tmp_path, plan, texts, how=how, layouts=layouts)
    assert found == worked(engine, tmp_path, plan, texts, how=how, layouts=Layouts(alike=False))
    assert len(found["rows"]) == 2
    assert layouts.alike


@pytest.mark.parametrize("how", ["lines", "aside"])
def test_of_a_refused_line_the_whole_text_is_kept(tmp_path, engine, how):  # noqa: F811
    bad = GOOD.replace(b"1.5", b"false")
    layouts = Layouts()
    found = worked(engine, tmp_path, plan_of(FIELDS), [GOOD + bad + GOOD], how=how, layouts=layouts)
    assert [(number, raw, reasons) for _, number, raw, reasons in found["refusals"]] == [
        (1, json.dumps(json.loads(bad)), ('price: cast: "false" is no Float64',))
    ]
    assert layouts.alike


def test_what_layout_a_line_tells():
    assert layout_of(GOOD.strip()) == Layout((("text", True), ("price", False), ("at", True)))
    assert layout_of('{"é it\'s `x`":1}'.encode()) == Layout((("é it's `x`", False),))


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[1]", b"1", b'{"a": 1}', b'{"a":1} ', b'{"a":1}{"a":1}', b'{"a":1,"a":1}', b'{"":1}', b'{"a":"\\n"}', b'{"a":[1]}', b'{"a":{}}',
     b'{"a":1', b'{"a":"' + b"x" * 200 + b'"}', b"{" + b",".join(b'"%c":1' % c for c in b"abcdefghijkl") + b"}"],
)  # fmt: skip
def test_lines_that_tell_none(text):
    assert layout_of(text) is None


def test_names_that_need_quoting_in_sql(tmp_path, engine):  # noqa: F811
    name = "it's `é` ${x} {y}"
    fields = {"v": {"type": "String", "from": f'"{name}"'}, "w": {"type": "UInt8"}}
    plan, layouts = plan_of(fields), Layouts()
    text = f'{{"{name}":"1","w":2}}\n'.encode()
    found = worked(engine, tmp_path, plan, [text * 2], how="aside", layouts=layouts)
    assert [(row["v"], row["w"]) for row in found["rows"]] == [("1", "2")] * 2
    assert layouts.alike


def test_a_body_whose_lines_change_lands_exactly(tmp_path):
    """The first batches are cut, the one in which the lines change is read as JSON, and so are those behind it."""
    lines = [b'{"id":%d,"price":"1.5","text":"%s"}\n' % (number, b"x" * 100) for number in range(50_000)]
    assert layout_of(lines[0].strip()) is not None
    lines[35_000:36_000] = [b'{"id": %d, "price": 2, "text": "new"}\n' % number for number in range(35_000, 36_000)]
    lines[20_000] = b'{"id":20000,"price":"-1","text":"low"}\n'
    with RawServer(lambda request: answer(b"".join(lines))) as server:
        report, ids, quarantine = World(tmp_path, server.url).run()
    assert report.status == "ok"
    assert report.batches > 4
    assert ids["a"] == ids["b"] == [number for number in range(50_000) if number != 20_000]
    assert [refused.raw for refused in quarantine] == [lines[20_000].decode().strip()] * 2
