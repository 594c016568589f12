"""CPU seconds by step of a run in this process, sampled: no hooks in the engine, and nothing of it is patched.

Every few milliseconds each Python thread's CPU clock is read, and what it gained goes to the step its innermost known
frame belongs to. Embedded ClickHouse works in threads of its own: their CPU (the process's less that of the Python
threads) goes to the step that is inside an engine call at that time; to each alike, where two are (a batch is mapped while
the one before is inserted), so those two figures are blurred and their sum is not.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from types import FrameType

# (part of the file name, function or "" for any, step); the first that fits, from the innermost frame outwards.
STEPS = (
    ("deliver/batch.py", "_map", "query"),
    ("deliver/lines.py", "map_lines", "query"),
    ("deliver/lines.py", "map_aside", "query"),
    ("deliver/counts.py", "", "stats"),
    ("deliver/batch.py", "_judge_batch", "rules"),
    ("deliver/batch.py", "_explain", "refused rows"),
    ("deliver/batch.py", "select", "compare, spool"),
    ("deliver/spool.py", "", "spool, fsync"),
    ("deliver/stage.py", "", "stage"),
    ("sinks/clickhouse/", "", "insert"),
    ("nexus_engine/state/", "", "intent"),
    ("nexus_engine/host/", "", "fetch"),
    ("sources/http/", "", "fetch"),
    ("bench_source.py", "", "fetch"),
    ("formats/", "", "fetch"),
    ("deliver/fetch.py", "", "fetch"),
    ("deliver/run.py", "", "loop"),
)


def step_of(frame: FrameType | None) -> tuple[str, bool]:
    """The step of a thread, and whether it is inside a call of the embedded engine."""
    inside = False
    while frame is not None:
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        inside = inside or file.endswith("clickhouse/engine.py")
        for part, name, step in STEPS:
            if part in file and name in ("", function):
                return step, inside
        frame = frame.f_back
    return "other", inside


class Sampler:
    """``with Sampler() as s: ...``, then ``s.cpu``: step -> CPU seconds."""

    def __init__(self, every_s: float = 0.004) -> None:
        self.cpu: Counter[str] = Counter()
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")

    def __enter__(self) -> Sampler:
        clocks = ((t.ident, time.pthread_getcpuclockid(t.ident)) for t in threading.enumerate() if t.ident is not None)
        self._last = {ident: time.clock_gettime(clock) for ident, clock in clocks}
        self._last_process = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._sample()

    def _sample(self) -> None:
        frames = sys._current_frames()
        python_gain, engine_steps = 0.0, []
        for thread in threading.enumerate():
            if thread.ident is None:
                continue
            try:
                clock = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:  # it ended between the two lines
                continue
            gain = clock - self._last.get(thread.ident, 0.0)
            self._last[thread.ident] = clock
            python_gain += gain
            if thread is self._thread:
                continue
            step, inside = step_of(frames.get(thread.ident))
            self.cpu[step] += gain
            if inside:
                engine_steps.append(step)
        process = time.process_time()
        native = process - self._last_process - python_gain
        self._last_process = process
        if native > 0:
            for step in engine_steps or ["engine, background"]:
                self.cpu[step] += native / max(1, len(engine_steps))
