"""Spec against live table. What is missing becomes statements; any other difference blocks, as lines of a readable diff."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nexus_engine.clickhouse import ddl
from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import parse_type
from nexus_engine.contract.sink import Target


class LiveTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table as `system.tables` and `system.columns` tell it. ``columns``: name -> type text, in order."""

    engine: str  # engine_full: "MergeTree PARTITION BY ... ORDER BY ..."
    partition_key: str
    sorting_key: str
    columns: Mapping[str, str]
    has_latest: bool = False


class Diff(msgspec.Struct, frozen=True):
    """``statements`` bring the table to the spec without touching a row; ``blocking`` says what they cannot mend."""

    statements: tuple[str, ...] = ()
    blocking: tuple[str, ...] = ()

    def text(self, target: Target) -> str:
        """The blocking differences, for an error's message."""
        return "\n".join([f"--- spec\n+++ live table {target.name}", *self.blocking])


def live_queries(target: Target) -> tuple[str, str, str]:
    """Three SELECTs whose rows :func:`live_table` takes: the table, its columns, its view."""
    where = f"database = {literal(target.database)}"
    table = f"table = {literal(target.table)}"
    return (
        f"SELECT engine_full, engine, partition_key, sorting_key FROM system.tables WHERE {where} AND name = {literal(target.table)}",
        f"SELECT name, type FROM system.columns WHERE {where} AND {table} ORDER BY position",
        f"SELECT name FROM system.tables WHERE {where} AND name = {literal(target.table + '_latest')}",
    )


def live_table(
    tables: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]], views: Sequence[Mapping[str, Any]]
) -> LiveTable | None:
    """The live table from the rows of :func:`live_queries`; None when there is none."""
    if not tables:
        return None
    found = tables[0]
    return LiveTable(
        engine=found["engine_full"] or found["engine"],
        partition_key=found["partition_key"],
        sorting_key=found["sorting_key"],
        columns={row["name"]: row["type"] for row in columns},
        has_latest=bool(views),
    )


def plan(target: Target, live: LiveTable | None) -> Diff:
    """What to run, and what stands in the way. Columns that only the live table has are left alone."""
    if live is None:
        return Diff(tuple(ddl.statements(target)))
    statements: list[str] = []
    blocking: list[str] = []
    after = ""
    for column in target.columns:
        if column.name not in live.columns:
            where = f" AFTER {ident(after)}" if after else " FIRST"
            statements.append(f"ALTER TABLE {ddl.table_name(target)} ADD COLUMN IF NOT EXISTS {ddl.column_definition(column)}{where}")
        elif _type(column.type) != _type(live.columns[column.name]):
            blocking += [f"-  {column.name} {parse_type(column.type)}", f"+  {column.name} {live.columns[column.name]}"]
        after = column.name
    for (name, kind, _), definition in zip(ddl.LINEAGE, ddl.lineage_definitions(), strict=True):
        if name not in live.columns:
            statements.append(f"ALTER TABLE {ddl.table_name(target)} ADD COLUMN IF NOT EXISTS {definition}")
        elif _type(live.columns[name]) != kind:
            blocking += [f"-  {name} {kind}", f"+  {name} {live.columns[name]}"]
    blocking += _compared("ENGINE =", _engine(target.engine), _engine(live.engine))
    blocking += _compared("PARTITION BY", _plain(ddl.expression(target, target.partition_by)), _plain(live.partition_key))
    blocking += _compared("ORDER BY", _plain(ddl.order_by(target)), _plain(live.sorting_key))
    view = ddl.latest_view(target, replace=bool(statements))
    if view and (statements or not live.has_latest):
        statements.append(view)
    return Diff(tuple(statements), tuple(blocking))


def _compared(what: str, spec: str, live: str) -> list[str]:
    return [] if spec == live else [f"-  {what} {spec or '(none)'}", f"+  {what} {live or '(none)'}"]


def _type(text: str) -> str:
    """Canonical text; a type that this engine does not land stays as it is."""
    try:
        return str(parse_type(text))
    except ValueError:
        return text


def _engine(text: str) -> str:
    """`MergeTree` of `ReplicatedMergeTree('/path', '{replica}') ORDER BY ...`: replication is the server's affair."""
    head = re.split(r"\s+(?:PARTITION BY|PRIMARY KEY|ORDER BY|SAMPLE BY|TTL|SETTINGS)\b", text)[0]
    head = re.sub(r"^(?:Replicated|Shared)(\w*MergeTree)(?:\('[^']*', '[^']*'(?:, )?)?", r"\1(", head)
    return _plain(head.removesuffix("()")).removesuffix("()").removesuffix("(")


def _plain(text: str) -> str:
    """Without what ClickHouse writes its own way: spaces, backticks, brackets around the whole, `tuple()`."""
    parts = re.split(r"('(?:[^'\\]|\\.)*')", text)
    text = "".join(part if n % 2 else re.sub(r"[\s`]", "", part) for n, part in enumerate(parts))
    text = text.removeprefix("tuple") if text.startswith("tuple(") else text
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1]
    return text


def _closes_last(text: str) -> bool:
    """The first bracket is closed by the last character."""
    depth = 0
    for n, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0:
            return n == len(text) - 1
    return False
