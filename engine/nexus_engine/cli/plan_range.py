"""`nexus-engine plan FEED --from A --to B`: the windows and requests of a backfill, before it is run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nexus_engine.cli.context import Context
from nexus_engine.cli.instead import instead, instead_lines
from nexus_engine.cli.plan import plan_partitions
from nexus_engine.cli.plan_expected import expected, expected_lines

if TYPE_CHECKING:
    from nexus_engine.compile.plan import Plan

SHOWN = 12


def show_range(context: Context, plan: Plan, words: dict[str, Any]) -> None:
    """What is left to ask in the range, per partition; how long it takes at least, when the feed has a rate."""
    facts = range_facts(context, plan, words)
    if context.out.as_json:
        context.out.json(facts)
        return
    out = context.out
    out.line(f"{facts['feed']}: {facts['backfill']}")
    for text in instead_lines(facts["base_urls"]):
        out.line(f"  {text}")
    out.line(f"  windows   {facts['windows']} in {len(facts['partitions'])} partitions, {facts['done']} of them done: {facts['left']} left")
    if facts["replaces"] is not None:
        out.line(f"  replaces  {facts['replaces']:,} rows that {plan.target.name} has of the range now")
    for line in expected_lines(facts):
        out.line(line)
    for item in facts["partitions"][:SHOWN]:
        ends = " … ".join([*item["first"], *item["last"]])
        out.line(f"  {item['partition'] or '(one)'}: {item['left']} left{': ' + ends if ends else ''}")
    if len(facts["partitions"]) > SHOWN:
        out.line(f"  … and {len(facts['partitions']) - SHOWN} more partitions")
    for text in facts["warnings"]:
        out.note(f"warning: {text}")


def range_facts(context: Context, plan: Plan, words: dict[str, Any]) -> dict[str, Any]:
    """The same as plain data.

    Raises:
        ConfigError: the feed cannot be asked for this range.
    """
    from nexus_engine.cli.owning import ask
    from nexus_engine.deliver.backfill import asks_for_the_end, checked_range
    from nexus_engine.deliver.fetch import Ticket
    from nexus_engine.deliver.windows import Position
    from nexus_engine.state.positions import spaced

    now = datetime.now(UTC)
    wanted = checked_range(plan, words["from"], words["to"], words["each"], now, replacing=words["replace"])
    assert plan.cursor is not None, "checked_range has seen to it"
    stored = context.store().positions(plan.feed)
    found: list[dict[str, Any]] = []
    total = 0
    partitions, sure = plan_partitions(context, plan, stored)
    for ticket in wanted.chosen([Ticket(partition, Position()) for partition in partitions]):
        data = stored.get(spaced(wanted.space, ticket.partition.key))
        total += wanted.left(plan.cursor, ticket)
        units = list(wanted.due(plan.cursor, Position(**data) if data else Position()))
        shown = [f"{unit.window.start}..{unit.window.end}" for unit in units]
        found.append({"partition": ticket.partition.key, "left": len(units), "first": shown[:2], "last": shown[2:][-1:]})
    left = sum(item["left"] for item in found)
    return {
        "feed": plan.feed, "base_urls": instead(plan, context.project), "backfill": wanted.space, "windows": total, "done": total - left, "left": left, "partitions": found,
        "replaces": ask(context, "old-rows", {"feed": plan.feed, "backfill": words})["rows"] if wanted.replace else None,
        **expected(context, plan, left, backfill=True),
        "warnings": [
            *(() if asks_for_the_end(plan) else ("the request does not use `window.end`: each window is answered up to the present, whatever --to says",)),
            *(() if sure else ("only partitions that have a position are counted; the run reads the others of `each` too",)),
        ],
    }  # fmt: skip
