"""The embedded driver: the spool file is read by the engine itself, so rows never pass through Python."""

from __future__ import annotations

import array
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nexus_engine.clickhouse import ddl, side, spool
from nexus_engine.clickhouse.engine import Engine
from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.contract.sink import Batch, Target
from nexus_engine.errors import RetryLater, StopFeed
from nexus_plugins.sinks.clickhouse.faults import translated

_SETTLE_S = 60  # beyond the insert's own deadline


class EmbeddedDriver:
    """Over the one engine of the process. ``timeout_s`` bounds one insert."""

    def __init__(self, engine: Engine, timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._running: dict[str, int] = {}
        self._changed = threading.Condition()
        self._swept = False
        self._sweeping = threading.Lock()

    def run(self, statement: str) -> None:
        with translated("embedded ClickHouse"):
            self._engine.query(statement)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with translated("embedded ClickHouse"):
            return self._engine.rows(sql)

    def numbers(self, sql: str) -> list[int]:
        with translated("embedded ClickHouse"):
            found: list[int] = self._engine.arrow(sql).column(0).to_pylist()
            return found

    def relation(self, target: Target) -> str | None:
        name = ddl.table_name(target)
        return name if self.rows(f"EXISTS TABLE {name}")[0]["result"] else None

    def insert(self, batch: Batch, rows: Sequence[int] | None) -> None:
        settings = {**side.ONE_BLOCK, "max_execution_time": max(1, int(self._timeout_s))}
        with self._inserting(batch.id), _only(batch, rows) as condition, translated(f"{batch.feed}: {batch.target.name}"):
            if batch.side and rows is None and self._takes_parts(batch.target):
                self._engine.query(side.attach(batch))
            else:
                self._engine.query(insert_sql(batch, condition), settings=settings)

    def _takes_parts(self, target: Target) -> bool:
        return any(row["plain"] for row in self.rows(side.takes_parts(target)))

    def side_table(self, target: Target, batch_id: str, staged: Collection[str]) -> str | None:
        with self._sweeping:
            if not self._swept:
                for row in self.rows(side.left(target)):
                    if row["name"] not in staged:
                        with suppress(StopFeed, RetryLater):  # it stays for the next process
                            self.drop_side(target, row["name"])
                self._swept = True
        if not self._takes_parts(target):
            return None
        try:
            for statement in side.create(target, batch_id):
                self.run(statement)
        except (StopFeed, RetryLater):  # a table may have what settings of its own time allowed: a type, a size
            return None
        return side.table_name(target, batch_id)

    def side_rows(self, batch: Batch) -> list[int]:
        table = side.table_name(batch.target, batch.id)
        return self.numbers(f"SELECT _nexus_row FROM {table}") if self.rows(f"EXISTS TABLE {table}")[0]["result"] else []

    def drop_side(self, target: Target, batch_id: str) -> None:
        self.run(side.drop(target, batch_id))

    def settle(self, batch: Batch) -> None:
        """An insert whose caller gave up lives on inside this process: wait for it, here and in the server's own list."""
        until = time.monotonic() + self._timeout_s + _SETTLE_S
        with self._changed:
            settled = self._changed.wait_for(lambda: batch.id not in self._running, self._timeout_s + _SETTLE_S)
        listed = (
            f"SELECT count() AS n FROM system.processes WHERE position(query, {literal(batch.id)}) > 0 "
            "AND query_kind IN ('Insert', 'Alter')"
        )
        while settled and self.rows(listed)[0]["n"]:
            settled = time.monotonic() < until
            time.sleep(0.02)
        if not settled:
            raise StopFeed(
                f"an insert of batch {batch.id} into {batch.target.name} still runs after its deadline",
                where=batch.feed,
                did="nothing more was sent; the batch stays staged",
                do="stop the process; the next start delivers what is missing",
            )

    @contextmanager
    def _inserting(self, batch_id: str) -> Iterator[None]:
        with self._changed:
            self._running[batch_id] = self._running.get(batch_id, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._running[batch_id] -= 1
                if not self._running[batch_id]:
                    del self._running[batch_id]
                self._changed.notify_all()


def insert_sql(batch: Batch, condition: str) -> str:
    """The insert of a spool file or a side table. Types of a file are stated: read by inference, an Arrow insert wraps silently."""
    target = batch.target
    names = [ident(column.name) for column in target.columns]
    if batch.side:
        values, relation = names, side.table_name(target, batch.id)
    else:
        values, relation = [spool.read_expression(column) for column in target.columns], spool.relation(Path(batch.path).resolve(), target.columns)
    return (
        f"INSERT INTO {ddl.table_name(target)} ({', '.join([*names, '_nexus_batch', '_nexus_row'])}) "
        f"SELECT {', '.join([*values, f'toUUID({literal(batch.id)})', '_nexus_row'])} FROM {relation}{condition}"
    )


@contextmanager
def _only(batch: Batch, rows: Sequence[int] | None) -> Iterator[str]:
    """A WHERE clause over some rows. Their numbers go through a file beside the spool: a million of them in the text of a
    query take ClickHouse a quarter of a minute to parse."""
    if rows is None:
        yield ""
        return
    path = Path(batch.path).resolve().with_suffix(".rows")
    numbers = array.array("I", rows)
    if numbers.itemsize != 4:  # pragma: no cover  no platform that chdb runs on
        raise TypeError("UInt32 is not 4 bytes wide here")
    path.write_bytes(numbers.tobytes())
    try:
        yield f" WHERE _nexus_row IN (SELECT n FROM file({literal(str(path))}, 'RowBinary', 'n UInt32'))"
    finally:
        path.unlink(missing_ok=True)
