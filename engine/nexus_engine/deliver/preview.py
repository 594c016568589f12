"""One page of a feed: what it would land and refuse. Writes nothing, needs no data folder and no owner."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nexus_engine.clickhouse import spool
from nexus_engine.clickhouse.engine import Engine
from nexus_engine.clickhouse.quoting import ident
from nexus_engine.compile.fanout import beside
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.registry import Registry
from nexus_engine.contract.sink import Sink
from nexus_engine.contract.source import Payload
from nexus_engine.deliver.batch import explain, work
from nexus_engine.deliver.drift import Watch, sentence
from nexus_engine.deliver.fanout import Fanout
from nexus_engine.deliver.fetch import Ticket, plugin_failed
from nexus_engine.deliver.reader import Reader
from nexus_engine.deliver.report import ErrorReport, RunReport, error_report
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.windows import Position, Unit, units
from nexus_engine.deliver.worked import Bench
from nexus_engine.errors import ConfigError, NexusError
from nexus_engine.events import Event, Observers, RequestDone
from nexus_engine.project.project import Project
from nexus_engine.spec.spelling import nearest

LISTINGS = 5  # asked at most at each step


class Preview(msgspec.Struct, kw_only=True):
    """What the first page with records gives. ``rows`` are shown as text, null as null; ``requests`` are redacted."""

    feed: str
    partition: str = ""
    columns: list[dict[str, str]] = []
    rows: list[dict[str, Any]] = []
    read: int = 0
    ok: int = 0
    filtered: int = 0
    refused: list[dict[str, Any]] = []
    refused_rows: int = 0
    requests: list[dict[str, Any]] = []
    warnings: list[str] = []
    error: ErrorReport | None = None


def preview(
    plan: Plan, project: Project, registry: Registry, *, rows: int = 20, replay: Any = None, each: Mapping[str, str] | None = None
) -> Preview:
    """Ask for the first page of the first partition, map and check it. Of listings only the first few are asked.

    Args:
        rows: how many good and how many refused rows to show.
        each: values under `each.` that are not looked for (a table is not open here).
    """
    shown = Preview(feed=plan.feed, columns=[{"name": column.name, "type": column.type} for column in plan.target.columns])

    def seen(event: Event) -> None:
        if isinstance(event, RequestDone):
            shown.requests.append(
                {"method": event.method, "url": event.url, "status": event.status, "bytes": event.body_bytes, "ms": round(event.elapsed_ms, 1)}
            )

    reader = Reader.open(project, registry, Observers(seen), replay=replay)
    engine = Engine(None)
    try:
        with tempfile.TemporaryDirectory(prefix="nexus-preview-") as folder:
            _fill(shown, given(plan, each or {}), reader, engine, Path(folder), rows)
    except NexusError as error:
        shown.error = error_report(error, reader.redactor.redact)
    finally:
        reader.http.close()
        engine.close()
    return shown


def _fill(shown: Preview, plan: Plan, reader: Reader, engine: Engine, folder: Path, rows: int) -> None:
    now = reader.now()
    report = RunReport(run_id=f"preview-{secrets.token_hex(3)}", feed=plan.feed, trigger="preview", started_at=f"{now:%Y-%m-%dT%H:%M:%SZ}")
    halt = threading.Event()
    found = Fanout(plan, reader, engine, report, halt, folder, None, most=LISTINGS).find()
    shown.warnings = list(found.notes)
    if not found.partitions:
        for _, error in found.failures:
            raise error
        return
    ticket = Ticket(found.partitions[0], Position())
    unit = next(units(plan.cursor, Position(), now))
    shown.partition = ticket.partition.key
    payload = _first(plan, reader, report, ticket, unit)
    if payload is None:
        return
    stage = Stage(folder / "page.jsonl")
    stage.add(stage.unit(ticket.partition, unit.window, ticket), payload)
    stage.close()
    values = {"run_started_at": f"{now:%Y-%m-%d %H:%M:%S}", "run_id": report.run_id, "feed": plan.feed}
    # Nothing is compared or written, so the bench has no sink; and every refusal is to be seen, not only half of them.
    lenient = msgspec.structs.replace(plan, max_refused=1.0)
    bench = Bench(lenient, engine, _NO_SINK, folder, values, redact=reader.redactor.redact)
    worked = explain(work(stage, bench), bench)
    watch = Watch(plan, None, reader.redactor.redact, keeps=False)
    watch.new(worked.shape)
    shown.warnings += [*worked.warnings, *map(sentence, watch.missing())]
    for page in worked.stats.values():
        shown.read, shown.ok, shown.filtered = shown.read + page.read, shown.ok + page.ok, shown.filtered + page.filtered
    shown.refused_rows = len(worked.refusals)
    shown.read = max(shown.read, shown.ok + shown.filtered + shown.refused_rows)
    shown.refused = [{"record": r.record, "reasons": list(r.reasons), "raw": reader.redactor.redact(r.raw[:2000])} for r in worked.refusals[:rows]]
    if shown.ok:
        texts = ", ".join(f"toString({spool.read_expression(column)}) AS {ident(column.name)}" for column in plan.target.columns)
        good = spool.relation(folder / "page.mapped.arrow", plan.target.columns)
        shown.rows = engine.rows(f"SELECT {texts} FROM {good} ORDER BY _nexus_row LIMIT {int(rows)}")


def given(plan: Plan, each: Mapping[str, str]) -> Plan:
    """The plan with these values in the place of those it would look for.

    Raises:
        ConfigError: there is no such name.
    """
    known = [*plan.source.each, *beside(plan.source.each)]
    for name in each:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f"--each {name}: there is no such name in `each:`", where=f"feed {plan.feed}, {plan.spec_file}", did="nothing was asked",
                do=f"did you mean {near}?" if near else f"names: {', '.join(known) or 'none'}",
            )
    values = {name: (each[name],) if name in each else old for name, old in plan.source.each.items()}
    values |= {name: (text,) for name, text in each.items() if name not in values}  # what `with` would have added
    return msgspec.structs.replace(plan, source=msgspec.structs.replace(plan.source, each=values))


def _first(plan: Plan, reader: Reader, report: RunReport, ticket: Ticket, unit: Unit) -> Payload | None:
    """The first payload that has a body, unless the window turns out to be incomplete with it."""
    try:
        for payload in reader.units(plan, report, threading.Event())(ticket, unit, None):
            if payload.body and not payload.again:
                return payload
    except NexusError:
        raise
    except Exception as error:
        raise plugin_failed(error) from error
    return None


_NO_SINK: Sink = None  # type: ignore[assignment]
