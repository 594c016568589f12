"""Which record a refused one is, so that it has one entry in quarantine however often it is read: with a lookback, or a snapshot that
is read whole each time.

Two records are one when a replay would make the same row of both: the same text in the same partition, with the same beside it, for
a table with a key. Where columns take something of the window, the window must be the same too. Without a key each record is a row of
its own, and an entry of its own.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from nexus_engine.compile.mapping import WINDOW
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.sink import Target
from nexus_engine.state.records import Quarantined


def identity(plan: Plan, record: Quarantined) -> str:
    """Of a refused record; empty without a key."""
    reads = not set(plan.query.keys).isdisjoint(WINDOW.values())  # any column, as a transform may make a part of the key of it
    window = [record.window_start, record.window_end] if reads else []
    return _digest([record.partition, *window, record.raw, record.envelope]) if plan.target.key else ""


def row_identity(target: Target, row: dict[str, Any]) -> str:
    """Of a row that its sink refused, as far as no run differs in it; empty without a key."""
    of_run = {column.name for column in target.columns if column.run and column.name not in target.key}
    kept = {name: value for name, value in row.items() if name not in of_run and not name.startswith("_nexus_")}
    return _digest([target.name, kept]) if target.key else ""


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, enc_hook=str)).hexdigest()[:32]
