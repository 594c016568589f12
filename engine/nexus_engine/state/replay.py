"""Quarantined records that go through a feed's spec again. Functions over one open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from nexus_engine.errors import PositionConflict
from nexus_engine.state import tables
from nexus_engine.state.batches import as_quarantined
from nexus_engine.state.records import MAX_RAW_BYTES, Quarantined, Waiting

_q = tables.quarantine
_CHUNK = 500  # ids in one statement


def release(connection: sa.Connection, feed: str, released: Sequence[int], again: Mapping[int, tuple[str, ...]]) -> None:
    """Records that passed leave the quarantine; the others stay, with new reasons.

    Raises:
        PositionConflict: one of them is not in quarantine any more.
    """
    found = 0
    for first in range(0, len(released), _CHUNK):
        some = list(released[first : first + _CHUNK])
        found += connection.execute(_q.delete().where(_q.c.feed == feed, _q.c.id.in_(some))).rowcount
    for number, reasons in again.items():
        values = {"reasons": msgspec.json.encode(reasons).decode()}
        found += connection.execute(_q.update().where(_q.c.feed == feed, _q.c.id == number).values(**values)).rowcount
    if found != len(released) + len(again):
        raise PositionConflict(
            "records of this batch are not in quarantine any more", where=feed, did="nothing of this batch was recorded or landed", do="run it again"
        )


def groups(connection: sa.Connection, feed: str, ids: Sequence[int], *, beside: bool) -> list[Waiting]:
    """The windows that have records which fit, the one with the oldest record first."""
    keys = (_q.c.partition, _q.c.window_start, _q.c.window_end)
    counts = (sa.func.count().label("records"), sa.func.max(_q.c.id).label("last"))
    query = sa.select(*keys, *counts).where(*_fit(feed, ids, beside=beside)).group_by(*keys).order_by(sa.func.min(_q.c.id))
    return [Waiting(**row) for row in connection.execute(query).mappings()]


def waiting(
    connection: sa.Connection, feed: str, ids: Sequence[int], group: Waiting, after: int, limit: int, *, beside: bool
) -> list[Quarantined]:
    """The next records of a window, the oldest first."""
    place = (
        _q.c.partition == group.partition, _q.c.window_start.is_not_distinct_from(group.window_start),
        _q.c.window_end.is_not_distinct_from(group.window_end), _q.c.id > after, _q.c.id <= group.last,
    )  # fmt: skip
    query = sa.select(_q).where(*_fit(feed, ids, beside=beside), *place).order_by(_q.c.id).limit(limit)
    return [as_quarantined(row) for row in connection.execute(query).mappings()]


def unfit(connection: sa.Connection, feed: str, ids: Sequence[int], *, beside: bool) -> dict[str, int]:
    """How many records cannot go through a spec again, by why."""
    why = sa.case(*[(condition, text) for text, condition in _reasons(beside=beside).items()], else_="").label("why")
    inner = sa.select(why).where(*_chosen(feed, ids)).subquery()
    query = sa.select(inner.c.why, sa.func.count()).where(inner.c.why != "").group_by(inner.c.why)
    return {str(text): int(count) for text, count in connection.execute(query)}


def _reasons(*, beside: bool) -> dict[str, sa.ColumnElement[bool]]:
    found: dict[str, sa.ColumnElement[bool]] = {
        f"longer than {MAX_RAW_BYTES} bytes, so their text was cut": _q.c.truncated != 0,
        "kept without a secret that was in them, or without bytes that are no text": _q.c.altered != 0,
        "refused by the sink: what is kept is the row, not the record": _q.c.reasons.like('["sink: %'),
        "no JSON": sa.func.json_valid(_q.c.raw) == 0,
    }
    if beside:
        found["kept without what stood beside them, which fields read (`body.`)"] = _q.c.envelope == ""
    return found


def _fit(feed: str, ids: Sequence[int], *, beside: bool) -> list[sa.ColumnElement[bool]]:
    return [*_chosen(feed, ids), *(sa.not_(condition) for condition in _reasons(beside=beside).values())]


def _chosen(feed: str, ids: Sequence[int]) -> list[sa.ColumnElement[bool]]:
    return [_q.c.feed == feed, *([_q.c.id.in_(list(ids))] if ids else [])]
