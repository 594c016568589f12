"""What `with` adds to a partition's values, as its listing, file or table said last: rows that go through the spec again need it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nexus_engine.state import tables

_t = tables.parent
Values = Mapping[str, str | None]


def keep(connection: sa.Connection, feed: str, found: Mapping[str, Values]) -> None:
    """Those that are new or changed."""
    known = {row.partition: row.fields for row in connection.execute(sa.select(_t.c.partition, _t.c.fields).where(_t.c.feed == feed))}
    rows = []
    for partition, values in found.items():
        text = msgspec.json.encode(values, order="sorted").decode()
        if known.get(partition) != text:
            rows.append({"feed": feed, "partition": partition, "fields": text})
    if rows:
        statement = insert(_t)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[_t.c.feed, _t.c.partition], set_={"fields": statement.excluded.fields}), rows
        )


def get(connection: sa.Connection, feed: str, partition: str) -> dict[str, str | None]:
    text = connection.execute(sa.select(_t.c.fields).where(_t.c.feed == feed, _t.c.partition == partition)).scalar()
    return msgspec.json.decode(text, type=dict[str, str | None]) if text else {}


def rename(connection: sa.Connection, old: str, new: str) -> None:
    connection.execute(_t.delete().where(_t.c.feed == new))
    connection.execute(_t.update().where(_t.c.feed == old).values(feed=new))
