"""What `query` may run: one statement that reads tables. Judged from the tokens, before the engine sees the text.

The engine itself adds ``readonly=1`` and limits (rows, bytes, memory, time). ``readonly`` alone is not enough: it lets through
``INTO OUTFILE``, the scalar function ``file``, ``SET readonly=0``, ``KILL`` and a second statement after a semicolon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexus_engine.errors import NexusError

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from nexus_engine.clickhouse.engine import Engine

BEGINNINGS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "("})

# Functions that reach outside the tables: files, network, programs, Python objects.
# ruff: noqa: SIM905  the list reads better as words
OUTSIDE = frozenset(
    name.lower()
    for name in (
        "file fileCluster url urlCluster s3 s3Cluster gcs oss cosn azureBlobStorage azureBlobStorageCluster hdfs hdfsCluster "
        "remote remoteSecure cluster clusterAllReplicas executable python mysql postgresql mongodb redis sqlite odbc jdbc "
        "iceberg icebergS3 icebergLocal icebergAzure icebergHDFS icebergCluster deltaLake deltaLakeLocal deltaLakeS3 "
        "deltaLakeAzure deltaLakeCluster hudi hudiCluster paimon paimonS3 paimonLocal ytsaurus arrowFlight input "
        "catboostEvaluate sleep sleepEachRow"
    ).split()
)

LIMITS: dict[str, str | int] = {
    "readonly": 1,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 512 * 10**6,
    "result_overflow_mode": "throw",
    "max_memory_usage": 2 * 10**9,
    "max_execution_time": 60,
}


TO_DO = {
    396: "add a LIMIT, or allow more with --max-rows",
    159: "ask for less: a query may take 60 s",
    241: "ask for less: a query may take 2 GB of memory",
    60: 'see: nexus-engine query "show tables from <database>"',
    81: 'see: nexus-engine query "show databases"',
}


def query(engine: Engine, sql: str, max_rows: int, *, arrow: bool = False) -> Any:
    """Run one reading statement: rows as dicts (integers exact, decimals as text), or an Arrow stream.

    Raises:
        NexusError: the text is refused, or ClickHouse refused it.
    """
    from nexus_engine.clickhouse.engine import EngineError

    text = check_query(sql)
    settings = {**LIMITS, "max_result_rows": max_rows}
    try:
        return _stream(engine.arrow(text, settings=settings)) if arrow else engine.rows(text, settings=settings)
    except EngineError as error:
        what, _, _ = error.message.partition(". In scope ")
        raise NexusError(
            what.splitlines()[0] if what else "ClickHouse gave no reason",
            where=f"query, ClickHouse error {error.code}", did="nothing was changed", do=TO_DO.get(error.code, ""),
        ) from None


def _stream(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def check_query(sql: str) -> str:
    """The text to run: without a semicolon at its end.

    Raises:
        NexusError: it is not one reading statement, or reaches outside the tables; says which word.
    """
    from sqlglot import tokenize
    from sqlglot.errors import SqlglotError

    try:
        tokens = tokenize(sql, read="clickhouse")
    except SqlglotError:
        raise _refused("the text does not end well: a quote or comment is not closed", "close it") from None
    end = len(sql)
    while tokens and tokens[-1].text == ";":
        end = tokens.pop().start
    if not tokens:
        raise _refused("there is no statement", "write a SELECT")
    first = tokens[0].text.upper()
    if first not in BEGINNINGS:
        raise _refused(f"a query cannot begin with {first}", "query only reads: SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS")
    for at, token in enumerate(tokens):
        if not _is_string(sql, token):
            _check(sql, token, tokens[at + 1 : at + 3], last=at == len(tokens) - 2)
    # Comments after the last token go too: one of them could hide what the engine adds.
    return sql[: min(end, tokens[-1].end + 1)]


def _check(sql: str, token: Token, following: list[Token], *, last: bool) -> None:
    """``following``: the next two tokens; ``last``: only one is left."""
    word, after = token.text.upper(), [item.text.upper() for item in following]
    if word == ";":
        raise _refused("there is more than one statement", "send them one by one")
    if after[:1] == ["("] and token.text.lower() in OUTSIDE:
        raise _refused(f"{token.text}() reaches outside the tables", "query reads only tables of this data folder")
    if _is_quoted(sql, token):
        return
    if word == "INTO" and after[:1] == ["OUTFILE"]:
        raise _refused("INTO OUTFILE is not allowed", "redirect the output: nexus-engine query … --format csv > file")
    if word == "FORMAT" and last and following[0].text.isidentifier() and not _is_string(sql, following[0]):
        raise _refused("a FORMAT clause is not allowed", "choose with --format: table, json, csv or arrow")
    if word == "SETTINGS" and after[1:2] == ["="]:
        raise _refused("a SETTINGS clause is not allowed", "the engine sets the limits of a query")


def _is_string(sql: str, token: Token) -> bool:
    return sql[token.start : token.start + 1] == "'" or token.token_type.name.endswith("STRING")


def _is_quoted(sql: str, token: Token) -> bool:
    return sql[token.start : token.start + 1] in ('"', "`")


def _refused(what: str, do: str) -> NexusError:
    return NexusError(what, where="query", did="nothing was run", do=do)
