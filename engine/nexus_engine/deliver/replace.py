"""Replacing a range: it is read again whole, and then what an earlier reading left in it is removed.

    begin:   a batch id is taken and kept; what is written from here on has a greater one
    read:    windows as in a backfill, in a position space of its own; the compare does not see the rows that will go
    remove:  once every window of every partition is safe: rows of the range from batches before that id, in one statement
    end:     the range is forgotten; as a backfill it counts as done

Until ``remove`` the table has old rows and new ones. A kill between any two steps is mended by the same command: reading goes on from
its positions, and removing twice removes nothing more. Rows that another run lands meanwhile have a greater batch id and stay.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import parse_type
from nexus_engine.compile.plan import CursorPlan, Plan
from nexus_engine.contract.sink import Removes, Sink
from nexus_engine.contract.source import Partition
from nexus_engine.deliver import crash
from nexus_engine.deliver.fanout import known_partitions
from nexus_engine.deliver.fetch import Job, Ticket
from nexus_engine.deliver.reader import named_partition
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.windows import Position, order, start_of, units
from nexus_engine.errors import ConfigError, StopFeed
from nexus_engine.state.positions import unspaced

if TYPE_CHECKING:
    from nexus_engine.deliver.backfill import Range
    from nexus_engine.deliver.session import Session

_SPACE = re.compile(r"replace (.*?)\.\.(.*?)(?: of .*)?", re.DOTALL)
_LONGEST: Final = 200_000  # characters of a condition: ClickHouse reads 256 KiB of a statement
_LAST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def of_replace(space: str) -> tuple[str, str] | None:
    """(start, end) of a range that is being replaced; None for another space."""
    found = _SPACE.fullmatch(space)
    return (found[1], found[2]) if found else None


def check(plan: Plan, each: Mapping[str, frozenset[str]]) -> None:
    """Raises:
    ConfigError: what stands in the table for a range of this feed cannot be told.
    """
    from nexus_engine.deliver.backfill import asks_for_the_end

    assert plan.cursor is not None, "checked_range has seen to it"
    if plan.cursor.field not in {column.name for column in plan.target.columns}:
        raise _refused(plan, f"its cursor `{plan.cursor.name}` is no column of {plan.target.name}", "list the field, and select it in `transform`")
    if plan.target.mode == "versioned":
        raise _refused(plan, "`mode: versioned` keeps every revision on purpose", "read the range again without --replace: revisions are added")
    if not asks_for_the_end(plan):
        raise _refused(plan, "the request does not use `window.end`, so --to ends nothing", "add {{ window.end }} to the request")
    for name in each:
        if name not in plan.source.each_columns:
            raise _refused(
                plan, f"no column is `{name}` as it is (`from: each.{name}`), so its rows cannot be told from the others",
                "replace the range of all partitions, without --each",
            )


def job(wanted: Range, session: Session, plan: Plan, report: RunReport, halt: threading.Event) -> Job:
    """The mover (``deliver.session.Mover``).

    Raises:
        ConfigError: rows of others could go, or the range could not be told from what else is read.
    """
    from nexus_engine.deliver.backfill import AGE_RULES, without_rules
    from nexus_engine.deliver.session import threads

    assert plan.cursor is not None, "checked_range has seen to it"
    cursor, space = plan.cursor, wanted.space
    sink = session.sink(plan.target.sink)
    if not isinstance(sink, Removes):
        raise _refused(plan, f"the sink {plan.target.sink} cannot remove rows", "remove them there by hand, then read the range again")
    found = session.fan_out(plan, report, halt, wanted.each)
    tickets = wanted.chosen(session.tickets(plan, found.partitions, space))
    if found.whole and not found.failures:
        wanted.refuse_nobody(plan, tickets)
    _refuse_others(plan, wanted, session.store.positions(plan.feed), tickets, session.reader.now())
    with session.table(plan.target.name):
        sink.prepare(plan.target, apply=plan.ddl == "auto")
    gone, whole = _gone(session, plan, wanted, tickets, report)
    chosen = [*(ticket.partition for ticket in tickets), *gone]
    _refuse_foreign(session, plan, sink, old_rows(plan, wanted, chosen, _LAST))
    began = session.store.begin_replace(plan.feed, space)
    crash.point("replace.begun")
    old = old_rows(plan, wanted, chosen, began)

    def finish(sink: Sink) -> int:
        return _finish(session, plan, sink, wanted, old)

    query = without_rules(plan, AGE_RULES).only(inside(plan, wanted))
    return Job(
        plan=msgspec.structs.replace(plan, query=query), tickets=tickets, due=lambda ticket: wanted.due(cursor, ticket.safe),
        read=session.reader.units(plan, report, halt, session.reader.keeping(plan, report)), threads=threads(plan), position_hash=plan.position_hash,
        whole=whole and found.whole and not found.failures and not found.notes,
        windows=sum(wanted.left(cursor, ticket) for ticket in tickets), goes=old, finish=finish,
    )


def _gone(
    session: Session, plan: Plan, wanted: Range, tickets: Sequence[Ticket], report: RunReport
) -> tuple[list[Partition], bool]:
    """Partitions that this replacing has read and that nobody names any more; False when one of them was not read to its end."""
    assert plan.cursor is not None, "checked_range has seen to it"
    now = {ticket.key for ticket in tickets}
    found, whole = [], True
    for name, data in session.store.positions(plan.feed).items():
        space, key = unspaced(name)
        if space != wanted.space or name in now:
            continue
        found.append(named_partition(key))
        if not wanted.done(plan.cursor, Position(**data)):
            whole = False
            report.warnings.append(f"{key} is half read and is none of `each` any more; forget the replacing: nexus-engine state reset {plan.feed} --partition '{name}'")
    return found, whole


def inside(plan: Plan, wanted: Range) -> str:
    """SQL: the row is in the range."""
    assert plan.cursor is not None, "checked_range has seen to it"
    kind = next(column.type for column in plan.target.columns if column.name == plan.cursor.field)
    name = ident(plan.cursor.field)
    start, end = (_value(kind, plan.cursor.kind, text) for text in (wanted.start, wanted.end))
    return f"ifNull({name} >= {start} AND {name} < {end}, 0)"


def old_rows(plan: Plan, wanted: Range, partitions: Sequence[Partition] | None, began: str) -> str:
    """SQL: the row is in the range and of one of the partitions, and a batch before ``began`` brought it. Rows that somebody put in
    by hand have no batch.

    Args:
        partitions: None where they are not known: then those that the range itself chooses.

    Raises:
        ConfigError: too many partitions to name.
    """
    batch = "toUInt128(_nexus_batch)"
    parts = [inside(plan, wanted), f"{batch} > 0", f"{batch} < toUInt128(toUUID({literal(began)}))"]
    columns = {name: column for name, column in plan.source.each_columns.items() if name in plan.source.each}
    if partitions is None:
        for name, values in wanted.each.items():
            parts.append(_among(plan, [columns[name]], [(value,) for value in values]))
    elif columns:
        parts.append(_among(plan, list(columns.values()), [tuple(str(p.values[name]) for name in columns) for p in partitions]))
    sql = " AND ".join(parts)
    if len(sql) > _LONGEST:
        raise _refused(plan, f"{len(partitions or ())} partitions are too many to name in one statement", "take some at a time with --each")
    return f"({sql})"


def _among(plan: Plan, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """SQL: the columns hold one of these rows of values."""
    types = {column.name: column.type for column in plan.target.columns}
    if not rows:
        return "0"
    shown = ("(" + ", ".join(_value(types[column], "", text) for column, text in zip(columns, row, strict=True)) + ")" for row in sorted(set(rows)))
    return f"({', '.join(map(ident, columns))}) IN ({', '.join(shown)})"


def rows_in_range(session: Session, plan: Plan, wanted: Range) -> int:
    """How many rows the table has now that would be replaced; where a table or a listing says which partitions there are, of all."""
    known = known_partitions(plan, session.project.root, session.project.limits.max_partitions)
    partitions = None if known is None else [ticket.partition for ticket in wanted.chosen(session.tickets(plan, known))]
    return _count(session, plan, session.sink(plan.target.sink), old_rows(plan, wanted, partitions, _LAST))


def _value(kind: str, cursor: str, text: str) -> str:
    """A value of a column, as SQL of the column's type."""
    if cursor == "datetime":
        return f"parseDateTime64BestEffort({literal(text)}, 6, 'UTC')"
    bare = str(parse_type(kind).bare)
    if "Int" in bare and "." in text:
        bare = "Decimal(38, 10)"
    return f"CAST({literal(text)}, {literal(bare)})"


