"""Large bodies in JSON lines are mapped as they came, into a file or into a side table. Whatever the lines hold, what lands, what is refused and where the run stops is what
the same records give when they come as lists."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from lines_world import World, body
from raw_server import RawServer, answer

from nexus_engine.clickhouse.engine import Engine, EngineError
from nexus_engine.compile.compiler import compile_feed
from nexus_engine.contract.lines import listed_lines
from nexus_engine.contract.options import decode_text
from nexus_engine.contract.source import Partition, Payload, Window
from nexus_engine.deliver.batch import explain, work
from nexus_engine.deliver.counts import query_failed
from nexus_engine.deliver.side import SideTables
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.worked import Bench, Layouts
from nexus_engine.errors import OutOfSpace, StopFeed
from nexus_engine.spec.model import Spec
from nexus_engine.state.store import Store
from nexus_plugins.formats.jsonl.format import JsonlFormat
from nexus_plugins.sinks.clickhouse.options import ClickHouseOptions
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink

RUN = {"run_started_at": "2026-01-02 03:04:05", "run_id": "run-1", "feed": "f"}
FIELDS = {
    "text": {"type": "String", "default": "none"},
    "n": {"type": "Nullable(UInt8)", "missing": ["."]},
    "price": {"type": "Float64"},
    "at": {"type": "DateTime64(3)"},
    "deep": {"type": "Nullable(String)", "from": "in.side.x"},
    "first": {"type": "Nullable(Float64)", "from": "list[0]"},
    "whole": {"type": "Nullable(String)", "from": "any"},
    "tags": {"type": "Array(String)"},
    "flag": {"type": "Nullable(Bool)"},
    "sum": {"type": "Nullable(Float64)", "sql": "price + coalesce(n, 0)"},
    "series": {"type": "String", "from": "each.series"},
    "since": {"type": "Nullable(String)", "from": "window.start"},
}
VALUES = {
    "text": ["a", "", None, 1.50, "é\"\\\n\t", True, [1], {"q": 2}, "\u2028"],
    "n": [0, 255, 256, -1, 1.0, "7", ".", None, "x", 1e2, True],
    "price": [1, 1.5, "2.5", None, "", "nan", 1e308, "1e400", [1], -0.0],
    "at": ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05.125", "2026-02-30T00:00:00Z", 5, None, "2026-01-02"],
    "in": [None, {}, {"side": {"x": 1}}, {"side": None}, {"side": {"x": {"y": 2}}}, {"side": [1]}, 7, "t"],
    "list": [None, [], [1.5, 2], ["x"], {"a": 1}, 3, [[1]]],
    "any": [None, {"a": [1, {"b": 2.50}]}, [], "s", 1],
    "tags": [[], ["a", "b"], None, [1, None], "a", {"a": 1}],
    "flag": [True, False, None, 1, "yes", "true"],
    "other": [1, "x", {"deep": [[[]]]}, None],
}


@pytest.fixture
def engine():
    found = Engine(None)
    yield found
    found.close()


def plan_of(fields=FIELDS, **words):
    tree = {
        "name": "f", "source": {"format": "jsonl", "options": {"endpoint": "http://127.0.0.1/"}, "each": {"series": ["a"]}},
        "fields": fields, "target": {"table": "m.t"}, "max_refused": 1, **words,
    }  # fmt: skip
    return compile_feed(msgspec.convert(tree, Spec, dec_hook=decode_text), formats={"jsonl": JsonlFormat})


def record(rng: random.Random, wild: float) -> dict[str, object]:
    """Mostly good values, which come first in some of the lists above."""
    chosen = {name: rng.choice(values) if rng.random() < wild else values[0] for name, values in VALUES.items() if rng.random() > wild / 5}
    return dict(rng.sample(list(chosen.items()), len(chosen)))


def side_tables(engine: Engine, folder: Path, plan) -> SideTables:
    class Context:
        data_dir = folder

    Context.engine = engine
    sink, store = ClickHouseSink(ClickHouseOptions(), Context()), Store.open(folder / "state.db")
    return SideTables(sink, plan.target, store, lambda: sink.prepare(plan.target, apply=True))


def worked(engine: Engine, folder: Path, plan, texts: list[bytes], *, how: str, layouts: Layouts | None = None):
    """What a batch of these payloads gives: rows by record, counts, refusals, and where it stops. ``how``: lists | lines | aside."""
    lines = how != "lists"
    stage = Stage(folder / f"{how}.jsonl")
    unit = stage.unit(Partition("series=a", {"series": "a"}), Window("2026-01-01", None), plan)
    line = 1
    for number, text in enumerate(texts, 1):
        count = text.count(b"\n") + (not text.endswith(b"\n"))
        body, told = (text, line) if lines else (listed_lines(text)[0], 0)
        stage.add(unit, Payload(body, {"piece": number}, page=number, line=told, records=count))
        line += count
    stage.close()
    assert stage.lines is lines
    sides = side_tables(engine, folder, plan) if how == "aside" else None
    bench = Bench(plan, engine, None, folder, RUN, sides=sides, layouts=layouts or Layouts())  # type: ignore[arg-type]  nothing is written
    found = work(stage, bench)
    found = explain(found, bench)
    columns = ", ".join(f"toString(`{column.name}`) AS `{column.name}`" for column in plan.query.columns)
    rows = engine.rows(f"SELECT _p, _i, {columns} FROM {found.mapped.relation} WHERE _ok ORDER BY _p, _i") if found.stage.has_lines else []
    if sides is not None:
        assert plan.query.side
        assert sides.made
        assert engine.rows(f"SELECT count() AS n FROM system.tables WHERE database = '_nexus_side_{plan.target.sink}'") == [{"n": len(sides.made)}]
    refusals = sorted((r.p, r.record, json.dumps(json.loads(r.raw)), r.reasons) for r in found.refusals)
    bench.clean()
    assert not engine.rows("SELECT name FROM system.tables WHERE database LIKE '\\_nexus\\_side%'")
    return {"rows": rows, "stats": found.stats, "refusals": refusals, "failures": {unit: str(g.error) for unit, g in found.failures.items()}}


@pytest.mark.parametrize("seed", range(6))
def test_lines_give_what_lists_give(tmp_path, engine, seed):
    rng, plan = random.Random(seed), plan_of()
    assert plan.query.lines
    for wild in (0.0, 0.02, 0.3):
        most = 40 if wild < 0.1 else 8  # a record that breaks the query is looked for by halving
        records = [[record(rng, wild) for _ in range(rng.choice([1, 7, most]))] for _ in range(rng.choice([1, 2, 4]))]
        end = rng.choice([b"\n", b"\r\n"])
        texts = [b"".join(json.dumps(item, ensure_ascii=False).encode() + end for item in items) for items in records]
        if rng.random() < 0.5:
            texts[-1] = texts[-1].removesuffix(end)
        as_lines = worked(engine, tmp_path, plan, texts, how="lines")
        assert as_lines == worked(engine, tmp_path, plan, texts, how="lists")
        assert as_lines == worked(engine, tmp_path, plan, texts, how="aside")
        read = sum(stats.read for stats in as_lines["stats"].values()) + sum("structure" in r[3][0] for r in as_lines["refusals"])
        assert read == sum(map(len, records))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'{"text":"a","price":1,"at":"2026-01-02T03:04:05Z","tags":[]}\n\n \n{"text":"b","price":2,"at":"2026-01-02T03:04:05Z","tags":[]}\n', ""),
        (b'{"text":"a"\n,"price":1}\n', "line 3 is not one JSON value"),
        (b'{"text":"a"}{"text":"b"}\n', "line 3 is not one JSON value"),
        (b'{"text":"a"}{"text":"b"}\n\n', "line 3 is not one JSON value"),
        (b'{"text":"a",\n', "line 3 is not one JSON value"),
        (b"null\n", ""),
        (b"17\n", ""),
        (b'{"text":"a","text":"b","price":1}\n', ""),
        (b'{"text":"a","price":1,"other":tru}\n{"text":"b"}\n', "line 3 is not one JSON value"),
    ],
)
@pytest.mark.parametrize("how", ["lines", "aside"])
def test_lines_that_are_no_records(tmp_path, engine, how, text, error):
    """The pages before are kept; what follows the first line that is no JSON is not."""
    plan = plan_of()
    good = b'{"text":"ok","price":1,"at":"2026-01-02T03:04:05Z","tags":[]}\n' * 2
    found = worked(engine, tmp_path, plan, [good, text, good], how=how)
    if error:
        (said,) = found["failures"].values()
        assert error in said
        assert [row["_p"] for row in found["rows"]] == [0, 0]
        assert not found["refusals"]
    else:
        assert not found["failures"]
        assert found == worked(engine, tmp_path, plan, [good, text, good], how="lists")


@pytest.mark.parametrize("refused", [[0], [1], [2], [3], [0, 1], [2, 3], [1, 2, 3], [4], [0, 5]])
@pytest.mark.parametrize("how", ["lines", "aside"])
def test_two_records_on_a_line_and_none_on_another(tmp_path, engine, how, refused):
    """As many records as lines, but not at their lines: no refused record is given another one's text."""
    plan = plan_of(max_refused=0.9)
    at = b'"at":"2026-01-02T03:04:05Z","tags":[],"text":"x"}'
    records = [b'{"price":%s,"n":%d,%s' % (b'"bad"' if n in refused else b"1", n, at) for n in range(6)]
    text = records[0] + b"\n" + records[1] + records[2] + b"\n" + b"\n".join(records[3:5]) + b"\n \n" + records[5] + b"\n"
    found = worked(engine, tmp_path, plan, [text], how=how)
    if set(refused) & {1, 2, 3, 4}:
        (said,) = found["failures"].values()
        assert "line 2 is not one JSON value" in said
        assert not found["rows"]
    else:
        assert [json.loads(raw)["n"] for _, _, raw, _ in found["refusals"]] == refused


