"""What a long command shows while it works: a bar on a terminal, one JSON object per line elsewhere. Both on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from nexus_engine import events
from nexus_engine.cli.output import Output
from nexus_engine.events import Event, Observers

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET = (events.RequestDone, events.PageRead, events.Waiting, events.BatchStaged)
"""Told only with --debug: one per request or page."""


@contextmanager
def progress(out: Output) -> Iterator[Observers]:
    """Observers for a run that somebody waits for."""
    if not out.on_terminal:
        yield Observers(log_lines(out))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Observers(_Bars(bars, out))


def logged(out: Output) -> Observers:
    """Observers for an engine that runs on its own: lines, for people on a terminal, else as JSON."""
    return Observers(told_lines(out) if out.on_terminal else log_lines(out))


def log_lines(out: Output) -> Callable[[Event], None]:
    """One JSON object per event, on stderr."""

    def observer(event: Event) -> None:
        if isinstance(event, QUIET) and not out.debug:
            return
        import msgspec

        from nexus_engine.service.wire import event_to_json

        data = event_to_json(event)
        line = {"at": _now(), "event": data.pop("type"), **{name: value for name, value in data.items() if value not in ("", None)}}
        click.echo(out.redact(msgspec.json.encode(line).decode()), err=True)

    return observer


def told_lines(out: Output) -> Callable[[Event], None]:
    """One line per event that somebody at a terminal wants to see."""

    def observer(event: Event) -> None:
        text = _sentence(event)
        if text:
            out.note(f"{_now()[11:19]}  {event.feed:<24} {text}")

    return observer


def _sentence(event: Event) -> str:
    match event:
        case events.RunStarted():
            return f"started ({event.trigger}, {event.partitions} partitions)"
        case events.RunFinished():
            counts = f"read {event.read}, landed {event.landed}, unchanged {event.unchanged}, refused {event.quarantined}"
            same = f", {event.unchanged_answers} answers unchanged" if event.unchanged_answers else ""
            return f"{event.status}: {counts}{same}, {event.elapsed_s:.1f} s" + (f"; {event.error}" if event.error else "")
        case events.FeedLoaded():
            return f"{event.change}: {event.message}" if event.message else event.change
        case events.TableChanged():
            return f"ran: {' '.join(event.statement.split())[:100]}"
        case events.WindowsDone():
            return f"{event.done} of {event.total} windows, {left(event.left_s)} left"
        case events.RuleWarned():
            return f"warning: {event.rule}: {event.message}"
        case events.BatchLanded() if event.recovered:
            return f"recovered {event.rows} rows"
    return ""


class _Bars:
    """One bar per feed: partitions or records, as far as the source says how many there are."""

    def __init__(self, bars: Progress, out: Output) -> None:
        self._bars = bars
        self._out = out
        self._tasks: dict[str, TaskID] = {}
        self._pages: dict[str, int] = {}
        self._landed: dict[str, int] = {}
        self._windows: dict[str, events.WindowsDone] = {}

    def __call__(self, event: Event) -> None:
        feed = event.feed
        if isinstance(event, events.RunStarted):
            self._tasks[feed] = self._bars.add_task(feed, total=None, note="")
            return
        if feed not in self._tasks:
            return
        self._count(event)
        note = f"{self._pages.get(feed, 0)} pages, {self._landed.get(feed, 0)} rows landed"
        if isinstance(event, events.Waiting) and event.wait_s >= 1:
            note += f", waits {event.wait_s:.0f} s ({event.reason})"
        changes: dict[str, Any] = {"note": note, "completed": self._pages.get(feed, 0)}
        if isinstance(event, events.WindowsDone):
            self._windows[feed] = event
        if feed in self._windows:
            known = self._windows[feed]
            changes.update(completed=known.done, total=known.total, note=f"windows, {left(known.left_s)} left, {note}")
        if isinstance(event, events.RunFinished):
            self._windows.pop(feed, None)
            changes["total"] = max(1, self._pages.get(feed, 0))
            changes["completed"] = changes["total"]
        self._bars.update(self._tasks[feed], **changes)

    def _count(self, event: Event) -> None:
        if isinstance(event, events.PageRead):
            self._pages[event.feed] = self._pages.get(event.feed, 0) + 1
        elif isinstance(event, events.BatchLanded):
            self._landed[event.feed] = self._landed.get(event.feed, 0) + event.rows


def left(seconds: float) -> str:
    """A time to wait, in the unit that suits it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
