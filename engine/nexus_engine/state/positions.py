"""Positions: how far each partition of each feed has come. Functions over one open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nexus_engine.errors import PositionConflict
from nexus_engine.state import tables

_t = tables.position
_f = tables.feed
_r = tables.replacing
AT_ONCE = 1000  # partitions named in one statement


def spaced(space: str, partition: str) -> str:
    """The name of a partition's position in a space of its own (a backfill's, say). The name of a live one has no ``|``."""
    return f"{space}|{partition}" if space else partition


def unspaced(name: str) -> tuple[str, str]:
    """(space, partition) of a position's name; the space is empty for a live one."""
    space, bar, partition = name.partition("|")
    return (space, partition) if bar else ("", name)


def text_of(position: Any) -> str:
    """One text per JSON value: keys sorted, no spaces."""
    return msgspec.json.encode(position, order="sorted").decode()


def get(connection: sa.Connection, feed: str, partition: str) -> Any:
    text = connection.execute(sa.select(_t.c.position).where(_t.c.feed == feed, _t.c.partition == partition)).scalar()
    return None if text is None else msgspec.json.decode(text)


def of_feed(connection: sa.Connection, feed: str) -> dict[str, Any]:
    rows = connection.execute(sa.select(_t.c.partition, _t.c.position).where(_t.c.feed == feed).order_by(_t.c.partition))
    return {row.partition: msgspec.json.decode(row.position) for row in rows}


def put(connection: sa.Connection, feed: str, partition: str, position: Any, now: str) -> None:
    if position is None:
        connection.execute(_t.delete().where(_t.c.feed == feed, _t.c.partition == partition))
        return
    values = {"position": text_of(position), "moved_at": now}
    statement = insert(_t).values(feed=feed, partition=partition, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[_t.c.feed, _t.c.partition], set_=values))


def advance(connection: sa.Connection, feed: str, advances: Mapping[str, tuple[Any, Any]], now: str) -> None:
    """Compare and set every partition; the caller's transaction makes it all or nothing.

    Raises:
        PositionConflict: a stored position is not the one the run started from.
    """
    stored = _texts(connection, feed, list(advances))
    moved, gone = [], []
    for partition, (before, after) in advances.items():
        found = stored.get(partition, "null")
        if found != text_of(before):
            raise PositionConflict(
                f"partition {partition!r} stands at {found}, but this run started from {text_of(before)}",
                where=feed,
                did="nothing of this batch was recorded or landed; the stored position is kept",
                do="run the feed again; if two engines share this state, stop one of them",
            )
        if after is None:
            gone.append({"of": feed, "name": partition})
        else:
            moved.append({"feed": feed, "partition": partition, "position": text_of(after), "moved_at": now})
    if gone:
        connection.execute(_t.delete().where(_t.c.feed == sa.bindparam("of"), _t.c.partition == sa.bindparam("name")), gone)
    if moved:
        statement = insert(_t)
        new = {"position": statement.excluded.position, "moved_at": statement.excluded.moved_at}
        connection.execute(statement.on_conflict_do_update(index_elements=[_t.c.feed, _t.c.partition], set_=new), moved)


def _texts(connection: sa.Connection, feed: str, partitions: Sequence[str]) -> dict[str, str]:
    """The stored positions of these partitions as they are written: a batch may have thousands, and each statement costs."""
    found: dict[str, str] = {}
    for at in range(0, len(partitions), AT_ONCE):
        some = partitions[at : at + AT_ONCE]
        rows = connection.execute(sa.select(_t.c.partition, _t.c.position).where(_t.c.feed == feed, _t.c.partition.in_(some)))
        found.update((row.partition, row.position) for row in rows)
    return found


def reset(connection: sa.Connection, feed: str, partition: str | None) -> int:
    """Forget one partition, or the feed with what its positions mean. The number of positions forgotten."""
    statement = _t.delete().where(_t.c.feed == feed)
    if partition is not None:
        return int(connection.execute(statement.where(_t.c.partition == partition)).rowcount)
    connection.execute(_f.update().where(_f.c.feed == feed).values(position_hash=""))
    connection.execute(_r.delete().where(_r.c.feed == feed))
    return int(connection.execute(statement).rowcount)


def meaning(connection: sa.Connection, feed: str) -> tuple[str, str]:
    """(position hash, target) as recorded with the feed's positions; empty texts when there are none."""
    row = connection.execute(sa.select(_f.c.position_hash, _f.c.target).where(_f.c.feed == feed)).first()
    return (row.position_hash, row.target) if row else ("", "")


def set_feed(connection: sa.Connection, feed: str, **values: Any) -> None:
    statement = insert(_f).values(feed=feed, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[_f.c.feed], set_=values))


def with_meaning(connection: sa.Connection, position_hash: str, target: str) -> list[str]:
    """The feeds whose positions have this hash and target: candidates for the old name of a renamed feed."""
    query = sa.select(_f.c.feed).where(_f.c.position_hash == position_hash, _f.c.target == target).order_by(_f.c.feed)
    return [str(row.feed) for row in connection.execute(query)]


def rename(connection: sa.Connection, old: str, new: str) -> int:
    """Give a feed's positions, meaning and schedule to another name.

    Raises:
        PositionConflict: the new name has positions of its own.
    """
    if of_feed(connection, new):
        raise PositionConflict(
            f"{new!r} has positions of its own, so it cannot take over those of {old!r}",
            where=new,
            did="nothing was changed",
            do=f"`nexus-engine state reset {new}` first, if its positions are not wanted",
        )
    connection.execute(_f.delete().where(_f.c.feed == new))
    connection.execute(_f.update().where(_f.c.feed == old).values(feed=new))
    connection.execute(_r.update().where(_r.c.feed == old).values(feed=new))
    return int(connection.execute(_t.update().where(_t.c.feed == old).values(feed=new)).rowcount)
