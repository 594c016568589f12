"""`nexus-engine reparse FEED`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb


@click.command("reparse")
@click.argument("feed")
@click.option("--since", metavar="TIME", default="", help="Only answers that came since: a date, a time, or how long ago (7d).")
@verb
def command(context: Context, feed: str, since: str) -> None:
    """Send a feed's kept answers through its present spec.

    Nothing is asked of the source, and the live position stays. Rows that differ are written anew; a row that the table has from a
    later answer stays. One that was cut off goes on where it was, unless the spec has changed since.
    """
    from nexus_engine.cli.owning import ask
    from nexus_engine.cli.progress import progress
    from nexus_engine.cli.run import show

    context.plans([feed])
    with progress(context.out) as observers:
        reports = ask(context, "reparse", {"feed": feed, "since": since}, observers.emit)
    show(context, reports)
