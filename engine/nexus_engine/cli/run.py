"""`nexus-engine run`: once, or on the schedules until SIGTERM."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, OK, SOME_FAILED, Exit, invalid

if TYPE_CHECKING:
    from nexus_engine.service.owner import Owner

COLUMNS = ("feed", "status", "read", "landed", "new", "revised", "unchanged", "superseded", "filtered", "refused", "seconds")


@click.command("run")
@click.argument("feeds", nargs=-1)
@click.option("--once", is_flag=True, help="Run now, once, and end.")
@click.option("--record", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Keep every exchange as a cassette (with --once).")
@click.option(
    "--replay", metavar="DIR", type=click.Path(exists=True, path_type=Path), help="Answer from cassettes instead of the APIs (with --once)."
)
@click.option("--from", "start", metavar="A", help="Backfill: read what is from A on and before B, once. The live position stays.")
@click.option("--to", "end", metavar="B", help="Backfill: the first value after the range.")
@click.option("--each", metavar="NAME=VALUE", multiple=True, help="Backfill only these partitions; may be given more than once.")
@click.option("--replace", is_flag=True, help="Backfill: read all of the range again; what the table has of it and the source has not is removed.")
@click.option("--yes", is_flag=True, help="Do not ask before rows are removed (with --replace).")
@verb
def command(
    context: Context, feeds: tuple[str, ...], once: bool, record: Path | None, replay: Path | None, start: str | None, end: str | None,
    each: tuple[str, ...], replace: bool, yes: bool,
) -> None:
    """Run feeds once (--once), or all of them on their schedules.

    Without FEEDS: every enabled feed. Without --once it goes on until SIGTERM or Ctrl-C, which let runs under way end (10 s at
    most); a second one ends it at once. Both are safe: what is half done is finished by the next start.
    """
    backfill = backfill_words(feeds, start, end, each, replace=replace)
    once = once or bool(backfill)
    if (record or replay) and not once:
        raise click.UsageError("--record and --replay go with --once")
    if replace and not yes:
        _confirm(context, feeds[0], backfill)
    if once:
        _once(context, feeds, record, replay, backfill)
    else:
        _serve(context, feeds)


def _confirm(context: Context, feed: str, backfill: dict[str, Any]) -> None:
    """Say how many rows the table has of the range, and ask.

    Raises:
        click.UsageError: there is nobody to ask.
        Exit: the answer is no.
    """
    from nexus_engine.cli.asking import confirm
    from nexus_engine.cli.owning import ask

    _check(context, [feed])
    found = ask(context, "old-rows", {"feed": feed, "backfill": backfill})
    words = f"{found['rows']:,} rows of {found['table']} are in the range. Read it again, and remove what the source does not have any more?"
    confirm(context, words, "nothing was read or removed")


def backfill_words(
    feeds: Sequence[str], start: str | None, end: str | None, each: Sequence[str], *, replace: bool = False
) -> dict[str, Any]:
    """What the words say of a range; empty when there is none.

    Raises:
        click.UsageError: they do not go together.
    """
    if not (start or end or each or replace):
        return {}
    if not (start and end):
        raise click.UsageError("a backfill needs both --from and --to")
    if len(feeds) != 1:
        raise click.UsageError("a backfill is of one feed: name it")
    return {"from": start, "to": end, "each": list(each), "replace": replace}


def _once(context: Context, feeds: tuple[str, ...], record: Path | None, replay: Path | None, backfill: dict[str, Any]) -> None:
    from nexus_engine.cli.owning import owning, refuse_owner, silent, waited
    from nexus_engine.cli.progress import progress
    from nexus_engine.service.socket_client import connect

    context.replaying = replay is not None
    # a recording is of one request after the other
    args: dict[str, Any] = {"feeds": list(dict.fromkeys(feeds)), "trigger": "once", "backfill": backfill, "one_by_one": bool(record or replay)}
    if record or replay:
        refuse_owner(context, "--record" if record else "--replay")
    client = connect(context.project.data_dir)
    with progress(context.out) as observers:
        if client is not None:
            context.plans(feeds)  # with the problems' places, which the owner has told already
            context.out.note(f"forwarded to process {client.health()['pid']}, which owns the data folder")
            reports = client.call("run", {**args, "trigger": "socket"}, observers.emit)
        else:
            _check(context, feeds)
            with owning(context, observers=observers, record=record, replay=replay) as owner:
                if not feeds:
                    _tell_broken(context, owner)
                verbs = owner.verbs()
                reports = waited(lambda: verbs["run"](args, silent), owner.stop, _told(context))
    if backfill and backfill["replace"] and not context.out.as_json and reports and reports[0]["status"] != "failed":
        context.out.note(f"{reports[0]['removed']} rows removed")
    elif backfill and not context.out.as_json and reports and not reports[0]["windows"] and reports[0]["status"] == "empty":
        context.out.note("this backfill is done: nothing was asked (to do it again: --replace)")
    show(context, reports)


def _check(context: Context, feeds: Sequence[str]) -> None:
    """A feed that is asked for by name and cannot run is told before anything is opened; of all feeds, those that cannot stay out.

    Raises:
        ConfigError: a feed is unknown, its file is broken, or its secrets are not set.
    """
    if feeds:
        context.plans(feeds)
    else:
        context.accept()
    if unset := [name for name in feeds if name in context.loaded.unset]:
        raise invalid(context.loaded.of(unset))


def show(context: Context, reports: list[dict[str, Any]]) -> None:
    """The reports as a table, their errors below it; ends the command with the exit code they mean."""
    out = context.out
    failed = [report for report in reports if report["status"] in ("failed", "incomplete")]
    code = OK if not failed else FAILED if len(failed) == len(reports) else SOME_FAILED
    if out.as_json:
        out.json({"runs": reports, "exit_code": code})
        raise Exit(code)
    if reports:
        out.table([row(report) for report in reports], COLUMNS)
    else:
        out.note("there is no enabled feed: nothing ran")
    for report in reports:
        for text in report.get("warnings", ()):
            out.note(f"warning: {report['feed']}: {text}")
        for error in report.get("errors", ()):
            place = f"{report['feed']} {error['partition']}".strip()
            out.note(f"error: {place}: {error['what']}")
            for label, key in (("where", "where"), ("engine", "did"), ("to do", "do")):
                if error.get(key):
                    out.note(f"  {label + ':':<8}{error[key]}")
    raise Exit(code)


def row(report: dict[str, Any]) -> dict[str, Any]:
    """A report as a row of the summary."""
    return {**report, "status": status_words(report), "refused": report["quarantined"], "seconds": round(report["elapsed_s"], 2)}


def status_words(report: dict[str, Any], status: str = "") -> str:
    """The status, and beside rows that came, how many answers were those of the last run."""
    status, same = status or report["status"], report.get("unchanged_answers", 0)
    return f"{status} ({same} unchanged)" if same and status != "unchanged" else status


def _serve(context: Context, feeds: tuple[str, ...]) -> None:
    from nexus_engine.cli.owning import owning
    from nexus_engine.cli.progress import logged
    from nexus_engine.service.scheduler import DRAIN_S, Scheduler
    from nexus_engine.service.signals import GracefulStop

    _check(context, feeds)
    observers = logged(context.out)
    with GracefulStop(_told(context)) as stopping, owning(context, observers=observers, only=feeds) as owner:
        _tell_broken(context, owner)
        owner.expire()
        scheduler = Scheduler(owner, concurrency=context.project.concurrency, observers=observers)
        owner.next_runs = scheduler.next_runs
        _tell_schedule(context, owner)
        ended = scheduler.serve(stopping.asked)
        if not ended:
            context.out.note(f"a run did not end within {DRAIN_S:.0f} s and is cut off; the next start finishes what it had taken over")
            sys.stdout.flush()
            os._exit(OK)  # its thread cannot be ended otherwise; every point is safe to be killed at
    raise Exit(OK)


def _told(context: Context) -> Any:
    return lambda name: context.out.note(f"{name}: runs under way may end; once more ends at once")


def _tell_broken(context: Context, owner: Owner) -> None:
    """Problems in files that do not stop this command: other feeds run."""
    from nexus_engine.spec.problems import render

    if problems := context.loaded.problems:
        context.out.note(render(problems))
        context.out.note(f"error: {len(problems)} problem(s) in the configuration; the {len(owner.plans)} other feed(s) run")


def _tell_schedule(context: Context, owner: Owner) -> None:
    scheduled = [name for name, plan in owner.plans.items() if plan.enabled and plan.schedule]
    context.out.note(f"nexus-engine runs {len(scheduled)} of {len(owner.plans)} feeds on their schedules, process {os.getpid()}")
