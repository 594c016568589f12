"""Schedules as tables: what fires when, through both changes of the clocks, missed runs and clocks that jump."""

from datetime import UTC, datetime, timedelta

import pytest

from nexus_engine.contract.options import Duration
from nexus_engine.service.schedule import after_run, due, next_fire
from nexus_engine.compile.plan import SchedulePlan


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(text: str, zone: str = "America/New_York") -> SchedulePlan:
    return SchedulePlan(cron=text, timezone=zone)


def every(text: str) -> SchedulePlan:
    return SchedulePlan(every_s=float(Duration(text)))


def fires(schedule: SchedulePlan, start: str, end: str) -> list[str]:
    found, at = [], utc(start)
    while (at := next_fire(schedule, at)) < utc(end):
        found.append(at.strftime("%d %H:%M"))
    return found


# New York: forward 2026-03-08 07:00Z (02:00 EST -> 03:00 EDT), back 2026-11-01 06:00Z (02:00 EDT -> 01:00 EST).
TABLE = [
    ("daily, over the jump forward", cron("0 9 * * *"), "2026-03-07T00:00", "2026-03-10T00:00", ["07 14:00", "08 13:00", "09 13:00"]),
    ("skipped time fires at the jump", cron("30 2 * * *"), "2026-03-07T00:00", "2026-03-10T00:00", ["07 07:30", "08 07:00", "09 06:30"]),
    ("repeated time fires once", cron("30 1 * * *"), "2026-10-31T00:00", "2026-11-03T00:00", ["31 05:30", "01 05:30", "02 06:30"]),
    ("hourly, over the jump forward", cron("0 * * * *"), "2026-03-08T05:30", "2026-03-08T09:30", ["08 06:00", "08 07:00", "08 08:00", "08 09:00"]),
    ("hourly, over the jump back", cron("0 * * * *"), "2026-11-01T04:30", "2026-11-01T08:30", ["01 05:00", "01 06:00", "01 07:00", "01 08:00"]),
    ("half-hourly, over the jump back", cron("*/30 * * * *"), "2026-11-01T05:15", "2026-11-01T07:15",
     ["01 05:30", "01 06:00", "01 06:30", "01 07:00"]),
    ("several skipped times are one", cron("0,15,50 2-3 * * *"), "2026-03-08T05:00", "2026-03-08T09:00", ["08 07:00", "08 07:15", "08 07:50"]),
    ("a zone off by half an hour", cron("0 9 * * *", "Asia/Kolkata"), "2026-01-01T00:00", "2026-01-03T00:00", ["01 03:30", "02 03:30"]),
    ("a zone that moves by half an hour", cron("*/30 * * * *", "Australia/Lord_Howe"), "2026-04-04T13:45", "2026-04-04T16:15",
     ["04 14:00", "04 14:30", "04 15:00", "04 15:30", "04 16:00"]),
    ("a day that never was", cron("0 12 * * *", "Pacific/Apia"), "2011-12-29T00:00", "2012-01-01T00:00", ["29 22:00", "30 10:00", "30 22:00", "31 22:00"]),
    ("29 February", cron("0 0 29 2 *", "UTC"), "2026-01-01T00:00", "2033-01-01T00:00", ["29 00:00", "29 00:00"]),
    ("beyond 2038", cron("0 0 1 1 *", "UTC"), "2038-06-01T00:00", "2040-06-01T00:00", ["01 00:00", "01 00:00"]),
]


