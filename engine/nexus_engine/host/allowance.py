"""What a request needs besides a slot: something left in the budget that the API tells of, and in every quota."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from nexus_engine.host.clock import Clock
from nexus_engine.host.quota import Meter, charge
from nexus_engine.host.rate import Stopped, Waited
from nexus_engine.host.told import Told


class NothingLeft(Exception):
    """The API said that nothing is left for ``wait_s`` seconds, longer than a request may wait."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("the API says that no request is left")
        self.wait_s = wait_s


class Allowance:
    """For the requests of one feed; what it counts is shared by the feeds of the API.

    Args:
        longest_s: the longest wait for a reset.
    """

    def __init__(self, told: Told | None, meters: Sequence[Meter], clock: Clock, longest_s: float) -> None:
        self._told = told
        self._meters = meters
        self._clock = clock
        self._longest_s = longest_s

    def take(self, stop: threading.Event, waiting: Waited) -> None:
        """Raises:
        NothingLeft, Spent, Stopped
        """
        while self._told is not None and (wait := self._told.take()) > 0:
            if wait > self._longest_s:
                raise NothingLeft(wait)
            waiting("budget", wait)
            if self._clock.wait(stop, wait):
                raise Stopped
        charge(self._meters)

    def heard(self, headers: Mapping[str, str]) -> None:
        if self._told is not None:
            self._told.heard(headers)

    def refused_s(self) -> float | None:
        """After a 429 without Retry-After: how long until the API's count begins again, as it told."""
        return self._told.refused() if self._told is not None else None
