"""`nexus-engine drift`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb

COLUMNS = ("feed", "field", "change", "was", "now", "sample", "since", "last seen", "runs")
KINDS = click.Choice(["new", "missing", "retyped"])


@click.command("drift")
@click.argument("feed", required=False)
@click.option("--accept", is_flag=True, help="What differs is right: the feed's records look like this from here on.")
@click.option("--field", "fields", metavar="FIELD", multiple=True, help="Only this field, as the list shows it; may be repeated.")
@click.option("--kind", "kinds", type=KINDS, multiple=True, help="Only this kind of change; may be repeated.")
@click.option("--all", "with_old", is_flag=True, help="Also what was accepted, and what is as it was before again.")
@verb
def command(context: Context, feed: str | None, accept: bool, fields: tuple[str, ...], kinds: tuple[str, ...], with_old: bool) -> None:
    """Show fields that came, went or changed their type; accept them."""
    import msgspec

    if accept:
        _accept(context, feed, fields, kinds)
        return
    if feed is not None:
        context.plans([feed])
    found = [item for item in context.store().drift(feed) if with_old or item.state == "open"]
    found = [item for item in found if (not fields or item.path in fields) and (not kinds or item.kind in kinds)]
    if context.out.as_json:
        context.out.json([{**msgspec.to_builtins(item), "shape": None} for item in found])
        return
    rows = [
        {
            "feed": item.feed, "field": item.path, "change": item.kind, "was": item.was or "-", "now": item.now or "-", "sample": item.sample or "-",
            "since": item.first_at[:16], "last seen": item.last_at[:16], "runs": item.runs, "state": item.state,
        }
        for item in found
    ]  # fmt: skip
    if not rows:
        narrowed = " like that" if fields or kinds else ""
        context.out.note(f"no feed has drifted{narrowed}" if feed is None else f"{feed} has not drifted{narrowed}")
        return
    context.out.table(rows, (*COLUMNS, "state") if with_old else COLUMNS)
    if any(item.state == "open" for item in found):
        context.out.note(f"when these are right: nexus-engine drift {feed or 'FEED'} --accept (only one: --field NAME)")


def _accept(context: Context, feed: str | None, fields: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    from nexus_engine.cli.owning import ask

    if feed is None:
        raise click.UsageError("name the feed whose drift is right: nexus-engine drift FEED --accept")
    context.plans([feed])
    result = ask(context, "drift/accept", {"feed": feed, "fields": fields, "kinds": kinds})
    if context.out.as_json:
        context.out.json(result)
        return
    for item in result["accepted"]:
        context.out.line(f"accepted: {item['path']} {item['kind']}")
    if not result["accepted"]:
        context.out.note(f"{feed} has not drifted{' like that' if kinds else ''}: there was nothing to accept")
