"""The rows that `trace` follows; and why there are none: the table is a view or is not there, the condition is wrong or matches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from nexus_engine.cli.context import Context
from nexus_engine.errors import ConfigError, NexusError

LATEST = "_latest"
OTHERS = "('system', 'information_schema', 'INFORMATION_SCHEMA')"
SHOWN_NAMES = 20


def rows_of(context: Context, table: str, where: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """The rows with the two hidden columns, read as `query` reads, and whether there are more than ``limit``.

    Raises:
        ConfigError: there is no such table, or it is a view.
        NexusError: the condition cannot be used, or no row matches it.
    """
    from nexus_engine.cli.owning import ask
    from nexus_engine.clickhouse.quoting import ident

    database, dot, name = table.partition(".")
    if not dot or not database or not name:
        raise click.UsageError(f"TABLE is written `database.table`{_table_of_feed(context, table)}")
    sql = f"SELECT _nexus_batch, _nexus_row, * FROM {ident(database)}.{ident(name)} WHERE (\n{where}\n) ORDER BY _nexus_batch, _nexus_row LIMIT {limit + 1}"
    try:
        found: list[dict[str, Any]] = ask(context, "query", {"sql": sql, "max_rows": limit + 1})
    except NexusError as error:
        raise _why(context, database, name, where, error) from None
    if not found:
        raise NexusError(
            f"no row of {table} matches", where=f"--where {where}", did="nothing was followed",
            do=f"""see what is there: nexus-engine query "SELECT * FROM {table} LIMIT 10"; texts and dates of a condition stand in single quotes""",
        )
    return found[:limit], len(found) > limit


def _table_of_feed(context: Context, word: str) -> str:
    plan = context.loaded.plans.get(word)
    return f": feed {word} lands in {plan.target.name}" if plan else ""


def _why(context: Context, database: str, name: str, where: str, error: NexusError) -> NexusError:
    """What to say in the place of ClickHouse's words."""
    from nexus_engine.cli.owning import ask
    from nexus_engine.clickhouse.quoting import literal

    if "ClickHouse error" not in error.where:
        return error  # the text was refused before ClickHouse saw it, or nobody could be asked
    sql = f"SELECT concat(database, '.', name) AS name, engine FROM system.tables WHERE database NOT IN {OTHERS} ORDER BY name"
    engines = {row["name"]: row["engine"] for row in ask(context, "query", {"sql": sql, "max_rows": 100_000})}
    table = f"{database}.{name}"
    if table not in engines:
        return _not_there(table, [known for known, engine in engines.items() if engine != "View"])
    if engines[table] == "View":
        base = table.removesuffix(LATEST)
        of = f"nexus-engine trace {base} --where ...; of several revisions of a row, the newest comes last" if base in engines and base != table else "name the table"
        return ConfigError(
            f"{table} is a view: its rows do not say which batch they came in", where=table, did="nothing was followed", do=f"follow the table behind it: {of}"
        )
    sql = f"SELECT name FROM system.columns WHERE database = {literal(database)} AND table = {literal(name)} ORDER BY position"
    columns = [row["name"] for row in ask(context, "query", {"sql": sql, "max_rows": 100_000}) if not row["name"].startswith("_nexus_")]
    what, cut, _ = error.what.partition(": while executing")[0].partition(": failed at position")
    told = "it is not valid SQL" if cut else what
    return NexusError(
        f"the condition cannot be used: {told}", where=f"--where {where}", did="nothing was followed",
        do=f"write a condition over the columns of {table}: {_some(columns)}",
    )


def _not_there(table: str, known: Iterable[str]) -> ConfigError:
    from nexus_engine.spec.spelling import nearest

    names = list(known)
    near = nearest(table, names)
    return ConfigError(
        f"there is no table {table}", where="the tables of this data folder", did="nothing was followed",
        do=f"did you mean {near}?" if near else f"its tables: {_some(names)}" if names else "nothing has landed yet: run a feed first",
    )


def _some(names: list[str]) -> str:
    more = f", and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more
