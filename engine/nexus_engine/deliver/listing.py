"""`each: {name: {request: ...}}`: a listing is read like a feed without a table: the source's pages, one query over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from nexus_engine.clickhouse import spool
from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.compile.plan import EachPlan, Plan
from nexus_engine.contract.sink import Sink, Target
from nexus_engine.contract.source import Partition, Payload, Window
from nexus_engine.deliver.batch import explain, work
from nexus_engine.deliver.fetch import RECONNECTS, Ticket
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.windows import Position, Unit
from nexus_engine.deliver.worked import Bench
from nexus_engine.errors import Reconnect, StopFeed
from nexus_engine.project.values import Row

if TYPE_CHECKING:
    from nexus_engine.deliver.fanout import Fanout

_NO_SINK: Sink = None  # type: ignore[assignment]
_NOWHERE = Target(sink="", database="listing", table="of_each", columns=())


def read_listing(plan: Plan, name: str, each: EachPlan, outer: Partition, number: int, fanout: Fanout) -> list[Row] | None:
    """(value, what `with` names) of each record, in order. None when the engine stopped in the middle.

    Raises:
        NexusError: as ``Source.read``; or a record without the value.
    """
    assert each.listing is not None
    asked = msgspec.structs.replace(
        plan, source=each.listing.source, query=each.listing.query, cursor=None, target=_NOWHERE, max_refused=1.0
    )
    stage = Stage(fanout.folder / f"{fanout.report.run_id}-each-{name}-{number}.jsonl")
    values = {"run_started_at": fanout.report.started_at[:19].replace("T", " "), "run_id": fanout.report.run_id, "feed": plan.feed}
    bench = Bench(asked, fanout.engine, _NO_SINK, fanout.folder, values)
    ticket, unit, ended = Ticket(outer, Position()), Unit(Window()), True
    handle = (ticket, unit)
    try:
        for payload in _payloads(asked, ticket, unit, fanout):
            stage.add(stage.unit(outer, unit.window, handle), payload)
            ended = payload.last
        stage.close()
        if not ended and fanout.halt.is_set():
            return None
        return _rows(stage, bench, each, name) if stage.has_lines else []
    finally:
        stage.close()
        bench.clean()
        stage.path.unlink(missing_ok=True)


def _payloads(plan: Plan, ticket: Ticket, unit: Unit, fanout: Fanout) -> Iterator[Payload]:
    """The pages of the listing, behind the last one after a connection was lost."""
    read = fanout.reader.units(plan, fanout.report, fanout.halt)
    resume: object = None
    for turn in range(RECONNECTS + 1):
        try:
            for payload in read(ticket, unit, resume):
                resume = payload.position
                yield payload
            return
        except Reconnect:
            if turn == RECONNECTS:
                raise


def _rows(stage: Stage, bench: Bench, each: EachPlan, name: str) -> list[Row]:
    worked = explain(work(stage, bench), bench)
    if worked.refusals:
        first = worked.refusals[0]
        raise _unfit(f"record {first.record} is not of the stated shape: {'; '.join(first.reasons)}", bench, name)
    if not worked.stage.has_lines:
        return []
    names = [f"v{n}" for n in range(len(each.beside) + 1)]
    structure = ", ".join(f"{ident(column)} Nullable(String)" for column in names)
    order = f"{structure}, _nexus_row UInt32"
    found = bench.engine.rows(
        f"SELECT {', '.join(names)} FROM file({literal(str(worked.mapped.path))}, 'Arrow', {literal(order)}) ORDER BY {spool.ROW}"
    )
    rows = []
    for number, row in enumerate(found):
        value = row["v0"]
        if value is None or not value.strip():
            raise _unfit(f"record {number} has no `{each.column}`", bench, name)
        rows.append((value, {other: row[f"v{n}"] for n, other in enumerate(each.beside, 1)}))
    return rows


def _unfit(what: str, bench: Bench, name: str) -> StopFeed:
    return StopFeed(
        what, where=f"feed {bench.plan.feed}, {bench.plan.spec_file}", did="nothing was asked for it",
        do=f"compare the answer with `records` and `column` under each.{name}",
    )
