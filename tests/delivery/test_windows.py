"""Which windows come next, and where the cursor goes: time is an argument, a test reads as a table."""

from datetime import UTC, datetime

import pytest

from nexus_engine.compile.plan import CursorPlan
from nexus_engine.contract.source import Window
from nexus_engine.deliver.windows import Position, Unit, add_months, asked, close, greatest, pieces, units

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def spans(rule, position, now=NOW):
    return [(u.window.start, u.window.end, u.final) for u in units(rule, position, now)]


def test_without_a_cursor_everything_is_asked_each_time():
    assert spans(None, Position()) == [(None, None, True)]
    assert close(None, Position(seen="x"), Unit(Window())) == Position()


@pytest.mark.capability("Incremental: a date as cursor", spec="cursor: {field: date, initial: 2000-01-01}")
@pytest.mark.capability("Incremental: lookback", spec="cursor: {field: date, initial: 2000-01-01, lookback: 30d}")
def test_first_run_starts_at_initial_and_later_ones_look_back():
    rule = CursorPlan(field="date", kind="date", initial="2000-01-01", lookback_s=30 * 86400)
    assert spans(rule, Position()) == [("2000-01-01", "2026-11-23", True)]
    assert spans(rule, Position(cursor="2026-11-02")) == [("2026-10-03", "2026-11-23", True)]
    assert spans(rule, Position(cursor="2000-01-10")) == [("2000-01-01", "2026-11-23", True)]


def test_a_time_is_asked_with_in_one_form_however_the_table_writes_it():
    rule = CursorPlan(field="t", kind="datetime", initial="2026-05-01T00:00:00Z")
    for stored, sent in (
        ("2026-05-01 12:00:00", "2026-05-01T12:00:00Z"), ("2026-05-01 12:00:00.000", "2026-05-01T12:00:00Z"),
        ("2026-05-01 12:00:00.250", "2026-05-01T12:00:00.250Z"), ("2026-05-01 12:00:00.123456", "2026-05-01T12:00:00.123456Z"),
        ("2026-05-01 12:00:00.123456000", "2026-05-01T12:00:00.123456Z"), ("2026-05-01 12:00:00.000000080", "2026-05-01T12:00:00.000000080Z"),
        ("2026-05-01T14:00:00.123456789+02:00", "2026-05-01T12:00:00.123456789Z"),
    ):  # fmt: skip
        assert [unit.window.start for unit in units(rule, Position(cursor=stored), NOW)] == [sent]


@pytest.mark.capability("Incremental: resume by page inside a window", spec="cursor: {field: date, initial: 2000-01-01, lookback: 1d}")
def test_an_open_window_is_finished_with_its_own_bounds_before_a_new_one():
    rule = CursorPlan(field="date", kind="date", initial="2000-01-01", lookback_s=86400)
    open_ = Position(cursor="2026-11-01", window={"start": "2026-10-31", "end": "2026-11-20"}, resume={"page": 3}, seen="2026-11-19")
    first, second = units(rule, open_, NOW)
    assert (first.window, first.resume, first.seen) == (Window("2026-10-31", "2026-11-20"), {"page": 3}, "2026-11-19")
    assert second.window == Window("2026-11-18", "2026-11-23")
    same_day = Position(cursor="2026-11-01", window={"start": "2026-10-31", "end": "2026-11-23"}, resume={"page": 3})
    assert len(list(units(rule, same_day, NOW))) == 1


@pytest.mark.capability("Incremental: windows in steps", spec="cursor: {field: date, initial: 1990-01-01, step: 1y}")
@pytest.mark.capability("Paging: walking by date", spec="cursor: {field: date, initial: 1990-01-01, step: 1y}")
def test_steps_of_a_year_align_to_the_calendar():
    rule = CursorPlan(field="date", kind="date", initial="2024-03-05", step_months=12)
    assert spans(rule, Position()) == [
        ("2024-01-01", "2025-01-01", False),
        ("2025-01-01", "2026-01-01", False),
        ("2026-01-01", "2027-01-01", True),
    ]
    assert spans(rule, Position(cursor="2026-11-20")) == [("2026-01-01", "2027-01-01", True)]


@pytest.mark.capability("Incremental: windows in steps", spec='cursor: {field: at, initial: "2026-11-21T09:00:00Z", step: 1d}')
@pytest.mark.capability("Incremental: a time as cursor: epoch, ISO 8601, a format", spec='cursor: {field: at, initial: "2026-11-21T09:00:00Z", step: 1d}')
def test_steps_in_seconds_end_now():
    rule = CursorPlan(field="t", kind="datetime", initial="2026-11-21T09:00:00Z", step_s=86400)
    assert spans(rule, Position()) == [
        ("2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z", False),
        ("2026-11-22T09:00:00Z", "2026-11-23T09:00:00Z", True),
    ]


@pytest.mark.parametrize(
    ("unit", "seen", "cursor"),
    [
        (Unit(Window("2024-01-01", "2025-01-01"), final=False), None, "2025-01-01"),  # an empty year is behind us
        (Unit(Window("2026-01-01", "2027-01-01")), "2026-11-20", "2026-11-20"),  # the growing one is not
        (Unit(Window("2026-01-01", "2027-01-01")), None, "2024-05-01"),
    ],
)
def test_where_the_cursor_goes_when_a_window_ends(unit, seen, cursor):
    rule = CursorPlan(field="date", kind="date", step_months=12)
    assert close(rule, Position(cursor="2024-05-01", seen=seen), unit) == Position(cursor=cursor)


