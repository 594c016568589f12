"""The spool: the rows of a batch as one durable file, ``spool/<batch>.arrow``, from before the intent until after done."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_engine.deliver import crash
from nexus_engine.errors import OutOfSpace, StateDamaged

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def commit(produced: Path, path: Path) -> tuple[Path, str]:
    """Make a produced file durable as ``path``: fsync, rename, fsync of the folder. (path, sha256).

    ``produced`` must be on the same file system. Before the intent nothing refers to the file: whatever goes wrong here,
    nothing is lost.

    Raises:
        OutOfSpace: the disk is full.
        StateDamaged: the disk fails in another way.
    """
    with disk_errors(path):
        crash.point("spool.before")
        sync(produced)
        crash.point("spool.synced")
        produced.rename(path)
        crash.point("spool.renamed")
        sync(path.parent)
        digest = checksum(path)
        crash.point("spool.after")
    return path, digest


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact(path: Path, digest: str) -> bool:
    """The file is there, and is what was spooled."""
    try:
        return checksum(path) == digest
    except OSError:
        return False


def remove_orphans(data_dir: Path, wanted: Collection[Path]) -> list[Path]:
    """Remove what a dead process left in ``raw/`` and ``spool/``, but for the files of staged batches. For the owner of the
    folder, before it runs anything."""
    crash.point("orphans.before")
    keep = {path.resolve() for path in wanted}
    removed = []
    for name in ("raw", "spool"):
        for path in sorted((data_dir / name).glob("*")):
            if path.is_file() and path.resolve() not in keep:
                path.unlink(missing_ok=True)
                removed.append(path)
                crash.point("orphans.removed")
    crash.point("orphans.after")
    return removed


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """What the operating system says of the disk, in the engine's words."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OutOfSpace(
                f"no space is left: {error.strerror}",
                where=str(where),
                did="the batch was not recorded; its rows will be asked for again",
                do="free some space, then start again",
            ) from error
        raise StateDamaged(
            f"the disk failed: {error}",
            where=str(where),
            did="the batch was not recorded; its rows will be asked for again",
            do="check the disk and the folder's rights, then start again",
        ) from error


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
