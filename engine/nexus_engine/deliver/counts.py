"""What the mapped rows of a batch count up to, and what it means when the engine does not answer."""

from __future__ import annotations

import shutil

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.plan import Plan
from nexus_engine.deliver.worked import Bench, Mapped, PageStats
from nexus_engine.errors import NexusError, OutOfSpace, StopFeed

_LOW_BYTES = 16 << 20  # free on a disk that counts as full


def stats_of(bench: Bench, mapped: Mapped) -> dict[int, PageStats]:
    found = {}
    try:
        rows = bench.engine.rows(bench.plan.query.stats_sql(mapped.relation, ends=bench.plan.archive is not None))
    except EngineError as error:  # on a full disk a file may be short, and its writing have succeeded
        raise query_failed(error, bench.plan, full=shutil.disk_usage(bench.folder).free < _LOW_BYTES) from None
    for row in rows:
        ends = (row.get("first_row"), row.get("last_row")) if int(row["ok"]) else (None, None)
        found[int(row["_p"])] = PageStats(int(row["read"]), int(row["ok"]), int(row["filtered"]), row["cursor_max"], *ends)
    return found


def query_failed(error: EngineError, plan: Plan, *, full: bool = False) -> NexusError:
    """The feed's query does not run, for a reason that is not one record's. ``full``: the disk is."""
    if full or error.no_space:
        return OutOfSpace(
            "no space is left for the rows of a batch", where=f"feed {plan.feed}", did="nothing of this batch landed; the position is kept",
            do="free some space, then start again",
        )
    return StopFeed(
        f"the feed's query failed: {error.message.splitlines()[0][:500]} (ClickHouse code {error.code})",
        where=f"feed {plan.feed}, {plan.spec_file}",
        did="nothing of this batch landed; the position is kept",
        do=f"see the query with: nexus-engine plan {plan.feed} --sql",
    )
