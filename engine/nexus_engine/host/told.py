"""What an API says about its budget in the headers of its answers: so many requests left, until then."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Final

from nexus_engine.contract.policy import BudgetOptions
from nexus_engine.host.clock import Clock
from nexus_engine.host.rate import StampStore

DIALECTS: Final[Mapping[str, BudgetOptions]] = {
    "x": BudgetOptions(remaining="x-rate-limit-remaining", reset="x-rate-limit-reset", reset_as="epoch"),
    "reddit": BudgetOptions(remaining="x-ratelimit-remaining", reset="x-ratelimit-reset"),
    "glassnode": BudgetOptions(remaining="x-rate-limit-remaining", reset="x-rate-limit-reset"),
    "github": BudgetOptions(remaining="x-ratelimit-remaining", reset="x-ratelimit-reset", reset_as="epoch"),
    "ietf": BudgetOptions(remaining="ratelimit-remaining", reset="ratelimit-reset"),
}
_SAME_S: Final = 2.0  # two resets that near are one: seconds left are whole ones
_AFTER_S: Final = 1.0  # a reset that was told in whole seconds may be that much later
_SAVED_EVERY_S: Final = 1.0
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)")


class Told:
    """The budget as the API tells it, kept over restarts. Thread-safe.

    Requests that are under way may be in the told number or not; they are counted as if they were not, so the number is
    never overdrawn by this process.
    """

    def __init__(self, key: str, words: BudgetOptions, clock: Clock, store: StampStore | None = None) -> None:
        self._key = f"told:{key}"
        self._words = DIALECTS[words.dialect] if words.dialect else words
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        self._remaining: float | None = None  # None: nothing is known
        self._reset_at = 0.0
        self._saved_at = 0.0
        kept = list(store.load(self._key)) if store is not None else []
        if len(kept) == 2 and kept[1] > clock.time():
            self._remaining, self._reset_at = kept

    def take(self) -> float:
        """Take one request out of what is left. Seconds to wait first (and to ask again) when nothing is."""
        with self._lock:
            now = self._clock.time()
            if now >= self._reset_at:
                self._remaining = None  # until an answer says more
            if self._remaining is None:
                return 0.0
            if self._remaining < 1:
                return self._reset_at - now
            self._remaining -= 1
            return 0.0

    def heard(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer; one that says nothing changes nothing."""
        now = self._clock.time()
        remaining, reset = _number(headers, self._words.remaining), _number(headers, self._words.reset)
        if remaining is None or reset is None:
            return
        reset_at = (reset if self._words.reset_as == "epoch" else now + reset) + _AFTER_S
        with self._lock:
            if self._remaining is None or now >= self._reset_at or reset_at > self._reset_at + _SAME_S:
                self._remaining, self._reset_at = remaining, reset_at
            elif reset_at >= self._reset_at - _SAME_S:  # else an answer of the time before
                self._remaining = min(self._remaining, remaining)
            self._save(now)

    def refused(self) -> float | None:
        """After a 429: seconds until the told reset, when one is known; nothing is left until then."""
        with self._lock:
            now = self._clock.time()
            if self._remaining is None or now >= self._reset_at:
                return None
            self._remaining = 0.0
            self._save(now)
            return self._reset_at - now

    def _save(self, now: float) -> None:
        if self._store is not None and (self._remaining == 0 or not self._saved_at <= now < self._saved_at + _SAVED_EVERY_S):
            self._saved_at = now
            self._store.save(self._key, (self._remaining or 0.0, self._reset_at))


def _number(headers: Mapping[str, str], name: str) -> float | None:
    """The number a header begins with: `595.0`, `100;w=60`."""
    found = _NUMBER.match(headers.get(name.lower(), "")) if name else None
    return float(found[1]) if found else None