def test_a_column_that_the_live_table_works_out_itself(tmp_path, engine):
    """`*` does not name it. The values of the feed land all the same, and cursor and rules see them."""
    fields = {"n": {"type": "UInt32"}, "price": {"type": "Float64"}}
    plan = plan_of(fields, cursor={"field": "n", "initial": "0"}, validate=[{"expect": "unique", "fields": ["n"], "severity": "warn"}])
    texts = [b'{"n":1,"price":2}\n{"n":7,"price":1}\n{"n":"x","price":1}\n']
    engine.query("CREATE DATABASE m")
    engine.query(
        "CREATE TABLE m.t (n UInt32 MATERIALIZED 5, price Float64, _nexus_batch UUID MATERIALIZED generateUUIDv4(), "
        "_nexus_row UInt32 MATERIALIZED 0) ENGINE = MergeTree ORDER BY tuple() SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )
    found = worked(engine, tmp_path, plan, texts, how="aside")
    assert found == worked(engine, tmp_path, plan, texts, how="lines")
    assert [row["n"] for row in found["rows"]] == ["1", "7"]
    assert found["stats"][0].cursor_max == "7"


@pytest.mark.parametrize("how", ["lists", "lines", "aside"])
def test_a_rule_that_fails_on_what_is_no_value_is_asked_of_good_records_only(tmp_path, engine, how):
    """A refused record whose rule would throw is refused for its own reason, and nothing stops."""
    fields = {"price": {"type": "Float64"}, "t": {"type": "String"}}
    plan = plan_of(fields, validate=[{"expect": "sql", "sql": "toFixedString(t, 2) != 'no'"}])
    lines = [b'{"price":1,"t":"ab"}\n', b'{"price":"x","t":"too long"}\n', b'{"price":1,"t":"no"}\n', b'{"price":2,"t":"cd"}\n']
    found = worked(engine, tmp_path, plan, [b"".join(lines)], how=how)
    assert [row["t"] for row in found["rows"]] == ["ab", "cd"]
    assert [(number, reasons) for _, number, _, reasons in found["refusals"]] == [
        (1, ('price: cast: "x" is no Float64',)), (2, ("row: rule:sql: does not hold",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"v": {"type": "String", "from": "."}}, "the record itself"),
        ({"v": {"type": "String", "from": "_file"}}, "a name of the engine's own for files"),
        ({"v": {"type": "String", "from": '"a.b"'}}, "a name with a dot"),
    ],
)
def test_records_that_are_not_read_as_they_came(tmp_path, fields, why):
    plan = plan_of(fields)
    assert not plan.query.lines, why
    assert not plan.source.want.lines


