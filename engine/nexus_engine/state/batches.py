"""Staged batches and quarantined records. Functions over one open transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from nexus_engine.contract.sink import Batch, Target
from nexus_engine.state import tables
from nexus_engine.state.records import MAX_RAW_BYTES, Origin, Quarantined, WindowCounts

_b = tables.batch
_q = tables.quarantine
_CHUNK = 500  # identities in one statement


def stage(connection: sa.Connection, batch: Batch, books: Iterable[WindowCounts], now: str) -> None:
    connection.execute(
        _b.insert().values(
            seq=batch.seq,
            id=batch.id,
            feed=batch.feed,
            run_id=batch.run_id,
            table_name=batch.target.name,
            target=_json(batch.target),
            path=batch.path,
            rows=batch.rows,
            sha256=batch.sha256,
            advances=_json(batch.advances),
            books=_json([window for window in books if window.counts.get("in_flight")]),
            state="staged",
            staged_at=now,
        )
    )


def staged(connection: sa.Connection, table: str | None) -> list[Batch]:
    """What is ours and not known to have landed, in the order in which it must land."""
    query = sa.select(_b).where(_b.c.state == "staged").order_by(_b.c.seq)
    if table is not None:
        query = query.where(_b.c.table_name == table)
    return [_batch(row) for row in connection.execute(query)]


def close(connection: sa.Connection, batch_id: str, rejected: int, now: str) -> tuple[str, str, list[WindowCounts]] | None:
    """Mark as done. (feed, run id, what the books change by), or None when it was done before."""
    row = connection.execute(sa.select(_b).where(_b.c.id == batch_id, _b.c.state == "staged")).first()
    if row is None:
        return None
    connection.execute(_b.update().where(_b.c.id == batch_id).values(state="done", done_at=now))
    windows = msgspec.json.decode(row.books, type=list[WindowCounts])
    return row.feed, row.run_id, [_landed(window, share) for window, share in _shares(windows, rejected)]


def _shares(windows: list[WindowCounts], rejected: int) -> list[tuple[WindowCounts, int]]:
    """A sink's refusals name rows of the batch, not windows: they are charged to its windows in order, exactly so for a batch
    of one window; the sum is always exact."""
    shares = []
    for window in windows:
        share = min(rejected, window.counts["in_flight"])
        rejected -= share
        shares.append((window, share))
    return shares


def _landed(window: WindowCounts, rejected: int) -> WindowCounts:
    flying = window.counts["in_flight"]
    counts = {"in_flight": -flying, "landed": flying - rejected, "quarantined": rejected}
    return msgspec.structs.replace(window, counts=counts)


def origin(connection: sa.Connection, batch_id: str) -> Origin | None:
    row = connection.execute(sa.select(_b).where(_b.c.id == batch_id)).first()
    if row is None:
        return None
    return Origin(
        id=row.id, seq=row.seq, feed=row.feed, run_id=row.run_id, table=row.table_name, rows=row.rows, staged_at=row.staged_at,
        done_at=row.done_at, advances=msgspec.json.decode(row.advances), windows=msgspec.json.decode(row.books, type=list[WindowCounts]),
        key=tuple(msgspec.json.decode(row.target).get("key", ())),
    )


def add_quarantined(
    connection: sa.Connection, records: Iterable[Quarantined], *, feed: str, run_id: str, batch_id: str, now: str
) -> set[int]:
    """A record that is there already, refused for the same reasons, gets no entry more: its own tells when and where it came last.
    The ids of those."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for number, record in enumerate(records):
        row = {**_quarantine_row(record, now), "feed": feed, "run_id": run_id, "batch_id": batch_id}
        key = (record.identity, row["reasons"]) if record.identity else ("", str(number))
        row["times"] += rows[key]["times"] if key in rows else 0
        rows[key] = row
    known = _known_again(connection, feed, rows)
    new = [row for key, row in rows.items() if key not in known]
    if new:
        connection.execute(_q.insert(), new)
    if known:
        names = ("run_id", "batch_id", "window_start", "window_end", "page", "record", "url", "at")
        last: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
        statement = _q.update().where(_q.c.id == sa.bindparam("known")).values(**last, times=_q.c.times + sa.bindparam("more"))
        found = [(number, rows[key]) for key, number in known.items()]
        connection.execute(statement, [{"known": n, "more": row["times"], **{f"new_{name}": row[name] for name in names}} for n, row in found])
    return set(known.values())


