"""When to ask again, and after how long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_CAP_S: Final = 21_600.0
_ALSO = frozenset({408, 425, 429})
_NEVER_SERVED = frozenset({501, 505})


@dataclass(frozen=True)
class Retry:
    """``attempts`` counts every sending of one request; waits are seconds."""

    attempts: int = 5
    base_s: float = 1.0
    max_wait_s: float = 120.0


def is_retried(status: int) -> bool:
    """429, 408, 425 and the server's own failures may pass; 501 and 505 will not."""
    return status in _ALSO or (500 <= status < 600 and status not in _NEVER_SERVED)


def retry_after(value: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, at most six hours; None when it says nothing usable.

    Args:
        value: a number of seconds (fractions happen) or an HTTP-date.
        now: seconds since 1970-01-01 UTC.
    """
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
            due: float = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        return min(max(due - now, 0.0), RETRY_AFTER_CAP_S)
    if not seconds >= 0:  # negative, or not a number
        return None
    return min(seconds, RETRY_AFTER_CAP_S)


def backoff(retry: Retry, attempt: int, chance: float) -> float:
    """Full jitter: a random time up to ``base * 2**(attempt - 1)``, never above the longest wait."""
    return chance * min(retry.max_wait_s, retry.base_s * 2.0 ** min(attempt - 1, 30))
