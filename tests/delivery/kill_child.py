"""The process that the kill tests kill: two feeds, two partitions each, a few batches, then the end.

    python kill_child.py run HOME [HOME ...]     deliver all that HOME/source.json holds, one home after the other

Everything durable is the product's own (state, spool, protocol, recovery, sink); only the loop above it is small and local:
``deliver_feed`` may be replaced by the real loop without touching the rest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nexus_engine.clickhouse import spool as spool_file
from nexus_engine.clickhouse.engine import Engine
from nexus_engine.clickhouse.quoting import literal
from nexus_engine.contract.sink import Batch, Column, Target
from nexus_engine.deliver import crash, protocol, spool
from nexus_engine.deliver.recovery import recover
from nexus_engine.events import Observers
from nexus_engine.state.records import Intent, Quarantined, WindowCounts
from nexus_engine.state.store import Store
from nexus_plugins.sinks.clickhouse.options import ClickHouseOptions
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink

COLUMNS = (Column("id", "UInt64"), Column("part", "LowCardinality(String)"), Column("text", "String"), Column("price", "Decimal(18, 6)"))


def target(feed: str) -> Target:
    # Partitioned: one insert makes several parts, so a kill between their renames leaves half a batch.
    return Target(sink="clickhouse", database="kill", table=feed, columns=COLUMNS, order_by=("id",), partition_by="part")


class Uncertain:
    """A sink whose answers lie once: the first insert of the second batch lands and then fails, of the third lands by half."""

    readable = True

    def __init__(self, sink: ClickHouseSink, faulty: bool) -> None:
        self._sink = sink
        self._faults = {2: "whole", 3: "half"} if faulty else {}

    def write(self, batch: Batch, rows: Sequence[int] | None = None) -> None:
        fault = self._faults.pop(next(iter(batch.advances.values()))[1]["batch"], None) if batch.feed == "beta" else None
        if fault == "half":
            self._sink.write(batch, list(range(0, batch.rows, 2)))
        else:
            self._sink.write(batch, rows)
        if fault:
            raise ConnectionResetError("reset by peer, after the work was done")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)


class Home:
    """One data folder with what is open in it."""

    def __init__(self, root: Path, faulty: bool) -> None:
        self.data = root / "data"
        self.source: dict[str, dict[str, list[list[dict[str, Any]]]]] = json.loads((root / "source.json").read_text())
        self.store = Store.open(self.data / "state.db")
        self.engine = Engine(self.data / "clickhouse")
        for name in ("raw", "spool"):
            (self.data / name).mkdir(exist_ok=True)
        self.data_dir = self.data
        self.sink: Any = Uncertain(ClickHouseSink(ClickHouseOptions(), self), faulty)

    def close(self) -> None:
        self.engine.close()
        self.store.close()


def deliver_feed(home: Home, feed: str) -> None:
    partitions = home.source[feed]
    home.sink.prepare(target(feed), apply=True)
    for number in range(1, len(next(iter(partitions.values()))) + 1):
        stored = home.store.positions(feed)
        due = [name for name in partitions if (stored.get(name) or {"batch": 0})["batch"] < number]
        if due:
            deliver_batch(home, feed, {name: partitions[name][number - 1] for name in due}, stored, number)


def deliver_batch(home: Home, feed: str, rows: dict[str, list[dict[str, Any]]], stored: dict[str, Any], number: int) -> None:
    batch_id, seq = home.store.new_batch_id()
    raw, produced = home.data / "raw" / f"{batch_id}.jsonl", home.data / "raw" / f"{batch_id}.spool.arrow"
    good = [row for part in rows.values() for row in part if row["text"] is not None]
    bad = [(part, index, row) for part in rows for index, row in enumerate(rows[part]) if row["text"] is None]
    raw.write_text("".join(json.dumps({**row, "_nexus_row": n}) + "\n" for n, row in enumerate(good)))
    crash.point("stage.closed")
    home.engine.query(
        f"INSERT INTO FUNCTION {spool_file.relation(produced, COLUMNS)} SELECT * FROM "
        f"file({literal(str(raw))}, 'JSONEachRow', {literal(spool_file.structure(COLUMNS))})"
    )
    crash.point("query.finished")
    path, digest = spool.commit(produced, home.data / "spool", batch_id)
    advances = {name: (stored.get(name), {"batch": number}) for name in rows}
    batch = Batch(
        id=batch_id, seq=seq, feed=feed, run_id="run", target=target(feed), path=str(path), rows=len(good), sha256=digest, advances=advances
    )
    refused = tuple(Quarantined(partition=part, record=n, raw=json.dumps(row), reasons=("text: null: no",)) for part, n, row in bad)
    books = tuple(
        WindowCounts(partition=f"{feed}/{name}", counts={"read": len(part), "in_flight": sum(row["text"] is not None for row in part), "quarantined": sum(row["text"] is None for row in part)})
        for name, part in rows.items()
    )
    protocol.intend(home.store, Intent(id=batch_id, feed=feed, run_id="run", advances=advances, batch=batch, quarantined=refused, books=books))
    protocol.deliver(batch, home.sink, home.store, Observers(), pause=lambda _: None)
    raw.unlink()


def main(command: str, roots: list[str]) -> None:
    for root in map(Path, roots):
        home = Home(root, faulty=command == "faulty")
        print("open", flush=True)
        recover(home.store, lambda _: home.sink, home.data, Observers())
        for feed in home.source:
            deliver_feed(home, feed)
        home.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
