"""Hostile and broken YAML: each text is one problem, in under a second, and never a traceback."""

import time

import pytest
from spec_material import registry

from nexus_engine.spec.loader import decode, load_text
from nexus_engine.spec.problems import render, to_json
from nexus_engine.spec.tree import MAX_BYTES


def alias_bomb(levels=9, width=9):
    lines = ["a: &a [x, x]"]
    for i in range(levels):
        lines.append(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * width)}]")
    return "\n".join(lines)


def merge_bomb(levels=24):
    lines = ["m0: &m0 {k: v}"]
    for i in range(1, levels):
        lines.append(f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}")
    return "\n".join(lines)


CORPUS = {
    "alias bomb": (alias_bomb(), "yaml-alias"),
    "merge key bomb": (merge_bomb(), "yaml-alias"),
    "recursive object": ("&a [*a]", "yaml-alias"),
    "alias of nothing": ("name: *nothing", "yaml-alias"),
    "merge key": ("name: x\n<<: {a: 1}", "yaml-alias"),
    "deep lists": ("[" * 1500, "yaml-too-deep"),
    "deep mappings": ("{a: " * 1500, "yaml-too-deep"),
    "deep block": ("\n".join(" " * i + "a:" for i in range(60)), "yaml-too-deep"),
    "too many values": ("name: [" + "a, " * 30_000 + "]", "yaml-too-big"),
    "too large": ("a" * (MAX_BYTES + 1), "yaml-too-big"),
    "timestamp tag": ("name: !!timestamp 'x'", "yaml-tag"),
    "int tag": ("!!int 'x'", "yaml-tag"),
    "float tag": ("!!float 'zz'", "yaml-tag"),
    "python tag": ("name: !!python/object/apply:os.system ['true']", "yaml-tag"),
    "binary tag": ("name: !!binary ???", "yaml-tag"),
    "local tag on a key": ("!x name: 1", "yaml-tag"),
    "empty": ("", "yaml-empty"),
    "only a comment": ("# nothing\n", "yaml-empty"),
    "two documents": ("---\nname: a\n---\nname: b\n", "yaml-documents"),
    "a list": ("- name: x", "wrong-type"),
    "a text": ("2024-13-45", "wrong-type"),
    "unclosed list": ("name: [a, b", "yaml-syntax"),
    "unclosed quote": ("name: 'abc", "yaml-syntax"),
    "tab as indentation": ("name:\n\t- x", "yaml-syntax"),
    "two colons": ("name: a: b", "yaml-syntax"),
    "control character": ("name: \x01", "yaml-syntax"),
    "nul": ("\x00", "yaml-syntax"),
    "lone surrogate": ("name: \ud800", "yaml-syntax"),
    "at sign": ("name: @x", "yaml-syntax"),
    "mapping as a key": ("? {a: 1}\n: 2", "flow-quote"),
    "list as a key": ("? [a]\n: 2", "yaml-key"),
    "no key": ("? \n: x", "yaml-key"),
    "unquoted template": ("name: {{ vars.x }}", "flow-quote"),
    "bad directive": ("%YAML 9.9\n---\nname: x", "yaml-syntax"),
    "bad escape": ('name: "\\q"', "yaml-syntax"),
}


@pytest.mark.parametrize("name", CORPUS)
def test_one_problem_and_no_traceback(name):
    text, code = CORPUS[name]
    began = time.perf_counter()
    problems = load_text(text, file="x.yaml", registry=registry()).problems
    elapsed_s = time.perf_counter() - began
    assert [p.code for p in problems] == [code], render(problems)
    assert problems[0].line >= 1 and problems[0].col >= 1
    assert render(problems).startswith(f"x.yaml:{problems[0].line}:{problems[0].col}  ")
    assert to_json(problems)
    assert elapsed_s < 1


FLOW = [
    ("fields: {v: {type: Decimal(38,10)}}", "fields.v.type", 1),
    ("fields: {v: Decimal(38,10)}", "fields.v", 1),
    ("fields: {v: {type: Nullable(Decimal(38, 10)), from: x}}", "fields.v.type", 1),
    ("fields: {v: {type: String, from: data[0].x}}", "", 1),
    ("source: {params: {page[size]: 1}}", "", 1),
    ("target: {order_by: [cityHash64(a, b), c]}", "target.order_by[0]", 1),
    ("fields:\n  v: {type: Enum8('a'=1,'b'=2)}", "", 2),
]


@pytest.mark.parametrize(("text", "path", "line"), FLOW)
def test_flow_style_that_breaks_says_quote_this(text, path, line):
    problems = load_text(text, file="x.yaml", registry=registry()).problems
    broken = [p for p in problems if p.code == "flow-quote"]
    assert len(broken) == 1, render(problems)
    assert (broken[0].path, broken[0].line) == (path, line)
    assert "quotes" in broken[0].suggestion
    assert all(p.code in ("flow-quote", "missing-key") for p in problems), render(problems)


def test_bytes_that_are_not_utf8_have_a_place():
    text, problems = decode(b"name: x\ndescription: \xff\xfe", "x.yaml")
    assert (text, problems[0].line, problems[0].col, problems[0].code) == ("", 2, 14, "yaml-encoding")


def test_scalars_keep_their_own_text():
    feed = """
name: norway
source:
  endpoint: https://api.example.com
  each: {ticker: [NO, ON, yes, 0001318605, 1e7, 12:30:45, 0777, 2024-02-30, null_, ~x]}
fields: {a: {type: String, value: NO}, b: {type: Float64, default: 1e7}, ticker: {type: String, from: each.ticker, missing: [NO, "", "null"]}}
target: {table: a.b, key: a}
"""
    loaded = load_text(feed, file="x.yaml", registry=registry())
    assert loaded.problems == []
    spec = loaded.spec
    assert spec.source.each["ticker"] == ("NO", "ON", "yes", "0001318605", "1e7", "12:30:45", "0777", "2024-02-30", "null_", "~x")
    assert spec.fields["a"].value == "NO"
    assert spec.fields["b"].default == "1e7"
    assert spec.fields["ticker"].missing == ("NO", "", "null")
    assert spec.target.key == ("a",)
