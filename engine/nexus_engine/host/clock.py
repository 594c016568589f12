"""Time as a value: what the host asks of a clock, so that a test can hand in its own."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that is never set."""
        ...

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait; True, at once, when ``stop`` is set."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...


@dataclass(frozen=True)
class SystemClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.wait(seconds)

    def random(self) -> float:
        return random.random()  # noqa: S311  jitter, not cryptography
