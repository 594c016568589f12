"""Deliver what an earlier process left staged. Runs first, before any spec is loaded: a batch record needs none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_engine.contract.sink import Batch, Sink
from nexus_engine.deliver import crash, protocol, spool
from nexus_engine.errors import NexusError, StopEngine
from nexus_engine.events import Observers
from nexus_engine.state.store import Store


@dataclass(frozen=True)
class Recovered:
    """A batch found staged. ``error`` None: it is delivered; else it stays staged, with every later one of its table."""

    batch: Batch
    error: NexusError | None = None


def recover(store: Store, open_sink: Callable[[str], Sink], data_dir: Path, observers: Observers) -> list[Recovered]:
    """Deliver staged batches in their sequence, then remove the files that belong to none, then close the books of runs that
    were cut off. For the owner of the data folder, at its start.

    A batch that cannot be delivered holds back its own table only: the feeds of that table stop when they run, the others go
    on.

    Raises:
        StopEngine: disk or state cannot be used.
    """
    found: list[Recovered] = []
    stuck: dict[str, NexusError] = {}
    for recorded in store.staged():
        crash.point("recovery.before")
        # By name, not by the recorded path: the data folder may have been moved since.
        batch = msgspec.structs.replace(recorded, path=str(data_dir / "spool" / f"{recorded.id}.arrow"))
        if batch.target.name not in stuck:
            try:
                protocol.deliver(batch, open_sink(batch.target.sink), store, observers, recovered=True)
            except StopEngine:
                raise
            except NexusError as error:
                stuck[batch.target.name] = error
        found.append(Recovered(batch, stuck.get(batch.target.name)))
        crash.point("recovery.after")
    spool.remove_orphans(data_dir, [Path(entry.batch.path) for entry in found if entry.error is not None])
    store.interrupt_runs()
    return found
