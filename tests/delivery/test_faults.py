"""Failing system calls (F19): the disk is full, or returns an error, at the 1st, 2nd, ... call of a kind, inside SQLite, inside
ClickHouse or in the engine's own code. The run may fail or mend itself; after a clean run nothing is lost or repeated.

Calls are counted per thread, and ClickHouse has many: one number hits several calls. The ordinary run takes the first two
numbers, with `NEXUS_KILLS` set every one until a run is left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_kill import HERE, child, clone, judge, new_home, source

UP_TO = 100 if "NEXUS_KILLS" in os.environ else 2
FAULTS = ["rename:error=EIO", "rename:signal=KILL", "fsync:error=ENOSPC", "fdatasync:error=EIO", "unlink:signal=KILL"]

if shutil.which("strace") and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0:

    def run(home: Path, fault: str, number: int) -> tuple[bool, int]:
        call = fault.split(":")[0]
        log = home / "log"
        command = ["strace", "-f", "-qq", "-e", f"trace={call}", "-e", f"inject={fault}:when={number}", "-o", str(log)]
        done = subprocess.run([*command, sys.executable, str(HERE / "kill_child.py"), str(home)], capture_output=True, text=True, timeout=60)
        injected = "(INJECTED)" in log.read_text() or "SIGKILL" in log.read_text()
        assert injected or done.returncode == 0, done.stderr[-2000:]
        if done.returncode == 1:
            assert "\nnexus_engine.errors." in done.stderr, done.stderr[-2000:]  # in our words, whatever failed
        return injected, done.returncode

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_failing_call_loses_and_repeats_nothing(tmp_path, fault, capsys):
        base = new_home(tmp_path / "base", source(batches=2, rows=5))
        assert child(base, crash_at="insert.before#2").returncode == -9  # tables are made, and a batch is to be recovered
        homes, codes = [], []
        with ThreadPoolExecutor(2) as pool:
            for first in range(1, UP_TO + 1, 2):
                copies = [clone(base, tmp_path / str(n)) for n in (first, first + 1)]
                results = list(pool.map(lambda home: run(home, fault, int(home.name)), copies))
                homes += copies
                codes += [code for injected, code in results if injected]
                if not all(injected for injected, _ in results):
                    break
        judge(homes)
        with capsys.disabled():
            print(f" [{fault}: {len(codes)} injected, {sum(code != 0 for code in codes)} ended the run]", end="")
