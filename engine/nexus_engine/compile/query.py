"""The Query: the one ClickHouse query of a feed, as plain data, and the statements around it.

Texts hold markers (``\\0raw\\0``, ``\\0run_id\\0``) where a path or a value of the run goes; a NUL never stands in SQL that
`clickhouse.quoting` wrote, so nothing in a spec can look like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from nexus_engine.clickhouse.quoting import ident, literal

RUN_NAMES = ("run_started_at", "run_id", "feed")


class OutColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the mapped file. ``spool`` is its type there: Nullable where the target's type can be."""

    name: str
    type: str
    spool: str
    run: bool = False


class RuleVerdict(msgspec.Struct, frozen=True):
    """What a batch rule says: ``message`` is one sentence with the numbers."""

    rule: str
    severity: Literal["warn", "quarantine", "fail"]
    ok: bool
    message: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Every statement a run needs. ``run`` mappings hold `run_started_at` (`YYYY-MM-DD HH:MM:SS`, UTC), `run_id`, `feed`.

    Columns of the mapped file: `_p` UInt32 payload number, `_i` UInt32 record number in the payload, from 0 (an index
    into `compile.raw.records_of`), `_row` UInt32 unique 0..n-1, `_ok` UInt8, `_filtered` UInt8 (taken out by a
    transform's WHERE: neither landed nor refused), then the target's columns.
    """

    select: str
    columns: tuple[OutColumn, ...]

    def map_sql(self, raw: Path, out: Path, run: Mapping[str, str]) -> str:
        """Stage file to mapped Arrow file: all records."""
        raise NotImplementedError

    def select_sql(self, raw: Path, run: Mapping[str, str]) -> str:
        """The same SELECT, for people and for describing."""
        raise NotImplementedError

    def stats_sql(self, mapped: Path) -> str:
        """Rows `_p, read, ok, filtered, cursor_max` (text or null), one per payload that has records."""
        raise NotImplementedError

    def rules_sql(self, mapped: Path) -> str | None:
        """One row of counts for :meth:`judge_rules`; None when no rule is about the batch."""
        raise NotImplementedError

    def judge_rules(self, row: Mapping[str, Any]) -> list[RuleVerdict]:
        """What the batch rules say of the counts."""
        raise NotImplementedError

    def refused_sql(self, raw: Path, run: Mapping[str, str]) -> str:
        """Rows `_p, _i, reasons Array(String)` of the refused records, each reason `<field>: <code>: <text>`."""
        raise NotImplementedError

    def finish_sql(self, mapped: Path, out: Path, current: str | None) -> str:
        """Mapped file to the spool: target columns and `_nexus_row`, less unchanged and superseded rows."""
        raise NotImplementedError

    def compare_counts_sql(self, mapped: Path, current: str | None) -> str | None:
        """One row `new, revised, unchanged, superseded`; None when the target has no key."""
        raise NotImplementedError
