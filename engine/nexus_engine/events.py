"""Everything that can be observed: one frozen dataclass per event, each field with its unit and origin.

Observers are told, in the thread where it happened, and cannot change the run: an observer that
raises is reported once to stderr and dropped. Metrics, alerts, progress bars and logs are observers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. ``feed`` is the feed's name, empty for the engine itself."""

    feed: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    run_id: str
    partitions: int
    trigger: str  # once | schedule | catch-up | socket | test | backfill | replace | replay | reparse


@dataclass(frozen=True, slots=True)
class RequestDone(Event):
    """One HTTP exchange, redacted. ``status`` 0: no answer came (``error`` says why)."""

    run_id: str
    method: str
    url: str
    status: int
    body_bytes: int
    elapsed_ms: float
    attempt: int  # from 1
    error: str = ""


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """The host waits before the next request: ``reason`` is rate | budget | retry."""

    reason: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class PageRead(Event):
    run_id: str
    partition: str
    page: int  # from 1 in its window
    body_bytes: int
    total: int | None  # records in the window, when the source says so
    unchanged: bool = False  # the answer is that of the last run: it was not decoded


@dataclass(frozen=True, slots=True)
class WindowsDone(Event):
    """A run over a known number of windows (a backfill) has come so far: ``done`` of ``total`` are read and safe."""

    run_id: str
    done: int
    total: int
    left_s: float  # at the pace so far


@dataclass(frozen=True, slots=True)
class RowsRefused(Event):
    run_id: str
    rows: int
    reasons: dict[str, int] = field(default_factory=dict)  # `<field>: <code>` -> reasons; nothing of the data


@dataclass(frozen=True, slots=True)
class RuleWarned(Event):
    run_id: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class TableChanged(Event):
    """DDL that the engine ran on the way."""

    table: str
    statement: str


@dataclass(frozen=True, slots=True)
class BatchStaged(Event):
    run_id: str
    batch_id: str
    rows: int


@dataclass(frozen=True, slots=True)
class BatchLanded(Event):
    run_id: str
    batch_id: str
    rows: int
    elapsed_ms: float
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    run_id: str
    status: str  # ok | empty | unchanged | incomplete | failed | stopped
    read: int
    landed: int
    unchanged: int
    superseded: int
    filtered: int
    quarantined: int
    elapsed_s: float
    error: str = ""
    unchanged_answers: int = 0


@dataclass(frozen=True, slots=True)
class FeedLoaded(Event):
    """A spec took effect; ``change`` is added | changed | removed | broken | renamed."""

    change: str
    message: str = ""


Observer = Callable[[Event], None]


class Observers:
    """The list of observers of one session. ``emit`` never raises."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        self._observers.append(observer)

    def remove(self, observer: Observer) -> None:
        if observer in self._observers:
            self._observers.remove(observer)

    def emit(self, event: Event) -> None:
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001  an observer must never change a run
                self.remove(observer)
                sys.stderr.write(f"observer {observer!r} failed and was dropped: {type(error).__name__}\n")
