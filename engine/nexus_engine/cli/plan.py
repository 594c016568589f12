"""`nexus-engine plan`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from nexus_engine.cli.context import Context, verb

if TYPE_CHECKING:
    from nexus_engine.compile.plan import Plan


@click.command("plan")
@click.argument("feed")
@click.option("--sql", is_flag=True, help="Print only the query that maps and checks the rows.")
@verb
def command(context: Context, feed: str, sql: bool) -> None:
    """Show what a feed would ask, promise and create."""
    from pathlib import Path

    import msgspec

    [plan] = context.plans([feed])
    if sql:
        text = plan.query.select_sql(Path("raw.jsonl"), {"run_started_at": "1970-01-01 00:00:00", "run_id": "plan", "feed": plan.feed})
        if context.out.as_json:
            context.out.json({"feed": feed, "sql": text})
        else:
            context.out.line(text)
        return
    facts = _facts(context, plan)
    if context.out.as_json:
        context.out.json({**facts, "plan": msgspec.to_builtins(plan)})
        return
    _show(context, facts)


def _facts(context: Context, plan: Plan) -> dict[str, Any]:
    """What is asked, what is promised, what is made. Options are shown as written: secrets are still their names."""
    from nexus_engine.clickhouse.ddl import feed_ddl
    from nexus_engine.deliver.reader import partitions
    from nexus_engine.service.schedule import next_fire

    sink = context.project.sinks.get(plan.target.sink)
    kind = context.registry.sinks.get(sink.plugin) if sink else None
    timed = plan.schedule is not None and not plan.schedule.stream
    store = context.store()
    return {
        "feed": plan.feed,
        "file": plan.spec_file,
        "source": {"plugin": plan.source.plugin, "api": plan.source.api, "options": plan.source.options, "format": plan.source.format},
        "partitions": [partition.key for partition in partitions(plan.source.each)],
        "cursor": plan.cursor,
        "positions": store.positions(plan.feed),
        "schedule": plan.schedule,
        "next_run": next_fire(plan.schedule, datetime.now(UTC)).isoformat() if timed and plan.schedule else None,
        "target": plan.target.name,
        "sink": plan.target.sink,
        "promise": getattr(kind.cls, "promise", "") if kind else "",
        "key": list(plan.target.key),
        "columns": [{"name": column.name, "type": column.type} for column in plan.target.columns],
        "ddl": feed_ddl(plan.target),
    }


def _show(context: Context, facts: dict[str, Any]) -> None:
    import msgspec

    out, source = context.out, facts["source"]
    out.line(f"{facts['feed']}  ({facts['file']})")
    out.line(f"  asks      {source['plugin']}{' of api ' + source['api'] if source['api'] else ''}, format {source['format']}")
    for name, value in source["options"].items():
        out.line(f"            {name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    names = [key or "(one)" for key in facts["partitions"]]
    out.line(f"  partitions {len(names)}: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}")
    cursor = facts["cursor"]
    if cursor is not None:
        lookback = f"{cursor.lookback_months} months" if cursor.lookback_months else f"{cursor.lookback_s / 86400:g} days"
        out.line(f"  windows   by {cursor.field} ({cursor.kind}), from {cursor.initial or 'the beginning'}, lookback {lookback}")
    for partition, position in facts["positions"].items():
        out.line(f"  stands at {partition or '(one)'}: {msgspec.json.encode(position).decode()}")
    if facts["next_run"]:
        out.line(f"  next run  {facts['next_run']}")
    out.line(f"  lands in  {facts['target']} (sink {facts['sink']}), key {', '.join(facts['key']) or 'none'}")
    if facts["promise"]:
        out.line(f"  promises  {facts['promise']}")
    out.line("  creates, where it is missing:")
    for line in facts["ddl"].rstrip().splitlines():
        out.line(f"    {line}")
