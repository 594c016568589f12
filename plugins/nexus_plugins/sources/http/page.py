"""A page that was judged."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_engine.contract.host import HttpResponse
from nexus_plugins.sources.http.envelope import Found


@dataclass(frozen=True)
class Page:
    """``pieces`` are JSON texts; none when the page has no records."""

    pieces: tuple[bytes, ...]
    found: Found
    response: HttpResponse
    ruled: bool = False  # one of the feed's `errors` decided what it is
    unchanged: bool = False  # it is that of the last run, and was not looked into
