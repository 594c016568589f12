"""Which feed is due. Pure bookkeeping: time is an argument, running is somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nexus_engine.compile.plan import Plan, SchedulePlan
from nexus_engine.service.schedule import Due, after_run, due


@dataclass
class _Entry:
    schedule: SchedulePlan
    next: Due
    running: bool = False


@dataclass(frozen=True)
class Job:
    """A feed that is to run now; ``trigger`` is schedule or catch-up."""

    feed: str
    trigger: str
    at: datetime


class Agenda:
    """The next run of each scheduled feed. A feed that runs is not due again before it ends."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def take(self, plans: Mapping[str, Plan], stored: Mapping[str, datetime], now: datetime) -> dict[str, str]:
        """Follow the plans in effect: new feeds enter, changed schedules are worked out anew, the others keep their time.

        Returns:
            What cannot be scheduled: feed -> reason.
        """
        wrong: dict[str, str] = {}
        wanted = {name: plan.schedule for name, plan in plans.items() if plan.enabled and plan.schedule is not None}
        for name in self._entries.keys() - wanted.keys():
            del self._entries[name]
        for name, schedule in wanted.items():
            before = self._entries.get(name)
            if schedule.stream or (before is not None and before.schedule == schedule):
                continue
            kept = stored.get(name) if before is None else None
            try:
                self._entries[name] = _Entry(schedule, due(schedule, now=now, stored=kept), before is not None and before.running)
            except ValueError as error:
                wrong[name] = str(error)
        return wrong

    def due(self, now: datetime) -> list[Job]:
        """What is to start now, the longest waiting first."""
        ready = [(entry.next.at, name) for name, entry in self._entries.items() if not entry.running and entry.next.at <= now]
        return [Job(name, self._trigger(name, now), at) for at, name in sorted(ready)]

    def started(self, feed: str) -> None:
        if feed in self._entries:
            self._entries[feed].running = True

    def finished(self, job: Job, now: datetime) -> datetime | None:
        """The feed's next run; None when it has none any more."""
        entry = self._entries.get(job.feed)
        if entry is None:
            return None
        entry.running = False
        if entry.next.at == job.at:  # else its schedule was changed while it ran
            entry.next = Due(after_run(entry.schedule, fired=job.at, now=now))
        return entry.next.at

    def next_runs(self) -> dict[str, datetime]:
        return {name: entry.next.at for name, entry in self._entries.items()}

    def _trigger(self, name: str, now: datetime) -> str:
        entry = self._entries[name]
        late = due(entry.schedule, now=now, stored=entry.next.at).catch_up
        return "catch-up" if entry.next.catch_up or late else "schedule"
