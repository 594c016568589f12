"""A sweep of kill -9 over crash points, and which of their visits it kills at: all of them with NEXUS_KILL_VISITS=all (`make kill`), else
one of each point, so that the whole suite stays quick. `tests/delivery/test_kill.py` sweeps every visit always."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def sweep(points: Iterable[str], prepare: Callable[[str], Path], child: Callable[[Path, str], subprocess.CompletedProcess[str]]) -> list[Path]:
    """Every home that was killed. ``prepare(name)`` makes a home, ``child(home, crash_at)`` runs in it."""

    def one(numbered: tuple[int, str]) -> list[Path]:
        number, point = numbered
        killed: list[Path] = []
        for visit in visits(number):
            path = prepare(f"{point}-{visit}")
            done = child(path, f"{point}#{visit}")
            if done.returncode == 0:
                shutil.rmtree(path)
                if killed:
                    return killed
                continue
            assert done.returncode == -9, f"{point}#{visit}: {done.stderr[-3000:]}"
            killed.append(path)
            if not ALL:
                return killed
        assert not (killed and ALL), f"{point} never ends"
        return killed

    with ThreadPoolExecutor(2) as pool:
        return [path for found in pool.map(one, enumerate(points)) for path in found]
