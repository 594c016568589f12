"""What a position says of the pages that are safe, and whether they are still the same. No I/O.

Pages by number or offset shift when records come or go before them: then the last safe page ends with another record. Where only links or
tokens lead on, a running digest over all safe pages tells whether a window that is walked again is still the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from nexus_plugins.sources.http.envelope import Found
from nexus_plugins.sources.http.paginate import Step


def mark(step: Step, found: Found) -> dict[str, Any]:
    """What a page looked like that was asked for by its number or offset."""
    kept: dict[str, Any] = {"at": step.at, "count": found.count, "first": _hash(found.first)}
    if step.size:
        kept["size"] = step.size
    if found.last is not None:
        kept["last"] = _hash(bytes(found.last))
    return kept


def holds(kept: dict[str, Any], step: Step, found: Found, total: int | None, *, numbered: bool) -> bool:
    """Whether nothing came or went before the end of the marked page.

    A total says nothing of that: it grows with what is appended. The record that the page ended with does: one that comes or goes before
    it moves it. A page that has grown has more records behind that one: an offset leads to them, the number of the next page
    (``numbered``) leads past them.
    """
    now = mark(step, found)
    if "count" not in kept:  # by an earlier version, which had no better
        kept, now = {"size": 0, **kept}, {"size": 0, **now, "total": total}
        return all(now[name] == value for name, value in kept.items())
    if numbered or "last" not in kept:
        return now == kept
    record = _record(found, kept["count"])
    same = all(now.get(name) == kept.get(name) for name in ("at", "first", "size"))
    return same and record is not None and _hash(record) == kept["last"]


def whole(kept: dict[str, Any], found: Found) -> bool:
    """Whether the marked page has as many records as then."""
    return "count" not in kept or found.count == kept["count"]


def walked(before: str, pieces: Sequence[bytes], found: Found) -> str:
    """The digest of the pages so far, with one more. Only of their records: what stands around them holds tokens and times."""
    texts = pieces if len(pieces) > 1 else found.texts  # of a page in several pieces, only the first one's are there
    return hashlib.sha256(before.encode() + b",".join(texts)).hexdigest()[:32]


def _record(found: Found, number: int) -> bytes | None:
    """That record of a page as it came, from 1; None where it is not at hand."""
    if found.count == number:
        return None if found.last is None else bytes(found.last)
    if len(found.texts) == found.count > number:
        return bytes(found.texts[number - 1])
    return None


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
