"""The `clickhouse` sink: the delivery contract over a driver."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from nexus_engine.clickhouse import ddl, diff
from nexus_engine.clickhouse.quoting import literal
from nexus_engine.contract.sink import Batch, SinkContext, Target
from nexus_engine.errors import StopFeed, TableDiffers
from nexus_plugins.sinks.clickhouse.driver import Driver
from nexus_plugins.sinks.clickhouse.embedded import EmbeddedDriver
from nexus_plugins.sinks.clickhouse.options import ClickHouseOptions

# Their merges fold rows of different batches into one, so that nobody can say afterwards which rows had landed.
_FOLDING = ("Summing", "Aggregating", "Collapsing", "VersionedCollapsing", "Graphite", "Coalescing")


class ClickHouseSink:
    """See the README beside this file."""

    options = ClickHouseOptions
    readable: ClassVar[bool] = True
    promise: ClassVar[str] = "exactly once: after an uncertain insert the table is asked which rows it has"

    def __init__(self, options: ClickHouseOptions, context: SinkContext) -> None:
        self._driver: Driver = EmbeddedDriver(context.engine, float(options.timeout))

    def prepare(self, target: Target, *, apply: bool) -> Sequence[str]:
        tables, columns, views = (self._driver.rows(query) for query in diff.live_queries(target))
        found = diff.plan(target, diff.live_table(tables, columns, views))
        if found.blocking:
            raise TableDiffers(
                f"table {target.name} differs from the spec:\n{found.text(target)}",
                did="nothing was changed or written; the position is kept",
                do="change the spec back, or change the table by hand (nexus-engine ddl --diff shows both)",
            )
        if apply:
            for statement in found.statements:
                self._driver.run(statement)
        return found.statements

    def current(self, target: Target) -> str | None:
        return self._driver.relation(target)

    def write(self, batch: Batch, rows: Sequence[int] | None = None) -> None:
        self._driver.insert(batch, rows)

    def landed(self, batch: Batch) -> Sequence[int]:
        target = batch.target
        found = self._driver.numbers(
            f"SELECT _nexus_row FROM {ddl.table_name(target)} WHERE _nexus_batch = toUUID({literal(batch.id)})"
        )
        if len(found) != batch.rows and target.engine.replace("Replicated", "").startswith(_FOLDING):
            raise StopFeed(
                f"{target.name} is a {target.engine}: its merges fold rows, so which of batch {batch.id} landed cannot be known",
                where=batch.feed,
                did=f"nothing was written; the batch of {batch.rows} rows stays staged",
                do="look at the table, then remove the batch or its rows; MergeTree keeps the promise",
            )
        return found

    def remove(self, target: Target, where: str) -> None:
        self._driver.run(f"ALTER TABLE {ddl.table_name(target)} DELETE WHERE {where} SETTINGS mutations_sync = 2")

    def side_table(self, target: Target, batch_id: str, staged: Collection[str]) -> str | None:
        return self._driver.side_table(target, batch_id, staged)

    def side_rows(self, batch: Batch) -> Sequence[int]:
        return self._driver.side_rows(batch)

    def drop_side(self, target: Target, batch_id: str) -> None:
        self._driver.drop_side(target, batch_id)

    def settle(self, batch: Batch) -> None:
        self._driver.settle(batch)

    def close(self) -> None:
        """Nothing of its own is open: the engine belongs to the session."""
