"""The one loop: the only code that moves rows.

    position -> fetch -> stage -> query -> compare -> spool -> intent(+position) -> insert -> done

``run_feed`` reads like that line. Replay, reparse, backfill and heal are sources into it, never second loops.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nexus_engine.clickhouse.engine import Engine
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.sink import Batch, Sink
from nexus_engine.deliver import crash, protocol
from nexus_engine.deliver.ahead import AHEAD, Ahead
from nexus_engine.deliver.batch import select
from nexus_engine.deliver.books import books_of, counts_of, enter, landed, refused_of
from nexus_engine.deliver.drift import Watch
from nexus_engine.deliver.fetch import Arrival, Channel, Fetchers, Job, Ticket, advance
from nexus_engine.deliver.keeping import kept_bodies
from nexus_engine.deliver.report import RunReport, WindowBooks, error_report
from nexus_engine.deliver.side import SIDE_BY_SIDE, has_sides, side_tables
from nexus_engine.deliver.spool import commit
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.windows import Position, Unit, greatest
from nexus_engine.deliver.worked import Bench, Layouts, Worked
from nexus_engine.errors import FieldsDrifted, Incomplete, NexusError, StopEngine
from nexus_engine.events import BatchLanded, BatchStaged, Observers, PageRead, RowsRefused, RuleWarned, WindowsDone
from nexus_engine.state.records import Drift, Intent, WindowCounts
from nexus_engine.state.store import Store

_MOMENT_S = 0.02  # a pause in the flow of pages


@dataclass(frozen=True)
class Limits:
    """When a batch closes, and how much may wait. Larger batches cost memory, smaller ones an fsync and a part each."""

    batch_bytes: int = 64_000_000
    first_bytes: int = 12 * 2**20  # of a run's first batch: until it is staged, nothing is mapped
    batch_pages: int = 20_000
    linger_s: float = 10.0
    channel_bytes: int = 64 * 2**20  # more than a batch: one is read while another lands


@dataclass(frozen=True)
class Line:
    """What the loop needs of its session: plain values and open things."""

    job: Job
    store: Store
    engine: Engine
    sink: Sink
    observers: Observers
    folder: Path  # the data folder
    table: AbstractContextManager[Any]  # held while this target's table is compared and written
    redact: Callable[[str], str]  # masks the session's secrets in what is kept
    watch: Watch  # over the shape of the records
    limits: Limits = Limits()
    started: float = field(default_factory=time.monotonic)
    layouts: Layouts = field(default_factory=Layouts)
    prepared: threading.Event = field(default_factory=threading.Event)  # the table fits the spec; asked once a run

    @property
    def plan(self) -> Plan:
        return self.job.plan


def run_feed(line: Line, report: RunReport, halt: threading.Event) -> None:
    """Read every ticket's due windows and deliver them, batch by batch. Failures of partitions and of the feed end up in
    ``report``; other partitions go on. ``halt`` ends reading at the next page; it is set when the run is over.

    Raises:
        StopEngine: the process must stop (disk full, state damaged).
    """
    channel = Channel(line.limits.channel_bytes)
    fetchers, tickets = Fetchers(line.job, stopping=halt.is_set, channel=channel), line.job.tickets
    stopped, ahead = False, Ahead(channel.nudge, SIDE_BY_SIDE if has_sides(line.sink, line.plan) else 1)
    fetchers.start()
    try:
        for stage in _stages(line, tickets, channel, report):
            if stage is not None:
                crash.point("stage.closed")
                ahead.begin(stage, _bench(line, report))
            # Of three, one waits behind the one that is mapped, so that mapping never waits for what is delivered meanwhile.
            if len(ahead) >= AHEAD or (ahead.ready and (len(ahead) > 1 or (stage is None and not line.watch.holds))):
                _deliver(line, ahead, report)
        stopped = halt.is_set()
        while ahead:
            _deliver(line, ahead, report, last=len(ahead) == 1 and not stopped)
        stopped = halt.is_set()
        _end_watch(line, report, whole=not stopped)
    except StopEngine:
        raise
    except NexusError as error:
        _fail(line, report, error)
    finally:
        halt.set()
        fetchers.join()
        ahead.close()
    report.status = _verdict(report, tickets, stopped=stopped, whole=line.job.whole)
    if line.job.finish is not None:
        _finish(line, line.job.finish, report)


def _finish(line: Line, finish: Callable[[Sink], int], report: RunReport) -> None:
    """What a job does at its end, when nothing is left of it."""
    if report.status not in ("ok", "empty") or not line.job.whole or not all(ticket.finished for ticket in line.job.tickets):
        report.warnings.append("the range is not whole yet: old rows and new ones are in the table; the same command goes on")
        return
    try:
        with line.table:
            _settle_table(line)
            report.removed = finish(line.sink)
    except StopEngine:
        raise
    except NexusError as error:
        _fail(line, report, error)
        report.status = "failed"


def moment_of(report: RunReport) -> datetime:
    """The run's start: the only clock its windows and values see."""
    return datetime.fromisoformat(report.started_at)


