"""What a request needs besides a slot: something left in the budget that the API tells of, and in every quota."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from nexus_engine.contract.host import HttpResponse
from nexus_engine.contract.policy import CostOptions
from nexus_engine.host.clock import Clock
from nexus_engine.host.cost import told
from nexus_engine.host.quota import Meter, charge, longest
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
        cost: what a request takes from the quotas.
    """

    def __init__(
        self, budget: Told | None, meters: Sequence[Meter], clock: Clock, longest_s: float, cost: CostOptions | None = None
    ) -> None:
        self._cost = cost or CostOptions()
        self._told = budget
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
        charge(self._meters, self._cost.credits)

    def heard(self, response: HttpResponse) -> None:
        """Learn what an answer says of the budget, of its own cost and of what is left."""
        if self._told is not None:
            self._told.heard(response.headers)
        if not self._meters:
            return
        cost = told(response, self._cost.header, self._cost.path)
        if cost is not None and cost != self._cost.credits:
            for meter in self._meters:
                meter.correct(cost - self._cost.credits)
        left = told(response, self._cost.left_header, self._cost.left_path)
        if left is not None:
            longest(self._meters).heard(left)

    def refused_s(self) -> float | None:
        """After a 429 without Retry-After: how long until the API's count begins again, as it told."""
        return self._told.refused() if self._told is not None else None
