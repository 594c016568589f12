"""The fetch side of the loop: threads that read partitions window by window into one channel, bounded in bytes.

A partition is read by one thread, so its payloads arrive in order; partitions run side by side. What a thread has
read is not safe until the loop has it in a batch: a failure leaves the position where the last batch put it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from nexus_engine.compile.plan import CursorPlan, Plan
from nexus_engine.contract.sink import Sink
from nexus_engine.contract.source import Partition, Payload
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.windows import Position, Unit, close, opened
from nexus_engine.deliver.worked import Worked
from nexus_engine.errors import Incomplete, NexusError, NotYet, PluginFailed, Reconnect, StopAll
from nexus_engine.state.positions import spaced
from nexus_engine.state.records import Intent

RECONNECTS = 5
_GATHER_S = 0.005  # small answers come by the thousand a second: waking the loop for each costs a third of asking for it


@dataclass
class Ticket:
    """One partition in one run. ``safe`` is its position as the state store has it (``stored``: that JSON itself, None before
    the first batch); only the loop moves it. ``space`` says whose position it is: empty for the feed's own, live one.
    ``memo`` is that of the window that its thread read last: windows become safe in order, so it is ahead of ``safe`` and never
    of what will be stored with it."""

    partition: Partition
    safe: Position
    stored: Any = None
    failed: bool = False
    finished: bool = False
    space: str = ""
    memo: Any = None

    def __post_init__(self) -> None:
        self.memo = self.safe.memo

    @property
    def key(self) -> str:
        """The name of its position in the state store."""
        return spaced(self.space, self.partition.key)


@dataclass(frozen=True)
class Arrival:
    """What a fetch thread hands to the loop: a payload of a unit, or an error, or (both None) the partition's end."""

    ticket: Ticket
    unit: Unit | None = None
    payload: Payload | None = None
    error: NexusError | None = None
    stopped: bool = False  # the partition ends here because the engine stops, or the feed
    note: str = ""  # why it ends before its windows do, though nothing failed


