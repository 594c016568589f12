"""`nexus-engine runs` and `runs show ID`."""

from __future__ import annotations

from typing import Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.run import status_words
from nexus_engine.cli.status import as_it_is
from nexus_engine.errors import NexusError


@click.group("runs", invoke_without_command=True)
@click.option("--feed", metavar="FEED", help="Only this feed's.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@verb
def command(context: Context, feed: str | None, limit: int) -> None:
    """Show the history of runs, or one run in full."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    import msgspec

    from nexus_engine.deliver.lock import owner_pid

    store = context.store()
    alive = owner_pid(context.project.data_dir / "nexus.lock") is not None
    found = [as_it_is(run, alive=alive) for run in store.runs(feed, limit)]
    if context.out.as_json:
        context.out.json([msgspec.to_builtins(run) for run in found])
        return
    rows = [{**_counts(run.report), "run": run.run_id, "feed": run.feed, "trigger": run.trigger, "status": status_words(run.report, run.status),
             "started": run.started_at} for run in found]
    if rows:
        context.out.table(rows, ("run", "feed", "trigger", "status", "started", "read", "landed", "refused", "requests", "seconds"))
    else:
        context.out.note("nothing has run yet")


@command.command("show")
@click.argument("run_id", metavar="ID")
@verb
def show(context: Context, run_id: str) -> None:
    """One run: its books per window, its requests (redacted), its errors."""
    import msgspec

    from nexus_engine.deliver.lock import owner_pid
    from nexus_engine.state.records import STANDING

    store = context.store()
    found = store.run(run_id)
    run = found and as_it_is(found, alive=owner_pid(context.project.data_dir / "nexus.lock") is not None)
    if run is None:
        raise NexusError(f"there is no run {run_id!r}", where=str(context.project.data_dir), do="see nexus-engine runs")
    books, requests = store.books(run_id), store.requests(run_id)
    if context.out.as_json:
        context.out.json(msgspec.to_builtins({"run": run, "books": books, "requests": requests}))
        return
    out = context.out
    out.line(f"run {run.run_id}: feed {run.feed}, {run.trigger}, {status_words(run.report, run.status)}, {run.started_at} to {run.finished_at or '?'}")
    if books:
        out.line()
        told = [name for name in STANDING if any(name in book.counts for book in books)]
        counted = [name for name in dict.fromkeys(name for book in books for name in book.counts) if name not in told]
        columns = ("partition", "from", "to", *counted, *told, "complete")
        out.table(
            [{"partition": b.partition or "-", "from": b.window_start, "to": b.window_end, **b.counts, "complete": b.complete} for b in books],
            columns,
        )
    if requests:
        out.line()
        out.table([
            {"method": r.method, "status": r.status or r.error, "bytes": r.body_bytes, "ms": round(r.elapsed_ms), "attempt": r.attempt, "at": r.at}
            for r in requests
        ])
        for number, request in enumerate(requests, 1):
            out.line(f"{number:>4}  {request.url}")
    for error in run.report.get("errors", ()):
        out.line()
        out.line(f"error: {error['what']}")
        for label, key in (("where", "where"), ("engine", "did"), ("to do", "do")):
            if error.get(key):
                out.line(f"  {label + ':':<8}{error[key]}")


def _counts(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "read": report.get("read"), "landed": report.get("landed"), "refused": report.get("quarantined"), "requests": report.get("requests"),
        "seconds": report.get("elapsed_s"),
    }
