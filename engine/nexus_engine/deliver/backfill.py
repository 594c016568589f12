"""Backfill: a range of the cursor, read again or for the first time, beside the live position.

    backfill 2020-01-01..2021-01-01|series=DGS10      the name of its position: range, then partition

It is a job for the one loop. The live position is not read and not moved. A backfill that was cut off goes on where it was when
the same range is asked for again; one that is done asks nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from nexus_engine.compile.plan import CursorPlan, Plan
from nexus_engine.contract.source import Window
from nexus_engine.deliver import replace
from nexus_engine.deliver.fetch import Job, Ticket
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.windows import Position, Unit, as_asked, order, pieces, start_of, text_in, units
from nexus_engine.errors import ConfigError
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.templates import asks

if TYPE_CHECKING:
    from nexus_engine.deliver.session import Session

_SPACE = re.compile(r"backfill (.*)\.\.(.*)", re.DOTALL)
AGE_RULES = ("freshness",)


@dataclass(frozen=True)
class Range:
    """``start`` is in it, ``end`` is not; texts in the cursor's type. ``each`` restricts the partitions: values by name.
    ``replace``: what is in the table goes (``deliver.replace``)."""

    start: str
    end: str
    each: Mapping[str, frozenset[str]] = field(default_factory=dict)
    replace: bool = False

    @property
    def space(self) -> str:
        """Where its positions are. What is replaced is one thing, so the partitions are in the name."""
        if not self.replace:
            return self.done_space
        chosen = ",".join(f"{name}={_quoted(value)}" for name, values in sorted(self.each.items()) for value in sorted(values))
        return f"replace {_quoted(self.start)}..{_quoted(self.end)}{' of ' if chosen else ''}{chosen}"

    @property
    def done_space(self) -> str:
        """Where the positions of a backfill of the range are."""
        return f"backfill {_quoted(self.start)}..{_quoted(self.end)}"

    def job(self, session: Session, plan: Plan, report: RunReport, halt: threading.Event) -> Job:
        """The mover (``deliver.session.Mover``)."""
        from nexus_engine.deliver.session import threads

        if self.replace:
            return replace.job(self, session, plan, report, halt)
        assert plan.cursor is not None, "checked_range has seen to it"
        cursor = plan.cursor
        found = session.fan_out(plan, report, halt, self.each)
        tickets = self.chosen(session.tickets(plan, found.partitions, self.space))
        if found.whole and not found.failures:
            self.refuse_nobody(plan, tickets)
        _refuse_twice(plan, self, session.store.positions(plan.feed), tickets, session.reader.now())
        lenient = msgspec.structs.replace(plan, query=without_rules(plan, AGE_RULES))
        return Job(
            plan=lenient, tickets=tickets, due=lambda ticket: self.due(cursor, ticket.safe), read=session.reader.units(plan, report, halt, session.reader.keeping(plan, report)),
            threads=threads(plan), position_hash=plan.position_hash, windows=sum(self.left(cursor, ticket) for ticket in tickets),
            whole=found.whole,
        )

    def chosen(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Those whose `each` values are asked for."""
        return [
            ticket for ticket in tickets
            if all(ticket.partition.values.get(name) in values for name, values in self.each.items())
        ]  # fmt: skip

    def refuse_nobody(self, plan: Plan, tickets: Sequence[Ticket]) -> None:
        """Values that nothing has (any more) would end as a backfill of nothing."""
        for name, values in self.each.items():
            for value in sorted(values - {ticket.partition.values[name] for ticket in tickets}):
                raise _wrong(plan, f"--each {name}={value}: no partition has this value now", f"see the feed's `each.{name}`, or the table or listing it names")

    def due(self, cursor: CursorPlan, position: Position) -> Iterator[Unit]:
        """The windows that are left, in order: first the one that is open."""
        at = position.cursor or self.start
        if position.window is not None:
            window = Window(position.window.get("start"), position.window.get("end"))
            yield Unit(window, position.resume, position.seen, final=False)
            at = window.end or self.end
        if order(cursor.kind, at) < order(cursor.kind, self.end):
            yield from pieces(cursor, at, self.end)

    def left(self, cursor: CursorPlan, ticket: Ticket) -> int:
        return sum(1 for _ in self.due(cursor, ticket.safe))

    def done(self, cursor: CursorPlan, position: Position) -> bool:
        return next(self.due(cursor, position), None) is None


