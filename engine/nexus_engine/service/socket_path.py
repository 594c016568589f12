"""Where the owner listens: ``<data>/nexus.sock``, or what that file points to.

A Unix socket's path has room for 107 bytes. For a longer one the socket lies in a private folder under the system's
temporary folder, and ``nexus.sock`` is a small file that holds its path.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

LONGEST_BYTES = 107
NAME = "nexus.sock"


def place(data_dir: Path) -> Path:
    """A free path to bind; removes what an owner that died has left. Only for the holder of the owner lock."""
    named = data_dir / NAME
    remove(data_dir)
    if len(os.fsencode(named.absolute())) <= LONGEST_BYTES:
        return named.absolute()
    folder = Path(tempfile.mkdtemp(prefix="nexus-"))  # 0700
    target = folder / NAME
    fd = os.open(named, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as pointer:
        pointer.write(f"{target}\n")
    return target


def find(data_dir: Path) -> Path | None:
    """The socket to connect to, or None: nobody listens, or the file belongs to somebody else."""
    named = data_dir / NAME
    try:
        found = named.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            named = Path(named.read_text().strip())
            found = named.lstat()
    except (OSError, ValueError):
        return None
    mine = found.st_uid in (os.geteuid(), 0)
    return named.absolute() if stat.S_ISSOCK(found.st_mode) and mine else None


def remove(data_dir: Path) -> None:
    """Remove the socket, and the private folder when there is one."""
    named = data_dir / NAME
    target = find(data_dir)
    if target is not None and target != named.absolute() and target.parent.name.startswith("nexus-"):
        shutil.rmtree(target.parent, ignore_errors=True)
    named.unlink(missing_ok=True)
