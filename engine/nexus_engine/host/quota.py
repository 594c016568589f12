"""Quotas: so many requests, or credits, in a calendar hour, day or month, counted over restarts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from nexus_engine.contract.options import Quota
from nexus_engine.host.clock import Clock
from nexus_engine.host.rate import StampStore

_UNITS: Final = ("hour", "day", "month")
_AHEAD_S: Final = 1.0  # what a fast feed uses up in this time costs one transaction


class Spent(Exception):
    """A quota is used up, or has less left than the request costs. ``renews_at``: when it begins again, UTC."""

    def __init__(self, quota: Quota, renews_at: datetime, left: int = 0, credits: int = 1) -> None:
        short = f" but for {left}, and a request costs {credits}" if left else ""
        super().__init__(f"the quota of {quota.text} is used up{short}")
        self.quota = quota
        self.renews_at = renews_at


class Meter:
    """The use of one quota by all feeds of an API. Thread-safe.

    What is stored is never less than what was sent: requests are stored before they go out, a few at a time when they
    come fast. A kill loses what was stored ahead; ``close`` gives it back.
    """

    def __init__(self, key: str, quota: Quota, clock: Clock, store: StampStore | None = None) -> None:
        self._key = f"quota:{quota.text}:{key}"
        self._quota = quota
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        kept = list(store.load(self._key)) if store is not None else []
        self._began, self._used = (kept[0], int(kept[1])) if len(kept) == 2 else (0.0, 0)
        self._stored, self._stored_at = self._used, 0.0

    @property
    def left(self) -> int:
        """What is left in the period that is now."""
        with self._lock:
            self._turn()
            return max(self._quota.count - self._used, 0)

    @property
    def quota(self) -> Quota:
        return self._quota

    def spend(self, credits: int = 1) -> None:
        """Count one request, before it is sent.

        Raises:
            Spent
        """
        with self._lock:
            ends = self._turn()
            left = self._quota.count - self._used
            if left < max(credits, 1):
                raise Spent(self._quota, ends, max(left, 0), credits)
            self._count(credits)

    def _count(self, credits: int) -> None:
        self._used = max(self._used + credits, 0)
        if self._used > self._stored:
            now = self._clock.time()
            fast = self._stored_at <= now < self._stored_at + _AHEAD_S
            self._keep(max(self._used, min(self._used + (self._quota.count // 1000 if fast else 0), self._quota.count)))
            self._stored_at = now

    def give_back(self, credits: int = 1) -> None:
        """A request that was counted was not sent."""
        with self._lock:
            self._used = max(self._used - credits, 0)

    def correct(self, credits: int) -> None:
        """A request that was counted cost that much more, or less, than was thought."""
        with self._lock:
            self._turn()
            self._count(credits)

    def heard(self, left: int) -> None:
        """What is left as an answer says; believed where it is less than what was counted: an answer may be older than the last
        request."""
        with self._lock:
            self._turn()
            self._count(max(self._quota.count - left - self._used, 0))

    def close(self) -> None:
        with self._lock:
            if self._stored > self._used:
                self._keep(self._used)

    def _turn(self) -> datetime:
        """Begin again when a new period has; when this one ends."""
        began, ends = period(self._quota.unit, datetime.fromtimestamp(self._clock.time(), UTC))
        if began.timestamp() > self._began:  # never back, whatever the clock does
            self._began, self._used, self._stored = began.timestamp(), 0, 0
        return ends

    def _keep(self, used: int) -> None:
        self._stored = used
        if self._store is not None:
            self._store.save(self._key, (self._began, float(used)))


def period(unit: str, now: datetime) -> tuple[datetime, datetime]:
    """The calendar period (UTC) that holds ``now``: its start and its end."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return hour, hour + timedelta(hours=1)
    day = hour.replace(hour=0)
    if unit == "day":
        return day, day + timedelta(days=1)
    month = day.replace(day=1)
    return month, (month + timedelta(days=32)).replace(day=1)


def longest(meters: Sequence[Meter]) -> Meter:
    """The meter of the longest period."""
    return max(meters, key=lambda meter: _UNITS.index(meter.quota.unit))


def charge(meters: Sequence[Meter], credits: int = 1) -> None:
    """Count one request on each meter, or on none.

    Raises:
        Spent
    """
    done: list[Meter] = []
    try:
        for meter in meters:
            meter.spend(credits)
            done.append(meter)
    except Spent:
        for meter in done:
            meter.give_back(credits)
        raise
