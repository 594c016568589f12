"""Everything that can go wrong, named by what the engine does next.

::

    NexusError
    ├── ConfigError      a file the user wrote is wrong: nothing ran (exit 2); carries every Problem
    ├── RetryLater       ask again after a while (after_s), from the same position
    ├── Reconnect        the connection is gone: open a new one, then ask again
    ├── StopFeed         this feed stops, its position is kept, other feeds go on
    │   ├── PageError        an answer that is not the page the spec promised
    │   ├── Incomplete       a window did not have as much in it as its source says; the next run asks again
    │   ├── NotYet           what was asked for is not there yet, or not for this partition: a note, no failure
    │   ├── StopAll          the answer holds for every partition: none of this feed is asked further
    │   │   └── BudgetSpent      a quota is used up: the feed goes on from its position when it renews
    │   ├── TooManyRefused   more rows refused than `max_refused` allows
    │   ├── RuleFailed       a `severity: fail` rule did not hold
    │   ├── FieldsDrifted    a field is new, missing or of another type, and the feed says `drift: fail`
    │   ├── TableDiffers     spec and live table disagree; carries the diff
    │   ├── PositionConflict the stored position is not the one this run started from, or has another meaning
    │   └── PluginFailed     a plugin raised what its contract does not name
    └── StopEngine       the whole process stops
        ├── Locked           another process owns the data folder
        ├── StateDamaged     the state store cannot be trusted
        └── OutOfSpace       the disk under the data folder is full

A message says what failed, where, what the engine did, and what to do: the four parts are
separate attributes, so that a terminal, a log line and JSON each show them their own way.
Messages never hold a secret: the host redacts before it raises.
"""

from __future__ import annotations


class NexusError(Exception):
    """Base of every error the engine raises on purpose.

    Args:
        what: what failed, one sentence.
        where: feed, file:line:col, URL and page; empty when it is everywhere.
        did: what the engine did about it ("position kept at page 3; 2 pages landed").
        do: what the reader can do now.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", did: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.did = did
        self.do = do

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.did:
            parts.append(f"  engine: {self.did}")
        if self.do:
            parts.append(f"  to do:  {self.do}")
        return "\n".join(parts)


class ConfigError(NexusError):
    """A file the user wrote is wrong. ``problems`` holds all of them (spec.problems.Problem)."""

    exit_code = 2

    def __init__(
        self, what: str, *, problems: tuple[object, ...] = (), where: str = "", did: str = "", do: str = ""
    ) -> None:
        super().__init__(what, where=where, did=did, do=do)
        self.problems = problems


class RetryLater(NexusError):
    """Ask again after ``after_s`` seconds (None: the host's own backoff)."""

    def __init__(
        self, what: str, *, after_s: float | None = None, where: str = "", did: str = "", do: str = ""
    ) -> None:
        super().__init__(what, where=where, did=did, do=do)
        self.after_s = after_s


class Reconnect(NexusError):
    """The connection is gone; a new one may work at once."""


class StopFeed(NexusError):
    """The feed stops with its position kept; other feeds go on."""


class PageError(StopFeed):
    """An answer is not the page the spec promised.

    Args:
        url: the request's URL, redacted.
        page: number of the page in its window, from 1.
        body: the first bytes of the answer; the first 200 characters are shown, redacted.
    """

    def __init__(
        self, what: str, *, url: str, page: int, body: str = "", where: str = "", did: str = "", do: str = ""
    ) -> None:
        text = f"{what} (page {page} of {url})"
        if body:
            text += f"; the body begins: {body[:200]!r}"
        super().__init__(text, where=where, did=did, do=do)
        self.url = url
        self.page = page
        self.body = body[:200]


class Incomplete(StopFeed):
    """A window ended with another number of records or pages than the source says it has.

    Args:
        total, arrived: what the source says, and what came, over all runs that read the window; ``counted`` says of what.
    """

    def __init__(self, what: str, *, total: int, arrived: int, counted: str = "records", where: str = "", did: str = "", do: str = "") -> None:
        super().__init__(what, where=where, did=did, do=do)
        self.total = total
        self.arrived = arrived
        self.counted = counted
        self.window: tuple[str | None, str | None] = (None, None)  # start and end; filled in by the loop


class NotYet(StopFeed):
    """The partition ends here with its position kept, and nothing failed: the next run asks again."""


class StopAll(StopFeed):
    """What stops this partition stops the feed's others, too: a quota that is used up, an account that is closed."""


class BudgetSpent(StopAll):
    """A quota of the API is used up; ``renews_at`` (ISO 8601, UTC) is when the feed can go on from its position."""

    def __init__(self, what: str, *, renews_at: str, where: str = "", did: str = "", do: str = "") -> None:
        super().__init__(what, where=where, did=did, do=do)
        self.renews_at = renews_at


class TooManyRefused(StopFeed):
    """More rows of a page or batch were refused than ``max_refused`` allows."""


class RuleFailed(StopFeed):
    """A rule with ``severity: fail`` did not hold; nothing of the batch landed."""


class FieldsDrifted(StopFeed):
    """A field of the source is new, missing or of another type, and the feed says `drift: fail`."""


class TableDiffers(StopFeed):
    """Spec and live table disagree in a way the engine does not mend by itself."""


class PositionConflict(StopFeed):
    """A position is not what this run started from, or means something else than the spec now says."""


class PluginFailed(StopFeed):
    """A plugin raised an exception its contract does not name."""


class StopEngine(NexusError):
    """The whole process stops."""


class Locked(StopEngine):
    """Another process owns the data folder; ``pid`` is its process id (0 when unknown)."""

    def __init__(self, what: str, *, pid: int = 0, where: str = "", did: str = "", do: str = "") -> None:
        super().__init__(what, where=where, did=did, do=do)
        self.pid = pid


class StateDamaged(StopEngine):
    """The state store is unreadable, newer than this engine, or contradicts the tables."""


class OutOfSpace(StopEngine):
    """No space is left where the engine writes; nothing was lost."""
