"""The embedded engine: exact values, codes, deadlines, threads, and what it must leave alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from nexus_engine.clickhouse.engine import SESSIONS, Engine, EngineError
from nexus_engine.errors import StateDamaged


@pytest.fixture
def engine(tmp_path):
    opened = Engine(tmp_path / "clickhouse")
    yield opened
    opened.close()


def test_integers_of_any_width_and_decimals_arrive_exactly(engine):
    row = engine.rows("SELECT 18446744073709551615 AS a, toInt256('-123456789012345678901234567890') AS b, toDecimal128('12345678901234567.89', 2) AS c, nan AS d, timezone() AS tz")
    assert row == [{"a": 2**64 - 1, "b": -123456789012345678901234567890, "c": "12345678901234567.89", "d": "nan", "tz": "UTC"}]
    assert engine.arrow("SELECT number AS n FROM numbers(3)").to_pydict() == {"n": [0, 1, 2]}
    assert engine.arrow("SELECT number AS n FROM numbers(0)").num_rows == 0
    assert engine.column("SELECT toUInt32(number) FROM numbers(3)").tolist() == [0, 1, 2]
    assert engine.column("SELECT toUInt32(number) FROM numbers(200000)").sum() == 200_000 * 199_999 // 2
    assert engine.column("SELECT toUInt32(number) FROM numbers(0)").tolist() == []


@pytest.mark.parametrize("text", ["", "o'clock", "a\\b", "line\nfeed\ttab\r", "nul\0", "é🎉", "\\N", "{x:String}"])
def test_parameters_arrive_as_they_are(engine, text):
    assert engine.rows("SELECT {x:String} AS x, {n:UInt8} AS n", params={"x": text, "n": "7"}) == [{"x": text, "n": 7}]


@pytest.mark.parametrize("sql, code", [("SELECT * FROM nope", 60), ("SELEC", 47), ("SELECT throwIf(1)", 395), ("SELECT 1 +", 62)])
def test_errors_carry_clickhouse_codes(engine, sql, code):
    with pytest.raises(EngineError) as error:
        engine.query(sql)
    assert error.value.code == code and not error.value.message.startswith("Code:")


@pytest.mark.parametrize("way", ["rows", "arrow", "column", "query"])
def test_what_a_failed_query_gave_before_it_failed_is_in_no_other_result(engine, way):
    for _ in range(3):
        with pytest.raises(EngineError) as error:
            getattr(engine, way)("SELECT throwIf(number = 199999) + number AS t FROM numbers(200000) SETTINGS max_threads = 1")
        assert error.value.code == 395
        assert engine.rows("SELECT 42 AS a") == [{"a": 42}]
        assert engine.arrow("SELECT 42 AS a").to_pydict() == {"a": [42]}
        assert engine.column("SELECT 42 AS a").tolist() == [42]


def test_threads_get_their_own_results_while_others_fail(engine):
    wrong: list[object] = []

    def fails() -> None:
        for _ in range(15):
            with contextlib.suppress(EngineError):
                engine.rows("SELECT throwIf(number = 99999) AS t, number FROM numbers(100000) SETTINGS max_threads = 1")

    def works(n: int) -> None:
        wrong.extend(found for _ in range(60) if (found := engine.rows(f"SELECT {n} AS a")) != [{"a": n}])

    threads = [threading.Thread(target=fails), *(threading.Thread(target=works, args=(n,)) for n in range(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_query_has_a_deadline_and_a_memory_limit(engine):
    for settings, code in (({"max_execution_time": 1}, 159), ({"max_memory_usage": 10_000_000}, 241)):
        with pytest.raises(EngineError) as error:
            engine.rows("SELECT count() FROM (SELECT number FROM numbers(1000000000000) GROUP BY number)", settings=settings)
        assert error.value.code == code
    with pytest.raises(ValueError, match="setting's name"):
        engine.query("SELECT 1", settings={"x = 1, y": 1})
    assert engine.rows("SELECT 1 AS x SETTINGS max_threads = 1", settings={"max_threads": 2}) == [{"x": 1}]


def test_every_query_starts_from_the_limits_of_the_engine(engine):
    names = {"max_execution_time": 600, "max_memory_usage": 4_294_967_296, "max_query_size": 16_777_216}
    found = engine.rows("SELECT name, toUInt64(value) AS value FROM system.settings WHERE name IN ('max_execution_time', 'max_memory_usage', 'max_query_size')")
    assert {row["name"]: row["value"] for row in found} == names
    with pytest.raises(EngineError, match="[Mm]ax query size exceeded|max_query_size") as error:
        engine.query(f"SELECT {' ' * 17_000_000} 1 FORMAT Null")
    assert error.value.code == 62


def test_queries_of_several_threads_run_side_by_side_and_more_than_there_are_sessions_wait(engine):
    engine.query("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    threads = [threading.Thread(target=engine.query, args=(f"INSERT INTO t SELECT {n} + sleepEachRow(2.5)",)) for n in range(SESSIONS - 1)]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        seen.add(engine.rows("SELECT count() AS n FROM system.processes WHERE query_kind = 'Insert'")[0]["n"])
    assert max(seen) == SESSIONS - 1
    more = [threading.Thread(target=engine.query, args=(f"INSERT INTO t SELECT {n} + sleepEachRow(0.05)",)) for n in range(10, 30)]
    [t.start() for t in more], [t.join() for t in more]
    assert engine.rows("SELECT count() AS rows, uniqExact(n) AS different FROM t") == [{"rows": SESSIONS + 19, "different": SESSIONS + 19}]
    assert engine.rows("SELECT uniqExact(getSetting('max_execution_time')) AS n, any(timezone()) AS tz") == [{"n": 1, "tz": "UTC"}]


def test_threads_share_the_tables(engine):
    engine.query("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for n in range(first, first + 10):
                engine.query(f"INSERT INTO t VALUES ({n})")
                engine.rows("SELECT count() FROM t")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert failed == [] and engine.rows("SELECT count() AS rows, uniqExact(n) AS different FROM t") == [{"rows": 40, "different": 40}]


def test_tables_outlive_the_session_and_memory_does_not(tmp_path):
    first = Engine(tmp_path / "c")
    first.query("CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 1 AS n")
    first.close(), first.close()
    with pytest.raises(EngineError, match="closed"):
        first.rows("SELECT 1")
    again = Engine(tmp_path / "c")
    assert again.rows("SELECT n FROM t") == [{"n": 1}]
    again.close()
    memory = Engine(None)
    assert memory.rows("SELECT count() AS n FROM system.tables WHERE name = 't'") == [{"n": 0}]
    memory.close()


def test_a_second_process_is_refused_with_the_owners_pid(engine, tmp_path):
    engine.query("SELECT 1")
    code = f"from pathlib import Path\nfrom nexus_engine.clickhouse.engine import Engine\nfrom nexus_engine.errors import Locked\ntry: Engine(Path({str(tmp_path / 'clickhouse')!r})).query('SELECT 1')\nexcept Locked as e: print(e.pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(os.getpid()), "")


def test_a_folder_that_is_not_clickhouses_is_named(tmp_path):
    (tmp_path / "c").write_text("a file where a folder must be")
    with pytest.raises(StateDamaged, match="does not open"):
        Engine(tmp_path / "c").query("SELECT 1")


def test_signals_and_the_working_directory_stay_ours(tmp_path):
    """In a process of its own: the first open of a process is the one that takes handlers."""
    code = """
