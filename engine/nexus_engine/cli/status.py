"""`nexus-engine status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, Exit

if TYPE_CHECKING:
    from nexus_engine.compile.plan import Plan
    from nexus_engine.state.records import Run
    from nexus_engine.state.store import Store

OVERDUE = timedelta(minutes=5)
FACTS = (
    "last_run", "last_status", "last_started", "last_finished", "last_error", "rows", "next_run", "backfills", "partitions", "position", "lag_s", "refused", "drift", "staged",
)
COLUMNS = ("feed", "state", "last run", "ended", "landed then", "next run", "position", "lag", "refused", "drift", "staged")


BAD = ("failed", "incomplete", "interrupted", "stale")  # states that somebody should look at


@click.command("status")
@verb
def command(context: Context) -> None:
    """Show each feed's state; fail when one needs a look.

    That is one that failed, is incomplete, was interrupted, or is stale: its next run is overdue by more than five minutes. Needs no
    running engine.
    """
    from nexus_engine.deliver.lock import owner_pid

    store, loaded = context.store(), context.loaded
    now = datetime.now(UTC)
    staged: dict[str, int] = {}
    for batch in store.staged():
        staged[batch.feed] = staged.get(batch.feed, 0) + batch.rows
    refused, drifted = store.quarantined_counts(), store.drift_counts()
    pid = owner_pid(context.project.data_dir / "nexus.lock")
    rows = [
        {**feed_status(store, plan, now, alive=pid is not None), "refused": refused.get(name, 0), "drift": drifted.get(name, 0), "staged": staged.get(name, 0)}
        for name, plan in sorted(loaded.plans.items())
    ]
    gone = {name: count for name, count in staged.items() if name not in loaded.plans}
    broken = sorted({problem.file for problem in loaded.invalid})
    rows += [_broken(Path(file).stem) for file in broken if Path(file).parent.name == "sources.d"]
    bad = [row["feed"] for row in rows if row["state"] in BAD]
    if context.out.as_json:
        code = FAILED if bad or broken else 0
        context.out.json({"owner": pid, "feeds": rows, "broken": broken, "staged_without_file": gone, "exit_code": code})
    else:
        if rows:
            context.out.table([_short(row) for row in rows], COLUMNS)
        context.out.note(f"owner: process {pid}" if pid is not None else "no engine is running")
        for row in rows:
            for item in row["backfills"] or ():
                done = f", {item['done']} of {item['begun']} partitions done" if item["begun"] > 1 else ""
                word = "replace" if item["replace"] else "backfill"
                where = f"stands at {item['at']}{done}" if item["at"] is not None else "is read; old rows are not removed yet"
                context.out.note(f"{word}: {row['feed']} {item['range']} {where}; the same command goes on")
        for name, count in gone.items():
            context.out.note(f"staged: {count} rows of {name}, which has no file here: the next start delivers them")
        for file in broken:
            context.out.note(f"broken: {file} (see nexus-engine validate-config)")
    if bad or broken:
        raise Exit(FAILED)


def as_it_is(run: Run, *, alive: bool) -> Run:
    """A run that its process did not end is not running when no process owns the data folder."""
    import msgspec

    return msgspec.structs.replace(run, status="interrupted") if run.status == "running" and not alive else run


def _broken(name: str) -> dict[str, Any]:
    """A file that has no plan. A running engine may still hold the one it had before."""
    return {**dict.fromkeys(FACTS), "feed": name, "state": "broken"}


def feed_status(store: Store, plan: Plan, now: datetime, *, alive: bool) -> dict[str, Any]:
    """One feed's state: disabled, never, running, ok, failed, incomplete, interrupted or stale. Times are ISO 8601 UTC, ``lag_s``
    seconds since the newest cursor value, for cursors in time. ``alive``: a process owns the data folder."""
    last = next((as_it_is(run, alive=alive) for run in store.runs(plan.feed, 1)), None)
    next_run = store.next_run(plan.feed)
    overdue = next_run is not None and now - datetime.fromisoformat(next_run) > OVERDUE
    running = last is not None and last.status == "running"
    if not plan.enabled:
        state = "disabled"
    elif last is not None and last.status in BAD:
        state = last.status
    elif overdue and not running:
        state = "stale"
    elif running:
        state = "running"
    else:
        state = "never" if last is None else "ok"
    from nexus_engine.state.positions import unspaced

    stored = store.positions(plan.feed)
    positions = {name: position for name, position in stored.items() if not unspaced(name)[0]}
    cursors = [position["cursor"] for position in positions.values() if isinstance(position, dict) and position.get("cursor")]
    report = last.report if last is not None else {}
    return {
        "feed": plan.feed,
        "state": state,
        "last_run": last.run_id if last else None,
        "last_status": last.status if last else None,
        "last_started": last.started_at if last else None,
        "last_finished": last.finished_at if last else None,
        "last_error": (report.get("errors") or [{}])[0].get("what"),
        "rows": report.get("landed"),
        "next_run": next_run,
        "backfills": backfills(plan, stored),
        "partitions": len(positions),
        "position": min(cursors, default=None),
        "lag_s": _lag_s(plan, min(cursors, default=None), now),
    }


def backfills(plan: Plan, positions: dict[str, Any]) -> list[dict[str, Any]]:
    """Backfills, and ranges that are replaced, that have begun and are not done: their range, where the last of their partitions stands, how many are done."""
    from nexus_engine.deliver.backfill import Range, of_space
    from nexus_engine.deliver.replace import of_replace
    from nexus_engine.deliver.windows import Position
    from nexus_engine.state.positions import unspaced

    found: dict[str, dict[str, Any]] = {}
    for name, data in positions.items():
        space, _ = unspaced(name)
        ends = of_space(space) or of_replace(space)
        if ends is None or plan.cursor is None or not isinstance(data, dict):
            continue
        position = Position(**data)
        item = found.setdefault(space, {"range": space.partition(" ")[2], "at": None, "begun": 0, "done": 0, "replace": bool(of_replace(space))})
        item["begun"] += 1
        if Range(*ends).done(plan.cursor, position):
            item["done"] += 1
        else:
            at = position.cursor or ends[0]
            item["at"] = at if item["at"] is None else min(item["at"], at)
    return [item for item in found.values() if item["done"] < item["begun"] or item["replace"]]


def _lag_s(plan: Plan, cursor: str | None, now: datetime) -> float | None:
    if cursor is None or plan.cursor is None or plan.cursor.kind not in ("date", "datetime"):
        return None
    try:
        at = datetime.fromisoformat(cursor)
    except ValueError:
        return None
    return (now - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds()


def _short(row: dict[str, Any]) -> dict[str, Any]:
    lag = row["lag_s"]
    return {
        **row,
        "last run": row["last_run"],
        "ended": row["last_error"] or row["last_status"],
        "landed then": row["rows"],
        "next run": row["next_run"],
        "lag": None if lag is None else f"{lag / 86400:.1f} d" if lag >= 86400 else f"{lag / 3600:.1f} h",
    }
