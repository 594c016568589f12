"""When a feed runs next. Pure: time is an argument, always aware UTC. `every` is ``every_s``; streams have no times.

Cron fields are wall-clock time in their zone, so days have 23, 24 or 25 hours:

- a time that the clocks skip fires once, at the moment they jump: no day is left out;
- a time that comes twice fires at its first occurrence only, unless the cron's hour is ``*``: an hourly or
  quarter-hourly schedule goes on through the repeated hour.

A run that was missed (the process was down or stopped) is due at once, and only once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from nexus_engine.compile.plan import SchedulePlan

_NEAR = timedelta(hours=4)  # no zone moves its clock by more, save for skipped whole days, which are gaps only
_SECOND = timedelta(seconds=1)
GRACE = timedelta(seconds=60)  # a run that starts later than this is named a catch-up


@dataclass(frozen=True)
class Due:
    """When a feed is to run; ``catch_up``: it should have run longer than ``GRACE`` ago."""

    at: datetime
    catch_up: bool = False


def next_fire(schedule: SchedulePlan, after: datetime) -> datetime:
    """The first moment of the schedule strictly after ``after``; for ``every``, one interval later.

    Raises:
        ValueError: the cron never fires, or is not a cron; the zone does not exist.
    """
    if schedule.every_s:
        return after + timedelta(seconds=schedule.every_s)
    zone = _zone(schedule.timezone)
    local = after.astimezone(zone)
    twice = _every_hour(schedule.cron) and _folds_near(after, zone)
    start = local.replace(tzinfo=None, fold=0) - (_NEAR if twice else timedelta())
    best: datetime | None = None
    for wall in _walls(schedule.cron, start):
        if best is not None and _first(wall, zone) > best + _NEAR:
            break
        for moment in _moments(wall, zone, twice=twice):
            if moment > after and (best is None or moment < best):
                best = moment
        if best is not None and not twice:
            break
    if best is None:
        raise ValueError(f"cron {schedule.cron!r} never fires")
    return best


def due(schedule: SchedulePlan, *, now: datetime, stored: datetime | None) -> Due:
    """When the feed is to run, given the next run that was kept (None: never scheduled before).

    A stored moment in the past is a missed run: due now, once, however many were missed. A stored moment in the future
    is kept while the schedule still means it (a clock that steps back fires nothing twice), and worked out anew when
    the schedule was changed, or the clock moved back by more than one run.
    """
    if schedule.every_s:
        step = timedelta(seconds=schedule.every_s)
        if stored is None:
            return Due(now)
        if stored <= now:
            return Due(now, catch_up=now - stored > GRACE)
        return Due(min(stored, now + step))
    if stored is not None and stored <= now:
        return Due(now, catch_up=now - stored > GRACE)
    first = next_fire(schedule, now)
    if stored is None or stored == first or stored < first:
        return Due(first)
    return Due(stored if stored == next_fire(schedule, first) else first)


def after_run(schedule: SchedulePlan, *, fired: datetime, now: datetime) -> datetime:
    """The next run once a run that was due at ``fired`` has ended at ``now``: never in the past, so that a run that took
    longer than its interval is followed by one run, not by all it missed. ``every`` keeps its grid."""
    if not schedule.every_s:
        return next_fire(schedule, max(fired, now))
    step = timedelta(seconds=schedule.every_s)
    missed = max(0, (now - fired) // step)
    return fired + (missed + 1) * step


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"no time zone is called {name!r}") from None


def _every_hour(cron: str) -> bool:
    fields = cron.split()
    return len(fields) >= 2 and fields[1] == "*"


def _folds_near(moment: datetime, zone: ZoneInfo) -> bool:
    """True when the clocks of the zone are set back within ``_NEAR`` of this moment."""
    before = (moment - _NEAR).astimezone(zone).utcoffset()
    after = (moment + _NEAR).astimezone(zone).utcoffset()
    return before is not None and after is not None and after < before


def _walls(cron: str, start: datetime) -> Iterator[datetime]:
    """The cron's naive wall-clock times after ``start``; croniter sees no zone, so its days all have 24 hours."""
    from croniter import CroniterBadDateError, croniter

    try:
        times = croniter(cron, start)
    except (ValueError, KeyError, AttributeError):
        times = None
    if times is None or len(cron.split()) != 5:
        raise ValueError(f"{cron!r} is not a cron of five fields (minute hour day month weekday)")
    while True:
        try:
            yield times.get_next(datetime)
        except CroniterBadDateError:
            return


def _first(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the zone's clocks show ``wall`` or later."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return early
    low = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # in a gap: one reading lies before the jump, one after it
    offset = low.astimezone(zone).utcoffset()
    while early - low > _SECOND:
        middle = low + (early - low) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            early = middle
    return early


def _moments(wall: datetime, zone: ZoneInfo, *, twice: bool) -> list[datetime]:
    first = _first(wall, zone)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return [first, second] if twice and second > first else [first]