@pytest.mark.parametrize(
    ("error", "full", "kind"),
    [
        (EngineError(243, "Cannot reserve 1.00 MiB, not enough space."), False, OutOfSpace),
        (EngineError(75, "Cannot write to file: /x, errno: 28, strerror: No space left on device"), False, OutOfSpace),
        (EngineError(117, "Not an Arrow file"), True, OutOfSpace),
        (EngineError(117, "Not an Arrow file"), False, StopFeed),
    ],
)
def test_a_full_disk_is_named_while_rows_are_mapped(error, full, kind):
    """What was mapped may be cut short by it; elsewhere the same complaint is the query's."""
    found = query_failed(error, plan_of(), full=full)
    assert type(found) is kind
    assert found.what
    assert found.where
    assert found.did
    assert found.do


def test_a_page_with_too_many_refusals_is_named(tmp_path, engine):
    plan = plan_of(max_refused=0.4)
    good, bad = (b'{"price":%s,"at":"2026-01-02T03:04:05Z","tags":[],"text":"x"}\n' % price for price in (b"1", b'"x"'))
    for how in ("lines", "aside", "lists"):
        found = worked(engine, tmp_path, plan, [good * 9 + bad, good * 3, bad * 2 + good * 2, good * 50], how=how)
        assert [(row["_p"], row["_i"]) for row in found["rows"]] == [*((0, n) for n in range(9)), *((1, n) for n in range(3))]
        (said,) = found["failures"].values()
        assert "2 of 4 records of page 3 were refused" in said


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"in": [1]}, "a list stands at `in` where an object was due; `[]` behind a path goes over the items of a list"),
        ({"in": {"side": "t"}}, "a text stands at `in.side` where an object was due"),
        ({"in": 7}, "a single value stands at `in` where an object was due"),
        ({"list": {"a": 1}}, "no list stands at `list` where one was due"),
        ([], "a list stands where an object was due; `[]` behind a path goes over the items of a list"),
    ],
)
@pytest.mark.parametrize("how", ["lines", "aside"])
def test_what_breaks_the_query_is_said_in_words_of_the_spec(tmp_path, engine, how, record, reason):
    text = json.dumps(record).encode() + b"\n"
    found = worked(engine, tmp_path, plan_of(), [text * 2], how=how)
    assert [(number, reasons) for _, number, _, reasons in found["refusals"]] == [(n, (f"record: structure: {reason}",)) for n in (0, 1)]


