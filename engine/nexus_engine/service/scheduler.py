"""All feeds on their schedules, side by side within a bound, until somebody asks to stop.

::

    main thread     waits; starts what is due; hears signals
    worker threads  run feeds: at most `concurrency`, a feed never beside itself
    watch thread    polls the files, loads what changed
    socket threads  other processes' commands (service.owner)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nexus_engine.compile.plan import Plan
from nexus_engine.errors import StopEngine
from nexus_engine.events import FeedLoaded, Observers
from nexus_engine.service.agenda import Agenda, Job
from nexus_engine.service.reload import POLL_S
from nexus_engine.state.store import Store

if TYPE_CHECKING:
    from nexus_engine.service.owner import Owner

DRAIN_S = 10.0
"""How long a graceful stop waits for runs under way. What is cut off then is recovered at the next start, as after kill -9."""


class Scheduler:
    """Serves one :class:`~nexus_engine.service.owner.Owner`.

    Args:
        now: the wall clock, aware UTC; a parameter so that tests can move it.
    """

    def __init__(
        self, owner: Owner, *, concurrency: int, observers: Observers, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._owner = owner
        self._observers = observers
        self._now = now
        self._agenda = Agenda()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._slots = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="feed")
        self._running: dict[str, Future[None]] = {}
        self._failure: StopEngine | None = None
        owner.on_change = self._take

    def serve(self, stop: threading.Event) -> bool:
        """Run until ``stop``; then let runs end for :data:`DRAIN_S` seconds. True when all of them did.

        Called in the main thread, which is where signals arrive.

        Raises:
            StopEngine: a run said that the process must stop (disk full, state damaged).
        """
        self._take(self._owner.plans)
        watch = threading.Thread(target=self._watch, args=(stop,), name="watch", daemon=True)
        watch.start()
        while not stop.is_set():
            self._start_due(stop)
            self._wait(stop)
        ended = self.drain()
        if self._failure is not None:
            raise self._failure
        return ended

    def drain(self, wait_s: float = DRAIN_S) -> bool:
        """No new runs; those under way see their stop event and end at their next page. True when all ended in time."""
        self._owner.stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._owner.wait_idle(wait_s)

    def next_runs(self) -> dict[str, str]:
        with self._lock:
            return {name: _text(at) for name, at in self._agenda.next_runs().items()}

    def _wait(self, stop: threading.Event) -> None:
        """Until something is due, a run ends, or files may have changed; never longer than a second, because the wall
        clock may be set while we wait."""
        with self._lock:
            at = min(self._agenda.next_runs().values(), default=None)
            free = len(self._running) < self._slots
        left_s = (at - self._now()).total_seconds() if at is not None and free else 1.0
        self._wake.wait(min(max(left_s, 0.05), 1.0))
        self._wake.clear()

    def _start_due(self, stop: threading.Event) -> None:
        now = self._now()
        with self._lock:
            for job in self._agenda.due(now):
                if len(self._running) >= self._slots:
                    return
                self._agenda.started(job.feed)
                self._running[job.feed] = self._pool.submit(self._run, job, stop)

    def _run(self, job: Job, stop: threading.Event) -> None:
        try:
            self._owner.run_feed(job.feed, job.trigger)
        except StopEngine as error:
            self._failure = error
            stop.set()
        finally:
            with self._lock:
                following = self._agenda.finished(job, self._now())
                self._running.pop(job.feed, None)
            # A run that a stop cut short stays due: the next start goes on with it.
            if following is not None and not self._owner.stop.is_set():
                self._owner.session.store.set_next_run(job.feed, _text(following))
            self._wake.set()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(POLL_S):
            try:
                self._owner.reload()
            except Exception as error:  # noqa: BLE001  the plans in effect stay; the next change is another chance
                self._observers.emit(FeedLoaded("", "broken", f"this is a bug in loading files: {type(error).__name__}: {error}"))

    def _take(self, plans: Mapping[str, Plan]) -> None:
        store = self._owner.session.store
        stored = {name: at for name in plans if (at := _time(store.next_run(name))) is not None}
        with self._lock:
            wrong = self._agenda.take(plans, stored, self._now())
            following = self._agenda.next_runs()
        for name, at in following.items():
            if stored.get(name) != at and name not in self._running:
                store.set_next_run(name, _text(at))
        _forget(store, plans, following)
        for name, reason in wrong.items():
            self._observers.emit(FeedLoaded(name, "broken", f"it is not scheduled: {reason}"))
        self._wake.set()


def _forget(store: Store, plans: Mapping[str, Plan], following: Mapping[str, datetime]) -> None:
    """A feed that is no longer scheduled is not overdue either."""
    for name in plans:
        if name not in following and store.next_run(name) is not None:
            store.set_next_run(name, None)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