def checked_range(plan: Plan, start: str, end: str, each: Sequence[str], now: datetime, *, replacing: bool = False) -> Range:
    """The range, as its position is named.

    Args:
        each: `name=value` texts; several of one name mean any of them.
        replacing: what is in the table is to go.

    Raises:
        ConfigError: the feed cannot be asked for a range, or these are not a range of it.
    """
    cursor = plan.cursor
    if cursor is None:
        raise _wrong(plan, "it has no `cursor:`, so there is no range to ask for", f"read it whole: nexus-engine run {plan.feed} --once")
    if cursor.header and cursor.kind == "text":
        raise _wrong(plan, f"`{cursor.source}` is a text, which has no range", "forget its position to read everything: nexus-engine state reset " + plan.feed)
    if not asks(plan.source.options, "start"):
        raise _wrong(
            plan, "its request does not use `window.start`, so every request would ask for the same",
            "put {{ window.start }} (and {{ window.end }}) where the API takes the range",
        )
    first, last = (_bound(plan, cursor, text) for text in (start, end))
    if order(cursor.kind, first) >= order(cursor.kind, last):
        raise _wrong(plan, f"--from {start} is not before --to {end}", "--from is in the range, --to is the first value after it")
    if cursor.kind in ("date", "datetime") and order(cursor.kind, last) > order(cursor.kind, text_in(cursor.kind, now)):
        raise _wrong(plan, f"--to {end} is in the future", "the live run reads what is still growing; end the range today at the latest")
    chosen = _each(plan, each)
    if replacing:
        replace.check(plan, chosen)
    return Range(first, last, chosen, replacing)


def of_space(name: str) -> tuple[str, str] | None:
    """(start, end) of a backfill's space; None for another space. Texts are as quoted: fit to show and to compare times."""
    found = _SPACE.fullmatch(name)
    return (found[1], found[2]) if found else None


def asks_for_the_end(plan: Plan) -> bool:
    """False: every request is answered up to the present, whatever --to says."""
    return asks(plan.source.options, "end")


def without_rules(plan: Plan, names: Sequence[str]) -> Any:
    """The query without batch rules of these names."""
    kept = tuple(rule for rule in plan.query.rules if rule.rule.split("(")[0] not in names)
    return msgspec.structs.replace(plan.query, rules=kept)


def _bound(plan: Plan, cursor: CursorPlan, text: str) -> str:
    try:
        if cursor.kind in ("date", "datetime"):
            return as_asked(cursor.kind, text)
        order(cursor.kind, text)
    except (ValueError, InvalidOperation):
        shown = {"date": "a date like 2024-01-31", "datetime": "a time like 2024-01-31T09:30:00Z"}.get(cursor.kind, "a number")
        raise _wrong(plan, f"{text!r} is not {shown}", f"the cursor `{cursor.name}` is of the kind {cursor.kind}") from None
    return text


def _each(plan: Plan, words: Sequence[str]) -> dict[str, frozenset[str]]:
    chosen: dict[str, set[str]] = {}
    known = plan.source.each
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}={value}?" if near else f"write --each name=value; names: {', '.join(known) or 'none'}"
            raise _wrong(plan, f"--each {word}: there is no such name in `each:`", hint)
        listed = known[name]
        if isinstance(listed, tuple) and value not in listed:
            near = nearest(value, listed)
            raise _wrong(plan, f"--each {word}: {value!r} is not one of its values", f"did you mean {name}={near}?" if near else "see the feed's `each:`")
        chosen.setdefault(name, set()).add(value)
    return {name: frozenset(values) for name, values in chosen.items()}


def _refuse_twice(plan: Plan, wanted: Range, positions: Mapping[str, Any], tickets: Sequence[Ticket], now: datetime) -> None:
    """Without a key nothing absorbs what the table has: then a range must be one that nothing else has read or will read.

    Raises:
        ConfigError: it overlaps with the live feed or with another backfill.
    """
    if plan.target.key or plan.cursor is None:
        return
    cursor = plan.cursor
    why = f"{plan.target.name} has no `key`, so rows that it has would land twice"
    if not asks_for_the_end(plan):
        raise _wrong(plan, f"{why}, and the request does not use `window.end`, so --to ends nothing", "add {{ window.end }} to the request")
    first = next(units(cursor, Position(), now)).window.start or start_of(cursor, Position())
    if first is None or order(cursor.kind, wanted.end) > order(cursor.kind, first):
        raise _wrong(plan, f"{why}: the live feed reads everything since {first or 'the beginning'}", f"end the range there: --to {first}" if first else "give the target a key")
    own = {ticket.partition.key for ticket in tickets}
    for name in positions:
        space, _, partition = name.partition("|")
        other = of_space(space)
        if other is None or space == wanted.space or partition not in own:
            continue
        if order(cursor.kind, other[0]) < order(cursor.kind, wanted.end) and order(cursor.kind, wanted.start) < order(cursor.kind, other[1]):
            raise _wrong(plan, f"{why}: there is a {space} already", "choose a range that does not overlap with it")


def _quoted(text: str) -> str:
    return quote(text, safe=" /:.,_-+@").replace("..", "%2E%2E")


def _wrong(plan: Plan, what: str, do: str) -> ConfigError:
    return ConfigError(f"{plan.feed} cannot be backfilled: {what}", where=f"feed {plan.feed}, {plan.spec_file}", did="nothing was asked", do=do)
