"""Lines of a large body, mapped as they came: into a file, or into a side table where the sink has them.

Where ClickHouse does not read one record from each line, they are looked at line by line and mapped as lists, like every other body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nexus_engine.clickhouse.engine import Engine, EngineError
from nexus_engine.compile.layout import Layout
from nexus_engine.compile.plan import Plan
from nexus_engine.compile.query import Query
from nexus_engine.contract.lines import is_object, line_values
from nexus_engine.deliver import crash
from nexus_engine.deliver.counts import stats_of
from nexus_engine.deliver.side import threads
from nexus_engine.deliver.stage import Stage, Staged
from nexus_engine.deliver.worked import Bench, Guilt, Mapped, PageStats
from nexus_engine.errors import PageError


class Misread(Exception):
    """Lines of a stage are not a record each, in their order."""


def map_lines(stage: Stage, bench: Bench, file: Path) -> tuple[Mapped, dict[int, PageStats]] | None:
    """The counts; None unless there are as many records as lines."""
    query = bench.plan.query
    mapped = Mapped(query.mapped(file), file)
    try:
        _read_lines(stage, bench, lambda layout: query.map_lines_sql(stage.path, file, bench.run, stage.line_keys, stage.firsts, layout))
    except EngineError:  # why, the lists will say
        return None
    stats = stats_of(bench, mapped)
    return (mapped, stats) if sum(page.read for page in stats.values()) == stage.rows else None


def map_aside(stage: Stage, bench: Bench) -> tuple[Mapped, dict[int, PageStats]] | None:
    """The same into a side table; None where the sink has none for this target. Which records were refused is told by the numbers that
    are not there.

    Raises:
        Misread
    """
    query = bench.plan.query
    side = bench.sides.make() if bench.sides is not None and query.side and stage.has_lines else None
    if side is None:
        return None
    try:
        read = _read_lines(
            stage, bench,
            lambda layout: query.side_sql(stage.path, side.table, side.batch_id, bench.run, stage.line_keys, layout, threads()),
            again=f"TRUNCATE TABLE {side.table}",
        )  # fmt: skip
    except EngineError:  # as above
        raise Misread from None
    crash.point("side.filled")
    if read != stage.rows:
        raise Misread
    refused = missing_lines(bench.engine, side.table, stage.rows)
    mapped = Mapped(query.mapped_aside(side.table, stage.firsts), side=side, refused=stage.places(refused))
    more = stats_of(bench, mapped) if query.cursor or bench.plan.archive else {}
    found = {}
    for staged in stage.payloads:
        if staged.length:
            read = staged.payload.records
            found[staged.p] = replace(more.get(staged.p, PageStats()), read=read, ok=read - len(mapped.refused.get(staged.p, ())))
    return mapped, found


def missing_lines(engine: Engine, table: str, lines: int) -> list[int]:
    """Which of the numbers from 0 to ``lines`` - 1 no row of a side table has, ascending."""
    import numpy as np

    missing = np.ones(lines, bool)
    missing[engine.column(Query.numbers_sql(table))] = False
    return [int(number) for number in np.flatnonzero(missing)]


def _read_lines(stage: Stage, bench: Bench, statement: Callable[[Layout | None], str], *, again: str = "") -> int:
    """Run a statement over a file of lines: by their layout, and as JSON where they are not all alike; ``again`` is run before it runs a
    second time. How many rows it read.

    Raises:
        EngineError
    """
    layout = bench.layouts.of(stage) if bench.plan.query.flat else None
    if layout is not None:
        try:
            return bench.engine.query(statement(layout))
        except EngineError:  # if it is for another reason, it comes again
            bench.layouts.alike = False
        if again:
            bench.engine.query(again)
    return bench.engine.query(statement(None))


def as_lists(stage: Stage, bench: Bench) -> tuple[Stage, dict[int, Guilt]]:
    """A copy with a list in the place of each payload's lines, up to the first payload with a line that is no JSON."""
    lists = Stage(bench.file(f"{stage.path.stem}.lists.jsonl"))
    broken: dict[int, Guilt] = {}
    for staged in stage.payloads:
        body = b""
        if staged.length and not broken:
            try:
                body = b"[" + b",".join(line_values(stage.text(staged), staged.payload.line)) + b"]"
            except ValueError as error:
                broken[staged.unit] = Guilt(staged.p, _not_json(str(error), staged, bench.plan))
        lists.keep(stage, staged, body=body)
    lists.close()
    return lists, broken


def _not_json(what: str, staged: Staged, plan: Plan) -> PageError:
    return PageError(
        what, url=staged.payload.url, page=staged.payload.page, where=f"feed {plan.feed}",
        did="the pages before it landed; the position stays in front of it",
        do=f"compare the answer with the spec's `format`; when the source has mended it, run again: nexus-engine run {plan.feed} --once",
    )


def lines_of(stage: Stage, staged: Staged, numbers: list[int]) -> list[bytes]:
    """The lines of refused records. ClickHouse also reads two records on one line and none on the next: then what stands behind is at
    other lines than its number says, and either a line here is no object, or it is a good record, which has no reasons.

    Raises:
        Misread
    """
    try:
        found = stage.records(staged, numbers)
    except IndexError:
        raise Misread from None
    if not all(map(is_object, found)):
        raise Misread
    return found
