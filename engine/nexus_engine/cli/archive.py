"""`nexus-engine archive`: what is kept of the answers of each feed."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb

COLUMNS = ("feed", "answers", "bodies", "bytes", "on_disk", "oldest", "newest")


@click.command("archive")
@click.argument("feed", required=False)
@verb
def command(context: Context, feed: str | None) -> None:
    """Show what is kept of the answers of each feed.

    Sizes are in bytes: `bytes` as the answers came, `on_disk` compressed. Equal bodies are kept once.
    """
    found = [item for item in context.store().kept_sizes() if feed in (None, item.feed)]
    rows = [
        {
            "feed": item.feed, "answers": item.answers, "bodies": item.bodies, "bytes": item.size, "on_disk": item.packed, "oldest": item.oldest,
            "newest": item.newest,
        }
        for item in found
    ]  # fmt: skip
    if context.out.as_json:
        context.out.json(rows)
    elif rows:
        context.out.table(rows, COLUMNS)
    else:
        context.out.note("no answer is kept: `archive: true` in a feed keeps them")
