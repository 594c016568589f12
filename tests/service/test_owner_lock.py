"""One owner per data folder: a second process is refused at once and told who owns it; a killed owner leaves nothing behind."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from nexus_engine.deliver.lock import OwnerLock, owner_pid
from nexus_engine.errors import Locked

HOLD = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from nexus_engine.deliver.lock import OwnerLock
    OwnerLock(Path(sys.argv[1])).acquire()
    print("held", flush=True)
    time.sleep(60)
""")


def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path):
    path = tmp_path / "data" / "nexus.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        assert owner_pid(path) == process.pid
        with pytest.raises(Locked) as caught:
            OwnerLock(path).acquire()
        assert caught.value.pid == process.pid
        assert str(process.pid) in str(caught.value)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert owner_pid(path) is None
    with OwnerLock(path):
        assert owner_pid(path) == os.getpid()
    assert owner_pid(path) is None


def test_two_sessions_of_one_process_are_two_owners(tmp_path):
    path = tmp_path / "nexus.lock"
    with OwnerLock(path), pytest.raises(Locked):
        OwnerLock(path).acquire()


def test_asking_does_not_need_a_data_folder(tmp_path):
    assert owner_pid(tmp_path / "none" / "nexus.lock") is None
