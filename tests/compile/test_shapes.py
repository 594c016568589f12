"""Every shape of records, hostile names, missing, default, constants: what the query makes of a body."""

from __future__ import annotations

import pytest
from compile_harness import RUN

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.raw import plain_keys, rebuild, records_of, some_records

SHAPES = {
    "list": ("data.rows", {"a": "Int32", "b": {"type": "Nullable(String)", "from": "o.b"}},
             b'{"data":{"rows":[{"a":1,"o":{"b":"x"},"z":[1]},{"a":2,"o":null},{"a":3}]}}', [(1, "x"), (2, None), (3, None)]),
    "top list": (".", {"a": "Int32", "b": "Nullable(String)"}, b'[{"a":1,"b":{"q": 1.50}},{"a":2,"b":[1]}]', [(1, '{"q": 1.50}'), (2, "[1]")]),
    "list of lists": ({"path": "d", "columns": ["t", "v", "w"]}, {"a": {"type": "Int32", "from": "t"}, "b": {"type": "Nullable(String)", "from": "w.x"}},
                      b'{"d":[[1,2,{"x":1.50}],[2,3,null,4,5],[3]]}', [(1, "1.50"), (2, None), (3, None)]),
    "by": ({"path": "coins", "by": "id"}, {"a": {"type": "Int32", "from": "p.a"}, "b": {"type": "String", "from": "id"}},
           b'{"coins":{"x:1":{"p":{"a":1}},"y\\"z":{"p":{"a":2}}}}', [(1, "x:1"), (2, 'y"z')]),
    "by scalar": ({"path": ".", "by": "day"}, {"a": {"type": "Int32", "from": "."}, "b": {"type": "String", "from": "day"}},
                  b'{"2024-01-01":1,"2024-01-02":2}', [(1, "2024-01-01"), (2, "2024-01-02")]),
    "one": ({"path": "x[0]", "one": True}, {"a": "Int32", "b": {"type": "String", "from": "c.d"}}, b'{"x":[{"a":7,"c":{"d":"e"}}]}', [(7, "e")]),
    "bare scalar": ({"path": ".", "one": True}, {"a": {"type": "Int32", "from": "."}, "b": {"type": "String", "value": "k"}}, b"12", [(12, "k")]),
    "meta and rows": ("[1]", {"a": {"type": "Int32", "from": "v"}, "b": {"type": "String", "from": "body.[0].last"}},
                      b'[{"page":1,"last":"2024"},[{"v":1},{"v":2}]]', [(1, "2024"), (2, "2024")]),
    "parallel arrays": ({"path": "chart.result[0]", "zip": True}, {"a": {"type": "Int32", "from": "timestamp"}, "b": {"type": "Nullable(String)", "from": "ind.quote[0].close"}},
                        b'{"chart":{"result":[{"meta":{"v":["1d","5d","1y"]},"timestamp":[1,2],"ind":{"quote":[{"close":[1.50,null]}]}}],"error":null}}', [(1, "1.50"), (2, None)]),
    "absent parallel array": ({"path": ".", "zip": True, "optional": ["gone"]}, {"a": {"type": "Int32", "from": "t"}, "b": {"type": "Nullable(String)", "from": "gone"}},
                              b'{"t":[1,2,3]}', [(1, None), (2, None), (3, None)]),
    "index in a record": (".", {"a": {"type": "Int32", "from": "l[1].q"}, "b": {"type": "Nullable(String)", "from": "l[0].q"}},
                          b'[{"l":[{"q":"x"},{"q":2},{"q":3}]},{"l":[{},{"q":5}]}]', [(2, "x"), (5, None)]),
    "leaf and its inside": (".", {"a": {"type": "Int32", "from": "o.n"}, "b": {"type": "String", "from": "o"}}, b'[{"o":{"n":1, "m":1.50}}]', [(1, '{"n":1, "m":1.50}')]),
    "empty list": ("d", {"a": "Int32", "b": "String"}, b'{"d":[]}', []),
}  # fmt: skip


