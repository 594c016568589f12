"""A side table: the rows of one batch as ClickHouse will keep them, in a table of the target's structure, until the target takes them in.

``ALTER TABLE ... ATTACH PARTITION ALL FROM`` links the parts of one table into another one of the same structure: no row is read,
sorted or compressed again. Materialized views do not see rows that come so, and TTL removes rows of any table: where the target has
either, a batch goes another way.
"""

from __future__ import annotations

from collections.abc import Mapping

from nexus_engine.clickhouse import ddl
from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.contract.sink import Batch, Target

# One block, whatever its size, written by one thread, without deduplication: 26.9 heeds `deduplicate_insert` and ignores
# `insert_deduplicate`, older versions the other way round. Rows stay as they are until a merge (`optimize_on_insert`).
ONE_BLOCK: Mapping[str, str | int] = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 50,
    "deduplicate_insert": "disable",
    "insert_deduplicate": 0,
    "optimize_on_insert": 0,
    "insert_allow_materialized_columns": 1,
    # A first run over decades has hundreds of monthly partitions; a part that is missing after a crash is read back by its rows.
    "max_partitions_per_insert_block": 5_000,
}


def database(target: Target) -> str:
    """Side tables of one sink are in a database of their own: what is left there by a dead process is nobody's."""
    return f"_nexus_side_{target.sink}"


def table_name(target: Target, batch_id: str) -> str:
    return f"{ident(database(target))}.{ident(batch_id)}"


def create(target: Target, batch_id: str) -> list[str]:
    """Statements that make an empty one; the target's table must be there."""
    return [
        f"CREATE DATABASE IF NOT EXISTS {ident(database(target))}",
        f"CREATE TABLE {table_name(target, batch_id)} AS {ddl.table_name(target)}",
    ]


def left(target: Target) -> str:
    """Rows `name`, the batch ids of the side tables that are there."""
    return f"SELECT name FROM system.tables WHERE database = {literal(database(target))}"


def drop(target: Target, batch_id: str) -> str:
    return f"DROP TABLE IF EXISTS {table_name(target, batch_id)} SYNC"


def takes_parts(target: Target) -> str:
    """One row, `plain` = 1, when the table can take in parts and nothing happens to rows but that they are there; no row without a table."""
    plain = "engine = 'MergeTree' AND NOT match(create_table_query, '\\\\bTTL\\\\b') AND empty(dependencies_table)"
    return f"SELECT {plain} AS plain FROM system.tables WHERE database = {literal(target.database)} AND name = {literal(target.table)}"


def attach(batch: Batch) -> str:
    """All of the batch's parts into the target, as they are."""
    return f"ALTER TABLE {ddl.table_name(batch.target)} ATTACH PARTITION ALL FROM {table_name(batch.target, batch.id)}"