def _finish(session: Session, plan: Plan, sink: Sink, wanted: Range, old: str) -> int:
    """Remove what is old, then forget the range. How many rows went."""
    assert isinstance(sink, Removes), "job has seen to it"
    _refuse_foreign(session, plan, sink, old)
    rows = _count(session, plan, sink, old)
    crash.point("replace.before")
    if rows:
        sink.remove(plan.target, old)
    crash.point("replace.removed")
    if left := _count(session, plan, sink, old):
        raise StopFeed(
            f"{left} of {rows} rows of the range are still in {plan.target.name} after they were removed", where=f"feed {plan.feed}",
            did="the new rows are there, and the old ones", do="run the same command again: it goes on with the removing",
        )
    session.store.end_replace(plan.feed, wanted.space, wanted.done_space)
    crash.point("replace.after")
    return rows


def _count(session: Session, plan: Plan, sink: Sink, condition: str) -> int:
    relation = sink.current(plan.target)
    return int(_rows(session, plan, f"SELECT count() AS n FROM {relation} WHERE {condition}")[0]["n"]) if relation else 0


def _rows(session: Session, plan: Plan, sql: str) -> list[dict[str, Any]]:
    try:
        return session.engine.rows(sql)
    except EngineError as error:
        raise StopFeed(
            f"{plan.target.name} cannot be asked for the rows of the range: {error.message.splitlines()[0][:300]}", where=f"feed {plan.feed}",
            did="nothing was removed", do="see whether the table fits the spec: nexus-engine ddl --diff",
        ) from None


