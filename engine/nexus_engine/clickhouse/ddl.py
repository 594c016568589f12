"""DDL of a target: the same text for the same target, whenever and wherever it is made."""

from __future__ import annotations

import re

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import parse_type
from nexus_engine.contract.sink import Column, Target

NO_BATCH = "00000000-0000-0000-0000-000000000000"
# (name, type, default): MATERIALIZED, so that `SELECT *` hides them and inserts that do not know them keep working
LINEAGE = (("_nexus_batch", "UUID", f"toUUID('{NO_BATCH}')"), ("_nexus_row", "UInt32", "0"))
# An insert that ClickHouse confirmed survives a power cut.
DURABLE = {"fsync_after_insert": "1", "fsync_part_directory": "1"}
# ClickHouse sorts UUIDs by their second half first; as a number a UUID is in byte order, and a UUIDv7 in order of time.
NEWEST_FIRST = "toUInt128(_nexus_batch) DESC, _nexus_row DESC"
_MERGING = re.compile(r"(Replicated|Shared)?(Replacing|Summing|Aggregating|Collapsing|VersionedCollapsing|Coalescing|Graphite)")
_CODEC = re.compile(r"(?:CODEC\()?([A-Za-z0-9_]+(?:\([0-9, ]*\))?(?:, *[A-Za-z0-9_]+(?:\([0-9, ]*\))?)*)\)?")


def table_name(target: Target) -> str:
    return f"{ident(target.database)}.{ident(target.table)}"


def merges(target: Target) -> bool:
    """The table engine itself collapses rows with the same key."""
    return bool(_MERGING.match(target.engine))


def expression(target: Target, text: str) -> str:
    """A key element: a column by its name, whatever its characters, or an expression as written."""
    return ident(text) if text in {column.name for column in target.columns} else text


def order_by(target: Target) -> str:
    items = [expression(target, text) for text in target.order_by or target.key]
    return items[0] if len(items) == 1 else f"({', '.join(items)})" if items else "tuple()"


def column_definition(column: Column) -> str:
    """One column of CREATE TABLE or ADD COLUMN.

    Raises:
        ValueError: the codec is not a list of codec names.
    """
    parts = [ident(column.name), str(parse_type(column.type))]
    if column.default:
        parts.append(f"DEFAULT {literal(column.default)}")
    if column.comment:
        parts.append(f"COMMENT {literal(column.comment)}")
    if column.codec:
        codec = _CODEC.fullmatch(column.codec.strip())
        if not codec:
            raise ValueError(f"`{column.codec}` is no codec: write it as in `ZSTD(3)` or `Delta, ZSTD`")
        parts.append(f"CODEC({codec[1]})")
    return " ".join(parts)


def lineage_definitions() -> list[str]:
    return [f"{ident(name)} {kind} MATERIALIZED {default}" for name, kind, default in LINEAGE]


def create_database(target: Target) -> str:
    return f"CREATE DATABASE IF NOT EXISTS {ident(target.database)}"


def create_table(target: Target) -> str:
    """CREATE TABLE IF NOT EXISTS, with the lineage columns."""
    lines = [*map(column_definition, target.columns), *lineage_definitions()]
    lines += [f"INDEX {index}" for index in target.indexes]
    parts = [f"CREATE TABLE IF NOT EXISTS {table_name(target)}\n(\n    {f',{chr(10)}    '.join(lines)}\n)", f"ENGINE = {target.engine}"]
    if target.partition_by:
        parts.append(f"PARTITION BY {expression(target, target.partition_by)}")
    parts.append(f"ORDER BY {order_by(target)}")
    if target.ttl:
        parts.append(f"TTL {target.ttl}")
    settings = {**(DURABLE if "MergeTree" in target.engine else {}), **target.settings}
    if settings:
        parts.append(f"SETTINGS {', '.join(f'{_setting(name)} = {_value(settings[name])}' for name in sorted(settings))}")
    if target.comment:
        parts.append(f"COMMENT {literal(target.comment)}")
    return "\n".join(parts)


def latest_view(target: Target, *, replace: bool = False) -> str | None:
    """`<table>_latest`: the newest row of each key; None without a key, or where the engine merges by itself."""
    if not target.key or merges(target):
        return None
    names = ", ".join(ident(column.name) for column in target.columns)
    create = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
    return (
        f"{create} {ident(target.database)}.{ident(target.table + '_latest')} AS\n"
        f"SELECT {names}\nFROM {table_name(target)}\nORDER BY {NEWEST_FIRST}\nLIMIT 1 BY {', '.join(map(ident, target.key))}"
    )


def statements(target: Target) -> list[str]:
    """Everything a fresh server needs, in order."""
    view = latest_view(target)
    return [create_database(target), create_table(target), *([view] if view else [])]


def feed_ddl(target: Target) -> str:
    """The whole text of `ddl/<database>.<table>.sql`."""
    head = f"-- {target.name}: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.\n"
    return head + "\n" + "\n\n".join(f"{statement};" for statement in statements(target)) + "\n"


def _setting(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"`{name}` is no name of a table setting")
    return name


def _value(text: str) -> str:
    return text if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) else literal(text)
