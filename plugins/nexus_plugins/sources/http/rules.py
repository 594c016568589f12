"""Errors inside answers: which of the declared rules holds, what its text says, and how long to wait. No I/O."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET

from nexus_engine.contract.host import HttpResponse
from nexus_engine.contract.records import parse_path
from nexus_engine.contract.source import Window
from nexus_engine.host.retry import retry_after
from nexus_plugins.sources.http.content import LOOKED_AT
from nexus_plugins.sources.http.envelope import Path
from nexus_plugins.sources.http.options import ErrorRule
from nexus_plugins.sources.http.stopping import instant

_DAY_S: Final = 86_400
_DATE_CHARS: Final = 10  # 2026-11-20
_EPOCH_FROM: Final = 1_000_000_000  # a number from here on is a moment, not a length of time


@dataclass(frozen=True)
class Answer:
    """What rules judge. ``values`` are those at the rules' paths in JSON, ``texts`` those in a body that is none."""

    response: HttpResponse
    values: dict[Path, Any]
    texts: Mapping[str, str] = field(default_factory=dict)
    window_age_s: float | None = None  # how long before the run began the window ended; None: there is no such window

    def at(self, path: str) -> Any:
        if path in self.texts:
            return self.texts[path]
        return self.values.get(parse_path(path), UNSET) if path else UNSET

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name.lower()) if name else None


def paths(rules: tuple[ErrorRule, ...]) -> tuple[str, ...]:
    return tuple(text for rule in rules for text in (rule.path, rule.message, rule.after_path) if text)


def statuses(rules: tuple[ErrorRule, ...]) -> frozenset[int]:
    """The statuses that the rules want to judge themselves. A rule that names none judges 2xx alone: its `fail` would take
    the place of the host's retries."""
    return frozenset(rule.status for rule in rules if rule.status is not None)


def holds(rule: ErrorRule, answer: Answer) -> bool:
    status = answer.response.status
    if rule.status != status and (rule.status is not None or not 200 <= status < 300):
        return False
    if rule.older_than is not None and (answer.window_age_s is None or answer.window_age_s < rule.older_than):
        return False
    bare = rule.equals is None and not rule.matches
    if rule.header:
        found = answer.header(rule.header)
        return found is not None and (bare or _fits(rule, found))
    if not rule.path:
        return not rule.matches or _fits(rule, answer.response.body[:LOOKED_AT].decode("utf-8", "replace"))
    value = answer.at(rule.path)
    if value is UNSET:
        return False
    return value not in (None, False, "", [], {}) if bare else _fits(rule, as_text(value))


def _fits(rule: ErrorRule, found: str) -> bool:
    return (rule.equals is None or found == rule.equals) and bool(re.search(rule.matches, found))


def first(rules: tuple[ErrorRule, ...], answer: Answer, page: int) -> ErrorRule | None:
    """The rule that decides. An `end` before the second page is none: an outage would read as no records."""
    return next((rule for rule in rules if (rule.then != "end" or page > 1) and holds(rule, answer)), None)


def text(rule: ErrorRule, answer: Answer) -> str:
    """What the answer says went wrong: the value at `message`, else at `path`, else the header, else the status."""
    for path in (rule.message, rule.path):
        value = answer.at(path)
        if value is not UNSET and value is not None:
            return as_text(value)[:500]
    if rule.header:
        return f"{rule.header}: {(answer.header(rule.header) or '')[:500]}"
    return f"HTTP {answer.response.status}"


def window_age_s(window: Window, run_started_at: str) -> float | None:
    """Seconds from the window's end to the run's start; None where the end is open or no time. A window whose start and end are the
    same day ends with that day."""
    if window.end is None:
        return None
    end, now = instant(window.end), instant(run_started_at)
    if end is None or now is None:
        return None
    return now - end - (_DAY_S if window.start == window.end and len(window.end) == _DATE_CHARS else 0)


def wait_s(rule: ErrorRule, answer: Answer) -> float | None:
    """How long a `retry` waits, in seconds; None leaves it to the host."""
    if rule.after is not None:
        return float(rule.after)
    told = answer.header(rule.after_header) if rule.after_header else None
    if rule.after_path:
        value = answer.at(rule.after_path)
        told = None if value is UNSET or value is None else as_text(value)
    return seconds(told if told is not None else answer.header("retry-after") or "", answer)


def seconds(told: str, answer: Answer) -> float | None:
    """A wait as APIs write it: seconds from now, seconds since 1970, or a date; None when it is none of them. "Now" is the
    answer's own `Date`, so that a clock that is wrong here does not matter."""
    try:
        now = parsedate_to_datetime(answer.header("date") or "").timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        now = time.time()
    try:
        number = float(told)
    except ValueError:
        return retry_after(told, now)
    return retry_after(str(max(0.0, number - now) if number >= _EPOCH_FROM else number), now)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
