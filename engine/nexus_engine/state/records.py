"""What goes into the state store and comes out of it. Plain data, JSON both ways; times are ISO 8601 UTC texts."""

from __future__ import annotations

from typing import Any

import msgspec

from nexus_engine.contract.sink import Batch

MAX_RAW_BYTES = 64_000  # of one quarantined record; longer ones are cut and say so


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One refused record, as it came. ``record`` is its index in the page, from 0; ``raw`` its own text; ``reasons`` are
    ``<field>: <code>: <text>``. ``url`` is redacted. ``id``, ``feed``, ``run_id``, ``batch_id`` and ``at`` are filled in by
    the store. ``envelope`` is JSON: what fields read beside the record. ``altered``: ``raw`` is not the record's exact text (a
    secret was masked, or bytes were no text)."""

    partition: str
    record: int
    raw: str
    reasons: tuple[str, ...]
    page: int = 1
    url: str = ""
    window_start: str | None = None
    window_end: str | None = None
    envelope: str = ""
    truncated: bool = False
    altered: bool = False
    id: int = 0
    feed: str = ""
    run_id: str = ""
    batch_id: str = ""
    at: str = ""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Records in quarantine that came from one window of one partition; ``last`` is the newest one's id."""

    partition: str
    window_start: str | None
    window_end: str | None
    records: int
    last: int


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of rows by name (read, landed, in_flight, ...) for one window of one partition: added to what the store has.
    ``complete``: the window's last page is among them."""

    partition: str
    counts: dict[str, int]
    window_start: str | None = None
    window_end: str | None = None
    complete: bool = False


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction makes true: the positions move, and the rows between are ours.

    ``advances``: ``{partition: (from, to)}``; ``from`` is what this run started from (None: no position), and must still be
    stored; ``to`` None removes the position. ``batch`` is None when no row is to be landed. ``id`` is the batch's id, also
    of an intent without rows. ``books`` count the batch's rows as ``in_flight``. ``released`` are records that leave the
    quarantine, ``refused_again`` those that stay, with their new reasons.
    """

    id: str
    feed: str
    run_id: str
    advances: dict[str, tuple[Any, Any]]
    batch: Batch | None = None
    quarantined: tuple[Quarantined, ...] = ()
    books: tuple[WindowCounts, ...] = ()
    released: tuple[int, ...] = ()
    refused_again: dict[int, tuple[str, ...]] = {}
    position_hash: str = ""
    target: str = ""


STANDING = ("total", "arrived")  # counts of a window that its source tells, and does not add to


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of a batch came from. ``done_at`` None: they are not in their table yet; ``windows`` are those that gave it
    rows, with the counts of this batch."""

    id: str
    seq: int
    feed: str
    run_id: str
    table: str
    rows: int
    staged_at: str
    done_at: str | None
    advances: dict[str, tuple[Any, Any]]
    windows: list[WindowCounts]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP exchange of a run, redacted; ``status`` 0: no answer came."""

    method: str
    url: str
    status: int
    body_bytes: int
    elapsed_ms: float
    attempt: int = 1
    error: str = ""
    at: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one feed. ``status``: running, ok, empty, unchanged, incomplete, failed, stopped, or interrupted (its process died)."""

    run_id: str
    feed: str
    trigger: str
    status: str
    started_at: str
    finished_at: str | None = None
    report: dict[str, Any] = {}
