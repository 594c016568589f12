"""What a run did: the books, and whether they close. Plain data, JSON both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nexus_engine.errors import Incomplete, NexusError

COUNTS = ("read", "landed", "new", "revised", "unchanged", "superseded", "filtered", "quarantined")


class Books(msgspec.Struct, kw_only=True):
    """Counts of rows. ``landed = new + revised`` for keyed targets; without a key every landed row is new."""

    read: int = 0
    landed: int = 0
    new: int = 0
    revised: int = 0
    unchanged: int = 0
    superseded: int = 0
    filtered: int = 0
    quarantined: int = 0
    in_flight: int = 0

    def add(self, other: Books) -> None:
        for name in (*COUNTS, "in_flight"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def closes(self) -> bool:
        """``read = landed + unchanged + superseded + filtered + quarantined + in flight``."""
        gone = self.landed + self.unchanged + self.superseded + self.filtered + self.quarantined + self.in_flight
        return self.read == gone


class WindowBooks(Books, kw_only=True):
    """The books of one window of one partition; ``complete`` once its last page was read and is safe."""

    partition: str = ""
    window_start: str | None = None
    window_end: str | None = None
    pages: int = 0
    total: int | None = None  # records the source said the window has
    arrived: int | None = None  # of an incomplete window: how many came, over all runs that read it
    complete: bool = False


class ErrorReport(msgspec.Struct, kw_only=True):
    """An error in its four parts (``nexus_engine.errors``), with the partition it happened in. Of an incomplete window: which it
    is, and how many ``counted`` (records, pages) the source told and sent."""

    kind: str
    what: str
    where: str = ""
    did: str = ""
    do: str = ""
    partition: str = ""
    window_start: str | None = None
    window_end: str | None = None
    total: int | None = None
    arrived: int | None = None
    counted: str = ""


def error_report(error: NexusError, redact: Callable[[str], str], partition: str = "") -> ErrorReport:
    """An error as it is kept in the run history: no part of it holds a secret."""
    parts = (redact(text) for text in (error.what, error.where, error.did, error.do))
    what, where, did, do = parts
    report = ErrorReport(kind=type(error).__name__, what=what, where=where, did=did, do=do, partition=partition)
    if isinstance(error, Incomplete):
        report.window_start, report.window_end = error.window
        report.total, report.arrived, report.counted = error.total, error.arrived, error.counted
    return report


class RunReport(Books, kw_only=True):
    """The outcome of one run of one feed.

    ``status``: ok, empty (nothing was read and nothing failed), unchanged (nothing was read, because answers were those of the
    last run), incomplete (windows ended with another number of records than their source says, and nothing else failed), failed
    (at least one partition stopped with an error), stopped (drained before its end; the next run goes on).
    """

    run_id: str
    feed: str
    trigger: str
    started_at: str
    status: str = "ok"
    elapsed_s: float = 0.0
    partitions: int = 0
    requests: int = 0
    batches: int = 0
    windows: int = 0  # that were read to their end
    unchanged_answers: int = 0  # that were those of the last run and were not decoded
    removed: int = 0  # rows of an earlier reading that a replaced range had no more
    books: list[WindowBooks] = []
    warnings: list[str] = []
    errors: list[ErrorReport] = []

    @property
    def error(self) -> ErrorReport | None:
        return self.errors[0] if self.errors else None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = msgspec.to_builtins(self)
        data["closes"] = self.closes()
        return data
