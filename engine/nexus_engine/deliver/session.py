"""A Session: the live things of one process over one data folder. It opens, recovers, runs feeds, closes.

A Plan is plain data; clients, state, the embedded engine and sinks belong here. Nothing else holds them.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from nexus_engine.clickhouse.engine import Engine
from nexus_engine.compile.fanout import beside
from nexus_engine.compile.plan import EachPlan, Plan
from nexus_engine.contract.registry import Registry
from nexus_engine.contract.sink import Sink
from nexus_engine.contract.source import Partition
from nexus_engine.deliver import crash
from nexus_engine.deliver.drift import Watch
from nexus_engine.deliver.fanout import Fanout, Found
from nexus_engine.deliver.fetch import Job, Ticket
from nexus_engine.deliver.lock import OwnerLock
from nexus_engine.deliver.preview import Preview, preview
from nexus_engine.deliver.reader import Reader
from nexus_engine.deliver.recovery import recover
from nexus_engine.deliver.refusals import refusal
from nexus_engine.deliver.report import RunReport, error_report
from nexus_engine.deliver.run import Limits, Line, moment_of, run_feed
from nexus_engine.deliver.windows import Position, units
from nexus_engine.errors import BudgetSpent, ConfigError, NexusError, PositionConflict, StopEngine
from nexus_engine.events import Event, Observers, RequestDone, RuleWarned, RunFinished, RunStarted
from nexus_engine.host.halt import Halt
from nexus_engine.project.project import Project
from nexus_engine.state.positions import spaced
from nexus_engine.state.records import Request
from nexus_engine.state.store import Store

SHOWN_LEFT = 10
DEFAULT_CONCURRENCY = 4  # partitions of one feed read side by side, unless the feed or its API says otherwise


@dataclass(frozen=True)
class Folder:
    """What a sink sees of the session."""

    data_dir: Path
    engine: Engine


class Session:
    """Use :meth:`open`; close it, or use it as a context manager.

    Thread-safe: several feeds may run side by side; the compare and write of one table happen one at a time.
    """

    def __init__(
        self, project: Project, registry: Registry, store: Store, engine: Engine, lock: OwnerLock, reader: Reader, observers: Observers
    ) -> None:
        self.project = project
        self.registry = registry
        self.store = store
        self.engine = engine
        self.reader = reader
        self.observers = observers
        self.limits = Limits(batch_bytes=int(project.limits.batch_bytes))
        self._lock = lock
        self._sinks: dict[str, Sink] = {}
        self._tables: dict[str, threading.Lock] = {}
        self._expired: set[str] = set()  # feeds whose archive was looked at
        self._guard = threading.Lock()

    @classmethod
    def open(
        cls, project: Project, registry: Registry, *, observers: Observers | None = None,
        now: Callable[[], datetime] | None = None, recorder: Any = None, replay: Any = None,
    ) -> Self:
        """Own the data folder, open what is in it, and deliver what an earlier process left staged.

        Args:
            now: the clock; a replay's frozen time.
            recorder: folder for cassettes of every exchange.
            replay: testing.replay.ReplayServer that takes the place of the APIs' base URLs.

        Raises:
            ConfigError: the folder's path is none that ClickHouse can be given.
            Locked: another process owns the folder.
            StateDamaged: what is there cannot be trusted.
        """
        data = project.data_dir
        if wild := set("{}*?") & set(str(data.resolve())):
            raise ConfigError(
                f"the path of the data folder has {' '.join(sorted(wild))} in it, which ClickHouse reads as a pattern of paths",
                where=str(data), did="nothing was opened or written",
                do="move the project, or name another folder as data_dir in nexus.yaml",
            )
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = OwnerLock(data / "nexus.lock")
        lock.acquire()
        try:
            for name in ("raw", "spool"):
                (data / name).mkdir(mode=0o700, exist_ok=True)
            store = Store.open(data / "state.db")
            engine = Engine(data / "clickhouse")
            seen = observers or Observers()
            reader = Reader.open(project, registry, seen, stamps=store, recorder=recorder, replay=replay, now=now)
            session = cls(project, registry, store, engine, lock, reader, seen)
            recover(store, session.sink, data, seen)
            reader.archive.sweep(store.unknown_bodies)
        except BaseException:
            lock.release()
            raise
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open, in the reverse order; the folder is free afterwards."""
        for sink in self._sinks.values():
            sink.close()
        self.reader.http.close()
        self.reader.archive.close()
        self.engine.close()
        self.store.close()
        self._lock.release()

    def sink(self, name: str) -> Sink:
        """The sink of that name in the project, opened once.

        Raises:
            ConfigError: there is no such sink, or its plugin is not installed.
        """
        with self._guard:
            if name not in self._sinks:
                config = self.project.sinks.get(name)
                if config is None or config.plugin not in self.registry.sinks:
                    raise ConfigError(
                        f"sink {name!r} is not in sinks.d/" if config is None else f"sink plugin {config.plugin!r} is not installed",
                        where=str(self.project.root), did="nothing was delivered to it",
                        do=f"write sinks.d/{name}.yaml, or see nexus-engine plugins",
                    )
                kind: Any = self.registry.sinks[config.plugin].cls
                options = self.reader.options(config.options, kind.options, self.reader.constants(), f"sinks.d/{name}.yaml")
                self._sinks[name] = kind(options, Folder(self.project.data_dir, self.engine))
            return self._sinks[name]

    def preview(self, plan: Plan, *, rows: int = 20) -> Preview:
        """See :func:`nexus_engine.deliver.preview.preview`: needs nothing of the session."""
        return preview(plan, self.project, self.registry, rows=rows)

    def table(self, name: str) -> AbstractContextManager[Any]:
        """The lock of one target table: compare and write are serialised per table."""
        with self._guard:
            return self._tables.setdefault(name, threading.Lock())

    def run(
        self, plan: Plan, *, trigger: str = "once", stop: threading.Event | None = None, mover: Mover | None = None
    ) -> RunReport:
        """Run a feed once: every partition, every due window, or what ``mover`` reads instead. A feed's failure is in the
        report, never raised.

        Raises:
            StopEngine: the process must stop.
        """
        now, clock = self.reader.now(), time.monotonic()
        run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        report = RunReport(run_id=run_id, feed=plan.feed, trigger=trigger, started_at=f"{now:%Y-%m-%dT%H:%M:%SZ}")
        self.store.start_run(run_id, plan.feed, trigger, report.started_at)
        requests = _Requests(run_id)
        self.observers.add(requests)
        stop = stop or threading.Event()
        try:
            halt = Halt(stop)
            if trigger != "reparse":  # which may be the last to read what is too old
                self.expire(plan, first=True)  # a feed whose runs never come to their end would keep everything
            job = (mover or live)(self, plan, report, halt)
            if job.position_hash:
                self.check_position(plan)
            report.partitions = len(job.tickets)
            self.observers.emit(RunStarted(plan.feed, run_id, len(job.tickets), trigger))
            line = Line(
                job=job, store=self.store, engine=self.engine, sink=self.sink(plan.target.sink), observers=self.observers,
                folder=self.project.data_dir, table=self.table(plan.target.name), limits=self.limits,
                redact=self._redact, watch=self._watch(plan, job),
            )
            run_feed(line, report, halt)
            if report.errors and (changed := line.watch.back()):  # a run that was stopped has seen what it has seen
                self.store.note_drift(plan.feed, run_id, (), None, changed)
            if any(error.kind == BudgetSpent.__name__ for error in report.errors):
                report.warnings.append(left_to_do(job.tickets))
        except StopEngine as error:
            self._finish(plan, report, error, clock, requests)
            raise
        except NexusError as error:
            self._finish(plan, report, error, clock, requests)
        except OSError as error:
            refused = refusal(error, str(self.project.data_dir))
            if refused is None:
                raise
            self._finish(plan, report, refused, clock, requests)
            raise refused from error
        else:
            self._finish(plan, report, None, clock, requests)
        finally:
            self.observers.remove(requests)
        return report

    def _watch(self, plan: Plan, job: Job) -> Watch:
        found = self.store.drift(plan.feed) if job.drift else []
        open_before = [drift for drift in found if drift.state == "open"]
        return Watch(plan, self.store.known_shape(plan.feed), self._redact, keeps=job.drift, open_before=open_before)

    def _redact(self, text: str) -> str:
        return self.reader.redactor.redact_bytes(text.encode()).decode()

    def _finish(self, plan: Plan, report: RunReport, error: NexusError | None, clock: float, requests: _Requests) -> None:
        if error is not None:
            report.status = "failed"
            report.errors.append(error_report(error, self.reader.redactor.redact))
        report.elapsed_s = round(time.monotonic() - clock, 3)
        report.requests = len(requests.found)
        if not isinstance(error, StopEngine):  # else the next start looks after it
            self._tidy(plan, report.run_id)
        self.store.add_requests(report.run_id, requests.found)
        self.store.finish_run(report.run_id, report.status, report.to_json())
        self.observers.emit(
            RunFinished(
                report.feed, report.run_id, report.status, report.read, report.landed, report.unchanged, report.superseded,
                report.filtered, report.quarantined, report.elapsed_s, report.errors[0].what if report.errors else "",
                report.unchanged_answers,
            )
        )

    def fan_out(self, plan: Plan, report: RunReport, halt: threading.Event, only: Mapping[str, frozenset[str]] | None = None) -> Found:
        """The partitions of a run, as files, tables and listings say now. What failed on the way is in the report.

        Raises:
            NexusError: none of the feed can be read now.
        """
        if any(isinstance(each, EachPlan) and each.listing for each in plan.source.each.values()):
            self.check_position(plan)  # before a listing is asked
        found = Fanout(
            plan, self.reader, self.engine, report, halt, self.project.data_dir / "raw", self.sink, threads(plan), only or {}
        ).find()
        for key, error in found.failures:
            report.errors.append(error_report(error, self.reader.redactor.redact, key))
        for note in found.notes:
            report.warnings.append(note)
            self.observers.emit(RuleWarned(plan.feed, report.run_id, "", note))
        names = beside(plan.source.each)
        if names:
            self.store.keep_parents(plan.feed, {one.key: {name: one.values.get(name) for name in names} for one in found.partitions})
        return found

    def _tidy(self, plan: Plan, run_id: str) -> None:
        """The feed's archive after a run: bodies that no batch took go, and what is too old or too much."""
        self.reader.archive.end(run_id, self.store.unknown_bodies)
        self.expire(plan)

    def expire(self, plan: Plan, *, first: bool = False) -> None:
        """What is too old or too much in the feed's archive goes. ``first``: unless this session has seen to it before."""
        if plan.archive is None or (first and plan.feed in self._expired):
            return
        self._expired.add(plan.feed)
        self.reader.archive.mark()
        before = datetime.now(UTC) - timedelta(seconds=plan.archive.keep_s)
        gone = self.store.expire_bodies(plan.feed, f"{before:%Y-%m-%dT%H:%M:%S}", plan.archive.max_bytes)
        crash.point("archive.expired")
        self.reader.archive.remove(gone, self.store.unknown_bodies)

    def tickets(self, plan: Plan, partitions: Sequence[Partition], space: str = "") -> list[Ticket]:
        """One per partition, with its stored position in that space."""
        stored = self.store.positions(plan.feed)
        found = []
        for partition in partitions:
            data = stored.get(spaced(space, partition.key))
            found.append(Ticket(partition, Position(**data) if data else Position(), data, space=space))
        return found

    def check_position(self, plan: Plan) -> None:
        """A position means what the spec meant when it was stored.

        Raises:
            PositionConflict: endpoint, params, fan-out, paging, records or cursor changed since, or the feed was renamed.
        """
        where = f"feed {plan.feed}, {plan.spec_file}"
        stored = self.store.position_hash(plan.feed)
        positions = self.store.positions(plan.feed)
        if not positions:
            present = {path.stem for path in self.project.feeds()}
            for old in self.store.feeds_with(plan.position_hash, plan.target.name):
                if old != plan.feed and old not in present and self.store.positions(old):
                    raise PositionConflict(
                        f"this feed asks for what the feed {old!r} asked for, which is gone: it looks renamed", where=where,
                        did="nothing was asked, so nothing was ingested twice",
                        do=f"keep its position with: nexus-engine state rename {old} {plan.feed}; or start over with: "
                        f"nexus-engine state reset {old}",
                    )
        if stored and stored != plan.position_hash and positions:
            raise PositionConflict(
                "what this feed asks for has changed since its position was stored", where=where,
                did="nothing was asked; position and table are untouched",
                do=f"go on from the old position with: nexus-engine state adopt {plan.feed}; or start over with: "
                f"nexus-engine state reset {plan.feed}",
            )


