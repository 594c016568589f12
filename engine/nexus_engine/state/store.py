"""The Store: everything the engine remembers, each change one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nexus_engine.contract.sink import Batch
from nexus_engine.state import batches, bodies, drift, history, ids, parents, positions, replacing, replay, tables
from nexus_engine.state.database import Database
from nexus_engine.state.records import (
    Body,
    Drift,
    Intent,
    KeptSize,
    KnownShape,
    Origin,
    Place,
    Quarantined,
    Reading,
    Request,
    Run,
    Waiting,
    WindowCounts,
)


class Store:
    """Thread-safe. Methods raise what `state.database.Database` names; those that move positions also PositionConflict.

    After any other error than PositionConflict from :meth:`stage`, what is stored is unknown (the commit itself may have failed after
    it was written): the caller keeps the spool file, and the next start finds out."""

    def __init__(self, database: Database, clock_ns: Callable[[], int]) -> None:
        self._db = database
        self._clock_ns = clock_ns
        self._ids = threading.Lock()
        with database.read() as connection:
            self._seq = int(_meta(connection, "last_seq") or 0)
            self._high = int(_meta(connection, "last_high") or 0)

    @classmethod
    def open(cls, path: Path, read_only: bool = False, *, clock_ns: Callable[[], int] = time.time_ns) -> Self:
        """Open, or create when there is nothing at ``path`` and its folder shows no earlier life. A read-only store of a
        folder where nothing ever ran is empty."""
        return cls(Database(path, read_only=read_only), clock_ns)

    def close(self) -> None:
        self._db.close()

    # ---- batches

    def new_batch_id(self) -> tuple[str, int]:
        """(UUIDv7, sequence number): both grow strictly, also when the clock jumps back. An id that is never staged is
        given to nobody else while this process lives."""
        with self._ids:
            self._seq += 1
            self._high = ids.next_high(self._clock_ns(), self._high)
            return ids.batch_id(self._high, self._seq), self._seq

    def stage(self, intent: Intent) -> None:
        """Positions move, the batch is ours, refused records are kept, books count: all of it or nothing.

        Raises:
            PositionConflict: a position is not what the run started from.
        """
        now = self._now()
        with self._db.write() as connection:
            positions.advance(connection, intent.feed, intent.advances, now)
            if intent.position_hash:
                positions.set_feed(connection, intent.feed, position_hash=intent.position_hash, target=intent.target)
            if intent.batch is not None and intent.batch.rows:
                batches.stage(connection, intent.batch, intent.books, now)
            names = {"feed": intent.feed, "run_id": intent.run_id, "batch_id": intent.id}
            again = batches.add_quarantined(connection, intent.quarantined, **names, now=now)
            # What was refused once more just now does not leave.
            replay.release(connection, intent.feed, [n for n in intent.released if n not in again], intent.refused_again)
            bodies.add(connection, intent.bodies, **names)
            history.add_books(connection, intent.run_id, intent.books)
            if intent.shape is not None:
                drift.keep(connection, intent.feed, intent.shape, now)
            drift.note(connection, intent.feed, intent.run_id, intent.drift, now)
            self._keep_ids(connection)

    def done(self, batch_id: str, rejects: Sequence[Quarantined] = ()) -> bool:
        """The batch has landed, but for the rows its sink refused for good. False when it was done before."""
        now = self._now()
        with self._db.write() as connection:
            closed = batches.close(connection, batch_id, len(rejects), now)
            if closed is None:
                return False
            feed, run_id, changes = closed
            batches.add_quarantined(connection, rejects, feed=feed, run_id=run_id, batch_id=batch_id, now=now)
            history.add_books(connection, run_id, changes)
            return True

    def staged(self, table: str | None = None) -> list[Batch]:
        """Batches that are ours and not known to have landed, in sequence; ``table`` is `database.table`."""
        with self._db.read() as connection:
            return batches.staged(connection, table)

    def batch(self, batch_id: str) -> Origin | None:
        """Where the rows of a batch came from; None when it is not in the history (any more)."""
        with self._db.read() as connection:
            return batches.origin(connection, batch_id)

    # ---- positions

    def position(self, feed: str, partition: str) -> Any:
        """JSON, or None."""
        with self._db.read() as connection:
            return positions.get(connection, feed, partition)

    def positions(self, feed: str) -> dict[str, Any]:
        with self._db.read() as connection:
            return positions.of_feed(connection, feed)

    def position_hash(self, feed: str) -> str | None:
        """What the stored positions mean (``Plan.position_hash`` when they were stored); None when nothing is stored."""
        with self._db.read() as connection:
            return positions.meaning(connection, feed)[0] or None

    def feeds_with(self, position_hash: str, target: str) -> list[str]:
        """Feeds whose positions have this meaning and target: who a renamed feed was."""
        with self._db.read() as connection:
            return positions.with_meaning(connection, position_hash, target)

    def set_position(self, feed: str, partition: str, position: Any) -> None:
        with self._db.write() as connection:
            positions.put(connection, feed, partition, position, self._now())

    def adopt(self, feed: str, position_hash: str, target: str = "") -> None:
        """Keep the positions under a new meaning."""
        with self._db.write() as connection:
            values = {"position_hash": position_hash, **({"target": target} if target else {})}
            positions.set_feed(connection, feed, **values)

    def reset(self, feed: str, partition: str | None = None) -> int:
        """Forget positions: of one partition, or of the feed. How many there were."""
        with self._db.write() as connection:
            space, _ = positions.unspaced(partition or "")
            if space.startswith(replacing.SPACE):
                return replacing.forget(connection, feed, space)
            return positions.reset(connection, feed, partition)

    def rename(self, old: str, new: str) -> int:
        """Give positions, meaning, schedule, kept answers and refused records of a feed to another name."""
        with self._db.write() as connection:
            batches.rename_quarantined(connection, old, new)
            parents.rename(connection, old, new)
            bodies.rename(connection, old, new)
            drift.rename(connection, old, new)
            return positions.rename(connection, old, new)

    def keep_parents(self, feed: str, found: Mapping[str, parents.Values]) -> None:
        """What `with` adds to the values of partitions now, by partition."""
        with self._db.write() as connection:
            parents.keep(connection, feed, found)

    def parent(self, feed: str, partition: str) -> dict[str, str | None]:
        """What `with` added to the values of a partition when it was last read; empty when nothing did."""
        with self._db.read() as connection:
            return parents.get(connection, feed, partition)

    def export(self, feed: str | None = None) -> dict[str, Any]:
        """``{feed: {"position_hash": ..., "target": ..., "positions": {partition: JSON}}}``."""
        p, f = tables.position, tables.feed
        with self._db.read() as connection:
            known = {str(row.feed) for row in connection.execute(sa.select(p.c.feed).union(sa.select(f.c.feed)))}
            out = {}
            for name in sorted(known if feed is None else known & {feed}):
                position_hash, target = positions.meaning(connection, name)
                stored = positions.of_feed(connection, name)
                out[name] = {"position_hash": position_hash, "target": target, "positions": stored}
            return out

    # ---- ranges that are being replaced

    def begin_replace(self, feed: str, space: str) -> str:
        """The batch id that rows of this range come after: of the time when its first reading began. Anew when nothing of it is
        safe yet."""
        fresh, _ = self.new_batch_id()
        with self._db.write() as connection:
            found = replacing.begun(connection, feed, space)
            if found is None:
                replacing.begin(connection, feed, space, fresh)
                self._keep_ids(connection)  # a greater id is given next, also by the process after this one
            return found or fresh

    def end_replace(self, feed: str, space: str, done: str) -> None:
        """The range is replaced; its positions go on in the space ``done``."""
        with self._db.write() as connection:
            replacing.end(connection, feed, space, done, self._now())

    def writers(self, table: str) -> set[str]:
        """Every feed that is known to have written into `database.table`."""
        with self._db.read() as connection:
            return replacing.writers(connection, table)

    def batch_feeds(self, table: str) -> dict[str, str]:
        """The batches of a table that the history knows, with their feeds."""
        with self._db.read() as connection:
            return replacing.batch_feeds(connection, table)

    # ---- history

    def start_run(self, run_id: str, feed: str, trigger: str, started_at: str) -> None:
        with self._db.write() as connection:
            history.start(connection, run_id, feed, trigger, started_at)

    def add_requests(self, run_id: str, requests: Sequence[Request]) -> None:
        """Redacted exchanges, many at once: one transaction per page would cost more than the page."""
        with self._db.write() as connection:
            stamped = [r if r.at else msgspec.structs.replace(r, at=self._now()) for r in requests]
            history.add_requests(connection, run_id, stamped)

    def add_books(self, run_id: str, windows: Iterable[WindowCounts]) -> None:
        """Counts that belong to no batch."""
        with self._db.write() as connection:
            history.add_books(connection, run_id, windows)

    def finish_run(self, run_id: str, status: str, report: dict[str, Any]) -> None:
        """Keep the run's report; old history of its feed goes."""
        with self._db.write() as connection:
            history.finish(connection, run_id, status, report, self._now())
            found = history.run(connection, run_id)
            if found is not None:
                history.prune(connection, found.feed)

    def interrupt_runs(self) -> list[str]:
        """Mark runs that a dead process left as running; for the owner of the folder, at its start."""
        with self._db.write() as connection:
            return history.interrupt(connection)

    def runs(self, feed: str | None = None, limit: int = 20) -> list[Run]:
        """The newest first."""
        with self._db.read() as connection:
            return history.runs(connection, feed, limit)

    def run(self, run_id: str) -> Run | None:
        with self._db.read() as connection:
            return history.run(connection, run_id)

    def requests(self, run_id: str, limit: int = 1000) -> list[Request]:
        with self._db.read() as connection:
            return history.requests(connection, run_id, limit)

    def books(self, run_id: str) -> list[WindowCounts]:
        with self._db.read() as connection:
            return history.books(connection, run_id)

    def quarantine(self, feed: str | None = None, limit: int = 100, *, run_id: str | None = None) -> list[Quarantined]:
        """Refused records, the newest first."""
        with self._db.read() as connection:
            return batches.quarantined(connection, feed, run_id, limit)

    def quarantined_counts(self) -> dict[str, int]:
        """Refused records that are kept, by feed."""
        with self._db.read() as connection:
            return batches.quarantined_counts(connection)

    def quarantined_one(self, number: int) -> Quarantined | None:
        with self._db.read() as connection:
            return batches.quarantined_one(connection, number)

    def replayable(self, feed: str, ids: Sequence[int] = (), *, beside: bool) -> tuple[list[Waiting], dict[str, int]]:
        """What can go through the feed's spec again, by window, and how many cannot, by why. ``ids``: only these records;
        ``beside``: the spec reads what stood beside a record."""
        with self._db.read() as connection:
            found = replay.groups(connection, feed, ids, beside=beside)
            return found, replay.unfit(connection, feed, ids, beside=beside)

    def waiting(self, feed: str, group: Waiting, after: int, ids: Sequence[int] = (), *, beside: bool, limit: int = 200) -> list[Quarantined]:
        """The records of a window that come after this id, the oldest first."""
        with self._db.read() as connection:
            return replay.waiting(connection, feed, ids, group, after, limit, beside=beside)

    # ---- the raw archive

    def answers_of(self, batch_id: str, row: int) -> list[Body]:
        """The kept answers that a row of a batch came from."""
        with self._db.read() as connection:
            return bodies.of_rows(connection, batch_id, row)

    def readings(self, feed: str, since: str = "") -> list[Reading]:
        """What can be parsed again, the oldest first; ``since`` is ISO 8601 UTC text."""
        with self._db.read() as connection:
            return bodies.readings(connection, feed, since)

    def answers(self, reading: Reading) -> list[Body]:
        with self._db.read() as connection:
            return bodies.answers(connection, reading)

    def weights(self, table: str) -> dict[str, str]:
        """Batches of a table with rows of older answers: the batch that the oldest of them came in, or an empty text."""
        with self._db.read() as connection:
            return bodies.weights(connection, table)

    def refused_of(self, feed: str, pages: Mapping[str, Collection[Place]]) -> list[int]:
        """The records in quarantine that came from these pages of these batches, by id."""
        with self._db.read() as connection:
            return bodies.refused(connection, feed, pages)

    def kept_sizes(self) -> list[KeptSize]:
        with self._db.read() as connection:
            return bodies.sizes(connection)

    def expire_bodies(self, feed: str, before: str, max_packed: int) -> set[str]:
        """Forget answers older than ``before`` (ISO 8601 UTC) and the oldest beyond ``max_packed`` bytes on disk. Their hashes."""
        with self._db.write() as connection:
            return bodies.expire(connection, feed, before, max_packed)

    def unknown_bodies(self, hashes: Collection[str]) -> list[str]:
        """Those of these bodies that no answer has."""
        with self._db.read() as connection:
            return bodies.unknown(connection, hashes)

    # ---- drift

    def known_shape(self, feed: str) -> KnownShape | None:
        """What the feed's records are known to look like."""
        with self._db.read() as connection:
            return drift.known(connection, feed)

    def note_drift(self, feed: str, run_id: str, found: Sequence[Drift], shape: KnownShape | None = None, changed: Sequence[Drift] = ()) -> None:
        """Record drift that belongs to no batch. ``changed``: open findings of earlier runs, as this one leaves them."""
        now = self._now()
        with self._db.write() as connection:
            if shape is not None:
                drift.keep(connection, feed, shape, now)
            drift.note(connection, feed, run_id, found, now)
            drift.back(connection, feed, changed)

    def drift(self, feed: str | None = None) -> list[Drift]:
        """By feed and place, also what was accepted and what holds no more."""
        with self._db.read() as connection:
            return drift.found(connection, feed)

    def drift_counts(self) -> dict[str, int]:
        """Open drift by feed."""
        with self._db.read() as connection:
            return drift.counts(connection)

    def accept_drift(self, feed: str, found: Sequence[Drift], shape: KnownShape) -> None:
        """What differs is right: the shape has it now."""
        with self._db.write() as connection:
            drift.accepted(connection, feed, found)
            drift.keep(connection, feed, shape, self._now())

    # ---- schedule and rate budgets

    def next_run(self, feed: str) -> str | None:
        """When the feed is due, as ISO 8601 UTC text."""
        f = tables.feed
        with self._db.read() as connection:
            found = connection.execute(sa.select(f.c.next_run).where(f.c.feed == feed)).scalar()
            return None if found is None else str(found)

    def set_next_run(self, feed: str, at: str | None) -> None:
        with self._db.write() as connection:
            positions.set_feed(connection, feed, next_run=at)

    def load(self, key: str) -> list[float]:
        """When the last requests of this rate budget were sent (``host.rate``'s StampStore)."""
        s = tables.stamp
        with self._db.read() as connection:
            text = connection.execute(sa.select(s.c.stamps).where(s.c.key == key)).scalar()
            return msgspec.json.decode(text, type=list[float]) if text else []

    def save(self, key: str, stamps: Sequence[float]) -> None:
        values = {"stamps": msgspec.json.encode(list(stamps)).decode()}
        with self._db.write() as connection:
            statement = insert(tables.stamp).values(key=key, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=[tables.stamp.c.key], set_=values))

    def _keep_ids(self, connection: sa.Connection) -> None:
        with self._ids:
            _set_meta(connection, "last_seq", str(self._seq))
            _set_meta(connection, "last_high", str(self._high))

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock_ns() / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _meta(connection: sa.Connection, name: str) -> str | None:
    found = connection.execute(sa.select(tables.meta.c.value).where(tables.meta.c.name == name)).scalar()
    return None if found is None else str(found)


def _set_meta(connection: sa.Connection, name: str, value: str) -> None:
    statement = insert(tables.meta).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=[tables.meta.c.name], set_={"value": value}))
