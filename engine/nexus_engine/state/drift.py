"""The known shape of each feed's records, and how they have drifted from it. Functions over one open transaction."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nexus_engine.state import tables
from nexus_engine.state.records import Drift, KnownShape

_d = tables.drift
_s = tables.shape


def known(connection: sa.Connection, feed: str) -> KnownShape | None:
    row = connection.execute(sa.select(_s).where(_s.c.feed == feed)).first()
    if row is None:
        return None
    return KnownShape(
        meaning=row.meaning, learned=bool(row.learned), shape=msgspec.json.decode(row.shape), absent=tuple(msgspec.json.decode(row.absent))
    )


def keep(connection: sa.Connection, feed: str, shape: KnownShape, now: str) -> None:
    """Keep the shape; drift from one of another meaning is nobody's any more."""
    before = connection.execute(sa.select(_s.c.meaning).where(_s.c.feed == feed)).scalar()
    if before is not None and before != shape.meaning:
        connection.execute(_d.delete().where(_d.c.feed == feed))
    values = {
        "meaning": shape.meaning, "learned": int(shape.learned), "shape": msgspec.json.encode(shape.shape).decode(),
        "absent": msgspec.json.encode(shape.absent).decode(), "at": now,
    }  # fmt: skip
    connection.execute(insert(_s).values(feed=feed, **values).on_conflict_do_update(index_elements=[_s.c.feed], set_=values))


def note(connection: sa.Connection, feed: str, run_id: str, found: Iterable[Drift], now: str) -> None:
    """Record drift: once per place and kind, with the number of runs that saw it."""
    for drift in found:
        key = {"feed": feed, "path": drift.path, "kind": drift.kind}
        where = [_d.c[name] == value for name, value in key.items()]
        old = connection.execute(sa.select(_d).where(*where)).first()
        values = {
            "was": drift.was, "now": drift.now, "sample": drift.sample, "page": drift.page, "url": drift.url, "read": int(drift.read),
            "near": drift.near, "shape": msgspec.json.encode(drift.shape).decode(), "last_run": run_id, "last_at": now, "state": "open",
        }  # fmt: skip
        if old is None or old.state == "accepted":
            values.update(first_run=run_id, first_at=now, runs=1)
        elif old.last_run != run_id:
            values["runs"] = old.runs + 1
        if old is None:
            connection.execute(_d.insert().values(**key, **values))
        else:
            connection.execute(_d.update().where(*where).values(**values))


def back(connection: sa.Connection, feed: str, changed: Iterable[Drift]) -> None:
    """Keep what a run says of open findings of earlier runs: their state, and what is known of them."""
    for drift in changed:
        where = (_d.c.feed == feed, _d.c.path == drift.path, _d.c.kind == drift.kind, _d.c.state == "open")
        connection.execute(_d.update().where(*where).values(state=drift.state, shape=msgspec.json.encode(drift.shape).decode()))


def accepted(connection: sa.Connection, feed: str, found: Iterable[Drift]) -> None:
    for drift in found:
        where = (_d.c.feed == feed, _d.c.path == drift.path, _d.c.kind == drift.kind)
        connection.execute(_d.update().where(*where).values(state="accepted"))


def found(connection: sa.Connection, feed: str | None) -> list[Drift]:
    """By feed and place."""
    query = sa.select(_d).order_by(_d.c.feed, _d.c.path, _d.c.kind)
    if feed is not None:
        query = query.where(_d.c.feed == feed)
    return [Drift(**{**row, "read": bool(row["read"]), "shape": msgspec.json.decode(row["shape"])}) for row in connection.execute(query).mappings()]


def counts(connection: sa.Connection) -> dict[str, int]:
    """Open drift by feed."""
    rows = connection.execute(sa.select(_d.c.feed, sa.func.count()).where(_d.c.state == "open").group_by(_d.c.feed))
    return {str(feed): int(count) for feed, count in rows}


def rename(connection: sa.Connection, old: str, new: str) -> None:
    for table in (_d, _s):
        connection.execute(table.delete().where(table.c.feed == new))
        connection.execute(table.update().where(table.c.feed == old).values(feed=new))
