"""`nexus-engine quarantine list | show | replay`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.errors import NexusError


@click.group("quarantine")
def command() -> None:
    """Show refused records with their reasons; replay them through a mended feed."""


@command.command("list")
@click.argument("feed", required=False)
@click.option("--run", "run_id", metavar="ID", help="Only of this run.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@verb
def list_(context: Context, feed: str | None, run_id: str | None, limit: int) -> None:
    """Refused records, the newest first."""
    import msgspec

    found = context.store().quarantine(feed, limit, run_id=run_id)
    if context.out.as_json:
        context.out.json([msgspec.to_builtins(item) for item in found])
    elif found:
        rows = [
            {"id": q.id, "feed": q.feed, "partition": q.partition or "-", "page": q.page, "record": q.record, "at": q.at, "times": q.times, "reasons": "; ".join(q.reasons)}
            for q in found
        ]
        context.out.table(rows)
    else:
        context.out.note("nothing is in quarantine")


@command.command("show")
@click.argument("number", metavar="ID", type=int)
@verb
def show(context: Context, number: int) -> None:
    """One refused record: its raw text, where it came from, every reason."""
    import msgspec

    found = context.store().quarantined_one(number)
    if found is None:
        raise NexusError(f"there is no record {number} in quarantine", do="see nexus-engine quarantine list")
    if context.out.as_json:
        context.out.json(msgspec.to_builtins(found))
        return
    out = context.out
    out.line(f"feed {found.feed}, run {found.run_id}, {found.at}")
    if found.times > 1:
        out.line(f"refused {found.times} times since {found.first_at}; this is where it came from last")
    out.line(f"page {found.page}, record {found.record}, partition {found.partition or '-'}, window {found.window_start or '-'}")
    out.line(f"from {found.url or '-'}")
    for reason in found.reasons:
        out.line(f"  {reason}")
    out.line(found.raw + (" … (cut)" if found.truncated else ""))


@command.command("replay")
@click.argument("feed")
@click.option("--id", "ids", metavar="ID", type=int, multiple=True, help="Only this record; may be given more than once.")
@verb
def replay(context: Context, feed: str, ids: tuple[int, ...]) -> None:
    """Send a feed's refused records through its present spec.

    Those that pass land and leave the quarantine; the others stay, with their new reasons. Nothing is asked of the source.
    """
    from nexus_engine.cli.owning import ask
    from nexus_engine.cli.progress import progress
    from nexus_engine.cli.run import show as show_reports

    context.plans([feed])
    with progress(context.out) as observers:
        reports = ask(context, "replay", {"feed": feed, "ids": list(ids)}, observers.emit)
    if not context.out.as_json:
        for report in reports:
            context.out.note(f"{report['read'] - report['quarantined']} of {report['read']} records left the quarantine")
    show_reports(context, reports)
