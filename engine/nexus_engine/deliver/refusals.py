"""What the operating system refuses, in the engine's words: a full disk, a folder that cannot be used, too many open files."""

from __future__ import annotations

import errno

from nexus_engine.errors import OutOfSpace, StopEngine

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO,
)
OPEN_FILES = (errno.EMFILE, errno.ENFILE)


def refusal(error: OSError, where: str = "") -> StopEngine | None:
    """The error to raise in its place; None when it says nothing that a user could mend."""
    says, place = error.strerror or type(error).__name__, str(error.filename or where)
    did = "the engine stopped; what it had taken over is safe, everything else is asked for again"
    if error.errno in FULL:
        return OutOfSpace(f"no space is left to write: {says}", where=place, did=did, do="free some space, then start again")
    if error.errno in OPEN_FILES:
        return StopEngine(f"too many files are open: {says}", where=place, did=did, do="raise the limit (ulimit -n), then start again")
    if error.errno in DENIED:
        return StopEngine(
            f"a file or folder cannot be used: {says}", where=place, did=did,
            do="check what is there and who may write it; `data_dir` in nexus.yaml names the data folder",
        )
    return None
