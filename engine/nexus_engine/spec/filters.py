"""Filters of templates: pure functions of text and numbers. Each is bounded in what it may produce."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

MAX_CHARS: Final = 65_536
_FRACTION = re.compile(r"[.,]([0-9]+)")
_DATE_FORMAT = re.compile(r"(?:[^%]|%[YymdHMSjUWGuVaAbBpIf%])*")


def _moment(value: Any) -> datetime:
    """ISO text of a date or date-time (no zone: UTC), or seconds since 1970."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def epoch(value: Any) -> int:
    """Whole seconds since 1970-01-01 UTC."""
    return epoch_ns(value) // 10**9


def epoch_ms(value: Any) -> int:
    """Whole milliseconds since 1970-01-01 UTC."""
    return epoch_ns(value) // 10**6


def epoch_us(value: Any) -> int:
    """Whole microseconds since 1970-01-01 UTC."""
    return epoch_ns(value) // 1000


def epoch_ns(value: Any) -> int:
    """Nanoseconds since 1970-01-01 UTC."""
    moment = _moment(value)  # which knows no more than microseconds: what is finer is read from the text
    written = _FRACTION.search(value) if isinstance(value, str) else None
    below_s = int(written[1][:9].ljust(9, "0")) if written else moment.microsecond * 1000
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + below_s


def date(value: Any, format: str = "%Y-%m-%d") -> str:
    """The date written as ``format`` (strftime) says, in UTC."""
    if len(format) > 100 or not _DATE_FORMAT.fullmatch(format):
        raise ValueError("a date format of %Y %y %m %d %H %M %S %j %U %W %G %u %V %a %A %b %B %p %I %f")
    return _moment(value).astimezone(UTC).strftime(format)


def quarter(value: Any) -> int:
    """The quarter of the year, 1 to 4, in UTC."""
    return (_moment(value).astimezone(UTC).month + 2) // 3


def replace(value: Any, old: str, new: str) -> str:
    """``value`` with every ``old`` replaced."""
    text, old, new = str(value), str(old), str(new)
    if len(text) + text.count(old) * len(new) > MAX_CHARS:
        raise ValueError(f"at most {MAX_CHARS} characters")
    return text.replace(old, new)


def urlencode(value: Any) -> str:
    """Percent-encoded for a part of a URL."""
    return quote(str(value), safe="")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "date": date,
    "epoch": epoch,
    "epoch_ms": epoch_ms,
    "epoch_ns": epoch_ns,
    "epoch_us": epoch_us,
    "float": lambda value: float(str(value)),
    "int": lambda value: int(str(value)),
    "lower": lambda value: str(value).lower(),
    "quarter": quarter,
    "replace": replace,
    "trim": lambda value: str(value).strip(),
    "upper": lambda value: str(value).upper(),
    "urlencode": urlencode,
}  # `default` is Jinja's own: it must see what is undefined
