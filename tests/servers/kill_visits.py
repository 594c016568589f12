"""Which visits of a crash point a sweep kills at: all of them with NEXUS_KILL_VISITS=all (`make kill`), else one or two of each point,
so that the whole suite stays quick. `tests/delivery/test_kill.py` sweeps every visit always."""

import os
from collections.abc import Iterator

ALL = os.environ.get("NEXUS_KILL_VISITS") == "all"
LAST = 99


def visits(number: int) -> Iterator[int]:
    """For the n-th point of a sweep: the second visit of every other point, for the points in between (and where there is no second)
    the first."""
    if ALL:
        yield from range(1, LAST + 1)
    elif number % 2:
        yield 2
    yield 1
