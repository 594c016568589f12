"""Freed memory is kept for the next piece of a body, unless the environment says how."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
from nexus_engine.service.memory import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_freed()
kept = [b"x" * (1 << 20), b"y" * (1 << 20)]
del kept
before = faults()
for _ in range(100):
    b"%s" % (b"z" * (1 << 20),)
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
@pytest.mark.parametrize(("told", "fresh"), [({}, False), ({"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}, True)])
def test_memory_for_pieces_is_not_taken_anew_each_time(told, fresh):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))} | told
    done = subprocess.run([sys.executable, "-c", FAULTS], env=env, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 100 * 256) is fresh  # pages of 4 kB in 100 pieces of 1 MB