def _stages(line: Line, tickets: list[Ticket], channel: Channel, report: RunReport) -> Iterator[Stage | None]:
    """Closed stages: full ones, ones that waited long enough, and the rest at the end. None when nothing arrives just now: where pages
    flow, for a moment, because the next batch is wanted by the thread that maps before this one lands."""
    waiting, told = len(tickets), False
    stage, since, number = _new_stage(line, report, 0), time.monotonic(), 0
    try:
        while waiting:
            left = line.limits.linger_s - (time.monotonic() - since) if stage.payloads else None
            if told and left is not None:
                left = min(left, _MOMENT_S)
            arrival = channel.get(left if left is None or left > 0 else 0.0)
            if arrival is not None and not _fits(stage, arrival):
                stage.close()
                number += 1
                whole, stage = stage, _new_stage(line, report, number)
                yield whole
            if not stage.payloads:
                since = time.monotonic()
            if arrival is not None:
                waiting -= _arrived(line, stage, arrival, report)
            full = stage.size_bytes >= _bytes(line.limits, number) or len(stage.payloads) >= line.limits.batch_pages
            lingered = bool(stage.payloads) and time.monotonic() - since >= line.limits.linger_s
            if full or lingered:
                stage.close()
                number += 1
                whole, stage = stage, _new_stage(line, report, number)
                told = False
                yield whole
            elif arrival is None:
                told = not told and bool(stage.payloads)
                if not told:
                    yield None
        stage.close()
        if stage.payloads:
            rest, stage = stage, _new_stage(line, report, number + 1)
            yield rest
    finally:
        stage.close()
        stage.path.unlink(missing_ok=True)


def _bytes(limits: Limits, number: int) -> int:
    return limits.batch_bytes if number else min(limits.first_bytes, limits.batch_bytes)


def _new_stage(line: Line, report: RunReport, number: int) -> Stage:
    return Stage(line.folder / "raw" / f"{report.run_id}-{number}.jsonl")


def _fits(stage: Stage, arrival: Arrival) -> bool:
    return arrival.payload is None or stage.takes((arrival.ticket, arrival.unit), arrival.payload)


def _arrived(line: Line, stage: Stage, arrival: Arrival, report: RunReport) -> int:
    """Put a payload into the stage, or note a partition's end or failure; 1 when the partition is done."""
    ticket, unit, payload = arrival.ticket, arrival.unit, arrival.payload
    if isinstance(arrival.error, StopEngine):
        raise arrival.error
    if arrival.error is not None:
        ticket.failed = True
        _fail(line, report, arrival.error, ticket.partition.key)
        if isinstance(arrival.error, Incomplete):
            _incomplete(line, report, ticket.partition.key, arrival.error)
        return 1
    if unit is None or payload is None:
        ticket.finished = not arrival.stopped
        if arrival.note:
            note = f"{ticket.partition.key}: {arrival.note}" if ticket.partition.key else arrival.note
            report.warnings.append(note)
            line.observers.emit(RuleWarned(report.feed, report.run_id, "", note))
        return 1
    if not ticket.failed and (line.plan.target.key or not payload.again):
        stage.add(stage.unit(ticket.partition, unit.window, (ticket, unit)), payload)
        line.observers.emit(
            PageRead(report.feed, report.run_id, ticket.partition.key, payload.page, len(payload.body), payload.total, payload.unchanged)
        )
    return 0


