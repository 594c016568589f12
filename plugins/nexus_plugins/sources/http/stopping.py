"""What ends a window besides the paging itself: a flag, and a record that was read before. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from msgspec import UNSET

_NO: Final = frozenset({"", "false", "0", "no", "n", "null", "none"})
_FINER_FROM: Final = 100_000_000_000  # a count since 1970 from here on is of milliseconds; each thousand times more, of micro- and nanoseconds


def is_true(value: Any) -> bool:
    """Whether a flag of an answer says that more pages follow."""
    if isinstance(value, str):
        return value.strip().lower() not in _NO
    return value is not UNSET and bool(value)


def reached(value: Any, start: str | None) -> bool:
    """Whether a record's value is at or before the window's start. Numbers compare as numbers; ISO dates and times, and
    counts since 1970, as instants; what cannot be compared is not reached."""
    if start is None or value is UNSET or value is None:
        return False
    mine, theirs = _number(value), _number(start)
    if mine is None:
        then, begin = instant(str(value)), instant(start)
        return then is not None and begin is not None and then <= begin
    if theirs is None:
        begin = instant(start)
        if begin is None:
            return False
        theirs = Decimal(str(begin)) * _per_second(mine)
    return mine <= theirs


def _per_second(count: Decimal) -> int:
    """How many of them are a second, by the size of a count since 1970."""
    return int(1000 ** sum(abs(count) >= _FINER_FROM * 1000**finer for finer in range(3)))


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def instant(text: str) -> float | None:
    """Seconds since 1970 of an ISO date or time (no zone: UTC); None when it is none."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
