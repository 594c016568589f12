"""What `query` runs and refuses; each refused text is one that the engine's own readonly mode lets through, or a disguise."""

import pytest

from nexus_engine.clickhouse.engine import Engine
from nexus_engine.errors import NexusError
from nexus_engine.service.query_guard import check_query, query

ALLOWED = [
    "select * from macro.indicators order by date desc limit 5",
    "WITH 1 AS a SELECT a",
    "(select 1) union all (select 2)",
    "show tables from macro",
    "describe macro.indicators",
    "explain select 1",
    "exists table macro.indicators",
    "select formatDateTime(date, '%Y') as format, format('{}', value) from t",
    "select 'INTO OUTFILE; DROP TABLE t; file(1)' as s",
    "select `into outfile` from t",
    "select file, url from downloads",
    "select * from system.settings where name = 'readonly'",
    "select name from settings",
    "select * from numbers(3)",
    "select a.file, (1) from a",
]

REFUSED = [
    ("drop table t", "cannot begin with DROP"),
    ("insert into t values (1)", "cannot begin with INSERT"),
    ("set readonly = 0", "cannot begin with SET"),
    ("kill query where 1", "cannot begin with KILL"),
    ("system shutdown", "cannot begin with SYSTEM"),
    ("select 1; drop table t", "more than one statement"),
    ("select 1;;select 2", "more than one statement"),
    ("select 1 into outfile '/tmp/x'", "INTO OUTFILE"),
    ("select 1 INTO/**/OUTFILE '/tmp/x'", "INTO OUTFILE"),
    ("select 1 format JSON", "FORMAT"),
    ("select 1 settings readonly=0", "SETTINGS"),
    ("select * from (select 1 settings max_memory_usage=0)", "SETTINGS"),
    ("select file('/etc/passwd')", "file"),
    ("select File ('/etc/passwd')", "File"),
    ("select `file`('/etc/passwd')", "file"),
    ('select "file"(\'/etc/passwd\')', "file"),
    ("select * from url('http://127.0.0.1/', CSV, 'a Int')", "url"),
    ("select * from executable('ls', TSV, 'a String')", "executable"),
    ("select * from Python(secrets)", "Python"),
    ("select * from remote('10.0.0.1', system, one)", "remote"),
    ("", "no statement"),
    ("-- only a comment", "no statement"),
    ("select 'open", "not closed"),
    ("select 1 /* open", ""),
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_allowed(sql):
    assert check_query(sql) == sql


@pytest.mark.parametrize(("sql", "word"), REFUSED)
def test_refused(sql, word):
    try:
        text = check_query(sql)
    except NexusError as error:
        assert word in error.what
        assert error.did == "nothing was run"
    else:
        assert sql.startswith("select 1 /*"), sql
        assert text == "select 1 "[: len(text)]


@pytest.mark.parametrize(("sql", "text"), [
    ("select 1;", "select 1"),
    ("select 1 ; -- done", "select 1"),
    ("select 1 -- hidden", "select 1"),
    ("select 'a''b' ;", "select 'a''b'"),
    ("select `a b`", "select `a b`"),
])
def test_the_end_is_cut(sql, text):
    assert check_query(sql).strip() == text


def test_a_query_meets_its_limits(tmp_path):
    engine = Engine(tmp_path / "clickhouse")
    try:
        for most in (1000, 1_000_000):
            with pytest.raises(NexusError, match="Limit for result exceeded") as caught:
                query(engine, f"select number from numbers({most + 1})", most)
            assert "--max-rows" in caught.value.do
        with pytest.raises(NexusError, match="emory") as caught:
            query(engine, "select length(groupArray(number)) from numbers(400000000)", 10)
        assert "2 GB" in caught.value.do
        told = query(engine, "select name, value from system.settings where name in ('max_result_bytes', 'max_execution_time')", 10)
        assert {row["name"]: row["value"] for row in told} == {"max_result_bytes": "512000000", "max_execution_time": "60"}
    finally:
        engine.close()
