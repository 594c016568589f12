"""Which feed is due: no overlap with itself, missed runs once, changed schedules, time as an argument."""

from datetime import UTC, datetime

import pytest
from nexus_engine.compile.plan import SchedulePlan
from nexus_engine.service.agenda import Agenda


def utc(text):
    return datetime.fromisoformat(f"2026-05-{text}").replace(tzinfo=UTC)


@pytest.fixture
def plans(make_plan):
    def make(**schedules):
        return {name: make_plan(name, schedule=schedule, enabled=name != "off") for name, schedule in schedules.items()}

    return make


NINE, TEN = SchedulePlan(cron="0 9 * * *"), SchedulePlan(cron="0 10 * * *")
QUARTER = SchedulePlan(every_s=900)


def due(agenda, now):
    return [(job.feed, job.trigger) for job in agenda.due(utc(now))]


def test_due_in_order_and_not_while_it_runs(plans):
    agenda = Agenda()
    agenda.take(plans(a=NINE, b=QUARTER), {"b": utc("05T08:45")}, utc("05T08:00"))
    assert due(agenda, "05T08:00") == []
    assert due(agenda, "05T09:00") == [("b", "catch-up"), ("a", "schedule")]
    [b, a] = agenda.due(utc("05T09:00"))
    agenda.started("a")
    agenda.started("b")
    assert due(agenda, "06T12:00") == []
    assert agenda.finished(b, utc("05T09:40")) == utc("05T09:45")
    assert agenda.finished(a, utc("05T09:01")) == utc("06T09:00")
    assert due(agenda, "05T09:45") == [("b", "schedule")]


def test_a_process_that_slept_runs_once(plans):
    agenda = Agenda()
    agenda.take(plans(b=QUARTER), {"b": utc("05T09:00")}, utc("05T08:50"))
    [job] = agenda.due(utc("05T21:07"))
    assert job.trigger == "catch-up"
    agenda.started("b")
    assert agenda.finished(job, utc("05T21:08")) == utc("05T21:15")


def test_not_scheduled(plans):
    agenda = Agenda()
    wrong = agenda.take(
        plans(off=NINE, none=None, stream=SchedulePlan(stream=True), never=SchedulePlan(cron="0 0 31 2 *")), {}, utc("05T08:00")
    )
    assert list(wrong) == ["never"]
    assert agenda.next_runs() == {}


def test_a_changed_schedule_is_worked_out_anew_and_the_others_stay(plans):
    agenda = Agenda()
    agenda.take(plans(a=NINE, b=QUARTER), {"b": utc("05T08:10")}, utc("05T08:00"))
    agenda.take(plans(a=TEN, b=QUARTER), {}, utc("05T08:05"))
    assert agenda.next_runs() == {"a": utc("05T10:00"), "b": utc("05T08:10")}


def test_changed_while_it_runs(plans):
    agenda = Agenda()
    agenda.take(plans(a=NINE), {}, utc("05T08:00"))
    [job] = agenda.due(utc("05T09:00"))
    agenda.started("a")
    agenda.take(plans(a=SchedulePlan(cron="5 9 * * *")), {}, utc("05T09:01"))
    assert due(agenda, "05T09:05") == []
    assert agenda.finished(job, utc("05T09:06")) == utc("05T09:05")
    assert due(agenda, "05T09:06") == [("a", "schedule")]


def test_removed_while_it_runs(plans):
    agenda = Agenda()
    agenda.take(plans(a=NINE), {}, utc("05T08:00"))
    [job] = agenda.due(utc("05T09:00"))
    agenda.started("a")
    agenda.take({}, {}, utc("05T09:01"))
    assert agenda.finished(job, utc("05T09:06")) is None