@pytest.mark.parametrize(("schedule", "start", "end", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_fires(schedule, start, end, expected):
    assert fires(schedule, start, end) == expected


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago", "UTC"])
def test_a_daily_schedule_fires_once_each_local_day(zone):
    at, days = utc("2026-01-01T12:00"), []
    from zoneinfo import ZoneInfo

    for _ in range(400):
        at = next_fire(cron("30 2 * * *", zone), at)
        days.append(at.astimezone(ZoneInfo(zone)).date())
    assert [b - a for a, b in zip(days, days[1:])] == [timedelta(days=1)] * 399


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Asia/Kolkata"])
def test_a_quarter_hourly_schedule_fires_each_quarter_of_the_year(zone):
    at = utc("2026-01-01T00:00")
    for start in ("2026-03-07T20:00", "2026-03-28T20:00", "2026-10-24T20:00", "2026-10-31T20:00"):
        at = utc(start)
        for _ in range(120):
            following = next_fire(cron("*/15 * * * *", zone), at)
            assert following - at == timedelta(minutes=15)
            at = following


DAILY, NINE, NEXT_NINE = cron("0 9 * * *", "UTC"), utc("2026-05-05T09:00"), utc("2026-05-06T09:00")
DUE = [
    ("never scheduled: wait for the next", DAILY, "2026-05-05T08:00", None, NINE, False),
    ("kept", DAILY, "2026-05-05T08:00", NINE, NINE, False),
    ("just due", DAILY, "2026-05-05T09:00", NINE, NINE, False),
    ("ten days down: one run, now", DAILY, "2026-05-15T10:00", NINE, utc("2026-05-15T10:00"), True),
    ("the clock stepped back an hour after the run: not twice", DAILY, "2026-05-05T08:30", NEXT_NINE, NEXT_NINE, False),
    ("the clock was days ahead", DAILY, "2026-05-01T08:00", NINE, utc("2026-05-01T09:00"), False),
    ("the schedule was changed", cron("0 10 * * *", "UTC"), "2026-05-05T08:00", NINE.replace(day=20), utc("2026-05-05T10:00"), False),
    ("every: first time now", every("15m"), "2026-05-05T08:00", None, utc("2026-05-05T08:00"), False),
    ("every: kept over a restart", every("15m"), "2026-05-05T08:55", NINE, NINE, False),
    ("every: stopped for hours, one run", every("15m"), "2026-05-05T18:00", NINE, utc("2026-05-05T18:00"), True),
    ("every: the clock was a day ahead", every("15m"), "2026-05-04T09:00", NINE, utc("2026-05-04T09:15"), False),
]


@pytest.mark.parametrize(("schedule", "now", "stored", "at", "catch_up"), [row[1:] for row in DUE], ids=[row[0] for row in DUE])
def test_due(schedule, now, stored, at, catch_up):
    found = due(schedule, now=utc(now), stored=stored)
    assert (found.at, found.catch_up) == (at, catch_up)


AFTER = [
    ("cron, on time", DAILY, NINE, "2026-05-05T09:01", NEXT_NINE),
    ("cron, a run of two days", DAILY, NINE, "2026-05-07T09:30", utc("2026-05-08T09:00")),
    ("every keeps its grid", every("15m"), NINE, "2026-05-05T09:04", utc("2026-05-05T09:15")),
    ("every, a run longer than its interval", every("15m"), NINE, "2026-05-05T09:50", utc("2026-05-05T10:00")),
    ("the clock stepped back during the run", DAILY, NINE, "2026-05-05T08:00", NEXT_NINE),
    ("every, the clock stepped back", every("15m"), NINE, "2026-05-05T08:00", utc("2026-05-05T09:15")),
]


@pytest.mark.parametrize(("schedule", "fired", "now", "expected"), [row[1:] for row in AFTER], ids=[row[0] for row in AFTER])
def test_after_run(schedule, fired, now, expected):
    assert after_run(schedule, fired=fired, now=utc(now)) == expected


@pytest.mark.parametrize(("schedule", "message"), [
    (cron("0 0 31 2 *"), "never fires"),
    (cron("0 9 * * *", "Mars/Olympus"), "no time zone is called 'Mars/Olympus'"),
    (cron("0 9 * *"), "cron"),
])
def test_schedules_that_cannot_be(schedule, message):
    with pytest.raises(ValueError, match=message):
        next_fire(schedule, utc("2026-01-01T00:00"))
