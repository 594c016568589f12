"""`nexus-engine plan`."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.instead import instead, instead_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nexus_engine.compile.plan import Plan
    from nexus_engine.contract.source import Partition

MOST_WINDOWS = 100_000  # counted per partition


@click.command("plan")
@click.argument("feed")
@click.option("--sql", is_flag=True, help="Print only the query that maps and checks the rows.")
@click.option("--from", "start", metavar="A", help="Show the windows and requests of a backfill from A on.")
@click.option("--to", "end", metavar="B", help="The first value after the backfill's range.")
@click.option("--each", metavar="NAME=VALUE", multiple=True, help="Only these partitions of the backfill.")
@click.option("--replace", is_flag=True, help="Show the backfill as one that replaces what the table has of the range.")
@verb
def command(context: Context, feed: str, sql: bool, start: str | None, end: str | None, each: tuple[str, ...], replace: bool) -> None:
    """Show what a feed would ask, promise and create."""
    from pathlib import Path

    import msgspec

    from nexus_engine.cli.run import backfill_words

    [plan] = context.plans([feed])
    if words := backfill_words([feed], start, end, each, replace=replace):
        from nexus_engine.cli.plan_range import show_range

        show_range(context, plan, words)
        return
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
    from nexus_engine.cli.plan_expected import expected
    from nexus_engine.clickhouse.ddl import feed_ddl
    from nexus_engine.service.schedule import next_fire

    sink = context.project.sinks.get(plan.target.sink)
    kind = context.registry.sinks.get(sink.plugin) if sink else None
    timed = plan.schedule is not None and not plan.schedule.stream
    store = context.store()
    now = datetime.now(UTC).replace(microsecond=0)
    positions = store.positions(plan.feed)
    partitions, sure = plan_partitions(context, plan, positions)
    due = _due(plan, partitions, positions, now)
    due["more"] = due["more"] or not sure
    return {
        "feed": plan.feed,
        "file": plan.spec_file,
        "source": {"plugin": plan.source.plugin, "api": plan.source.api, "options": plan.source.options, "format": plan.source.format},
        "base_urls": instead(plan, context.project),
        "each": each_words(plan),
        "partitions": [partition.key for partition in partitions],
        "partitions_sure": sure,
        "cursor": plan.cursor,
        "windows": due,
        "cautions": _cautions(context, plan),
        "expected": expected(context, plan, due["count"]),
        "positions": positions,
        "schedule": plan.schedule,
        "next_run": next_fire(plan.schedule, now).isoformat() if timed and plan.schedule else None,
        "target": plan.target.name,
        "sink": plan.target.sink,
        "promise": getattr(kind.cls, "promise", "") if kind else "",
        "key": list(plan.target.key),
        "columns": [{"name": column.name, "type": column.type} for column in plan.target.columns],
        "ddl": feed_ddl(plan.target),
    }


def plan_partitions(context: Context, plan: Plan, positions: Iterable[str]) -> tuple[list[Partition], bool]:
    """The partitions, and whether they are all. Where a table or a listing has a say, only a run finds out; those that are known
    are the ones that earlier runs read."""
    from nexus_engine.deliver.fanout import known_partitions
    from nexus_engine.deliver.reader import named_partition

    found = known_partitions(plan, context.project.root, context.project.limits.max_partitions)
    if found is not None:
        return found, True
    return [named_partition(key) for key in positions if "|" not in key], False


def each_words(plan: Plan) -> dict[str, str]:
    """Where the values of each name come from, where that is no list."""
    from nexus_engine.compile.plan import EachPlan

    words = {}
    for name, each in plan.source.each.items():
        if isinstance(each, EachPlan):
            column = f", column {each.column}" if each.column else ""
            path = each.listing.source.options if each.listing else {}
            listing = f"a listing: {path.get('path') or path.get('endpoint') or ''}, {each.column} of each record"
            words[name] = f"the table {each.table}{column}" if each.table else f"the file {each.file}{column}" if each.file else listing
    return words


def _cautions(context: Context, plan: Plan) -> list[str]:
    """What is allowed and probably not meant."""
    from nexus_engine.spec.plugins import asks_window

    kind: Any = context.registry.sources[plan.source.plugin].cls
    if plan.cursor is None or asks_window(plan.source.options, kind.options):
        return []
    return ["no request uses the cursor (`{{ window.start }}`): each run asks for everything, and the key keeps what is there already"]


def _due(plan: Plan, partitions: list[Partition], positions: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The windows a run would ask for now, over these partitions: how many, the first one's start, the last one's end."""
    from nexus_engine.deliver.windows import Position, units

    count, starts, ends, more = 0, [], [], False
    for partition in partitions:
        data = positions.get(partition.key)
        found = list(islice(units(plan.cursor, Position(**data) if data else Position(), now), MOST_WINDOWS))
        count += len(found)
        more = more or len(found) == MOST_WINDOWS
        starts += [unit.window.start for unit in found[:1]]
        ends += [unit.window.end for unit in found[-1:]]
    known = [text for text in starts if text]
    return {"count": count, "more": more, "first": min(known, default=None), "last": max((text for text in ends if text), default=None)}


def span(seconds: float) -> str:
    """A length of time as a spec writes it: `30d`, `90m`."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _show(context: Context, facts: dict[str, Any]) -> None:
    import msgspec

    from nexus_engine.cli.plan_expected import expected_lines

    out, source = context.out, facts["source"]
    out.line(f"{facts['feed']}  ({facts['file']})")
    out.line(f"  asks      {source['plugin']}{' of api ' + source['api'] if source['api'] else ''}, format {source['format']}")
    for name, value in source["options"].items():
        out.line(f"            {name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    for text in instead_lines(facts["base_urls"]):
        out.line(f"  {text}")
    names = [key or "(one)" for key in facts["partitions"]]
    for name, words in facts["each"].items():
        out.line(f"  each      {name}: from {words}")
    if facts["partitions_sure"]:
        out.line(f"  partitions {len(names)}: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}")
    else:
        out.line(f"  partitions are found when the run starts; {len(names)} have a position{': ' + ', '.join(names[:8]) if names else ''}{' …' if len(names) > 8 else ''}")
    cursor = facts["cursor"]
    if cursor is not None:
        due = facts["windows"]
        lookback = f"{cursor.lookback_months}mo" if cursor.lookback_months else span(cursor.lookback_s)
        out.line(f"  windows   by {cursor.name} ({cursor.kind}), from {cursor.initial or 'the beginning'}, lookback {lookback}")
        out.line(f"  due now   {due['count']}{' or more' if due['more'] else ''} window{'s' if due['count'] != 1 else ''}, from {due['first'] or 'the beginning'} to {due['last'] or 'the end'}")
    for text in facts["cautions"]:
        out.line(f"  caution   {text}")
    for line in expected_lines(facts["expected"], more=facts["windows"]["more"]):
        out.line(line)
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
