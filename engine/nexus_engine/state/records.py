"""What goes into the state store and comes out of it. Plain data, JSON both ways; times are ISO 8601 UTC texts."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nexus_engine.contract.sink import Batch

DriftKind = Literal["new", "missing", "retyped"]
MAX_RAW_BYTES = 64_000  # of one quarantined record; longer ones are cut and say so


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One refused record, as it came. ``record`` is its index in the page, from 0; ``raw`` its own text; ``reasons`` are
    ``<field>: <code>: <text>``. ``url`` is redacted. ``id``, ``feed``, ``run_id``, ``batch_id`` and ``at`` are filled in by
    the store. ``envelope`` is JSON: what fields read beside the record. ``altered``: ``raw`` is not the record's exact text (a
    secret was masked, or bytes were no text).

    ``identity`` (any text; empty: it stands for itself) says which record it is: refused again for the same reasons it gets no
    entry more. ``times`` is how often it was refused, ``first_at`` when first; where it came from is where it did last."""

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
    identity: str = ""
    times: int = 1
    id: int = 0
    feed: str = ""
    run_id: str = ""
    batch_id: str = ""
    at: str = ""
    first_at: str = ""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Records in quarantine that came from one window of one partition; ``last`` is the newest one's id."""

    partition: str
    window_start: str | None
    window_end: str | None
    records: int
    last: int


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is kept, and what a payload made of it. Redacted.

    ``exchange`` numbers the answers of a run: a long body gives many payloads of one exchange. ``request`` has its headers and
    body. ``whole``, ``headers`` and ``status`` are the answer's; ``size`` is the body's in bytes, ``packed`` that of its file.
    ``first_row`` and ``last_row`` are the ``_nexus_row`` of the payload's rows in the batch. ``origin`` is the batch of the
    answer that was parsed again; empty for one that came from the source. ``id``, ``feed``, ``run_id`` and ``batch_id`` are filled
    in by the store; partition, window, page and rows when the payload is in a batch.
    """

    exchange: int
    method: str
    url: str
    status: int
    sha256: str
    size: int
    packed: int
    at: str
    request: dict[str, Any] = {}
    headers: dict[str, str] = {}
    whole: bool = True
    partition: str = ""
    window_start: str | None = None
    window_end: str | None = None
    page: int = 1
    first_row: int | None = None
    last_row: int | None = None
    origin: str = ""
    id: int = 0
    feed: str = ""
    run_id: str = ""
    batch_id: str = ""


Place = tuple[str, str | None, str | None, int]
"""Partition, window start, window end and page of an answer."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The kept answers of one window of one partition in one run: those with an id from ``first`` to ``last``."""

    run_id: str
    partition: str
    window_start: str | None
    window_end: str | None
    first: int
    last: int


class KeptSize(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive has of a feed: ``bodies`` different ones, ``size`` bytes, ``packed`` bytes on disk."""

    feed: str
    answers: int
    bodies: int
    size: int
    packed: int
    oldest: str
    newest: str


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of rows by name (read, landed, in_flight, ...) for one window of one partition: added to what the store has.
    ``complete``: the window's last page is among them."""

    partition: str
    counts: dict[str, int]
    window_start: str | None = None
    window_end: str | None = None
    complete: bool = False


class KnownShape(msgspec.Struct, frozen=True, kw_only=True):
    """``shape`` is `deliver.shape.Shape` as JSON; ``absent`` are places of the spec that may stand nowhere. ``meaning``: what the
    feed asked for when it was learned (``Plan.position_hash``); ``learned``: a whole run was seen."""

    meaning: str
    learned: bool
    shape: dict[str, Any]
    absent: tuple[str, ...] = ()


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs. ``was`` and ``now`` are JSON types; ``sample`` is short and redacted; ``page`` and ``url`` (redacted) say
    where it was seen first in its run. ``read``: a field of the spec reads it; ``near``: the nearest name there is. ``shape``: what
    was seen there, as JSON, with the ``share`` of records that had it and how many were ``quiet`` of it since. The rest is filled in by
    the store: ``state`` is open, accepted or back (the records are again as they were)."""

    kind: DriftKind
    path: str
    was: str = ""
    now: str = ""
    sample: str = ""
    page: int = 0
    url: str = ""
    read: bool = False
    near: str = ""
    shape: dict[str, Any] = {}
    feed: str = ""
    first_run: str = ""
    first_at: str = ""
    last_run: str = ""
    last_at: str = ""
    runs: int = 0
    state: str = "open"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction makes true: the positions move, and the rows between are ours.

    ``advances``: ``{partition: (from, to)}``; ``from`` is what this run started from (None: no position), and must still be
    stored; ``to`` None removes the position. ``batch`` is None when no row is to be landed. ``id`` is the batch's id, also
    of an intent without rows. ``books`` count the batch's rows as ``in_flight``. ``released`` are records that leave the
    quarantine, ``refused_again`` those that stay, with their new reasons. ``bodies`` are the kept answers that the batch came from.
    ``drift`` is recorded, ``shape`` is what the feed's records are known to look like from here on.
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
    bodies: tuple[Body, ...] = ()
    position_hash: str = ""
    target: str = ""
    drift: tuple[Drift, ...] = ()
    shape: KnownShape | None = None


STANDING = ("total", "arrived")  # counts of a window that its source tells, and does not add to


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of a batch came from. ``done_at`` None: they are not in their table yet; ``windows`` are those that gave it
    rows, with the counts of this batch; ``key`` is the table's."""

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
    key: tuple[str, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP exchange of a run, redacted; ``status`` 0: no answer came. ``at`` is when it was over."""

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
