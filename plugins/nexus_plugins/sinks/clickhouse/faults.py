"""ClickHouse's errors, named by what the engine does next: the one boundary of this plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.errors import NexusError, OutOfSpace, RetryLater, StopFeed

# Asked again, these answer the same: syntax, unknown or differing names and types, read-only, access, partitions per insert.
_FOR_GOOD = frozenset({6, 10, 15, 16, 20, 36, 42, 43, 44, 46, 47, 48, 50, 53, 57, 60, 62, 70, 80, 81, 82, 164, 242, 344, 497})


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise ``EngineError`` as RetryLater, StopFeed or OutOfSpace."""
    try:
        yield
    except EngineError as error:
        raise fault(error, where) from error


def fault(error: EngineError, where: str) -> NexusError:
    """The error in the engine's words; ``where`` is a table, a feed, or both."""
    lines = error.message.splitlines() or [""]
    what = f"ClickHouse refused: {lines[0][:500]} (code {error.code})"
    if error.no_space:
        return OutOfSpace(what, where=where, did="nothing recorded was lost", do="free some space, then start again")
    if error.code in _FOR_GOOD:
        return StopFeed(what, where=where, did="the statement was not run", do="mend the table or the spec, then run again")
    return RetryLater(what, where=where, did="the outcome is taken as unknown", do="see the code in ClickHouse's documentation")
