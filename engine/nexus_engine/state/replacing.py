"""Ranges that are being replaced: since which batch, and who else writes into a table. Functions over one open transaction."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nexus_engine.state import positions, tables

SPACE = "replace "  # what the spaces of such ranges begin with

_r = tables.replacing
_f = tables.feed
_b = tables.batch
_p = tables.position


def begun(connection: sa.Connection, feed: str, space: str) -> str | None:
    """The batch id that rows written for the range come after; None when nothing of it is safe yet."""
    if not _names(connection, feed, space):
        return None
    found = connection.execute(sa.select(_r.c.began).where(_r.c.feed == feed, _r.c.space == space)).scalar()
    return None if found is None else str(found)


def begin(connection: sa.Connection, feed: str, space: str, batch_id: str) -> None:
    statement = insert(_r).values(feed=feed, space=space, began=batch_id)
    connection.execute(statement.on_conflict_do_update(index_elements=[_r.c.feed, _r.c.space], set_={"began": batch_id}))


def end(connection: sa.Connection, feed: str, space: str, done: str, now: str) -> None:
    """Forget the range; its positions go on in the space ``done``."""
    for name, partition in _names(connection, feed, space):
        positions.put(connection, feed, positions.spaced(done, partition), positions.get(connection, feed, name), now)
    forget(connection, feed, space)


def forget(connection: sa.Connection, feed: str, space: str) -> int:
    """Drop the range and all of its positions: a part of it alone means nothing. How many positions there were."""
    connection.execute(_r.delete().where(_r.c.feed == feed, _r.c.space == space))
    names = [name for name, _ in _names(connection, feed, space)]
    for name in names:
        connection.execute(_p.delete().where(_p.c.feed == feed, _p.c.partition == name))
    return len(names)


def writers(connection: sa.Connection, table: str) -> set[str]:
    """Every feed that is known to have written into a table (`database.table`)."""
    by_feed = connection.execute(sa.select(_f.c.feed).where(_f.c.target == table))
    by_batch = connection.execute(sa.select(_b.c.feed).where(_b.c.table_name == table).distinct())
    return {str(row.feed) for row in [*by_feed, *by_batch]}


def batch_feeds(connection: sa.Connection, table: str) -> dict[str, str]:
    """The batches of a table that the history knows, with their feeds."""
    rows = connection.execute(sa.select(_b.c.id, _b.c.feed).where(_b.c.table_name == table))
    return {str(row.id): str(row.feed) for row in rows}


def _names(connection: sa.Connection, feed: str, space: str) -> list[tuple[str, str]]:
    """(name, partition) of the positions in a space."""
    found = ((name, positions.unspaced(name)) for name in positions.of_feed(connection, feed))
    return [(name, partition) for name, (other, partition) in found if other == space]