@pytest.mark.capability("Shapes: a list of lists", spec="records: {path: rows, columns: [t, price, volume]}")
@pytest.mark.capability("Shapes: an object by id or date", spec="records: {path: coins, by: coin}")
@pytest.mark.capability("Shapes: meta and rows", spec='records: {path: "[1]"}')
@pytest.mark.capability("Shapes: one record per body", spec="records: {path: block, one: true}")
@pytest.mark.capability("Shapes: parallel arrays with optional columns", spec="records: {path: chart, zip: true}")
@pytest.mark.parametrize("name", SHAPES)
def test_shape(feed, name: str) -> None:
    records, fields, body, wanted = SHAPES[name]
    bench = feed(fields, records=records)
    rows = bench.map(body, body)
    assert [(row["a"], row["b"]) for row in rows] == wanted * 2
    assert [row["_i"] for row in rows] == [*range(len(wanted))] * 2
    assert sorted(row["_nexus_row"] for row in rows) == [*range(len(rows))]
    assert not bench.refused()


@pytest.mark.parametrize("name", SHAPES)
def test_records_are_the_query_s_records(feed, name: str) -> None:
    """The raw text of record i, put back alone into its body, maps to row i."""
    shape, fields, body, wanted = SHAPES[name]
    bench = feed(fields, records=shape)
    source = bench.plan.source
    raw = records_of(body, source.records, source.flat, source.want.leaves)
    assert len(raw) == len(wanted)
    some = range(1, len(raw), 2)
    assert some_records(body, some, source.records, source.flat, source.want.leaves) == [raw[n] for n in some]
    for n, record in enumerate(raw):
        (row,) = bench.map(rebuild(body, [record], source.records, source.flat, source.want.leaves))
        assert (row["a"], row["b"]) == wanted[n]
    if not source.records.one:
        assert bench.map(rebuild(body, [], source.records, source.flat, source.want.leaves)) == []


def test_flat_format(feed) -> None:
    class Flat:
        flat = True

    bench = feed({"a": {"type": "Int32", "from": "m:props/d:Id"}, "b": {"type": "Nullable(String)", "from": "x.y@z"}}, records="feed/entry", format="xml", formats={"xml": Flat})
    assert bench.plan.source.want.records == "feed/entry"
    assert bench.plan.source.want.leaves == ("m:props/d:Id", "x.y@z")
    rows = bench.map([{"m:props/d:Id": "1", "x.y@z": None}, {"m:props/d:Id": "2", "x.y@z": "t"}])
    assert [(row["a"], row["b"]) for row in rows] == [(1, None), (2, "t")]


def test_hostile_names(feed) -> None:
    names = ["a b", "a.b", "a'b", 'a"b', "a`b", "a\\b", "a\\", "😀", "each.x", "run.y", "SELECT", "a\nb", "{a}", "a--b", "$1", "1a", "ünï", "`; DROP TABLE x; --", "[0]", "o", "k", "p", "b", "i"]
    bench = feed({name: "String" for name in names})
    (row,) = bench.map([{name: f"v {name}" for name in names}])
    assert [row[name] for name in names] == [f"v {name}" for name in names]
    bench.land()
    (landed,) = bench.table()
    assert landed == {name: f"v {name}" for name in names}


def test_keys_with_escapes_and_odd_texts(feed) -> None:
    bench = feed({"é": "String", "b": "Nullable(String)"})
    body = plain_keys(rb'[{"\u00e9":"\u0041\ud83d\ude00","b":"\ud800"},{"\u00E9":"x","\ud800":1}]')
    rows = bench.map(body)
    assert [row["é"] for row in rows] == ["A😀", "x"]


def test_unequal_arrays_are_named(feed) -> None:
    bench = feed({"a": {"type": "Int32", "from": "t"}, "b": {"type": "Nullable(String)", "from": "u.v"}}, records={"zip": True})
    body = b'{"t":[1,2,3],"u":{"v":["x","y"]}}'
    with pytest.raises(EngineError) as caught:
        bench.map(body)
    assert caught.value.code == 190
    source = bench.plan.source
    with pytest.raises(ValueError, match=r"t 3, u\.v 2"):
        records_of(body, source.records, source.flat, source.want.leaves)


