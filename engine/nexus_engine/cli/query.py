"""`nexus-engine query`."""

from __future__ import annotations

import sys
from typing import Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.output import WIDEST


@click.command("query")
@click.argument("sql", required=False)
@click.option("--format", "form", type=click.Choice(["table", "json", "csv", "arrow"]), default="table", show_default=True)
@click.option("--max-rows", type=click.IntRange(1, 100_000_000), default=10_000, show_default=True, help="Fail beyond this many.")
@verb
def command(context: Context, sql: str | None, form: str, max_rows: int) -> None:
    """Read the embedded tables with SQL.

    SQL is one SELECT, SHOW, DESCRIBE, EXPLAIN or EXISTS; without it, standard input is read. It runs read-only, with limits.
    """
    from nexus_engine.cli.owning import ask

    text = sql if sql is not None else sys.stdin.read()
    if context.out.as_json:
        form = "json"
    found: Any = ask(context, "query", {"sql": text, "max_rows": max_rows, "arrow": form == "arrow"})
    if form == "arrow":
        context.out.raw(found)
        return
    rows: list[dict[str, Any]] = found
    if form == "json":
        context.out.json(rows)
    elif form == "csv":
        _csv(context, rows)
    else:
        cut = context.out.table(rows) if rows else 0
        context.out.note(f"{len(rows)} row{'s' if len(rows) != 1 else ''}")
        if cut:
            context.out.note(f"{cut} value{'s' if cut != 1 else ''} cut at {WIDEST} characters; whole with --format csv, --format json or --json")


def _csv(context: Context, rows: list[dict[str, Any]]) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    writer.writerows([["" if value is None else value for value in row.values()] for row in rows])
    context.out.raw(context.out.mask(text.getvalue()).encode())
