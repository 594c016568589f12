"""What the owner of a data folder can be asked to do: by its own scheduler, by a command in its process, by the socket.

Every verb takes plain JSON and returns plain JSON (or bytes: an Arrow stream), so a command works the same whether it is
forwarded to a running engine or does the work itself.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import nexus_engine
from nexus_engine.compile.plan import Plan
from nexus_engine.deliver.backfill import Range, checked_range
from nexus_engine.deliver.reparse import Reparse
from nexus_engine.deliver.replace import rows_in_range
from nexus_engine.deliver.replay import Replay
from nexus_engine.deliver.report import ErrorReport, RunReport, error_report
from nexus_engine.errors import ConfigError, NexusError, PositionConflict, StopEngine, TableDiffers
from nexus_engine.events import Event, FeedLoaded, Observers, RunFinished
from nexus_engine.service import state_verbs
from nexus_engine.service.query_guard import LIMITS, query
from nexus_engine.service.reload import Feeds, Watcher, rename_advice
from nexus_engine.service.together import run_together
from nexus_engine.service.wire import event_to_json
from nexus_engine.spec.problems import Problem
from nexus_engine.spec.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nexus_engine.compile.feeds import LoadedFeeds
    from nexus_engine.deliver.session import Mover, Session
    from nexus_engine.project.project import Project

Tell = Callable[[Event], None]


class Owner:
    """One session and the plans in effect. Thread-safe.

    Args:
        load: reads every file again: the project, its plans and problems.
        loaded: what was read when the process started.
    """

    def __init__(self, session: Session, loaded: LoadedFeeds, load: Callable[[], tuple[Project, LoadedFeeds]]) -> None:
        self.session = session
        self.stop = threading.Event()  # set: runs under way end at their next page
        self.on_change: Callable[[Mapping[str, Plan]], None] = lambda _: None
        self.next_runs: Callable[[], dict[str, str]] = dict
        self._load = load
        self._feeds = Feeds()
        self._feeds.take(loaded.plans, loaded.problems)
        self._loaded = loaded
        self._watcher = Watcher(session.project.root)
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._reloading = threading.Lock()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")

    @property
    def plans(self) -> Mapping[str, Plan]:
        return self._feeds.plans

    def plan(self, feed: str) -> Plan:
        """The plan in effect.

        Raises:
            ConfigError: there is no such feed, or its file is broken.
        """
        if feed in self.plans:
            return self.plans[feed]
        if found := self._loaded.of([feed]):
            raise ConfigError(f"feed {feed} has {len(found)} problem{'s' if len(found) != 1 else ''}", problems=tuple(found), did="nothing was run")
        near = nearest(feed, list(self.plans))
        raise ConfigError(
            f"there is no feed called {feed!r}" + (f"; the nearest is {near!r}" if near else ""),
            where=str(self.session.project.root / "sources.d"),
            did="nothing was run",
            do="see nexus-engine validate-config",
        )

    def run_feed(self, feed: str, trigger: str, mover: Mover | None = None) -> RunReport | None:
        """Run a feed once, never beside itself. None when it went away while it waited for its turn. ``mover`` reads
        something else than what is due (a backfill, say).

        An old feed under a new name does not run before its positions are renamed; a run's failure is in its report.

        Raises:
            StopEngine: the process must stop.
        """
        with self._guard:
            lock = self._locks.setdefault(feed, threading.Lock())
        with lock:
            plan = self.plans.get(feed)
            if plan is None or self.stop.is_set():
                return None
            try:
                self._refuse_renamed(plan)
                return self.session.run(plan, trigger=trigger, stop=self.stop, mover=mover)
            except StopEngine:
                raise
            except Exception as error:  # noqa: BLE001  a bug in one feed's run is not the others' end
                return self._not_run(plan, trigger, error)

    def expire(self) -> None:
        """What is too old or too much in the archives goes, also of feeds that will not run soon."""
        for plan in self.plans.values():
            self.session.expire(plan, first=True)

    def wait_idle(self, wait_s: float) -> bool:
        """After ``stop`` is set: wait until no feed runs. False when one still does after ``wait_s`` seconds."""
        end = time.monotonic() + wait_s
        with self._guard:
            locks = list(self._locks.values())
        for lock in locks:
            if not lock.acquire(timeout=max(0.0, end - time.monotonic())):
                return False
            lock.release()
        return True

    def reload(self, *, settled: bool = False) -> list[Event]:
        """Load changed files, if any and whole; what changed, as events. A broken file is an event, never an exception."""
        with self._reloading:
            if not self._watcher.poll(settled=settled):
                return []
            events: list[Event] = list(self._take())
        for event in events:
            self.session.observers.emit(event)
        if events:
            self.on_change(self.plans)
        return events

    def _take(self) -> list[FeedLoaded]:
        try:
            project, loaded = self._load()
        except ConfigError as error:  # nexus.yaml is wrong: nothing else can be judged
            return self._feeds.take({}, [item for item in error.problems if isinstance(item, Problem)])
        told = self._feeds.take(loaded.plans, loaded.problems)
        self._loaded = loaded
        before = self.session.project
        if needs_restart(before, project):
            told.append(FeedLoaded("", "changed", "nexus.yaml: data_dir, base_urls, retry, timeout, limits and concurrency change at the next start"))
        self.session.project = replace(project, data_dir=before.data_dir)
        self.session.reader = replace(self.session.reader, project=self.session.project)
        return told

    def verbs(self) -> dict[str, Callable[[dict[str, Any], Tell], Any]]:
        """By name: what other processes may ask for."""
        store = self.session.store
        return {
            "query": self._query,
            "run": self._run,
            "replay": self._replay,
            "old-rows": self._old_rows,
            "reparse": self._reparse,
            "ddl": self._ddl,
            "reload": self._reload,
            **state_verbs.verbs(store, self.plan, self._locked),
        }

    def health(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": nexus_engine.__version__,
            "started_at": self._started_at,
            "project": str(self.session.project.root),
            "feeds": len(self.plans),
            "running": sorted(name for name, lock in self._locks.items() if lock.locked()),
            "next_runs": self.next_runs(),
        }

    def _run(self, args: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
        self.reload(settled=True)
        feeds = args.get("feeds") or [name for name, plan in self.plans.items() if plan.enabled]
        plans = [self.plan(name) for name in feeds]  # all names are right before anything runs
        words, mover, trigger = args.get("backfill"), None, args.get("trigger", "socket")
        if words:
            wanted = self._range(plans[0], words)
            mover, trigger = wanted.job, "replace" if wanted.replace else "backfill"
        slots = 1 if args.get("one_by_one") else self.session.project.concurrency
        with told(self.session.observers, tell, feeds):
            reports = run_together(plans, lambda plan: self.run_feed(plan.feed, trigger, mover), slots)
        return [report.to_json() for report in reports if report is not None]

    def _range(self, plan: Plan, words: dict[str, Any]) -> Range:
        now = self.session.reader.now()
        return checked_range(plan, words["from"], words["to"], words["each"], now, replacing=bool(words.get("replace")))

    def _old_rows(self, args: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """How many rows of the table a replacing would read again, and remove."""
        plan = self.plan(args["feed"])
        return {"table": plan.target.name, "rows": rows_in_range(self.session, plan, self._range(plan, args["backfill"]))}

    def _replay(self, args: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
        """Quarantined records of one feed through its present spec."""
        self.reload(settled=True)
        plan = self.plan(args["feed"])
        with told(self.session.observers, tell, [plan.feed]):
            report = self.run_feed(plan.feed, "replay", Replay(tuple(args.get("ids") or ())).job)
        return [report.to_json()] if report is not None else []

    def _reparse(self, args: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
        """The kept answers of one feed through its present spec."""
        self.reload(settled=True)
        plan, reparse = self.plan(args["feed"]), Reparse(str(args.get("since") or ""))
        reparse.readings(self.session, plan)  # words that cannot be carried out are no failed run
        with told(self.session.observers, tell, [plan.feed]):
            report = self.run_feed(plan.feed, "reparse", reparse.job)
        return [report.to_json()] if report is not None else []

    def _reload(self, args: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
        return [event_to_json(event) for event in self.reload(settled=True)]

    def _ddl(self, args: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
        """What live tables need to fit their feeds, in statements; run them when asked to."""
        found = []
        for name in args["feeds"]:
            target = self.plan(name).target
            item: dict[str, Any] = {"feed": name, "table": target.name, "statements": [], "error": ""}
            try:
                with self.session.table(target.name):
                    item["statements"] = list(self.session.sink(target.sink).prepare(target, apply=bool(args.get("apply"))))
            except TableDiffers as error:
                item["error"] = str(error)
            found.append(item)
        return found

    def _query(self, args: dict[str, Any], tell: Tell) -> Any:
        return query(self.session.engine, str(args["sql"]), int(args.get("max_rows", LIMITS["max_result_rows"])), arrow=bool(args.get("arrow")))

    @contextmanager
    def _locked(self, feed: str) -> Iterator[None]:
        """Nothing changes a feed's positions while it runs."""
        with self._guard:
            lock = self._locks.setdefault(feed, threading.Lock())
        if not lock.acquire(timeout=1.0):
            raise NexusError(
                f"feed {feed} is running", where=f"feed {feed}", did="its state was not touched", do="wait until the run has ended"
            )
        try:
            yield
        finally:
            lock.release()

    def _not_run(self, plan: Plan, trigger: str, error: Exception) -> RunReport:
        """The report, kept in the history, of a run that did not begin, or that ended in a bug."""
        now = datetime.now(UTC)
        report = RunReport(
            run_id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", feed=plan.feed, trigger=trigger, started_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            status="failed",
        )
        if isinstance(error, NexusError):
            parts = error_report(error, self.session.reader.redactor.redact)
        else:
            what = f"this is a bug: {type(error).__name__}: {self.session.reader.redactor.redact(str(error))}"
            parts = ErrorReport(kind="Bug", what=what, where=f"feed {plan.feed}, {plan.spec_file}", did="the position is kept; other feeds go on")
        report.errors.append(parts)
        store = self.session.store
        store.start_run(report.run_id, plan.feed, trigger, report.started_at)
        store.finish_run(report.run_id, "failed", report.to_json())
        self.session.observers.emit(RunFinished(plan.feed, report.run_id, "failed", 0, 0, 0, 0, 0, 0, 0.0, parts.what))
        return report

    def _refuse_renamed(self, plan: Plan) -> None:
        store = self.session.store
        if store.positions(plan.feed):
            return
        known = set(self.plans)
        for old in store.feeds_with(plan.position_hash, plan.target.name):
            if old not in known and store.positions(old):
                raise PositionConflict(
                    f"feed {plan.feed} is feed {old} under another name",
                    where=f"feed {plan.feed}, {plan.spec_file}",
                    did="nothing was asked; positions and table are untouched",
                    do=rename_advice(old, plan.feed).rpartition(": ")[2] + f" (or: nexus-engine state reset {old})",
                )


def needs_restart(before: Project, after: Project) -> bool:
    """True when something changed that open things were built from; vars, secrets and sinks are read anew by each run."""
    names = ("data_dir", "base_urls", "defaults", "limits", "concurrency")
    return any(getattr(before, name) != getattr(after, name) for name in names)


@contextmanager
def told(observers: Observers, tell: Tell, feeds: Iterable[str]) -> Iterator[None]:
    """Tell one caller of the events of these feeds, while it waits."""
    wanted = {*feeds, ""}

    def observer(event: Event) -> None:
        if event.feed in wanted:
            tell(event)

    observers.add(observer)
    try:
        yield
    finally:
        observers.remove(observer)
