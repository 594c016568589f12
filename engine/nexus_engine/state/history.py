"""Run history and books. Functions over one open transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nexus_engine.state import tables
from nexus_engine.state.records import STANDING, Request, Run, WindowCounts

_r = tables.run
_q = tables.request
_b = tables.book

# What is kept per feed. Positions, staged batches and the books in run reports do not depend on it.
KEEP_RUNS = 1000
KEEP_REQUESTS_OF_RUNS = 50
KEEP_QUARANTINED = 100_000
AT_ONCE = 1000  # partitions named in one statement
# Runs of one second: what ended last comes first, what has not ended before it.
_NEWEST = (_r.c.started_at.desc(), sa.func.coalesce(_r.c.finished_at, "9").desc(), _r.c.run_id.desc())


def start(connection: sa.Connection, run_id: str, feed: str, trigger: str, started_at: str) -> None:
    connection.execute(
        _r.insert().values(run_id=run_id, feed=feed, trigger=trigger, status="running", started_at=started_at, report="{}")
    )


def add_requests(connection: sa.Connection, run_id: str, requests: Sequence[Request]) -> None:
    if requests:
        connection.execute(_q.insert(), [{"run_id": run_id, **msgspec.to_builtins(request)} for request in requests])


def finish(connection: sa.Connection, run_id: str, status: str, report: dict[str, Any], finished_at: str) -> None:
    values = {"status": status, "report": msgspec.json.encode(report).decode(), "finished_at": finished_at}
    connection.execute(_r.update().where(_r.c.run_id == run_id).values(**values))


def interrupt(connection: sa.Connection) -> list[str]:
    """Mark what a dead process left as running. Only for the owner of the data folder, before it runs anything."""
    running = [str(row.run_id) for row in connection.execute(sa.select(_r.c.run_id).where(_r.c.status == "running"))]
    connection.execute(_r.update().where(_r.c.status == "running").values(status="interrupted"))
    return running


def runs(connection: sa.Connection, feed: str | None, limit: int) -> list[Run]:
    query = sa.select(_r).order_by(*_NEWEST).limit(limit)
    if feed is not None:
        query = query.where(_r.c.feed == feed)
    return [_run(row) for row in connection.execute(query).mappings()]


def run(connection: sa.Connection, run_id: str) -> Run | None:
    row = connection.execute(sa.select(_r).where(_r.c.run_id == run_id)).mappings().first()
    return _run(row) if row else None


def requests(connection: sa.Connection, run_id: str, limit: int) -> list[Request]:
    columns = [_q.c[name] for name in Request.__struct_fields__]
    query = sa.select(*columns).where(_q.c.run_id == run_id).order_by(_q.c.id).limit(limit)
    return [Request(**row) for row in connection.execute(query).mappings()]


def add_books(connection: sa.Connection, run_id: str, windows: Iterable[WindowCounts]) -> None:
    """Add counts to what each window has (or put them in its place: :data:`STANDING`); a window is complete once one of the additions says so."""
    added = list(windows)
    known = _counts(connection, run_id, {(window.partition, window.window_start or "") for window in added})
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for window in added:
        key = (window.partition, window.window_start or "")
        counts, complete = known.get(key, ({}, False))
        for name, number in window.counts.items():
            counts[name] = number if name in STANDING else counts.get(name, 0) + number
        known[key] = counts, complete or window.complete
        rows[key] = {
            "run_id": run_id, "partition": key[0], "window_start": key[1], "window_end": window.window_end or "",
            "counts": msgspec.json.encode(counts, order="sorted").decode(), "complete": int(known[key][1]),
        }
    if rows:
        statement = insert(_b)
        new = {name: statement.excluded[name] for name in ("window_end", "counts", "complete")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=[_b.c.run_id, _b.c.partition, _b.c.window_start], set_=new), list(rows.values())
        )


def _counts(
    connection: sa.Connection, run_id: str, windows: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[dict[str, int], bool]]:
    """(counts, complete) of those windows (partition, start) that are there. A batch may have thousands, and each statement costs."""
    found: dict[tuple[str, str], tuple[dict[str, int], bool]] = {}
    names = sorted({partition for partition, _ in windows})
    for at in range(0, len(names), AT_ONCE):
        query = sa.select(_b).where(_b.c.run_id == run_id, _b.c.partition.in_(names[at : at + AT_ONCE]))
        for row in connection.execute(query):
            if (row.partition, row.window_start) in windows:
                found[row.partition, row.window_start] = (msgspec.json.decode(row.counts), bool(row.complete))
    return found


def books(connection: sa.Connection, run_id: str) -> list[WindowCounts]:
    query = sa.select(_b).where(_b.c.run_id == run_id).order_by(_b.c.partition, _b.c.window_start)
    return [
        WindowCounts(
            partition=row.partition,
            window_start=row.window_start or None,
            window_end=row.window_end or None,
            counts=msgspec.json.decode(row.counts),
            complete=bool(row.complete),
        )
        for row in connection.execute(query)
    ]


def prune(connection: sa.Connection, feed: str) -> None:
    """Keep the history of a feed bounded."""
    newest = sa.select(_r.c.run_id).where(_r.c.feed == feed).order_by(*_NEWEST)
    old = [str(row.run_id) for row in connection.execute(newest.offset(KEEP_REQUESTS_OF_RUNS).limit(KEEP_RUNS))]
    gone = [str(row.run_id) for row in connection.execute(newest.offset(KEEP_RUNS).limit(KEEP_RUNS))]
    connection.execute(_q.delete().where(_q.c.run_id.in_(old + gone)))
    if gone:
        connection.execute(_b.delete().where(_b.c.run_id.in_(gone)))
        done = (tables.batch.c.state == "done") & tables.batch.c.run_id.in_(gone)
        connection.execute(tables.batch.delete().where(done))
        connection.execute(_r.delete().where(_r.c.run_id.in_(gone)))
    q = tables.quarantine
    last = sa.select(q.c.id).where(q.c.feed == feed).order_by(q.c.id.desc()).offset(KEEP_QUARANTINED).limit(1)
    border = connection.execute(last).scalar()
    if border is not None:
        connection.execute(q.delete().where(q.c.feed == feed, q.c.id <= border))


def _run(row: sa.RowMapping) -> Run:
    return Run(**{**row, "report": msgspec.json.decode(row["report"])})