def test_cursors_compare_by_kind_not_by_spelling():
    assert greatest("number", "9", "10", None) == "10"
    assert greatest("datetime", "2026-01-01T00:00:00.5Z", "2026-01-01 00:00:00") == "2026-01-01T00:00:00.5Z"
    assert greatest("datetime", "2026-01-01 00:00:00.000000070", "2026-01-01 00:00:00.00000008", "2026-01-01 00:00:00") == "2026-01-01 00:00:00.00000008"
    assert greatest("text", "9", "10") == "9"


def test_months_end_on_their_last_day():
    assert add_months(datetime(2024, 1, 31), 1) == datetime(2024, 2, 29)
    assert add_months(datetime(2024, 12, 31), 2) == datetime(2025, 2, 28)
    assert add_months(datetime(2024, 1, 31), -1) == datetime(2023, 12, 31)


NUMBER = CursorPlan(field="block", kind="number", initial="100", lookback_s=5)


def test_a_number_looks_back_by_a_number_and_never_before_initial():
    assert spans(NUMBER, Position()) == [("100", None, True)]
    assert spans(NUMBER, Position(cursor="20000000000000000001")) == [("19999999999999999996", None, True)]
    assert spans(NUMBER, Position(cursor="103")) == [("100", None, True)]
    halves = CursorPlan(field="v", kind="number", lookback_s=5)
    assert spans(halves, Position(cursor="10.5")) == [("5.5", None, True)]


@pytest.mark.capability("Incremental: end", spec="cursor: {field: block, initial: 100, step: 100, end: 350}")
def test_numbers_in_steps_end_at_end_and_never_move_past_what_was_read():
    rule = CursorPlan(field="block", kind="number", initial="100", step_s=100.0, end="350")
    assert spans(rule, Position()) == [("100", "200", True), ("200", "300", True), ("300", "350", True)]
    assert spans(rule, Position(cursor="250")) == [("250", "350", True)]
    assert spans(rule, Position(cursor="350")) == []
    assert close(rule, Position(cursor="150"), Unit(Window("200", "300"))) == Position(cursor="150")
    assert [(u.window.start, u.window.end, u.final) for u in pieces(rule, "100", "250")] == [("100", "200", False), ("200", "250", False)]


@pytest.mark.capability("Incremental: delay", spec="cursor: {field: date, initial: 2026-11-20, delay: 2d}")
def test_windows_end_so_long_before_now():
    rule = CursorPlan(field="date", kind="date", initial="2026-11-20", delay_s=2 * 86400)
    assert spans(rule, Position()) == [("2026-11-20", "2026-11-21", True)]
    rule = CursorPlan(field="t", kind="datetime", initial="2026-11-23T06:00:00Z", step_s=3600, delay_s=5400)
    assert spans(rule, Position()) == [
        ("2026-11-23T06:00:00Z", "2026-11-23T07:00:00Z", False),
        ("2026-11-23T07:00:00Z", "2026-11-23T07:30:00Z", True),
    ]
    rule = CursorPlan(field="t", kind="datetime", initial="2026-11-23T08:30:00Z", step_s=3600, delay_s=5400)
    assert spans(rule, Position()) == []


def asked_for(rule, now=NOW):
    return [(w.start, w.end) for w in (asked(rule, unit) for unit in units(rule, Position(), now))]


@pytest.mark.capability("Incremental: inclusive and exclusive bounds", spec='cursor: {field: date, initial: 2026-01-01, step: 1mo, bounds: "[]"}')
@pytest.mark.parametrize(
    ("kind", "initial", "step", "end", "bounds", "windows"),
    [
        ("date", "2026-11-21", 86400, "", "[)", [("2026-11-21", "2026-11-22"), ("2026-11-22", "2026-11-23"), ("2026-11-23", "2026-11-23")]),
        ("date", "2026-11-20", 172800, "", "[]", [("2026-11-20", "2026-11-21"), ("2026-11-22", "2026-11-23")]),
        ("date", "2026-11-20", 172800, "", "()", [("2026-11-19", "2026-11-22"), ("2026-11-21", "2026-11-23")]),
        ("datetime", "2026-11-23T07:00:00Z", 3600, "", "(]", [
            ("2026-11-23T06:59:59Z", "2026-11-23T08:00:00Z"), ("2026-11-23T07:59:59Z", "2026-11-23T09:00:00Z")]),
        ("number", "0", 10, "20", "[]", [("0", "9"), ("10", "20")]),
        ("number", "0", 10, "20", "(]", [("-1", "9"), ("9", "20")]),
        ("number", "0", 10, "20", "[)", [("0", "10"), ("10", "20")]),
    ],
)  # fmt: skip
def test_bounds_are_asked_for_as_the_source_means_them(kind, initial, step, end, bounds, windows):
    assert asked_for(CursorPlan(field="f", kind=kind, initial=initial, step_s=step, end=end, bounds=bounds)) == windows


def test_months_with_an_end_that_is_included():
    rule = CursorPlan(field="d", kind="date", initial="2026-10-05", step_months=1, bounds="[]")
    assert asked_for(rule) == [("2026-10-01", "2026-10-31"), ("2026-11-01", "2026-11-30")]


def test_without_a_step_the_window_is_asked_for_as_it_is():
    rule = CursorPlan(field="d", kind="date", initial="2026-10-05", bounds="(]")
    assert asked_for(rule) == [("2026-10-05", "2026-11-23")]
    assert asked(None, Unit(Window())) == Window()