def _bench(line: Line, report: RunReport) -> Bench:
    values = {"run_started_at": f"{moment_of(report):%Y-%m-%d %H:%M:%S}", "run_id": report.run_id, "feed": report.feed}
    sides = side_tables(line.sink, line.plan, line.store, lambda: _ready(line))
    return Bench(
        line.plan, line.engine, line.sink, line.folder / "raw", values, line.job.goes, line.job.ages, redact=line.redact, sides=sides,
        layouts=line.layouts,
    )  # fmt: skip


def _ready(line: Line) -> None:
    if not line.prepared.is_set():
        with line.table:
            _settle_table(line)


def _deliver(line: Line, ahead: Ahead, report: RunReport, *, last: bool = False) -> None:
    """The next batch, from its mapped rows to its rows in the table. ``last``: nothing comes behind it."""
    with ahead.take() as (worked, bench):
        crash.point("query.mapped")
        if not worked.stage.payloads and not worked.failures:
            return  # all of it came after a refused page
        drift = _judged(line, worked, report, last=last)
        with line.table:
            _settle_table(line)
            select(worked, bench)
            crash.point("query.finished")
            _land(line, worked, bench, drift, report)
        for unit in worked.failures:
            ahead.spoil(worked.stage.units[unit].ticket)


def _judged(line: Line, worked: Worked, report: RunReport, *, last: bool) -> tuple[Drift, ...]:
    """The drift of a batch. Where a missing field stops the feed, it is looked for before the last batch lands.

    Raises:
        FieldsDrifted: it stops the feed; what was found is recorded.
    """
    watch = line.watch
    found = watch.new(worked.shape, sound=not worked.failures)
    if watch.holds and last and not (report.errors or worked.failures):
        found += watch.missing()
    try:
        watch.refuse(found)
    except FieldsDrifted:
        line.store.note_drift(report.feed, report.run_id, found if watch.keeps else ())
        raise
    return tuple(found)


def _end_watch(line: Line, report: RunReport, *, whole: bool) -> None:
    """What no record of a whole run had is missing; what was seen is kept."""
    watch = line.watch
    missing = watch.missing() if whole and not report.errors else []
    if watch.keeps and watch.seen.seen:
        crash.point("shape.before")
        line.store.note_drift(report.feed, report.run_id, missing, watch.ended(), watch.back())
        crash.point("shape.after")
    _warn(line, report, watch.warnings(missing), "drift")
    watch.refuse(missing, "every batch of the run has landed, because what is missing is known at its end")


def _warn(line: Line, report: RunReport, warnings: list[str], rule: str = "") -> None:
    for warning in warnings:
        if warning not in report.warnings:  # else it was told of an earlier batch
            report.warnings.append(warning)
            line.observers.emit(RuleWarned(report.feed, report.run_id, rule, warning))


def _settle_table(line: Line) -> None:
    """The table fits the spec and holds every staged batch: only then may rows be compared with it."""
    for batch in line.store.staged(line.plan.target.name):
        protocol.deliver(batch, line.sink, line.store, line.observers, recovered=True)
    if not line.prepared.is_set():
        line.sink.prepare(line.plan.target, apply=line.plan.ddl == "auto")
        line.prepared.set()