def _quarantine_row(record: Quarantined, now: str) -> dict[str, Any]:
    raw = record.raw.encode("utf-8", "replace")
    return {
        "partition": record.partition,
        "window_start": record.window_start,
        "window_end": record.window_end,
        "envelope": record.envelope,
        "altered": int(record.altered),
        "page": record.page,
        "record": record.record,
        "url": record.url,
        "reasons": _json(record.reasons),
        "raw": raw[:MAX_RAW_BYTES].decode("utf-8", "ignore"),
        "truncated": int(record.truncated or len(raw) > MAX_RAW_BYTES),
        "identity": record.identity,
        "times": record.times,
        "first_at": now,
        "at": now,
    }


def _known_again(connection: sa.Connection, feed: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """(identity, reasons) of those that are in quarantine, with the id of the oldest entry."""
    wanted = {key for key in keys if key[0]}
    names = sorted({identity for identity, _ in wanted})
    found: dict[tuple[str, str], int] = {}
    for first in range(0, len(names), _CHUNK):
        # Not in order: SQLite would go through all of the feed's entries by id instead of the index over identities.
        query = sa.select(_q.c.identity, _q.c.reasons, _q.c.id).where(_q.c.feed == feed, _q.c.identity.in_(names[first : first + _CHUNK]))
        for identity, reasons, number in connection.execute(query):
            key = (str(identity), str(reasons))
            if key in wanted:
                found[key] = min(int(number), found.get(key, int(number)))
    return found


def quarantined(connection: sa.Connection, feed: str | None, run_id: str | None, limit: int) -> list[Quarantined]:
    """The newest first."""
    query = sa.select(_q).order_by(_q.c.id.desc()).limit(limit)
    if feed is not None:
        query = query.where(_q.c.feed == feed)
    if run_id is not None:
        query = query.where(_q.c.run_id == run_id)
    return [as_quarantined(row) for row in connection.execute(query).mappings()]


def quarantined_counts(connection: sa.Connection) -> dict[str, int]:
    """Refused records that are kept, by feed."""
    rows = connection.execute(sa.select(_q.c.feed, sa.func.count()).group_by(_q.c.feed).order_by(_q.c.feed))
    return {str(feed): int(count) for feed, count in rows}


def quarantined_one(connection: sa.Connection, number: int) -> Quarantined | None:
    row = connection.execute(sa.select(_q).where(_q.c.id == number)).mappings().first()
    return None if row is None else as_quarantined(row)


def rename_quarantined(connection: sa.Connection, old: str, new: str) -> None:
    connection.execute(_q.update().where(_q.c.feed == old).values(feed=new))


def as_quarantined(row: sa.RowMapping) -> Quarantined:
    reasons = msgspec.json.decode(row["reasons"], type=tuple[str, ...])
    flags = {name: bool(row[name]) for name in ("truncated", "altered")}
    return Quarantined(**{**row, **flags, "reasons": reasons, "first_at": row["first_at"] or row["at"]})


def _batch(row: Any) -> Batch:
    return Batch(
        id=row.id,
        seq=row.seq,
        feed=row.feed,
        run_id=row.run_id,
        target=msgspec.json.decode(row.target, type=Target),
        path=row.path,
        rows=row.rows,
        sha256=row.sha256,
        advances=msgspec.json.decode(row.advances, type=dict[str, tuple[Any, Any]]),
    )


def _json(value: Any) -> str:
    if isinstance(value, Mapping):
        return msgspec.json.encode(value, order="sorted").decode()
    return msgspec.json.encode(value).decode()
