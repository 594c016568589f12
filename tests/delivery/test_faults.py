"""Failing system calls (F19): the disk is full, or returns an error, at the 1st, 2nd, ... call of a kind, inside SQLite, inside
ClickHouse or in the engine's own code. The run may fail or mend itself; after a clean run nothing is lost or repeated.

The ordinary run takes every fourth call; with `NEXUS_KILLS` set, every one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_kill import HERE, judge, new_home, source

STEP = 1 if "NEXUS_KILLS" in os.environ else 4
FAULTS = ["rename:error=EIO", "rename:signal=KILL", "fsync:error=ENOSPC", "fdatasync:error=EIO", "unlink:signal=KILL"]

if shutil.which("strace") and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0:

    def run(home: Path, fault: str, number: int) -> tuple[Path, bool, int]:
        call = fault.split(":")[0]
        log = home / "log"
        command = ["strace", "-f", "-qq", "-e", f"trace={call}", "-e", f"inject={fault}:when={number}", "-o", str(log)]
        done = subprocess.run([*command, sys.executable, str(HERE / "kill_child.py"), "run", str(home)], capture_output=True, text=True, timeout=60)
        injected = "(INJECTED)" in log.read_text() or "SIGKILL" in log.read_text()
        assert injected or done.returncode == 0, done.stderr[-2000:]
        return home, injected, done.returncode

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_failing_call_loses_and_repeats_nothing(tmp_path, fault, capsys):
        text = source(batches=1, rows=5)
        homes, codes = [], []
        with ThreadPoolExecutor(2) as pool:
            for first in range(1, 200, 2 * STEP):
                numbers = (first, first + STEP)
                results = list(pool.map(lambda n: run(new_home(tmp_path / str(n), text), fault, n), numbers))
                homes += [home for home, _, _ in results]
                codes += [code for _, injected, code in results if injected]
                if not all(injected for _, injected, _ in results):
                    break
        judge(homes)
        with capsys.disabled():
            print(f" [{fault}: {len(codes)} injected, {sum(code != 0 for code in codes)} ended the run]", end="")
