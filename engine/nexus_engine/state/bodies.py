"""The index of the raw archive. Functions over one open transaction.

A row says that an answer is kept and which rows of a batch came from it; it is there exactly when these rows are safe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
import sqlalchemy as sa

from nexus_engine.state import tables
from nexus_engine.state.records import Body, KeptSize, Place, Reading

_t = tables.body
_CHUNK = 500  # hashes in one statement


def add(connection: sa.Connection, bodies: Iterable[Body], *, feed: str, run_id: str, batch_id: str) -> None:
    names = {"feed": feed, "run_id": run_id, "batch_id": batch_id}
    rows = []
    for body in bodies:
        texts = {"request": msgspec.json.encode(body.request).decode(), "headers": msgspec.json.encode(body.headers).decode()}
        row = {**msgspec.structs.asdict(body), **texts, "whole": int(body.whole), **names}
        del row["id"]
        rows.append(row)
    if rows:
        connection.execute(_t.insert(), rows)


def of_rows(connection: sa.Connection, batch_id: str, row: int) -> list[Body]:
    """The answers that a row of a batch came from."""
    query = sa.select(_t).where(_t.c.batch_id == batch_id, _t.c.first_row <= row, _t.c.last_row >= row).order_by(_t.c.id)
    return [_body(found) for found in connection.execute(query).mappings()]


def readings(connection: sa.Connection, feed: str, since: str) -> list[Reading]:
    """What can be parsed again, the oldest first: windows whose first answer came at ``since`` (ISO 8601, empty: any time) or later."""
    keys = (_t.c.run_id, _t.c.partition, _t.c.window_start, _t.c.window_end)
    first, last = sa.func.min(_t.c.id), sa.func.max(_t.c.id)
    query = sa.select(*keys, first.label("first"), last.label("last")).where(_t.c.feed == feed, _t.c.origin == "").group_by(*keys)
    if since:
        query = query.having(sa.func.min(_t.c.at) >= since)
    return [Reading(**row) for row in connection.execute(query.order_by(first)).mappings()]


def answers(connection: sa.Connection, reading: Reading) -> list[Body]:
    """The answers of a reading, each once, in their order."""
    place = (
        _t.c.run_id == reading.run_id, _t.c.partition == reading.partition, _t.c.origin == "",
        _t.c.window_start.is_not_distinct_from(reading.window_start), _t.c.window_end.is_not_distinct_from(reading.window_end),
    )  # fmt: skip
    once = sa.select(sa.func.min(_t.c.id)).where(*place, _t.c.id.between(reading.first, reading.last)).group_by(_t.c.exchange)
    return [_body(row) for row in connection.execute(sa.select(_t).where(_t.c.id.in_(once)).order_by(_t.c.id)).mappings()]


def weights(connection: sa.Connection, table: str) -> dict[str, str]:
    """Batches of a table whose rows are older than they are: what was parsed again, and what left the quarantine. Batch id -> the batch
    that its oldest answer came in (empty: not known)."""
    b, r = tables.batch, tables.run
    parsed = sa.select(_t.c.batch_id, sa.func.min(_t.c.origin)).where(_t.c.origin != "").group_by(_t.c.batch_id)
    found = {str(batch): str(origin) for batch, origin in connection.execute(parsed)}
    mended = sa.select(b.c.id).join(r, r.c.run_id == b.c.run_id).where(b.c.table_name == table, r.c.trigger.in_(("replay", "reparse")))
    return {**{str(batch): "" for (batch,) in connection.execute(mended)}, **found}


def refused(connection: sa.Connection, feed: str, pages: Mapping[str, Collection[Place]]) -> list[int]:
    """The records in quarantine that came from these answers: the pages of each batch, also as they were parsed again since."""
    q, found = tables.quarantine, set()  # a batch may have answers of several, parsed again
    for batch, places in pages.items():
        again = sa.select(_t.c.batch_id).where(_t.c.origin == batch)
        mine = (q.c.feed == feed, sa.or_(q.c.batch_id == batch, q.c.batch_id.in_(again)), sa.not_(q.c.reasons.like('["sink: %')))
        query = sa.select(q.c.id, q.c.partition, q.c.window_start, q.c.window_end, q.c.page).where(*mine)
        found |= {int(row[0]) for row in connection.execute(query) if tuple(row)[1:] in places}
    return sorted(found)


def sizes(connection: sa.Connection) -> list[KeptSize]:
    """By feed."""
    once = sa.select(_t.c.feed, _t.c.sha256, sa.func.max(_t.c.size).label("size"), sa.func.max(_t.c.packed).label("packed")).group_by(
        _t.c.feed, _t.c.sha256
    )
    inner = once.subquery()
    totals = {
        str(row[0]): row[1:]
        for row in connection.execute(
            sa.select(inner.c.feed, sa.func.count(), sa.func.sum(inner.c.size), sa.func.sum(inner.c.packed)).group_by(inner.c.feed)
        )
    }
    answered = sa.select(_t.c.run_id, _t.c.exchange, _t.c.feed, sa.func.min(_t.c.at).label("at")).where(_t.c.origin == "").group_by(
        _t.c.run_id, _t.c.exchange, _t.c.feed
    )
    each = answered.subquery()
    query = sa.select(each.c.feed, sa.func.count(), sa.func.min(each.c.at), sa.func.max(each.c.at)).group_by(each.c.feed)
    return [
        KeptSize(feed=feed, answers=count, bodies=totals[feed][0], size=totals[feed][1], packed=totals[feed][2], oldest=oldest, newest=newest)
        for feed, count, oldest, newest in connection.execute(query.order_by(each.c.feed))
    ]


def expire(connection: sa.Connection, feed: str, before: str, max_packed: int) -> set[str]:
    """Forget a feed's answers that are older than ``before``, then its oldest until the others take no more than ``max_packed`` bytes on
    disk. Answers of a batch that is not done stay. The hashes of what went: others may have them too."""
    b = tables.batch
    staged = sa.select(b.c.id).where(b.c.state == "staged")
    mine = (_t.c.feed == feed, _t.c.batch_id.not_in(staged))
    gone = _forget(connection, *mine, _t.c.at < before)
    # A body counts when its newest answer does: the oldest go first, and one that came again just now is kept for that.
    newest = sa.select(sa.func.max(_t.c.at).label("at"), sa.func.max(_t.c.packed).label("packed")).where(_t.c.feed == feed).group_by(_t.c.sha256)
    took, border = 0, ""
    for at, packed in connection.execute(newest.order_by(sa.desc("at"))):
        took += int(packed)
        if took > max_packed:
            border = str(at)
            break
    if border:
        gone |= _forget(connection, *mine, _t.c.at <= border)
    return gone


def _forget(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> set[str]:
    hashes = {str(found) for (found,) in connection.execute(sa.select(_t.c.sha256).where(*which).distinct())}
    if hashes:
        connection.execute(_t.delete().where(*which))
    return hashes


def unknown(connection: sa.Connection, hashes: Collection[str]) -> list[str]:
    """Those that no answer has."""
    asked, known = list(hashes), set()
    for start in range(0, len(asked), _CHUNK):
        some = asked[start : start + _CHUNK]
        known |= {str(found) for (found,) in connection.execute(sa.select(_t.c.sha256).where(_t.c.sha256.in_(some)))}
    return [name for name in asked if name not in known]


def rename(connection: sa.Connection, old: str, new: str) -> None:
    connection.execute(_t.update().where(_t.c.feed == old).values(feed=new))


def _body(row: sa.RowMapping) -> Body:
    decoded = {"request": msgspec.json.decode(row["request"]), "headers": msgspec.json.decode(row["headers"])}
    return Body(**{**row, **decoded, "whole": bool(row["whole"])})
