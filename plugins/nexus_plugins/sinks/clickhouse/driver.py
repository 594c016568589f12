"""What the sink needs of a way to reach ClickHouse. DDL, types, lineage and protocol are the same for all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from nexus_engine.contract.sink import Batch, Target


class Driver(Protocol):
    """Thread-safe. Raises what ``faults.fault`` makes of ClickHouse's errors: RetryLater, StopFeed, OutOfSpace."""

    def run(self, statement: str) -> None: ...

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """A small result."""
        ...

    def numbers(self, sql: str) -> list[int]:
        """The one integer column of a result of any size."""
        ...

    def insert(self, batch: Batch, rows: Sequence[int] | None) -> None:
        """One block: the batch, or only those ``_nexus_row``. May go on after it raised, until :meth:`settle` returns."""
        ...

    def settle(self, batch: Batch) -> None:
        """Return once no insert of this batch runs any more."""
        ...

    def side_table(self, target: Target, batch_id: str, staged: Collection[str]) -> str | None:
        """As `contract.sink.Sides`; None also where the embedded engine cannot write the tables."""
        ...

    def side_rows(self, batch: Batch) -> list[int]: ...

    def drop_side(self, target: Target, batch_id: str) -> None: ...

    def relation(self, target: Target) -> str | None:
        """The table as the embedded engine can read it; None when it cannot."""
        ...
