"""One owner process per data folder: an advisory lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from nexus_engine.errors import Locked


class OwnerLock:
    """``flock`` on ``<data>/nexus.lock``; the file holds the owner's process id as text, for messages only.

    The file is never deleted: a deleted and re-created lock file could be locked twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock now or not at all.

        Raises:
            Locked: another process (or another session of this process) holds it; ``pid`` says which.
        """
        if self._fd is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(fd):
            pid = _pid_in(fd)
            os.close(fd)
            raise Locked(
                f"process {pid or 'unknown'} owns this data folder",
                pid=pid,
                where=str(self.path.parent),
                did="nothing was started or changed",
                do="wait until that process is done, stop it with SIGTERM, or use another data folder",
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)  # closing drops the lock
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def owner_pid(path: Path) -> int | None:
    """Who holds the lock: a process id (0: unknown), or None when nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid_in(fd)
    else:
        return None
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    """Try for a twentieth of a second: somebody who only asks (:func:`owner_pid`) holds the lock for a moment."""
    for _ in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.01)
        else:
            return True
    return False


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0
