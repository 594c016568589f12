"""A clock that a test moves: waiting takes no time and is written down."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class FakeClock:
    now: float = 1_700_000_000.0
    chance: float = 0.5
    waits: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        if stop.is_set():
            return True
        with self._lock:
            self.waits.append(seconds)
            self.now += seconds
        return False

    def random(self) -> float:
        return self.chance