@pytest.mark.capability("Formats: a body larger than memory", spec="format: jsonl")
def test_large_bodies_of_two_partitions_land_exactly(tmp_path):
    refused = {77: b'{"id":77,"price":-1,"text":"low"}\n', 4999: b'{"id":4999,"price":"x","text":"none"}\n'}
    sizes = {"a": (0, 6000), "b": (10_000, 5000)}
    with RawServer(lambda request: answer(body(*sizes[request.query["series"]], refused))) as server:
        report, ids, quarantine = World(tmp_path, server.url).run()
    assert report.status == "ok"
    assert report.batches > 2
    assert ids == {"a": [n for n in range(6000) if n not in refused], "b": list(range(10_000, 15_000))}
    assert sorted((q.raw, q.partition) for q in quarantine) == sorted((text.decode().strip(), "series=a") for text in refused.values())


def test_a_bad_line_stops_its_partition_behind_the_pages_before_it(tmp_path):
    bad = {4500: b'{"id": 4500, "price": }\n'}
    sizes = {"a": (0, 6000), "b": (0, 5000)}
    with RawServer(lambda request: answer(body(*sizes[request.query["series"]], bad if request.query["series"] == "a" else None))) as server:
        world = World(tmp_path, server.url)
        report, ids, _ = world.run()
        assert report.status == "failed"
        (error,) = report.errors
        assert "line 4501 is not one JSON value" in error.what
        assert error.partition == "series=a"
        assert 3000 < len(ids["a"]) < 4500
        assert ids["a"] == list(range(len(ids["a"])))
        assert ids["b"] == list(range(5000))
        bad.clear()
        report, ids, _ = world.run()
        assert report.status == "ok"
        assert ids["a"] == list(range(6000))


def test_blank_lines_and_a_growing_body(tmp_path):
    """A body that ended in the middle of its reading goes on where it was, also when it is larger now."""
    sent = [body(0, 3000) + b"\n" + body(3000, 3000)]
    with RawServer(lambda request: answer(sent[0] if request.query["series"] == "a" else b"")) as server:
        world = World(tmp_path, server.url, key=", key: [series, id]")
        report, ids, _ = world.run()
        assert (report.status, ids["a"]) == ("ok", list(range(6000)))
        sent[0] += body(6000, 10)
        report, ids, _ = world.run()
        assert (report.new, report.unchanged, ids["a"]) == (10, 6000, list(range(6010)))
