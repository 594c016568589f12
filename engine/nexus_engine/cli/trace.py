"""`nexus-engine trace TABLE --where ...`: from landed rows back to their batch, run, request and kept answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.output import cell

if TYPE_CHECKING:
    from nexus_engine.state.store import Store

NOBODY = "00000000-0000-0000-0000-000000000000"
SHOWN_REQUESTS = 50
SHOWN_COLUMNS = 3  # of a row without a key


@click.command("trace")
@click.argument("table")
@click.option("--where", metavar="SQL", required=True, help="Which rows: a condition over the table's columns.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Rows to follow.")
@click.option("--body", "as_body", is_flag=True, help="Print the kept body that the rows came from, and nothing else.")
@verb
def command(context: Context, table: str, where: str, limit: int, as_body: bool) -> None:
    """Follow landed rows back to their batch, run, request and kept answer.

    TABLE is written `database.table`. Fails when no row matches. Answers are kept for feeds with `archive: true`. All that is known, the
    other requests of the run too: --json.
    """
    from nexus_engine.cli.trace_rows import rows_of

    rows, more = rows_of(context, table, where, limit)
    batches: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        batches.setdefault(str(row.pop("_nexus_batch")), []).append({"_nexus_row": row.pop("_nexus_row"), **row})
    store = context.store()
    found = [{**origin(store, batch), "answers": _answers(context, store, batch, some), "rows": some} for batch, some in batches.items()]
    if as_body:
        _print_body(context, found)
    elif context.out.as_json:
        context.out.json(found)
    else:
        for number, item in enumerate(found):
            if number:
                context.out.line()
            _show(context, table, item)
    if more:
        context.out.note(f"more rows match than the first {limit}, which were followed: narrow --where to one row's key, or raise --limit")


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


def _print_body(context: Context, found: list[dict[str, Any]]) -> None:
    """The one body on stdout, byte by byte.

    Raises:
        NexusError: the rows came from none that is kept, or from several.
        BodyLost: its file is missing or damaged.
    """
    import sys

    from nexus_engine.deliver.archive import Archive
    from nexus_engine.errors import NexusError
    from nexus_engine.host.redact import Redactor

    bodies = {answer["sha256"]: answer["size"] for item in found for answer in item["answers"]}
    if len(bodies) != 1:
        what = f"these rows came from {len(bodies)} bodies" if bodies else "no body is kept of what these rows came from"
        hint = _narrower(found) if bodies else "keep answers: `archive: true` in the feed"
        raise NexusError(what, where=str(context.project.data_dir / "archive"), did="nothing was printed", do=hint)
    [(sha256, size)] = bodies.items()
    Archive(context.project.data_dir / "archive", Redactor()).unpack(sha256, size, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _narrower(found: list[dict[str, Any]]) -> str:
    """How to ask for one of several bodies: by batch, where they are revisions of a row; else by row."""
    batches = [item["batch_id"] for item in found if item["answers"]]
    one = f"add to --where: AND _nexus_batch = '{batches[-1]}' (the newest)" if len(batches) > 1 else "narrow --where to one row"
    return f"{one}; without --body they are listed"


def _show(context: Context, table: str, item: dict[str, Any]) -> None:
    """The chain of a batch's rows, a line for each link."""
    out, batch, run, answers = context.out, item["batch"], item["run"], item["answers"]
    key = batch["key"] if batch else ()
    for row in item["rows"]:
        out.line(f"row      {_identity(context, row, key)} ({table}, row {row['_nexus_row']} of its batch)")
    out.line(f"batch    {item['batch_id']}{_batch(batch) if batch else ''}")
    if run is not None:
        out.line(f"run      {run['run_id']} ({run['trigger']}, {run['status']}), begun {run['started_at']}")
    for answer in answers:
        again = f", first read in batch {answer['origin']}" if answer["origin"] else ""
        several = f", gave rows {_ranges(answer['rows'])}" if len(answers) > 1 else ""
        out.line(f"request  {answer['at']} {answer['method']} {answer['status']} {answer['url']}")
        out.line(f"page     {answer['page']}{_window(answer)}{again}{several}")
        out.line(f"body     sha256 {answer['sha256']}, {answer['size']} bytes")
    if not answers:
        for line in _asked(item):
            out.line(line)
    if item["why"] and not item["requests"] and not (answers and run):
        out.note(item["why"])


def _identity(context: Context, row: dict[str, Any], key: Sequence[str]) -> str:
    """A row by its key; without one, by its first columns."""
    names = [name for name in key if name in row] or [name for name in row if name != "_nexus_row"][:SHOWN_COLUMNS]
    return ", ".join(f"{name} {cell(row[name], context.out.mask)}" for name in names)


def _batch(batch: dict[str, Any]) -> str:
    window = _window(batch["windows"][0]) if len(batch["windows"]) == 1 else ""
    return f", {batch['rows']} rows of feed {batch['feed']}{window}, landed {batch['done_at'] or 'not yet'}"


def _window(of: dict[str, Any]) -> str:
    partition = f", partition {of['partition']}" if of["partition"] else ""
    start, end = of["window_start"], of["window_end"]
    return f"{partition}, window {start or '…'}..{end or '…'}" if start or end else partition


def _asked(item: dict[str, Any]) -> list[str]:
    """The request of a run that made only one; of several it is not known which, because no answer is kept."""
    requests, run = item["requests"], item["run"]
    if len(requests) == 1:
        [one] = requests
        # Runs of older engines have the time of their end here: later than the batch, so none of an answer.
        at = f"{one['at']} " if one["at"] <= item["batch"]["staged_at"] else ""
        return [f"request  {at}{one['method']} {one['status'] or one['error']} {one['url']}"]
    if not requests:
        return []
    many = f"{SHOWN_REQUESTS} or more" if len(requests) == SHOWN_REQUESTS else len(requests)
    return [f"request  one of {many}: nexus-engine runs show {run['run_id']} (which one is known with `archive: true` in the feed)"]


def _ranges(numbers: list[int]) -> str:
    """`1-3, 7` for 1, 2, 3 and 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
