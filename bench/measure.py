"""Run a program and say what it took: wall seconds, CPU seconds of its whole process tree, peak resident memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Taken:
    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str = ""

    def less(self, other: Taken) -> Taken:
        """Net of ``other`` (a run of the same program that had nothing to do); memory is not netted."""
        return Taken(max(self.wall_s - other.wall_s, 1e-3), max(self.cpu_s - other.cpu_s, 1e-3), self.peak_mb)

    def to_json(self) -> dict[str, float]:
        return {k: v for k, v in asdict(self).items() if k != "output"}


class Failed(RuntimeError):
    """The program ended with another code than 0; the message holds the end of what it printed."""


def run(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout_s: float = 900) -> Taken:
    """This process must stay small: Linux counts the caller's own size into the peak of a child."""
    started = time.perf_counter()
    with subprocess.Popen(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    taken = Taken(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)
    if child.returncode:
        raise Failed(f"{' '.join(map(str, argv))} ended with {child.returncode}:\n{output[-3000:]}")
    return taken


@contextmanager
def page_server(pages: int, latency_ms: float = 0, folder: Path | None = None) -> Iterator[int]:
    """The page server, up to the first ``pages`` pages rendered, each answer after ``latency_ms``; yields its port. The files of
    ``folder`` are served, too."""
    argv = [sys.executable, str(HERE / "server.py"), "--pages", str(pages), "--latency-ms", str(latency_ms)]
    argv += ["--folder", str(folder)] if folder else []
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline().split()[1])
        finally:
            server.communicate()


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least, greatest."""
    return median(values), min(values), max(values)