def test_wrong_containers_fail_the_query_and_null_records_are_refused(feed) -> None:
    bench = feed({"a": "Int32", "b": {"type": "Nullable(String)", "from": "o.b"}})
    assert bench.map([None, {"a": 1}])[0]["_ok"] == 0
    assert bench.refused() == {(0, 0): ["a: null: no value"]}
    for body in (b"[1]", b"[[1]]", b'{"a":1}', b'[{"a":1,"o":[1]}]', b'[{"a":1,"a":2}]', b'[{"a":NaN}]'):
        with pytest.raises(EngineError):
            bench.map(body)


def test_sources_of_a_text(feed) -> None:
    fields = {
        "a": {"type": "String", "value": "{{ each.s | upper }}-{{ window.start }}x"},
        "b": {"type": "UInt8", "value": "7"},
        "c": {"type": "String", "from": "feed.name"},
        "d": {"type": "String", "default": "none"},
        "e": {"type": "Nullable(Int32)", "missing": [".", "", "n/a"]},
        "f": {"type": "Int32", "missing": ["."], "default": "-1", "from": "e"},
        "r": {"type": "DateTime", "from": "run.started_at"},
        "w": {"type": "Nullable(Date)", "from": "window.end"},
        "i": {"type": "String", "from": "run.id"},
    }
    bench = feed(fields, each={"s": ["x"]})
    rows = bench.map([{"e": "."}, {"e": 5, "d": "q"}, {"e": "?"}], k={"each_s": "abc", "window_start": "2024", "window_end": None})
    common = {"a": "ABC-2024x", "b": 7, "c": "f", "r": RUN["run_started_at"], "w": None, "i": RUN["run_id"], "_filtered": 0, "_p": 0}
    assert rows[0] == {**common, "_i": 0, "_nexus_row": 0, "_ok": 1, "d": "none", "e": None, "f": -1}
    assert rows[1] == {**common, "_i": 1, "_nexus_row": 1, "_ok": 1, "d": "q", "e": 5, "f": 5}
    assert bench.refused()[(0, 2)] == ['e: cast: "?" is no Int32', 'f: cast: "?" is no Int32']
    assert [column.name for column in bench.plan.target.columns if column.run] == ["a", "r", "w", "i"]


def test_row_numbers_are_unique_over_many_payloads(feed) -> None:
    bench = feed({"a": "UInt32"})
    rows = bench.map(*([{"a": n * 1000 + m} for m in range(1000)] for n in range(60)))
    assert sorted(row["_nexus_row"] for row in rows) == [*range(60000)]
    assert [row["a"] for row in rows] == [row["_p"] * 1000 + row["_i"] for row in rows]


@pytest.mark.capability("Shapes: parallel arrays with optional columns", spec="records: {path: chart, zip: true, optional: [adjclose]}")
def test_an_array_that_is_absent_is_null_only_where_that_is_declared(feed) -> None:
    fields = {"a": {"type": "Int32", "from": "t"}, "b": {"type": "Nullable(String)", "from": "q.gone"}}
    for body in (b'{"t":[1,2]}', b'{"t":[1,2],"q":{"gone":[]}}', b'{"t":[1,2],"q":{"gone":null}}'):
        lenient = feed(fields, records={"zip": True, "optional": ["q.gone"]})
        assert [(row["a"], row["b"]) for row in lenient.map(body)] == [(1, None), (2, None)]
        strict = feed(fields, records={"zip": True})
        with pytest.raises(EngineError):
            strict.map(body)
        with pytest.raises(ValueError, match=r"there is no array q\.gone"):
            records_of(body, strict.plan.source.records, False, strict.plan.source.want.leaves)
    assert feed(fields, records={"zip": True}).map(b'{"t":[]}', b"{}") == []
