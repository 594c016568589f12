"""Backfill: windows inside the range, a position of its own, what was cut off goes on, what would land twice is refused."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nexus_engine.compile.feeds import load_feeds  # noqa: E402
from nexus_engine.compile.plan import CursorPlan  # noqa: E402
from nexus_engine.contract.registry import build_registry  # noqa: E402
from nexus_engine.deliver.backfill import checked_range  # noqa: E402
from nexus_engine.deliver.run import Limits  # noqa: E402
from nexus_engine.deliver.session import Session  # noqa: E402
from nexus_engine.deliver.windows import pieces  # noqa: E402
from nexus_engine.errors import ConfigError  # noqa: E402
from nexus_engine.events import Observers, WindowsDone  # noqa: E402
from nexus_engine.project.project import Project  # noqa: E402

FEED = """
name: days
source:
  plugin: ranged
  file: {file}
  start: "{{{{ window.start }}}}"
  end: "{{{{ window.end }}}}"
  each: {{symbol: [AAA, BBB]}}
  records: rows
cursor: {{field: day, initial: 2024-01-09, step: 4d}}
fields: {{symbol: {{from: each.symbol, type: String}}, day: Date, v: UInt32}}
validate: [{{expect: freshness, field: day, within: 3d, severity: fail}}]
target: {{table: m.days, key: [symbol, day]}}
"""
NOW = datetime(2024, 1, 12, tzinfo=UTC)


class World:
    def __init__(self, root):
        self.root, self.file = root, root / "days.json"
        self.limits, self.watch = None, lambda event: None
        (root / "sources.d").mkdir()
        self.feed(FEED)
        self.days({day: day for day in range(1, 12)})

    def feed(self, text):
        (self.root / "sources.d" / "days.yaml").write_text(text.format(file=self.file))

    def days(self, days):
        self.file.write_text(json.dumps({symbol: {f"2024-01-{day:02}": v for day, v in days.items()} for symbol in ("AAA", "BBB")}))

    @property
    def asked(self):
        return [line.rsplit(" ", 1)[0] for line in self.file.with_suffix(".log").read_text().splitlines()]

    def run(self, *words, each=()):
        """A live run, or a backfill of (from, to)."""
        self.file.with_suffix(".log").write_text("")
        registry = build_registry(["ranged_source"])
        project = Project.load(self.root, registry=registry)
        plan = load_feeds(project, registry).plans["days"]
        self.events = []
        with Session.open(project, registry, observers=Observers(self.events.append, self.watch), now=lambda: NOW) as session:
            session.limits = self.limits or session.limits
            mover = checked_range(plan, *words, each, NOW).job if words else None
            report = session.run(plan, mover=mover)
            self.positions = session.store.positions("days")
            self.rows = [tuple(row.values()) for row in session.engine.rows("SELECT symbol, toUInt8(toDayOfMonth(day)) FROM m.days ORDER BY ALL")]
        assert report.closes(), report
        return report


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.capability("Backfill: a range with a position of its own", spec="nexus-engine run FEED --from 2020-01-01 --to 2021-01-01 --each series=DGS10")
def test_a_backfill_has_its_own_position_and_the_live_one_stays(world):
    assert world.run().landed == 6
    live = world.positions
    assert set(live) == {"symbol=AAA", "symbol=BBB"}
    report = world.run("2024-01-01", "2024-01-10")
    assert (report.status, report.landed, report.unchanged, report.windows) == ("ok", 16, 2, 6)
    assert sorted(world.asked) == sorted(f"{s} {r}" for s in ("AAA", "BBB") for r in ("2024-01-01..2024-01-05", "2024-01-05..2024-01-09", "2024-01-09..2024-01-10"))
    assert {name: world.positions[name] for name in live} == live
    assert world.positions["backfill 2024-01-01..2024-01-10|symbol=AAA"] == {"cursor": "2024-01-10"}
    assert [(event.done, event.total) for event in world.events if isinstance(event, WindowsDone)][-1] == (6, 6)
    again = world.run("2024-01-01", "2024-01-10")
    assert (again.status, again.read, again.windows, world.asked) == ("empty", 0, 0, [])
    world.run()
    assert {line.split(" ")[1] for line in world.asked} == {"2024-01-11..2024-01-12"}, "the live run goes on where it was"


@pytest.mark.capability("Backfill: progress", spec="nexus-engine run FEED --from 2020-01-01 --to 2021-01-01")
def test_the_time_left_is_what_the_windows_so_far_took_for_those_to_come(world):
    """Each time some windows are done the loop is held up: so long at least the run has taken by the next time."""
    held_s, begun, told = 0.1, time.monotonic(), []

    def watch(event):
        if isinstance(event, WindowsDone):
            told.append((event, time.monotonic() - begun))
            time.sleep(held_s)

    world.watch, world.limits = watch, Limits(batch_pages=1)
    world.run("2024-01-01", "2024-01-10")
    assert [event.done for event, _ in told] == [1, 2, 3, 4, 5, 6]
    for number, (event, at_most_s) in enumerate(told):
        to_come = (event.total - event.done) / event.done
        assert held_s * number * to_come - 0.05 <= event.left_s <= at_most_s * to_come + 0.05
    assert told[-1][0].left_s == 0


@pytest.mark.capability("Backfill: an interrupted one goes on", spec="nexus-engine run FEED --from 2020-01-01 --to 2021-01-01")
def test_what_was_cut_off_goes_on_inside_its_window(world):
    world.days({**{day: day for day in range(1, 9)}, 7: "down"})
    report = world.run("2024-01-01", "2024-01-09", each=["symbol=BBB"])
    assert (report.status, report.landed) == ("failed", 6)
    assert world.positions == {
        "backfill 2024-01-01..2024-01-09|symbol=BBB":
        {"cursor": "2024-01-05", "window": {"start": "2024-01-05", "end": "2024-01-09"}, "resume": {"page": 1}, "seen": "2024-01-06"}
    }  # fmt: skip
    world.days({day: day for day in range(1, 9)})
    report = world.run("2024-01-01", "2024-01-09", each=["symbol=BBB"])
    assert (report.status, report.read, report.landed) == ("ok", 2, 2)
    assert world.rows == [("BBB", day) for day in range(1, 9)]


@pytest.mark.parametrize(("words", "each", "what"), [
    (("2024-01-09", "2024-01-01"), [], "is not before"),
    (("2024-01-01", "2024-01-01"), [], "is not before"),
    (("2024-01-01", "2024-02-01"), [], "is in the future"),
    (("soon", "2024-01-02"), [], "is not a date"),
    (("2024-01-01", "2024-01-02"), ["symbl=AAA"], "no such name"),
    (("2024-01-01", "2024-01-02"), ["symbol=AAC"], "is not one of its values"),
])
def test_what_is_no_range_is_refused_before_anything_is_asked(world, words, each, what):
    with pytest.raises(ConfigError, match=what):
        world.run(*words, each=each)
    assert world.asked == []


def test_a_feed_that_does_not_ask_by_window_is_refused(world):
    world.feed(FEED.replace('  start: "{{{{ window.start }}}}"\n', ""))
    with pytest.raises(ConfigError, match=r"does not use `window\.start`"):
        world.run("2024-01-01", "2024-01-02")
    world.feed(FEED.replace("cursor: {{field: day, initial: 2024-01-09, step: 4d}}\n", "").replace("{{{{ window.start }}}}", "").replace("{{{{ window.end }}}}", ""))
    with pytest.raises(ConfigError, match="no `cursor:`"):
        world.run("2024-01-01", "2024-01-02")


def test_without_a_key_only_what_nothing_else_reads(world):
    world.feed(FEED.replace(", key: [symbol, day]", ""))
    world.run()
    refused = world.run("2024-01-01", "2024-01-10")
    assert (refused.status, refused.read) == ("failed", 0)
    assert "the live feed reads everything since 2024-01-09" in refused.error.what
    assert world.run("2024-01-01", "2024-01-05").landed == 8
    assert "there is a backfill 2024-01-01..2024-01-05 already" in world.run("2024-01-04", "2024-01-09").error.what
    assert world.run("2024-01-05", "2024-01-09").landed == 8
    assert world.rows == [(symbol, day) for symbol in ("AAA", "BBB") for day in range(1, 12)]


def test_calendar_steps_are_cut_to_the_range():
    rule = CursorPlan(field="day", kind="date", step_months=12)
    found = [(unit.window.start, unit.window.end) for unit in pieces(rule, "2020-03-15", "2022-02-01")]
    assert found == [("2020-03-15", "2021-01-01"), ("2021-01-01", "2022-01-01"), ("2022-01-01", "2022-02-01")]
    number = CursorPlan(field="n", kind="number")
    assert [(unit.window.start, unit.window.end) for unit in pieces(number, "5", "90")] == [("5", "90")]
