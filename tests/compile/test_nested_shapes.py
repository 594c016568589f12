"""Lists and objects that lead to records: random bodies against a reader that knows nothing of the project."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.raw import compose, envelope, rebuild, records_of, some_records

FIELDS = {"a": {"type": "Nullable(String)", "from": "a"}, "b": {"type": "Nullable(String)", "from": "in.b"}}
# path, words of `records`, fields besides a and b
WAYS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "list in list": ("data[].points[]", {}, {"up": "parent.id", "top": "parent.parent.id", "deep": "parent.m.id"}),
    "object of lists": ("data.{pair}[]", {}, {"pair": "pair", "up": "parent.id"}),
    "list of objects": ("[].{k}", {}, {"k": "k"}),
    "facts": ("facts.{tax}.{concept}.units.{unit}[]", {}, {"tax": "tax", "concept": "concept", "unit": "unit", "up": "parent.id", "top": "parent.parent.id"}),
    "further names": ("x.y[].deep.er.list[]", {}, {"up": "parent.id", "upper": "parent.parent.id", "item": "parent.parent.parent.id"}),
    "objects behind a list": ("data[].attributes", {}, {"up": "parent.id"}),
    "object in object, by": ("days.{day}.rows", {"by": "sym"}, {"day": "day", "sym": "sym", "up": "parent.id"}),
    "position on the way": ("d[].pair[1].rows[]", {}, {"up": "parent.id", "upper": "parent.parent.id"}),
    "lists all the way": ("[][][]", {}, {}),
    "mixed object": ("result.{pair}[]", {"except": ["last", "n"]}, {"pair": "pair"}),
    "mixed records": ("{id}", {"except": ["meta"]}, {"id": "id"}),
    "top": ("[]", {}, {"beside": "a"}),
}  # fmt: skip

STEP = re.compile(r"\[\]|\[\d+\]|\{\w+\}|\w+")


def steps_of(path: str, words: dict[str, Any]) -> list[str]:
    return STEP.findall(path) + (["{" + words["by"] + "}"] if "by" in words else [])


def some_leaf(rng: random.Random) -> Any:
    return rng.choice([None, rng.randint(-9, 9), 1.50, "x", "é\"\\\n", "", True, [1, {"q": 2.50}], {"z": [1.0]}, "[]", 10**20])


def some_key(rng: random.Random, n: int) -> str:
    return rng.choice([f"k{n}", f"k {n}", f"k.{n}", f"k\"{n}", f"ключ{n}", f"{n}"])


def body_of(steps: list[str], rng: random.Random, leave_out: list[str]) -> Any:
    """A random body of this way. What is beside the way has the names that parents are asked for, or others."""
    if not steps:
        if rng.random() < 0.05:
            return None
        return {key: value for key, value in (("a", some_leaf(rng)), ("in", rng.choice([None, {"b": some_leaf(rng)}, {"c": 1}])), ("no", 1)) if rng.random() < 0.8}
    step, rest = steps[0], steps[1:]
    count = rng.choice([0, 1, 2, 3, 5])
    if step == "[]":
        return [body_of(rest, rng, leave_out) for _ in range(count)]
    if step.startswith("["):
        return [rng.choice([None, 1, {"q": []}]) for _ in range(int(step[1:-1]))] + [body_of(rest, rng, leave_out)]
    if step.startswith("{"):
        found = {some_key(rng, n): body_of(rest, rng, leave_out) for n in range(count)}
        found.update({key: rng.choice([1, "text", 1.50]) for key in leave_out if rng.random() < 0.7})
        return dict(rng.sample(list(found.items()), len(found)))
    beside = {"id": some_leaf(rng), "m": {"id": some_leaf(rng)}, "other": [1, 2, {"deep": []}]}
    found = {key: value for key, value in beside.items() if rng.random() < 0.8}
    found[step] = body_of(rest, rng, leave_out)
    return dict(rng.sample(list(found.items()), len(found)))


def read(value: Any, steps: list[str], leave_out: list[str], keys: dict[str, str], around: list[Any]):
    """(record, keys, enclosing values from which a named step leads on) of every record, by stepping through decoded JSON."""
    if not steps:
        yield value, keys, around
        return
    step, rest = steps[0], steps[1:]
    if step == "[]":
        for item in value:
            yield from read(item, rest, leave_out, keys, around)
    elif step.startswith("["):
        yield from read(value[int(step[1:-1])], rest, leave_out, keys, around)
    elif step.startswith("{"):
        for key, item in value.items():
            if key not in leave_out:
                yield from read(item, rest, leave_out, {**keys, step[1:-1]: key}, around)
    else:
        yield from read(value[step], rest, leave_out, keys, [*around, value])


def text_of(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def cell(record: Any, keys: dict[str, str], around: list[Any], asked: str) -> str | None:
    if asked in keys:
        return keys[asked]
    value, names = record, asked.split(".")
    out = 0
    while names[0] == "parent":
        names, out = names[1:], out + 1
    if out:
        value = around[-out]
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return text_of(value)


def wanted_rows(body: Any, steps: list[str], leave_out: list[str], fields: dict[str, str]) -> list[tuple[str | None, ...]]:
    asked = ["a", "in.b", *fields.values()]
    return [tuple(cell(*found, name) for name in asked) for found in read(body, steps, leave_out, {}, [])]


@pytest.mark.capability("Shapes: lists and objects inside each other, with the keys and parents of each record", spec="records: data[].points[]")
@pytest.mark.parametrize("name", WAYS)
def test_random_bodies(feed, name: str) -> None:
    path, words, more = WAYS[name]
    rng, steps, leave_out = random.Random(name), steps_of(path, words), words.get("except", [])
    fields = FIELDS | {key: {"type": "Nullable(String)", "from": text} for key, text in more.items()}
    bench = feed(fields, records={"path": path, **words})
    source = bench.plan.source
    bodies = [body_of(steps, rng, leave_out) for _ in range(60)]
    wanted = [wanted_rows(body, steps, leave_out, more) for body in bodies]
    assert sum(map(len, wanted)) > 60
    texts = [json.dumps(body, ensure_ascii=rng.random() < 0.3).encode() for body in bodies]
    rows = bench.map(*texts)
    names = list(fields)
    for p, text in enumerate(texts):
        mine = [row for row in rows if row["_p"] == p]
        assert [row["_i"] for row in mine] == [*range(len(wanted[p]))]
        assert [tuple(row[key] for key in names) for row in mine] == wanted[p], text
    for p in range(0, 60, 4):
        raw = records_of(texts[p], source.records, False, source.want.leaves)
        assert len(raw) == len(wanted[p]) == len(records_of(texts[p], source.records, False, source.want.leaves, bare=True))
        beside = envelope(texts[p], source.beside)
        some = [n for n in range(len(raw)) if rng.random() < 0.5]
        kept = rebuild(texts[p], [raw[n] for n in some], source.records, False, source.want.leaves)
        again = bench.map(kept, *(compose(raw[n], beside, source.records, False, source.want.leaves) for n in some))
        cells = [tuple(row[key] for key in names) for row in again]
        assert cells == [wanted[p][n] for n in some] * 2
        assert [row["_i"] for row in again] == [*range(len(some)), *[0] * len(some)]
        assert records_of(kept, source.records, False, source.want.leaves) == [raw[n] for n in some]
        assert some_records(texts[p], some, source.records, False, source.want.leaves) == [raw[n] for n in some]


ZIPPED = {
    "zip in a list": ({"path": "series[].data", "zip": True}, {"series": [
        {"id": "A", "data": {"t": [1, 2], "q": {"v": ["x", None]}}}, {"id": "B", "data": {"t": [], "q": {"v": []}}}, {"id": "C", "data": {"t": [3], "q": {"v": ["z"]}}},
    ]}, {"up": "parent.id"}, [("1", "x", "A"), ("2", None, "A"), ("3", "z", "C")]),
    "zip in an object": ({"path": "{sym}", "zip": True, "optional": ["q.v"]}, {"AA": {"t": [1, 2]}, "BB": {"t": [5], "q": {"v": ["y"]}}},
                         {"up": "sym"}, [("1", None, "AA"), ("2", None, "AA"), ("5", "y", "BB")]),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPPED)
def test_parallel_arrays_inside(feed, name: str) -> None:
    records, body, more, wanted = ZIPPED[name]
    fields = {"t": "Int32", "v": {"type": "Nullable(String)", "from": "q.v"}} | {key: {"type": "String", "from": text} for key, text in more.items()}
    bench = feed(fields, records=records)
    source = bench.plan.source
    text = json.dumps(body).encode()
    rows = bench.map(text, text)
    assert [(str(row["t"]), row["v"], row["up"]) for row in rows] == wanted * 2
    assert [row["_i"] for row in rows] == [0, 1, 2] * 2
    raw = records_of(text, source.records, False, source.want.leaves)
    for some in ([0, 1, 2], [1, 2], [2], [0]):
        assert some_records(text, some, source.records, False, source.want.leaves) == [raw[n] for n in some]
        kept = rebuild(text, [raw[n] for n in some], source.records, False, source.want.leaves)
        assert [(str(row["t"]), row["v"], row["up"]) for row in bench.map(kept)] == [wanted[n] for n in some]
    if "optional" not in records:
        for n, record in enumerate(raw):
            (row,) = bench.map(compose(record, b"", source.records, False, source.want.leaves))
            assert (str(row["t"]), row["v"], row["up"]) == wanted[n]


def test_columns_inside(feed) -> None:
    bench = feed(
        {"pair": "String", "t": "Int32", "v": {"type": "String", "from": "v"}, "up": {"type": "String", "from": "parent.id"}},
        records={"path": "result.{pair}[]", "columns": ["t", "v"], "except": ["last"]},
    )
    source = bench.plan.source
    body = b'{"id":"x","result":{"AB":[[1,"1.50"],[2,2.50,7]],"last":123,"CD":[],"E F":[[3,null]]}}'
    rows = bench.map(body)
    assert [(row["pair"], row["t"], row["v"], row["up"], row["_ok"]) for row in rows] == [
        ("AB", 1, "1.50", "x", 1), ("AB", 2, "2.50", "x", 1), ("E F", 3, None, "x", 0),
    ]  # fmt: skip
    raw = records_of(body, source.records, False, source.want.leaves)
    assert raw == [b'{"AB":[[1,"1.50"]]}', b'{"AB":[[2,2.50,7]]}', b'{"E F":[[3,null]]}']
    for broken in (b'{"result":{"AB":[[1,2],"x"]}}', b'{"result":{"AB":5}}', b'{"result":{"AB":"text"}}'):
        with pytest.raises(EngineError):
            bench.map(broken)


@pytest.mark.capability("Shapes: key/value lists pivoted", spec='fields: {time: {type: String, from: "variable[concept=Time].id"}}')
def test_picked_from_a_list(feed) -> None:
    fields = {
        "time": {"type": "Nullable(String)", "from": "variable[concept=Time].id"},
        "odd": {"type": "Nullable(String)", "from": 'variable["a=b"="x ]"].id'},
        "deep": {"type": "Nullable(String)", "from": "variable[concept=Time].l[1].q[n=2].v"},
        "whole": {"type": "Nullable(String)", "from": "variable[concept=Series]"},
        "up": {"type": "Nullable(String)", "from": "parent.tags[k=1].v"},
        "top": {"type": "Nullable(String)", "from": "body.headers[name=ETag].value"},
    }
    more = {name: spec for name, spec in fields.items() if name != "whole"}
    body = {
        "headers": [{"name": "X", "value": 1}, {"name": "ETag", "value": "abc"}],
        "items": [
            {"tags": [{"k": 1, "v": 1.50}, {"k": 2, "v": 2}], "rows": [
                {"variable": [{"concept": "Series", "id": "S"}, {"concept": "Time", "id": "YR2020", "l": [{}, {"q": [{"n": 1}, {"n": 2, "v": 3.10}]}]}, {"concept": "Time", "id": "second"}]},
                {"variable": [{"a=b": "x ]", "id": 7}]},
                {"variable": []}, {"variable": None}, {},
            ]},
            {"tags": [], "rows": [{"variable": [{"concept": None, "id": "no"}, {"id": "no"}, {"concept": "Time"}]}]},
        ],
    }  # fmt: skip
    wanted = [("YR2020", None, "3.10", "1.50", "abc"), (None, "7", None, "1.50", "abc"), *[(None, None, None, "1.50", "abc")] * 3, (None, None, None, None, "abc")]
    text = json.dumps(body).replace("3.1}", "3.10}").replace('"v": 1.5}', '"v": 1.50}').encode()
    for asked in (more, fields):
        bench = feed(asked, records="items[].rows[]")
        source = bench.plan.source
        rows = bench.map(text)
        assert [(row["time"], row["odd"], row["deep"], row["up"], row["top"]) for row in rows] == wanted
        if "whole" in asked:
            assert [row["whole"] for row in rows] == ['{"concept": "Series", "id": "S"}', *[None] * 5]
        beside = envelope(text, source.beside)
        for n, record in enumerate(records_of(text, source.records, False, source.want.leaves)):
            (row,) = bench.map(compose(record, beside, source.records, False, source.want.leaves))
            assert (row["time"], row["odd"], row["deep"], row["up"], row["top"]) == wanted[n]


def test_a_record_kept_without_a_parent_that_is_wanted_now_is_not_replayed(feed) -> None:
    old, new = (feed({"a": "Int32", **more}, records="data[].points[]").plan.source for more in ({}, {"u": {"type": "Nullable(String)", "from": "parent.id"}}))
    body = b'{"data":[{"id":"x","points":[{"a":1}]},{"points":[{"a":2}]}]}'
    assert records_of(body, old.records, False, old.want.leaves) == [b'{"points":[{"a":1}]}', b'{"points":[{"a":2}]}']
    for record in records_of(body, old.records, False, old.want.leaves):
        with pytest.raises(LookupError, match="parent.id"):
            compose(record, b"", new.records, False, new.want.leaves)
    kept = records_of(body, new.records, False, new.want.leaves)
    assert kept == [b'{"id":"x","points":[{"a":1}]}', b'{"id":null,"points":[{"a":2}]}']
    for record in (b'{"a":1}', b"[1]", b'{"points":[]}', b'{"id":1,"points":[{"a":1},{"a":2}]}'):
        with pytest.raises((ValueError, LookupError)):
            compose(record, b"", new.records, False, new.want.leaves)


NULLS = [  # records, further fields, body, rows
    ("data[].points[]", {"up": "parent.id"}, b'{"data":[{"id":"a"},{"id":"b","points":null},{"id":"c","points":[{"a":1},null]},null]}', [("1", "c"), (None, "c")]),
    ("f.{t}.{c}.units.{u}[]", {"u": "u", "l": "parent.l"}, b'{"f":{"x":null,"y":{"c":null,"d":{"units":null},"e":{},"g":{"l":1,"units":{"U":null,"V":[{"a":1}]}}}}}', [("1", "V", "1")]),
    ({"path": "f.{t}[]", "except": ["last"]}, {"t": "t"}, b'{"f":{"x":null,"last":null,"y":[{"a":1}]}}', [("1", "y")]),
    ({"path": "f.{t}", "except": ["last"]}, {"t": "t"}, b'{"f":{"x":null,"last":{"a":5},"y":{"a":1}}}', [(None, "x"), ("1", "y")]),
    ("data[].at", {"up": "parent.id"}, b'{"data":[{"id":"a"},{"id":"b","at":null},{"id":"c","at":{"a":1}},null]}', [(None, "a"), (None, "b"), ("1", "c"), (None, None)]),
    ({"path": "d.{t}", "columns": ["a", "b"]}, {"t": "t"}, b'{"d":{"2024-01-01":[1,2],"2024-01-02":[3]}}', [("1", "2024-01-01"), ("3", "2024-01-02")]),
]


@pytest.mark.parametrize(("records", "more", "body", "wanted"), NULLS, ids=[str(n) for n in range(len(NULLS))])
def test_what_is_null_or_absent_on_the_way(feed, records, more, body, wanted) -> None:
    """The source says no to it unless `empty` allows it; here is what the query makes of it, and that quarantine numbers it alike."""
    bench = feed({name: {"type": "Nullable(String)", "from": text} for name, text in {"a": "a", **more}.items()}, records=records)
    source = bench.plan.source
    assert [tuple(row[name] for name in ("a", *more)) for row in bench.map(body)] == wanted
    for record, row in zip(records_of(body, source.records, False, source.want.leaves), wanted, strict=True):
        [alone] = bench.map(compose(record, b"", source.records, False, source.want.leaves))
        assert tuple(alone[name] for name in ("a", *more)) == row


def test_a_hundred_thousand_records_behind_lists(feed) -> None:
    """In lists of one to a thousand; two bodies of ten megabytes each."""
    rng, data, n = random.Random(1), [], 0
    while n < 100_000:
        count = rng.choice([0, 1, 2, 10, 1000])
        data.append({"id": f"s{len(data)}", "points": [{"t": n + i, "v": f"{n + i}.50", "text": "x" * 50} for i in range(count)]})
        n += count
    bench = feed({"t": "UInt32", "v": "Decimal(18, 2)", "id": {"type": "String", "from": "parent.id"}}, records="data[].points[]")
    body = json.dumps({"data": data}).encode()
    bench.map_only(body, body)
    mapped = bench.mapped
    [row] = bench.engine.rows(f"SELECT count() AS c, uniqExact(_p, _i) AS u, countIf(_i = t AND v = t + 0.5) AS same, max(_i) AS last FROM {mapped}")
    assert (row["c"], row["u"], row["same"], row["last"]) == (2 * n, 2 * n, 2 * n, n - 1)
    found = {(row["_p"], row["id"]): row["c"] for row in bench.engine.rows(f"SELECT _p, id, count() AS c FROM {mapped} GROUP BY _p, id")}
    assert found == {(p, item["id"]): len(item["points"]) for p in (0, 1) for item in data if item["points"]}


def test_what_no_field_reads_is_captured_inside(feed) -> None:
    for path, words, body in (
        ("d[].{k}[]", {}, b'{"d":[{"x":[{"a":1,"q":1.50},{"a":2}],"y":[{"a":3,"r":[{"z": 2.0}]}]},{"w":[{"a":4,"q":null}]}]}'),
        ("{k}", {"except": ["last"]}, b'{"x":{"a":1,"q":1.50},"y":{"a":2},"last":7,"v":{"a":3,"r":[{"z": 2.0}]},"w":{"a":4,"q":null}}'),
    ):
        bench = feed({"a": "Int32", "k": "String"}, records={"path": path, **words}, new_fields="capture")
        assert [(row["a"], row["k"], row["extra"]) for row in bench.map(body)] == [
            (1, "x", '{"q":1.50}'), (2, "x" if "[" in path else "y", "{}"), (3, "y" if "[" in path else "v", '{"r":[{"z": 2.0}]}'), (4, "w", '{"q":null}'),
        ]  # fmt: skip


def test_a_record_s_own_parent(feed) -> None:
    flat = feed({"p": {"type": "String", "from": "parent.id"}}, records="data")
    assert [row["p"] for row in flat.map(b'{"id":"top","data":[{"parent":{"id":"own"}}]}')] == ["own"]
    nested = feed({"p": {"type": "String", "from": '"parent".id'}, "q": {"type": "String", "from": "parent.id"}}, records="data[]")
    assert [(row["p"], row["q"]) for row in nested.map(b'{"id":"top","data":[{"parent":{"id":"own"}}]}')] == [("own", "top")]
    assert nested.plan.source.want.leaves == ('"parent".id',)


def test_keys_and_parents_in_sql(feed) -> None:
    bench = feed(
        {"a": "Int32", "both": {"type": "String", "sql": "concat(k, '/', parent.id, '/', toString(a))"}, "day": {"type": "Date", "sql": "parent.parent.day"}},
        records="d.{k}.rows[]", validate=[{"expect": "sql", "sql": "a < 3"}],
    )
    body = b'{"day":"2024-02-29","d":{"x":{"id":"i","rows":[{"a":1}]},"y":{"id":"j","rows":[{"a":2},{"a":3}]}}}'
    rows = bench.map(body)
    assert [(row["both"], row["day"], row["_ok"]) for row in rows] == [("x/i/1", "2024-02-29", 1), ("y/j/2", "2024-02-29", 1), ("y/j/3", "2024-02-29", 0)]
    source = bench.plan.source
    assert records_of(body, source.records, False, source.want.leaves, most=2) == [b'{"x":{"id":"i","rows":[{"a":1}]}}', b'{"y":{"id":"j","rows":[{"a":2}]}}']
    assert records_of(body, source.records, False, source.want.leaves, bare=True, most=1) == [b'{"a":1}']


@pytest.mark.parametrize("path", ["d", "d[]", "d[].r[]"])
def test_only_the_first_records_are_taken_where_no_more_are_wanted(feed, path: str) -> None:
    bench = feed({"a": "Int32"}, records=path)
    source = bench.plan.source
    body = json.dumps({"d": [{"a": n, "r": [{"a": n}]} for n in range(9)]}).encode()
    assert len(records_of(body, source.records, False, source.want.leaves, bare=True, most=4)) == 4
    assert len(records_of(body, source.records, False, source.want.leaves)) == 9
