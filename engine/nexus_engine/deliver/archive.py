"""The raw archive: answers as they came, one file per body under ``data/archive/``, named by its hash.

::

    data/archive/3f/3f5a...e1.zst      a body, less secrets, compressed; `zstd -d` reads it
    data/archive/.open                 there while bodies may lie here that no answer has

A file is durable before its answer is handed on; the index of what it belongs to is in the state store, written by the intent of
the batch that has its rows. So a row never leads to a body that is not there, and a body without an index row belongs to nobody:
it is removed when its run ends, or, after a crash, at the next start.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from nexus_engine.deliver import crash
from nexus_engine.deliver.spool import disk_errors, sync
from nexus_engine.errors import NexusError
from nexus_engine.host.redact import Redactor

SHORTEST_IN_DATA: Final = 16  # characters; what an API key has at least
_STEP: Final = 1 << 20
_MARK: Final = ".open"
_SUFFIX: Final = ".zst"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@dataclass(frozen=True)
class Stored:
    """A body in the archive: the hash and size of what is kept of it, and the size of its file, in bytes."""

    sha256: str
    size: int
    packed: int


class BodyLost(NexusError):
    """A body of the archive is missing, or is not what was kept."""


class Archive:
    """The bodies of one data folder. Thread-safe.

    Raises (from writing):
        OutOfSpace, StateDamaged: the disk is full, or fails.
    """

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self.folder = folder
        self._redactor = redactor
        self._lock = threading.Lock()  # a body is not removed between the look at it and its index row
        self._loose: dict[str, set[bytes]] = {}  # run id -> hashes of what it keeps
        self._marked = False

    def keep(self, run_id: str, body: bytes | BinaryIO) -> Stored:
        """Make a body durable for a run under way; a file is read from its beginning and left there."""
        self.mark()
        if isinstance(body, bytes):
            return self._put(run_id, self._redactor.redact_bytes(body, shortest=SHORTEST_IN_DATA))
        body.seek(0)
        try:
            return self._put(run_id, self._redactor.redact_pieces(iter(lambda: body.read(_STEP), b""), shortest=SHORTEST_IN_DATA))
        finally:
            body.seek(0)

    def path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / f"{sha256}{_SUFFIX}"

    def unpack(self, sha256: str, size: int, out: BinaryIO) -> None:
        """Write a body to ``out``.

        Raises:
            BodyLost: it is missing or damaged; some of it may be written.
        """
        import pyarrow as pa

        path, digest, came = self.path(sha256), hashlib.sha256(), 0
        try:
            with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as stream:
                while came <= size and (piece := stream.read(_STEP)):
                    came += len(piece)
                    digest.update(piece)
                    out.write(piece)
        except FileNotFoundError:
            raise _lost(path, "is missing") from None
        except (OSError, pa.ArrowException) as error:
            raise _lost(path, f"cannot be read: {error}") from None
        if digest.hexdigest() != sha256:
            raise _lost(path, "is damaged: it is not what was kept")

    def read(self, sha256: str, size: int) -> bytes:
        """A body in memory. Raises as :meth:`unpack`."""
        out = io.BytesIO()
        self.unpack(sha256, size, out)
        return out.getvalue()

    def end(self, run_id: str, unknown: Callable[[Collection[str]], list[str]]) -> None:
        """A run is over: what it kept and no batch took goes. ``unknown`` names the hashes that the index does not have."""
        kept = self._loose.get(run_id)
        if kept is not None:
            with self._lock:
                del self._loose[run_id]
            self.remove([item.hex() for item in kept], unknown)

    def remove(self, hashes: Collection[str], unknown: Callable[[Collection[str]], list[str]]) -> None:
        """Remove those of these bodies that no answer has, and no run under way may still need."""
        with self._lock:
            needed = set().union(*self._loose.values())
            for name in unknown(hashes):
                if bytes.fromhex(name) not in needed:
                    self.path(name).unlink(missing_ok=True)
                    crash.point("archive.freed")

    def files(self) -> Iterator[Path]:
        """Every file, also what is left of a write that was cut off."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(folder.iterdir())

    def sweep(self, unknown: Callable[[Collection[str]], list[str]]) -> None:
        """Remove what a dead process left without an index row. For the owner of the folder, before it runs anything."""
        mark = self.folder / _MARK
        if not mark.exists():
            return
        names: list[str] = []
        for path in self.files():
            if path.suffix != _SUFFIX:
                path.unlink(missing_ok=True)
            else:
                names.append(path.stem)
        self.remove(names, unknown)
        mark.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is loose: every run has ended."""
        with self._lock:
            if self._marked and not self._loose:
                (self.folder / _MARK).unlink(missing_ok=True)
                self._marked = False

    def mark(self) -> None:
        """From here on bodies may lie here that no answer has: when this process dies, the next start looks for them."""
        with self._lock:
            if not self._marked:
                with disk_errors(self.folder):
                    self.folder.mkdir(mode=0o700, exist_ok=True)
                    os.close(os.open(self.folder / _MARK, os.O_RDWR | os.O_CREAT, 0o600))
                    sync(self.folder)
                    sync(self.folder.parent)
                self._marked = True

    def _put(self, run_id: str, body: bytes | Iterator[bytes]) -> Stored:
        """Written under a name of its own first: only a whole body gets the name of its hash."""
        if isinstance(body, bytes) and (known := self._known(run_id, body)) is not None:
            return known
        draft = self.folder / f"00/{secrets.token_hex(8)}.part"
        with disk_errors(draft):
            draft.parent.mkdir(mode=0o700, exist_ok=True)
            sha256, size = _pack(body, draft) if isinstance(body, bytes) else _pack_pieces(body, draft)
            sync(draft)
            crash.point("archive.written")
            stored = Stored(sha256, size, draft.stat().st_size)
            self._claim(run_id, sha256)
            path = self.path(sha256)
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, exist_ok=True)
                sync(self.folder)
            draft.rename(path)
            sync(path.parent)
        crash.point("archive.kept")
        return stored

    def _known(self, run_id: str, body: bytes) -> Stored | None:
        """The same body, when it is here already."""
        sha256 = hashlib.sha256(body).hexdigest()
        self._claim(run_id, sha256)
        path = self.path(sha256)
        with disk_errors(path):
            try:
                packed = path.stat().st_size
            except FileNotFoundError:
                return None
            sync(path.parent)  # another thread may just have put it there
        return Stored(sha256, len(body), packed)

    def _claim(self, run_id: str, sha256: str) -> None:
        with self._lock:
            self._loose.setdefault(run_id, set()).add(bytes.fromhex(sha256))


def _pack(body: bytes, path: Path) -> tuple[str, int]:
    """Compress into a new file that only its owner may read. (sha256, bytes) of what went in."""
    import pyarrow as pa

    with os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
        file.write(pa.compress(body, "zstd", asbytes=True))
    return hashlib.sha256(body).hexdigest(), len(body)


def _pack_pieces(pieces: Iterator[bytes], path: Path) -> tuple[str, int]:
    """As :func:`_pack`, for a body that is too large for memory."""
    import pyarrow as pa

    os.close(os.open(path, _NEW, 0o600))
    digest, size = hashlib.sha256(), 0
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "zstd") as stream:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            stream.write(piece)
    return digest.hexdigest(), size


def _lost(path: Path, what: str) -> BodyLost:
    return BodyLost(
        f"a body of the archive {what}", where=str(path), did="it was left out; everything else was read",
        do="restore the file from a backup, or ask the source again: nexus-engine run FEED --from A --to B",
    )