class _Requests:
    """An observer that keeps the exchanges of one run for its history."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.found: list[Request] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestDone) and event.run_id == self.run_id:
            self.found.append(
                Request(
                    method=event.method, url=event.url, status=event.status, body_bytes=event.body_bytes,
                    elapsed_ms=event.elapsed_ms, attempt=event.attempt, error=event.error,
                    at=datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z",
                )
            )


Mover = Callable[[Session, Plan, RunReport, threading.Event], Job]
"""Opens a job in the run of a report; the event ends its reading."""


def live(session: Session, plan: Plan, report: RunReport, halt: threading.Event) -> Job:
    """What has come due since the feed's own position."""
    found = session.fan_out(plan, report, halt)
    return Job(
        plan=plan, tickets=session.tickets(plan, found.partitions), whole=found.whole, due=lambda ticket: units(plan.cursor, ticket.safe, moment_of(report)),
        read=session.reader.units(plan, report, halt, session.reader.keeping(plan, report)), threads=threads(plan), position_hash=plan.position_hash, drift=True,
    )


def left_to_do(tickets: list[Ticket]) -> str:
    """The partitions that a run did not read to their end, and where each will go on."""
    left = [ticket for ticket in tickets if not ticket.finished]
    shown = []
    for ticket in left[:SHOWN_LEFT]:
        window = ticket.safe.window
        where = f"in the window from {window.get('start')}" if window else f"behind {ticket.safe.cursor}" if ticket.safe.cursor else "from its start"
        shown.append(f"{ticket.partition.key or 'the feed'} {where}")
    more = f", and {len(left) - SHOWN_LEFT} more" if len(left) > SHOWN_LEFT else ""
    return f"left to do: {len(left)} of {len(tickets)} partitions: {', '.join(shown)}{more}"


def threads(plan: Plan) -> int:
    """How many partitions of the feed are read side by side."""
    stated = str(plan.source.options.get("concurrency", ""))
    return int(stated) if stated.isdigit() and int(stated) > 0 else DEFAULT_CONCURRENCY
