"""`nexus-engine state show | set | reset | rename | export | adopt`."""

from __future__ import annotations

from typing import Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.errors import NexusError


@click.group("state")
def command() -> None:
    """Show and change positions."""


@command.command("show")
@click.argument("feed", required=False)
@verb
def show(context: Context, feed: str | None) -> None:
    """Each partition's position."""
    exported = context.store().export(feed)
    if feed and feed not in exported:
        raise NexusError(f"feed {feed} has no stored state", do="see nexus-engine state show")
    if context.out.as_json:
        context.out.json(exported)
        return
    import msgspec

    rows = [
        {"feed": name, "partition": partition or "-", "position": msgspec.json.encode(position).decode()}
        for name, data in exported.items()
        for partition, position in data["positions"].items()
    ]
    if rows:
        context.out.table(rows)
    else:
        context.out.note("no feed has a position yet")


@command.command("export")
@click.argument("feed", required=False)
@verb
def export(context: Context, feed: str | None) -> None:
    """All positions as JSON, to keep or to read with other programs."""
    context.out.json(context.store().export(feed))


@command.command("set")
@click.argument("feed")
@click.argument("position", metavar="JSON")
@click.option("--partition", default="", help="The partition, as `state show` names it.")
@verb
def set_(context: Context, feed: str, position: str, partition: str) -> None:
    """Set one partition's position; `null` removes it."""
    import msgspec

    try:
        value = msgspec.json.decode(position)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"the position is not JSON: {error}") from None
    _changed(context, "state/set", {"feed": feed, "partition": partition, "position": value}, "position set")


@command.command("reset")
@click.argument("feed")
@click.option("--partition", default=None, help="Only this partition.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def reset(context: Context, feed: str, partition: str | None, yes: bool) -> None:
    """Forget positions: the next run reads from the start. Rows with a key that did not change are not written again."""
    if not yes:
        from nexus_engine.cli.asking import confirm

        confirm(context, f"Forget how far {feed} has come?", "no position was forgotten")
    _changed(context, "state/reset", {"feed": feed, "partition": partition}, "positions forgotten")


@command.command("rename")
@click.argument("old")
@click.argument("new")
@verb
def rename(context: Context, old: str, new: str) -> None:
    """Give a feed's positions to its new name."""
    _changed(context, "state/rename", {"old": old, "new": new}, f"{old} is now {new}")


@command.command("adopt")
@click.argument("feed")
@verb
def adopt(context: Context, feed: str) -> None:
    """Keep a feed's positions although what it asks for has changed."""
    context.plans([feed])
    _changed(context, "state/adopt", {"feed": feed}, "positions adopted")


def _changed(context: Context, name: str, args: dict[str, Any], done: str) -> None:
    from nexus_engine.cli.owning import ask

    result = ask(context, name, args)
    if context.out.as_json:
        context.out.json(result)
    else:
        context.out.line(done)