class Channel:
    """A queue bounded in bytes: ``put`` waits while the loop is behind; one item always fits."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._items: deque[tuple[Arrival, int]] = deque()
        self._size = 0
        self._closed = False
        self._nudged = False
        self._changed = threading.Condition()

    def put(self, item: Arrival, size: int = 0) -> None:
        with self._changed:
            while self._size and self._size + size > self._limit and not self._closed:
                self._changed.wait()
            self._items.append((item, size))
            self._size += size
            self._changed.notify_all()

    def get(self, timeout_s: float | None) -> Arrival | None:
        """The next arrival; None when none came in time, or the loop was nudged while there is none."""
        with self._changed:
            waited = not self._items
            if waited:
                self._changed.wait_for(lambda: self._items or self._nudged, timeout_s)
        if waited and self._items:
            time.sleep(_GATHER_S)
        with self._changed:
            if not self._items:
                self._nudged = False
                return None
            item, size = self._items.popleft()
            self._size -= size
            self._changed.notify_all()
            return item

    def nudge(self) -> None:
        """Let the loop look up: something else than an arrival wants it."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def open_wide(self) -> None:
        """Let every waiting thread finish: the loop takes nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


ReadUnit = Callable[[Ticket, Unit, object], Iterator[Payload]]


@dataclass(frozen=True)
class Job:
    """A source into the loop: the partitions it reads, the windows that are due in each, and how one window is read.

    Args:
        plan: the feed's, or one that judges differently (a replay has no page to stop at).
        keep: what the state store keeps of a position; None forgets it.
        position_hash: what the positions mean; empty when they are not the feed's and say nothing about what it asks.
        windows: how many there are to read, when that is known.
        settle: adds to an intent what only this job knows.
        whole: False when the engine stopped before all partitions were known.
        goes: SQL of rows in the table that this job will remove: the compare does not see them.
        finish: called under the table's lock once everything of every partition is read and safe; how many rows it removed.
        ages: how old what is read is (``deliver.worked.Bench.ages``), where it is not new.
        drift: what it reads is of today: the shape of its records is learned, and judged.
    """

    plan: Plan
    tickets: list[Ticket]
    due: Callable[[Ticket], Iterator[Unit]]
    read: ReadUnit
    threads: int = 1
    keep: Callable[[Position], Any] = Position.data
    position_hash: str = ""
    windows: int | None = None
    settle: Callable[[Intent, Worked], Intent] = lambda intent, _: intent
    whole: bool = True
    goes: str = ""
    finish: Callable[[Sink], int] | None = None
    ages: Callable[[Stage], Iterable[Mapping[str, object]]] | None = None
    drift: bool = False


class Fetchers:
    """Threads over the tickets of one job."""

    def __init__(self, job: Job, *, stopping: Callable[[], bool], channel: Channel) -> None:
        self._waiting = deque(job.tickets)
        self._job = job
        self._stopping = stopping
        self._channel = channel
        self._threads = [
            threading.Thread(target=self._work, name=f"fetch-{n}", daemon=True) for n in range(min(job.threads, len(job.tickets)))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self._channel.open_wide()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            try:
                ticket = self._waiting.popleft()
            except IndexError:
                return
            try:
                whole = not self._stopping() and self._partition(ticket)
                self._channel.put(Arrival(ticket, stopped=not whole))
            except NotYet as error:
                self._channel.put(Arrival(ticket, stopped=True, note=f"{error.what} ({error.where})"))
            except NexusError as error:
                if isinstance(error, StopAll):
                    self._drop_waiting()
                # What a source says while the engine stops is that it was stopped: the window stays open, nothing failed.
                stopped = self._stopping()
                self._channel.put(Arrival(ticket, error=None if stopped else error, stopped=stopped))
            except Exception as error:  # noqa: BLE001  a plugin may raise anything; it stops this feed only
                self._channel.put(Arrival(ticket, error=plugin_failed(error)))

    def _drop_waiting(self) -> None:
        """The partitions that no thread has begun are not read in this run."""
        while self._waiting:
            try:
                self._channel.put(Arrival(self._waiting.popleft(), stopped=True))
            except IndexError:
                return

    def _partition(self, ticket: Ticket) -> bool:
        """Every window that is due, one after the other; later windows start from what this run has read. False when the
        engine stops first."""
        return all(not self._stopping() and self._unit(ticket, unit) for unit in self._job.due(ticket))

    def _unit(self, ticket: Ticket, unit: Unit) -> bool:
        """Read one window. False when it was left open because the engine stops."""
        resume, ended, reconnects = unit.resume, False, 0
        while True:
            try:
                for payload in self._job.read(ticket, unit, resume):
                    ended = payload.last
                    resume, reconnects = payload.position, 0
                    self._channel.put(Arrival(ticket, unit, payload), len(payload.body))
                    if self._stopping() and not ended:
                        return False
                if not ended and self._stopping():
                    return False
                if not ended:
                    self._channel.put(Arrival(ticket, unit, Payload(b"", {}, last=True)))
                return True
            except Incomplete as error:
                error.window = (unit.window.start, unit.window.end)
                raise
            except Reconnect:
                reconnects += 1
                if reconnects > RECONNECTS:
                    raise


def plugin_failed(error: Exception) -> PluginFailed:
    """A foreign exception, named. Its own text may quote data, so only its type and place are shown."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    failed = PluginFailed(
        f"a plugin raised {type(error).__name__}: {error}", where=place, did="the feed stopped with its position kept",
        do="this is a bug in the plugin; run again with --debug for the whole traceback",
    )
    failed.__cause__ = error
    return failed


def advance(rule: CursorPlan | None, position: Position, unit: Unit, payload: Payload, seen: str | None) -> Position:
    """The position after one more payload of ``unit`` is safe; ``seen`` is the greatest cursor value so far in the window."""
    if payload.last:
        closed = close(rule, Position(cursor=position.cursor, seen=seen), unit)
        return msgspec.structs.replace(closed, memo=payload.memo)
    return opened(position, unit, payload.position, seen)
