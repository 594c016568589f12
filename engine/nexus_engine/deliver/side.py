"""The side tables of one batch in the making: where a sink has them (`contract.sink.Sides`), rows of lines are mapped into one."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeGuard

from nexus_engine.compile.plan import Plan
from nexus_engine.contract.sink import Sides, Sink, Target
from nexus_engine.deliver import crash
from nexus_engine.errors import NexusError
from nexus_engine.state.store import Store

SIDE_BY_SIDE = 2  # batches that are mapped at once


def threads() -> int:
    """How many each of them may use. (More than there are cores for cost a twentieth of its CPU.)"""
    return max(1, len(os.sched_getaffinity(0)) // SIDE_BY_SIDE)


@dataclass(frozen=True)
class Side:
    """The side table of a batch (`contract.sink.Sides`): its id and sequence number, and the table as SQL."""

    batch_id: str
    seq: int
    table: str


@dataclass
class SideTables:
    """``ready`` returns once the target's table fits the spec and raises what keeps it from that."""

    sink: Sides
    target: Target
    store: Store
    ready: Callable[[], None]
    made: list[Side] = field(default_factory=list)

    def make(self) -> Side | None:
        """A new one; None where the target's table cannot take rows in from it.

        Raises:
            NexusError: as ``Sink.prepare`` and ``Sides.side_table``.
        """
        self.ready()
        batch_id, seq = self.store.new_batch_id()
        table = self.sink.side_table(self.target, batch_id, [batch.id for batch in self.store.staged()])
        if table is None:
            return None
        self.made.append(Side(batch_id, seq, table))
        crash.point("side.made")
        return self.made[-1]

    def take(self, side: Side) -> None:
        """The table is an intent's from now on."""
        self.made.remove(side)

    def clean(self) -> None:
        """Remove those that no intent took. One that stays is removed when the next process makes its first."""
        for side in self.made:
            with suppress(NexusError):
                self.sink.drop_side(self.target, side.batch_id)
        self.made.clear()


def has_sides(sink: Sink, plan: Plan) -> TypeGuard[Sides]:
    """Whether rows of the feed may go into side tables of the sink."""
    return isinstance(sink, Sides) and bool(plan.query.side)


def side_tables(sink: Sink, plan: Plan, store: Store, ready: Callable[[], None]) -> SideTables | None:
    """Those of one batch; None where it goes by a file."""
    return SideTables(sink, plan.target, store, ready) if has_sides(sink, plan) else None