def _refuse_foreign(session: Session, plan: Plan, sink: Sink, condition: str) -> None:
    """Rows of another feed are never removed.

    Raises:
        ConfigError: some of the rows are another's, or whose they are is not known any more.
    """
    others = session.store.writers(plan.target.name) - {plan.feed}
    relation = sink.current(plan.target)
    if not others or relation is None:
        return
    known = session.store.batch_feeds(plan.target.name)
    for row in _rows(session, plan, f"SELECT DISTINCT toString(_nexus_batch) AS id FROM {relation} WHERE {condition}"):
        owner = known.get(row["id"])
        if owner is None:
            listed = ", ".join(sorted(others))
            raise _refused(plan, f"rows of batch {row['id']} are in the range, and whether they are its own or of {listed} is not in the history any more", "remove the rows by hand, then read the range again")
        if owner != plan.feed:
            raise _refused(plan, f"{owner} has rows in the range of {plan.target.name}, too", "give the feeds tables of their own, or remove the rows by hand")


def _refuse_others(plan: Plan, wanted: Range, positions: Mapping[str, Any], tickets: Sequence[Ticket], now: Any) -> None:
    """Raises:
    ConfigError: another reading of rows of the range has begun, or would bring them twice later.
    """
    from nexus_engine.deliver.backfill import Range, of_space

    assert plan.cursor is not None, "checked_range has seen to it"
    cursor = plan.cursor
    for name, data in positions.items():
        space, _ = unspaced(name)
        other, backfill = of_replace(space), of_space(space)
        if other and space != wanted.space and _overlap(cursor, wanted, other):
            raise _refused(plan, f"there is a {space} that is not done", "let it end first (the same command goes on), or forget it: nexus-engine state reset --partition")
        if plan.target.key or backfill is None or backfill == (wanted.start, wanted.end) or not _overlap(cursor, wanted, backfill):
            continue
        if not Range(*backfill).done(cursor, Position(**data)):
            raise _refused(plan, f"{plan.target.name} has no `key`, and the {space} is not done: its rows would land twice", "let it end first")
    for ticket in () if plan.target.key else tickets:
        live = positions.get(ticket.partition.key)
        position = Position(**live) if live else Position()
        unit = next(units(cursor, position, now), None)
        first = unit.window.start if unit is not None else start_of(cursor, position)
        if first is None or order(cursor.kind, wanted.end) > order(cursor.kind, first):
            raise _refused(
                plan, f"{plan.target.name} has no `key`, and the live feed goes on from {first or 'the beginning'}: rows would land twice",
                f"end the range there: --to {first}" if first else "give the target a key",
            )


def _overlap(cursor: CursorPlan, wanted: Range, other: tuple[str, str]) -> bool:
    start, end = (order(cursor.kind, text) for text in other)
    return bool(start < order(cursor.kind, wanted.end) and order(cursor.kind, wanted.start) < end)


def _refused(plan: Plan, what: str, do: str) -> ConfigError:
    return ConfigError(
        f"a range of {plan.feed} cannot be replaced: {what}", where=f"feed {plan.feed}, {plan.spec_file}", did="nothing was asked or removed", do=do,
    )