def _land(line: Line, worked: Worked, bench: Bench, drift: tuple[Drift, ...], report: RunReport) -> None:
    """Spool, intent, insert, done: steps 1 to 4 of the protocol, then the books."""
    started = time.monotonic()
    side = worked.mapped.side
    batch_id, seq = line.store.new_batch_id() if side is None else (side.batch_id, side.seq)
    batch: Batch | None = None
    advances = _advances(line, worked)
    books = books_of(worked)
    if worked.rows:
        path, digest = line.folder / "spool" / f"{batch_id}.arrow", ""
        if side is not None and bench.sides is not None:
            bench.sides.take(side)
        elif worked.spool is not None:
            path, digest = commit(worked.spool, path)
        batch = Batch(
            id=batch_id, seq=seq, feed=report.feed, run_id=report.run_id, target=line.plan.target, path=str(path),
            rows=worked.rows, sha256=digest,
        )
    intent = Intent(
        id=batch_id, feed=report.feed, run_id=report.run_id, batch=batch, quarantined=refused_of(worked, line.plan, line.redact),
        advances={key: (before, line.job.keep(after)) for key, (before, after) in advances.items()}, books=counts_of(books),
        bodies=kept_bodies(worked), position_hash=line.job.position_hash, target=line.plan.target.name,
        drift=drift, shape=line.watch.learned(),
    )
    protocol.intend(line.store, line.job.settle(intent, worked))
    _moved(line, worked, advances)
    enter(report, books)
    _tell_windows(line, worked, report)
    if worked.refusals:
        reasons = Counter(": ".join(reason.split(": ", 2)[:2]) for refusal in worked.refusals for reason in refusal.reasons)
        line.observers.emit(RowsRefused(report.feed, report.run_id, len(worked.refusals), dict(reasons)))
    _warn(line, report, worked.warnings)
    _warn(line, report, line.watch.warnings(drift), "drift")
    if batch is not None:
        line.observers.emit(BatchStaged(report.feed, report.run_id, batch.id, batch.rows))
        protocol.deliver(batch, line.sink, line.store, line.observers)
        report.batches += 1
        landed(report, books)
        line.observers.emit(
            BatchLanded(report.feed, report.run_id, batch.id, batch.rows, (time.monotonic() - started) * 1000)
        )
    for index, guilt in worked.failures.items():
        ticket, _ = _ticket(worked, index)
        ticket.failed = True
        _fail(line, report, guilt.error, ticket.partition.key)


Moves = dict[str, tuple[Any, Position]]  # partition key -> (what is stored, where it goes)


def _advances(line: Line, worked: Worked) -> Moves:
    """Where each partition of the batch stands once its payloads are safe."""
    moves: Moves = {}
    rule = line.plan.cursor
    for staged in worked.stage.payloads:
        ticket, unit = _ticket(worked, staged.unit)
        before, at = moves.get(ticket.key, (ticket.stored, ticket.safe))
        seen = unit.seen if at.window is None else at.seen
        if rule is not None:
            seen = greatest(rule.kind, seen, worked.stats[staged.p].cursor_max if staged.p in worked.stats else None, staged.payload.cursor)
        moves[ticket.key] = (before, advance(rule, at, unit, staged.payload, seen))
    return moves


def _moved(line: Line, worked: Worked, moves: Moves) -> None:
    for index in range(len(worked.stage.units)):
        ticket, _ = _ticket(worked, index)
        if ticket.key in moves:
            ticket.safe = moves[ticket.key][1]
            ticket.stored = line.job.keep(ticket.safe)


def _tell_windows(line: Line, worked: Worked, report: RunReport) -> None:
    """How far a run has come whose windows are known: those that are whole and safe, and the time that the others will take."""
    report.unchanged_answers += sum(staged.payload.unchanged for staged in worked.stage.payloads)
    ended = sum(staged.payload.last for staged in worked.stage.payloads)
    report.windows += ended
    if line.job.windows and ended:
        left_s = (time.monotonic() - line.started) / report.windows * max(0, line.job.windows - report.windows)
        line.observers.emit(WindowsDone(report.feed, report.run_id, report.windows, line.job.windows, round(left_s, 1)))


def _ticket(worked: Worked, unit: int) -> tuple[Ticket, Unit]:
    handle: Any = worked.stage.units[unit].ticket  # the loop's own, opaque to the stage
    ticket, read = handle
    return ticket, read


def _fail(line: Line, report: RunReport, error: NexusError, partition: str = "") -> None:
    report.errors.append(error_report(error, line.redact, partition))


def _incomplete(line: Line, report: RunReport, partition: str, error: Incomplete) -> None:
    """Into the books of its window: how much was told, and how much came."""
    if error.counted != "records":
        return
    start, end = error.window
    book = WindowBooks(partition=partition, window_start=start, window_end=end, total=error.total, arrived=error.arrived)
    enter(report, [book])
    counts = {"total": error.total, "arrived": error.arrived}
    line.store.add_books(report.run_id, [WindowCounts(partition=partition, window_start=start, window_end=end, counts=counts)])


def _verdict(report: RunReport, tickets: list[Ticket], *, stopped: bool, whole: bool) -> str:
    if report.errors:
        return "incomplete" if all(error.kind == Incomplete.__name__ for error in report.errors) else "failed"
    if stopped and not (whole and all(ticket.finished and ticket.safe.window is None for ticket in tickets)):
        return "stopped"
    return "ok" if report.read else "unchanged" if report.unchanged_answers else "empty"