import faulthandler, os, signal, sys
from pathlib import Path
faulthandler.enable()
signal.signal(signal.SIGTERM, lambda *_: None)
caught = lambda: [line for line in open("/proc/self/status") if line.startswith("SigCgt")][0].split()[1]
ours, where = int(caught(), 16) & 0xffffffff, os.getcwd()
from nexus_engine.clickhouse.engine import Engine
engine = Engine(Path(sys.argv[1]))
engine.query("SELECT 1")
assert int(caught(), 16) & 0xffffffff == ours, (caught(), hex(ours))
assert faulthandler.is_enabled() and os.getcwd() == where
engine.close()
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "c")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pad", range(2))
def test_a_message_that_quotes_half_a_letter_is_a_message(engine, tmp_path, pad):
    """ClickHouse quotes the data it stumbles over, cut at a byte; chdb cannot decode that."""
    file = tmp_path / "data.jsonl"
    file.write_bytes(b'{"t":"' + b"x" * pad + "é".encode() * 200 + b'"}\n')
    with pytest.raises(EngineError, match="expected '{' before: '\"x?éé") as caught:
        engine.query(f"SELECT * FROM file('{file}', 'JSONEachRow', 't Tuple(a Float64)')")
    assert caught.value.code == 27


def test_a_statement_tells_how_many_rows_it_read(engine, tmp_path):
    """Of files and tables, whatever becomes of them: a body of lines is known by it to have as many records as lines."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n{"a": 2} {"a": 3}\n\n{"a": 4}\n')
    engine.query("CREATE DATABASE d")
    engine.query("CREATE TABLE d.t (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert engine.query(f"INSERT INTO d.t SELECT a FROM file('{file}', 'JSONEachRow', 'a UInt8') WHERE a > 2") == 4
    assert engine.query("SELECT a FROM d.t WHERE a % 2") == 2
