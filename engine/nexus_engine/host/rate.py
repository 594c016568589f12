"""Budgets of an API, shared by all feeds that use it: so many requests in any stretch of time, so many in flight.

A slot is taken before a request is sent and freed one period after its *answer* began to come: the server received the
request somewhere between the two, so whatever the network did, its own log never shows more than ``count`` in any period.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, Self

from nexus_engine.contract.options import Rate
from nexus_engine.host.clock import Clock

MARGIN: Final = 1.01  # the server's clock may tick a little differently
AHEAD_S: Final = 1.0  # requests of the next second at most are kept with one transaction
RESTART_S: Final = 1.0  # a request of the process before may have arrived so long after it was sent


def budget_key(api: str, credential: str) -> str:
    """Whose budget it is: of an API (its name, or an origin) and of one of its credentials."""
    return f"{api}#{credential}" if credential else api


class StampStore(Protocol):
    """Keeps when requests were sent, over restarts. Stamps are seconds since 1970-01-01 UTC, ascending."""

    def load(self, key: str) -> Sequence[float]: ...

    def save(self, key: str, stamps: Sequence[float]) -> None: ...


class Stopped(Exception):
    """The engine stops: the wait ended early."""


class Waited(Protocol):
    def __call__(self, reason: str, wait_s: float) -> None: ...


class Budget:
    """What is known about the requests to one API, and who may send next. Thread-safe.

    Each feed brings its own ``rate`` and ``concurrency`` to :meth:`slot`; the requests counted are those of all feeds.

    Args:
        store: where stamps are kept; None: in memory only.
    """

    def __init__(self, key: str, clock: Clock, store: StampStore | None = None) -> None:
        self._key = key
        self.clock = clock
        self._store = store
        self._changed = threading.Condition()
        self._answered: deque[float] | None = None  # when answers came, ascending; None: the store was not asked yet
        self._sent: deque[float] = deque()  # the same requests as the store keeps them: when they were sent
        self._ahead = 0  # of the latest of them: kept, and not yet used
        self._in_flight = 0
        self._paused_until = 0.0
        self._period_s = 0.0  # the longest any feed named

    def pause(self, seconds: float) -> None:
        """The API asked everybody to wait (429): nobody sends before then."""
        with self._changed:
            self._paused_until = max(self._paused_until, self.clock.time() + seconds)

    def slot(self, rate: Rate | None, concurrency: int, stop: threading.Event, waiting: Waited) -> Slot:
        """A place to hold, by ``with``, while one request is sent and answered."""
        return Slot(self, rate, concurrency, stop, waiting)

    def give_back(self) -> None:
        with self._changed:
            self._in_flight -= 1
            if self._answered is not None:
                self._answered.append(self.clock.time())
            self._changed.notify_all()

    def take(self, rate: Rate | None, concurrency: int, stop: threading.Event, waiting: Waited) -> None:
        """Wait for a place.

        Raises:
            Stopped: ``stop`` was set while waiting.
        """
        told = False
        while True:
            with self._changed:
                while self._in_flight >= concurrency or (rate is not None and self._in_flight >= rate.count):
                    if stop.is_set():
                        raise Stopped
                    self._changed.wait(0.2)
                wait = self._due(rate)
                if wait <= 0:
                    self._in_flight += 1
                    if rate is not None:
                        self._stamp(rate)
                    return
            if not told:
                waiting("rate", wait)
                told = True
            if self.clock.wait(stop, wait):
                raise Stopped

    def _due(self, rate: Rate | None) -> float:
        """Seconds after which to look again; 0: now."""
        now = self.clock.time()
        if self._paused_until > now:
            return self._paused_until - now
        if rate is None:
            return 0
        self._period_s = max(self._period_s, rate.per_s)
        answered = self._known(now)
        while answered and answered[0] + self._period_s * MARGIN <= now:
            answered.popleft()
        used = len(answered) + self._in_flight
        if used < rate.count:
            return 0
        last = answered[used - rate.count]  # when this one is over its period, one less than `count` are left
        return max(last + rate.per_s * MARGIN - now, 0)

    def _known(self, now: float) -> deque[float]:
        """The answers of this process, and at first those that the store remembers of the process before."""
        if self._answered is None:
            stamps = sorted(self._store.load(self._key)) if self._store is not None else []
            self._sent = deque(stamps)
            self._answered = deque(min(stamp + RESTART_S, now) for stamp in stamps)
        return self._answered

    def _stamp(self, rate: Rate) -> None:
        """Keep that a request goes out now. Several are kept ahead as if they went out a moment later than they will, so that
        a fast API does not cost a transaction per request; after a restart those that never went out count, too."""
        if self._store is None:
            return
        now = self.clock.time()
        if self._ahead and now <= self._sent[-1]:
            self._ahead -= 1
            return
        for _ in range(self._ahead):
            self._sent.pop()
        while self._sent and self._sent[0] + RESTART_S + self._period_s * MARGIN < now:
            self._sent.popleft()
        spell_s = min(AHEAD_S, rate.per_s / 10)
        self._ahead = max(int(rate.count * spell_s / rate.per_s), 1) - 1
        self._sent.extend([now + spell_s if self._ahead else now] * (self._ahead + 1))
        self._store.save(self._key, tuple(self._sent))


class Slot:
    """A place in a budget, held inside ``with``."""

    def __init__(self, budget: Budget, rate: Rate | None, concurrency: int, stop: threading.Event, waiting: Waited) -> None:
        self._budget = budget
        self._words = (rate, concurrency, stop, waiting)
        self._held = False

    def __enter__(self) -> Self:
        """Raises:
        Stopped: the engine stopped while this waited.
        """
        self._budget.take(*self._words)
        self._held = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held = False
            self._budget.give_back()

    def again(self) -> float:
        """Another place instead, for a redirect: the answer before it has come. Seconds waited.

        Raises:
            Stopped: the engine stopped while this waited.
        """
        began = self._budget.clock.monotonic()
        self.__exit__()
        self.__enter__()
        return self._budget.clock.monotonic() - began
