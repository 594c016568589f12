"""Which windows a partition asks next, and what its position becomes. Pure: position and time in, windows out.

A position is JSON, per partition::

    {"cursor": "2026-10-01",                      low-water mark: everything before it was asked for and is safe
     "window": {"start": ..., "end": ...},        the window that is open, pinned; null between windows
     "resume": {...},                             the source's own "resume after this" inside the open window
     "seen":   "2026-11-02",                      greatest cursor value read in the open window, or what its end will make of it
     "memo":   {...}}                             what the source wants to be told at the next reading

The cursor moves only when a window ends: sources may list newest first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from nexus_engine.compile.plan import WINDOW_END, CursorPlan
from nexus_engine.contract.source import Window

_FINER = re.compile(r"\.[0-9]{6}([0-9]{1,3})")


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a partition has come; see the module's text."""

    cursor: str | None = None
    window: dict[str, str | None] | None = None
    resume: Any = None
    seen: str | None = None
    memo: Any = None

    def data(self) -> dict[str, Any]:
        """Plain JSON, as the state store keeps it."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


@dataclass(frozen=True)
class Unit:
    """One window to read. ``resume`` continues inside it; ``final`` marks the window that reaches the present: its end moves
    the cursor to the greatest value seen, not to its own end, because what it covers is still growing."""

    window: Window
    resume: Any = None
    seen: str | None = None
    final: bool = True


def order(kind: str, text: str) -> Any:
    """A value that sorts as the cursor does. Numbers compare as numbers, dates and times as instants, text as text."""
    if kind == "number":
        return Decimal(text)
    if kind == "date":
        return text[:10]
    if kind == "datetime":
        return moment(text), _finer(text)
    return text


def greatest(kind: str, *texts: str | None) -> str | None:
    known = [text for text in texts if text is not None]
    return max(known, key=lambda text: order(kind, text)) if known else None


def moment(text: str) -> datetime:
    """ISO 8601 text, zone or none (UTC), as an aware datetime. Fractions beyond microseconds are cut.

    Raises:
        ValueError: not a date or datetime.
    """
    text = text.strip().replace("Z", "+00:00")
    dot = text.find(".")
    if dot > 0:
        end = dot + 1
        while end < len(text) and text[end].isdigit():
            end += 1
        text = text[: min(end, dot + 7)] + text[end:]
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _finer(text: str) -> str:
    """The digits of a time behind its microseconds, which `moment` cuts: "" or up to three."""
    found = _FINER.search(text)
    return found[1].rstrip("0") if found else ""


def as_asked(kind: str, text: str) -> str:
    """A date or time as a request has it, whole: a time in UTC, as ISO 8601 has it."""
    value = moment(text)
    finer = _finer(text) if kind == "datetime" else ""
    if not finer:
        return text_in(kind, value)
    return f"{value.astimezone(UTC).isoformat(timespec='microseconds')[:26]}{finer:0<3}Z"


def text_in(kind: str, value: datetime) -> str:
    """A time as a cursor of that kind (date or datetime) is written."""
    if kind == "date":
        return value.date().isoformat()
    value = value.astimezone(UTC)
    digits = "microseconds" if value.microsecond % 1000 else "milliseconds" if value.microsecond else "seconds"
    return value.isoformat(timespec=digits).replace("+00:00", "Z")


def cursor_text(kind: str, text: str) -> str:
    """A value that came beside the records, as a cursor of that kind is written. Times may be ISO 8601 or HTTP dates.

    Raises:
        ValueError, ArithmeticError: it is none.
    """
    text = text.strip()
    if not text:
        raise ValueError("nothing")
    if kind == "number":
        number = Decimal(text)
        if not number.is_finite():
            raise ValueError(text)
        return _digits(number)
    if kind in ("date", "datetime"):
        return text_in(kind, parsedate_to_datetime(text)) if "," in text else as_asked(kind, text)
    return text


def add_months(value: datetime, months: int) -> datetime:
    """The same day some months on, or the month's last day when it is shorter."""
    index = value.year * 12 + value.month - 1 + months
    year, month = divmod(index, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    return value.replace(year=year, month=month + 1, day=min(value.day, last))


def _floor(value: datetime, months: int) -> datetime:
    """The start of the calendar unit (month, or year for whole years) that holds ``value``."""
    value = value.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return value.replace(month=1) if months % 12 == 0 else value


def start_of(rule: CursorPlan, position: Position) -> str | None:
    """Where the next window begins: the cursor less the lookback, never before ``initial``; None asks from the beginning."""
    if position.cursor is None:
        return rule.initial or None
    if rule.kind == "text" or not (rule.lookback_s or rule.lookback_months):
        return as_asked(rule.kind, position.cursor) if rule.kind == "datetime" else position.cursor
    if rule.kind == "number":
        lower = Decimal(position.cursor) - Decimal(str(rule.lookback_s))
        return rule.initial if rule.initial and lower < Decimal(rule.initial) else _digits(lower)
    back = add_months(moment(position.cursor), -rule.lookback_months) - timedelta(seconds=rule.lookback_s)
    if rule.initial and back < moment(rule.initial):
        return rule.initial
    return text_in(rule.kind, back)


def _digits(value: Decimal) -> str:
    """A number as it is written: no exponent, no zeros behind the point."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _counted(rule: CursorPlan, start: str, end: str, *, final: bool) -> Iterator[Unit]:
    """A range of numbers in windows of the rule's step. ``final``: whether there are values yet up to ``end`` is not known, so
    that no window moves the cursor past what was read."""
    at, limit, step = Decimal(start), Decimal(end), Decimal(str(rule.step_s))
    while at < limit:
        following = min(at + step, limit)
        yield Unit(Window(_digits(at), _digits(following)), final=final)
        at = following


def _stepped(rule: CursorPlan, start: str, now: datetime) -> Iterator[Unit]:
    at = moment(start)
    limit = min(now, moment(rule.end)) if rule.end else now
    if rule.step_months:
        at = _floor(at, rule.step_months)
    while at < limit or (rule.step_months and at == limit):
        end = add_months(at, rule.step_months) if rule.step_months else at + timedelta(seconds=rule.step_s)
        final = end >= limit  # what reaches the present is still growing
        if final and not rule.step_months:
            end = limit
        yield Unit(Window(text_in(rule.kind, at), text_in(rule.kind, end)), final=final)
        if final or end <= at:
            return
        at = end


def pieces(rule: CursorPlan, start: str, end: str) -> Iterator[Unit]:
    """A closed range in windows of the rule's step, the first and the last cut to it; one window without a step."""
    if rule.kind == "number" and rule.step_s:
        yield from _counted(rule, start, end, final=False)
        return
    if not (rule.step_s or rule.step_months) or rule.kind not in ("date", "datetime"):
        yield Unit(Window(start, end), final=False)
        return
    at, limit = moment(start), moment(end)
    while at < limit:
        if rule.step_months:
            following = add_months(_floor(at, rule.step_months), rule.step_months)
        else:
            following = at + timedelta(seconds=rule.step_s)
        following = min(following, limit)
        if following <= at:
            return
        yield Unit(Window(text_in(rule.kind, at), text_in(rule.kind, following)), final=False)
        at = following


def units(rule: CursorPlan | None, position: Position, now: datetime) -> Iterator[Unit]:
    """The windows to read now, in order: first the one that is open, then what has come due since.

    Args:
        rule: None for a feed without a cursor: one open window, read whole each time.
        now: aware; the run's start.
    """
    now -= timedelta(seconds=rule.delay_s if rule else 0)
    for unit in _due(rule, position, now):
        yield unit if rule is None or rule.source != WINDOW_END or unit.seen is not None else replace(unit, seen=_reach(rule, unit, now))


def _reach(rule: CursorPlan, unit: Unit, now: datetime) -> str | None:
    """How far a window that is read to its end has come: to its end, or to the present where that is earlier."""
    if rule.kind not in ("date", "datetime"):
        return unit.window.end
    return min((text for text in (unit.window.end, text_in(rule.kind, now)) if text), key=lambda text: order(rule.kind, text))


def _due(rule: CursorPlan | None, position: Position, now: datetime) -> Iterator[Unit]:
    today = text_in(rule.kind, now) if rule and rule.kind in ("date", "datetime") else None
    if position.window is not None:
        window = Window(position.window.get("start"), position.window.get("end"))
        stale = today is not None and window.end is not None and window.end[:10] < today[:10]
        yield Unit(window, position.resume, position.seen, final=not (rule and stale and (rule.step_s or rule.step_months)))
        if not stale:
            return
        position = close(rule, position, Unit(window, final=not (rule and (rule.step_s or rule.step_months))))
    if rule is None:
        yield Unit(Window())
        return
    start = start_of(rule, position)
    if (rule.step_s or rule.step_months) and start is not None and today is not None:
        yield from _stepped(rule, start, now)
        return
    if rule.kind == "number" and rule.step_s and start is not None and rule.end:
        yield from _counted(rule, start, rule.end, final=True)
        return
    end = rule.end or today
    yield Unit(Window(start, end))


def asked(rule: CursorPlan | None, unit: Unit) -> Window:
    """The window as the source is to be asked for it. A unit's window holds its start and not its end; where the source's bounds
    are others, the one beside is asked for: a day, a second (only at the start: times between two seconds exist) or a number."""
    window = unit.window
    if rule is None or not (rule.step_s or rule.step_months) or rule.kind == "text":
        return window
    start, end = window.start, window.end
    if rule.bounds[0] == "(" and start is not None:
        start = _before(rule.kind, start)
    cut = not unit.final or rule.step_months  # a window that ends in the present, or at `end`, ends where it says
    if rule.kind == "number":
        cut = end is not None and order("number", end) != order("number", rule.end)
    if rule.bounds[1] == "]" and end is not None and cut and rule.kind != "datetime":
        end = _before(rule.kind, end)
    return Window(start, end)


def _before(kind: str, text: str) -> str:
    if kind == "number":
        return _digits(Decimal(text) - 1)
    return text_in(kind, moment(text) - (timedelta(days=1) if kind == "date" else timedelta(seconds=1)))


def opened(position: Position, unit: Unit, resume: Any, seen: str | None) -> Position:
    """The position inside a window, after a payload that is not its last."""
    window = {"start": unit.window.start, "end": unit.window.end}
    return Position(cursor=position.cursor, window=window, resume=resume, seen=seen, memo=position.memo)


def close(rule: CursorPlan | None, position: Position, unit: Unit) -> Position:
    """The position after a window's last payload; ``position.seen`` is the greatest value read in it."""
    if rule is None:
        return Position()
    if unit.final and rule.header and rule.kind == "text":  # not to be compared: the newest is where to go on
        return Position(cursor=position.seen if position.seen is not None else position.cursor)
    if unit.final or unit.window.end is None:
        return Position(cursor=greatest(rule.kind, position.cursor, position.seen))
    return Position(cursor=greatest(rule.kind, position.cursor, unit.window.end))
