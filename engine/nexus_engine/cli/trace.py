"""`nexus-engine trace TABLE --where ...`: from landed rows back to their batch, run, requests and kept answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, Exit

if TYPE_CHECKING:
    from nexus_engine.state.store import Store

NOBODY = "00000000-0000-0000-0000-000000000000"
SHOWN_REQUESTS = 50


@click.command("trace")
@click.argument("table")
@click.option("--where", metavar="SQL", required=True, help="Which rows: a condition over the table's columns.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Rows to follow.")
@click.option("--body", "as_body", is_flag=True, help="Print the kept body that the rows came from, and nothing else.")
@verb
def command(context: Context, table: str, where: str, limit: int, as_body: bool) -> None:
    """Follow landed rows back to their batch, run, requests and kept answers.

    TABLE is written `database.table`. Fails when no row matches. Answers are kept for feeds with `archive: true`.
    """
    rows = _rows(context, table, where, limit)
    batches: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        batches.setdefault(str(row.pop("_nexus_batch")), []).append({"_nexus_row": row.pop("_nexus_row"), **row})
    store = context.store()
    found = [{**origin(store, batch), "answers": _answers(context, store, batch, some), "rows": some} for batch, some in batches.items()]
    if as_body:
        _print_body(context, [answer for item in found for answer in item["answers"]])
        return
    if context.out.as_json:
        context.out.json(found)
    else:
        for item in found:
            _show(context, item)
        if not found:
            context.out.note("no row matches")
    if not found:
        raise Exit(FAILED)


def _rows(context: Context, table: str, where: str, limit: int) -> list[dict[str, Any]]:
    """The rows with the two hidden columns, read as `query` reads."""
    from nexus_engine.cli.owning import ask
    from nexus_engine.clickhouse.quoting import ident

    database, dot, name = table.partition(".")
    if not dot or not database or not name:
        raise click.UsageError("TABLE is written `database.table`")
    sql = f"SELECT _nexus_batch, _nexus_row, * FROM {ident(database)}.{ident(name)} WHERE (\n{where}\n) ORDER BY _nexus_batch, _nexus_row LIMIT {limit}"
    found: list[dict[str, Any]] = ask(context, "query", {"sql": sql, "max_rows": limit})
    return found


def origin(store: Store, batch_id: str) -> dict[str, Any]:
    """What the state knows of a batch: itself, its run, the run's requests. ``why`` says what is not known any more."""
    import msgspec

    facts: dict[str, Any] = {"batch_id": batch_id, "batch": None, "run": None, "requests": [], "why": ""}
    batch = None if batch_id == NOBODY else store.batch(batch_id)
    if batch is None:
        facts["why"] = "these rows were not written by the engine" if batch_id == NOBODY else "this batch is not in the history any more"
        return facts
    run = store.run(batch.run_id)
    facts["batch"] = msgspec.to_builtins(batch)
    if run is None:
        facts["why"] = "its run is not in the history any more"
        return facts
    requests = store.requests(batch.run_id, limit=SHOWN_REQUESTS + 1)
    facts["run"] = {name: getattr(run, name) for name in ("run_id", "feed", "trigger", "status", "started_at", "finished_at")}
    facts["requests"] = msgspec.to_builtins(requests[:SHOWN_REQUESTS])
    if not requests:
        facts["why"] = "nothing was asked in its run, or its requests are not in the history any more"
    elif len(requests) > SHOWN_REQUESTS:
        facts["why"] = f"the first {SHOWN_REQUESTS} requests of its run are shown; the others: nexus-engine runs show {run.run_id}"
    return facts


def _answers(context: Context, store: Store, batch_id: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The kept answers that the rows came from, each once, with its rows and its file."""
    import msgspec

    folder = context.project.data_dir / "archive"
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        for body in store.answers_of(batch_id, row["_nexus_row"]):
            file = str(folder / body.sha256[:2] / f"{body.sha256}.zst")
            known = found.setdefault(body.id, {**msgspec.to_builtins(body), "file": file, "rows": []})
            known["rows"].append(row["_nexus_row"])
    return list(found.values())


def _print_body(context: Context, answers: list[dict[str, Any]]) -> None:
    """The one body on stdout, byte by byte.

    Raises:
        NexusError: the rows came from none that is kept, or from several.
        BodyLost: its file is missing or damaged.
    """
    import sys

    from nexus_engine.deliver.archive import Archive
    from nexus_engine.errors import NexusError
    from nexus_engine.host.redact import Redactor

    bodies = {answer["sha256"]: answer["size"] for answer in answers}
    if len(bodies) != 1:
        what = f"these rows came from {len(bodies)} bodies" if bodies else "no body is kept of what these rows came from"
        hint = "narrow --where to rows of one of them; without --body they are listed" if bodies else "keep answers: `archive: true` in the feed"
        raise NexusError(what, where=str(context.project.data_dir / "archive"), did="nothing was printed", do=hint)
    [(sha256, size)] = bodies.items()
    Archive(context.project.data_dir / "archive", Redactor()).unpack(sha256, size, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _show(context: Context, item: dict[str, Any]) -> None:
    out, batch, run = context.out, item["batch"], item["run"]
    out.line(f"batch {item['batch_id']}")
    out.table(item["rows"])
    if batch is not None:
        out.line(f"  batch    {batch['rows']} rows of feed {batch['feed']}, staged {batch['staged_at']}, landed {batch['done_at'] or 'not yet'}")
        for window in batch["windows"]:
            ends = f"{window['window_start'] or '…'}..{window['window_end'] or '…'}"
            out.line(f"  window   {window['partition'] or '(one)'} {ends}: {window['counts'].get('in_flight', 0)} rows to land of {window['counts'].get('read', 0)} read")
    if run is not None:
        out.line(f"  run      {run['run_id']} ({run['trigger']}, {run['status']}), {run['started_at']}")
    for request in item["requests"]:
        out.line(f"  request  {request['at']} {request['method']} {request['status'] or request['error']} {request['url']}")
    for answer in item["answers"]:
        out.line(f"  answer   {answer['at']} {answer['method']} {answer['status']} {answer['url']}")
        again = f", first of batch {answer['origin']}" if answer["origin"] else ""
        out.line(f"           page {answer['page']} of run {answer['run_id']}{again}; {answer['size']} bytes, rows {_ranges(answer['rows'])}")
        out.line(f"           sha256 {answer['sha256']}")
        out.line(f"           {answer['file']}")
    if item["why"]:
        out.note(f"  {item['why']}")


def _ranges(numbers: list[int]) -> str:
    """`1-3, 7` for 1, 2, 3 and 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
