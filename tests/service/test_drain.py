"""A run that does not end within the drain: the service exits all the same, and the next start loses and repeats nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FEED = """
name: slow
source: {{plugin: stubborn, home: {home}}}
schedule: {{every: 1h}}
fields: {{id: UInt32}}
target: {{table: t.slow}}
"""


def child(home: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "drain_child.py"), str(home), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(HERE)})


@pytest.mark.slow
def test_a_run_that_outlives_the_drain_is_cut_off_and_continued(tmp_path: Path) -> None:
    (tmp_path / "sources.d").mkdir()
    (tmp_path / "sources.d" / "slow.yaml").write_text(FEED.format(home=tmp_path))
    service = child(tmp_path)
    while not (tmp_path / "silent").exists():
        assert service.poll() is None, service.stderr.read()
        time.sleep(0.05)
    service.send_signal(signal.SIGTERM)
    out, errors = service.communicate(timeout=60)
    assert (service.returncode, out) == (0, "cut off\n"), errors
    (tmp_path / "go").touch()
    again = child(tmp_path, "once")
    out, errors = again.communicate(timeout=60)
    assert out == "['ok', [[1, 1], [2, 1], [3, 1], [4, 1], [5, 1]], [], True]\n", errors
