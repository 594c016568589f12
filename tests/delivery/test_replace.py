"""`--replace`: afterwards the range holds exactly the source's rows, and everything else is as it was."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest
from raw_server import RawServer, answer

sys.path.insert(0, str(Path(__file__).parent))

from nexus_engine.compile.feeds import load_feeds  # noqa: E402
from nexus_engine.contract.registry import build_registry  # noqa: E402
from nexus_engine.deliver.backfill import checked_range  # noqa: E402
from nexus_engine.deliver.session import Session  # noqa: E402
from nexus_engine.errors import ConfigError  # noqa: E402
from nexus_engine.project.project import Project  # noqa: E402
from nexus_engine.state.store import Store  # noqa: E402
from test_backfill import FEED, NOW, World  # noqa: E402

RANGE = ("2024-01-03", "2024-01-09")
KEYED, BARE = FEED, FEED.replace(", key: [symbol, day]", "")


class Replacing(World):
    def replace(self, *words, each=(), feed="days", also=None):
        """``also``: called with the session before the run."""
        self.file.with_suffix(".log").write_text("")
        registry = build_registry(["ranged_source"])
        project = Project.load(self.root, registry=registry)
        plan = load_feeds(project, registry).plans[feed]
        with Session.open(project, registry, now=lambda: NOW) as session:
            if also:
                also(session)
            report = session.run(plan, trigger="replace", mover=checked_range(plan, *words, each, NOW, replacing=True).job)
            self.positions = session.store.positions(feed)
            self.rows = self.table(session)
        assert report.closes(), report
        return report

    def table(self, session):
        latest = "m.days_latest" if "key: [symbol" in (self.root / "sources.d/days.yaml").read_text() else "m.days"
        self.all = session.engine.rows("SELECT count() AS n FROM m.days")[0]["n"]
        return [tuple(row.values()) for row in session.engine.rows(f"SELECT symbol, toUInt8(toDayOfMonth(day)), v FROM {latest} ORDER BY ALL")]

    def look(self):
        registry = build_registry(["ranged_source"])
        with Session.open(Project.load(self.root, registry=registry), registry, now=lambda: NOW) as session:
            return self.table(session)


@pytest.fixture
def world(tmp_path):
    return Replacing(tmp_path)


def expected(old, new, symbols=("AAA", "BBB")):
    """``new`` in the range for these symbols, ``old`` elsewhere."""
    rows = []
    for symbol in ("AAA", "BBB"):
        days = {day: v for day, v in old.items() if not (3 <= day < 9 and symbol in symbols)}
        days |= {day: v for day, v in new.items() if 3 <= day < 9 and symbol in symbols}
        rows += [(symbol, day, v) for day, v in days.items()]
    return sorted(rows)


OLD = {day: day for day in range(1, 12)}
NEW = {1: 101, 3: 3, 4: 104, 6: 6, 8: 108, 9: 109, 10: 110}  # 5 and 7 are gone, 4 and 8 differ, so does what is outside


@pytest.mark.capability("Backfill: replace a range", spec="nexus-engine run FEED --from A --to B --replace")
@pytest.mark.parametrize("feed", [KEYED, BARE], ids=["key", "no key"])
def test_the_range_is_the_sources_and_the_rest_untouched(world, feed):
    world.feed(feed)
    world.run()
    world.run("2024-01-01", "2024-01-09")
    live = world.positions["symbol=AAA"]
    world.days(NEW)
    report = world.replace(*RANGE)
    assert (report.status, report.read, report.landed, report.removed) == ("ok", 8, 8, 12), report
    assert world.rows == expected(OLD, NEW)
    assert world.all == len(world.rows)
    assert world.positions["symbol=AAA"] == live
    assert not [name for name in world.positions if name.startswith("replace")]
    again = world.replace(*RANGE)  # as often as one likes
    assert (again.read, again.landed, again.removed, world.rows, world.all) == (8, 8, 8, expected(OLD, NEW), len(world.rows))
    assert world.run(*RANGE).read == 0, "as a backfill the range is done"


def test_only_the_chosen_partitions(world):
    world.run()
    world.run("2024-01-01", "2024-01-09")
    world.days(NEW)
    report = world.replace(*RANGE, each=["symbol=BBB"])
    assert (report.landed, report.removed, {line.split()[0] for line in world.asked}) == (4, 6, {"BBB"})
    assert world.rows == expected(OLD, NEW, symbols=("BBB",))


def test_a_partition_that_the_feed_does_not_ask_for_any_more_stays(world):
    world.run("2024-01-01", "2024-01-09")
    world.feed(FEED.replace("[AAA, BBB]", "[AAA]"))
    world.days({})
    report = world.replace(*RANGE)
    assert (report.status, report.removed) == ("empty", 6)
    assert world.rows == [("AAA", 1, 1), ("AAA", 2, 2), *(("BBB", day, day) for day in range(1, 9))]


def test_what_the_source_gives_beside_the_range_is_taken_out(world):
    """A source whose upper bound is inclusive, though the feed does not say so."""
    world.feed(BARE.replace('end: "{{{{ window.end }}}}"', 'end: "{{{{ window.end | replace(\'09\', \'10\') }}}}"'))
    world.run("2024-01-01", "2024-01-05")
    report = world.replace(*RANGE)
    assert (report.filtered, report.landed) == (2, 12)
    assert world.rows == [(symbol, day, day) for symbol in ("AAA", "BBB") for day in range(1, 9)]


def test_what_fails_removes_nothing_and_the_same_command_goes_on(world):
    world.run("2024-01-01", "2024-01-09")
    world.days({**NEW, 8: "down"})
    report = world.replace(*RANGE)
    assert (report.status, report.removed) == ("failed", 0)
    assert any("the same command goes on" in text for text in report.warnings)
    assert world.all == 16 + 6, "old rows and new ones"
    world.days(NEW)
    report = world.replace(*RANGE)
    assert (report.status, report.removed, len(world.asked)) == ("ok", 12, 2), "only what was left is asked for"
    assert world.rows == [(s, d, v) for s, d, v in expected({d: d for d in range(1, 9)}, NEW)]
    assert world.all == len(world.rows)


def test_a_partition_that_is_gone_since_it_was_read_is_replaced_all_the_same(world):
    """`each` from a file, which loses a value between the two halves."""
    names = world.root / "names.csv"
    world.feed(BARE.replace("[AAA, BBB]", "{{file: names.csv, column: name}}"))
    names.write_text("name\nAAA\nBBB\n")
    world.run("2024-01-01", "2024-01-09")
    world.days(NEW)
    some = {"AAA": NEW, "BBB": {**NEW, 8: "down"}}
    world.file.write_text(json.dumps({symbol: {f"2024-01-{day:02}": v for day, v in days.items()} for symbol, days in some.items()}))
    assert world.replace(*RANGE).status == "failed"
    names.write_text("name\nBBB\n")
    world.days(NEW)
    report = world.replace(*RANGE)
    assert (report.status, report.read, report.removed) == ("ok", 1, 12)
    assert world.rows == expected({d: d for d in range(1, 9)}, NEW)


def test_a_partition_that_is_gone_half_read_keeps_its_old_rows(world):
    names = world.root / "names.csv"
    world.feed(BARE.replace("[AAA, BBB]", "{{file: names.csv, column: name}}"))
    names.write_text("name\nAAA\nBBB\n")
    world.run("2024-01-01", "2024-01-09")
    world.days({**NEW, 8: "down"})
    assert world.replace(*RANGE).status == "failed"
    names.write_text("name\nBBB\n")
    world.days(NEW)
    report = world.replace(*RANGE)
    assert report.removed == 0
    assert any("symbol=AAA is half read and is none of `each` any more" in text for text in report.warnings)


def test_what_lands_meanwhile_stays(world):
    """A live run between the two halves of a replacing: its rows are newer than the beginning."""
    world.feed(FEED.replace("step: 4d", "step: 4d, lookback: 9d").replace("initial: 2024-01-09", "initial: 2024-01-01"))
    world.run()
    world.days({**NEW, 8: "down"})
    assert world.replace(*RANGE).status == "failed"
    world.days({**NEW, 5: 505})
    world.run()
    world.days({**NEW, 5: 505})
    assert world.replace(*RANGE).status == "ok"
    assert [row for row in world.rows if row[0] == "AAA" and 3 <= row[1] < 9] == [("AAA", 3, 3), ("AAA", 4, 104), ("AAA", 5, 505), ("AAA", 6, 6), ("AAA", 8, 108)]


def test_forgetting_one_partition_of_it_forgets_all_of_it(world):
    world.run("2024-01-01", "2024-01-09")
    world.days({**NEW, 8: "down"})
    world.replace(*RANGE)
    world.days(NEW)

    def forget(session):
        assert session.store.reset("days", "replace 2024-01-03..2024-01-09|symbol=AAA") == 2

    report = world.replace(*RANGE, also=forget)
    assert (report.status, report.read, report.removed) == ("ok", 8, 12 + 6)
    assert world.rows == expected({d: d for d in range(1, 9)}, NEW)


def test_an_overlapping_one_that_is_not_done_is_refused(world):
    world.run("2024-01-01", "2024-01-09")
    world.days({**NEW, 8: "down"})
    world.replace(*RANGE)
    for words, each in ((("2024-01-08", "2024-01-11"), []), (RANGE, ["symbol=AAA"])):
        report = world.replace(*words, each=each)
        assert "there is a replace 2024-01-03..2024-01-09 that is not done" in report.error.what
    assert world.asked == []


def test_without_a_key_nothing_else_may_read_it_later(world):
    world.feed(BARE)
    world.run()
    assert "the live feed goes on from 2024-01-11" in world.replace("2024-01-09", "2024-01-12").error.what
    world.days({**OLD, 4: "down"})
    assert world.run("2024-01-01", "2024-01-07").status == "failed"
    assert "backfill 2024-01-01..2024-01-07 is not done: its rows would land twice" in world.replace(*RANGE).error.what
    assert world.asked == []


OTHER = FEED.replace("name: days", "name: more").replace("AAA, BBB", "AAA")


def test_rows_of_another_feed_are_never_removed(world):
    (world.root / "sources.d" / "more.yaml").write_text(OTHER.format(file=world.file))
    world.run("2024-01-01", "2024-01-09")
    registry = build_registry(["ranged_source"])
    project = Project.load(world.root, registry=registry)
    plan = load_feeds(project, registry).plans["more"]
    world.days({day: day + 50 for day in range(1, 9)})
    with Session.open(project, registry, now=lambda: NOW) as session:
        assert session.run(plan, mover=checked_range(plan, "2024-01-01", "2024-01-04", [], NOW).job).status == "ok"
    before = world.look()
    report = world.replace(*RANGE)
    assert "more has rows in the range of m.days, too" in report.error.what
    assert (world.look(), world.asked) == (before, [])
    assert world.replace("2024-01-05", "2024-01-09").removed == 8, "where it has none, it is no matter"


def test_rows_whose_owner_is_forgotten_are_not_removed_where_there_are_others(world):
    (world.root / "sources.d" / "more.yaml").write_text(OTHER.format(file=world.file))
    world.run("2024-01-01", "2024-01-09")
    with sqlite3.connect(world.root / "data" / "state.db") as state:
        state.execute("DELETE FROM batch")
    assert world.replace(*RANGE).status == "ok", "nobody else ever wrote there"
    with sqlite3.connect(world.root / "data" / "state.db") as state:
        state.execute("DELETE FROM batch")
        state.execute("INSERT INTO feed (feed, position_hash, target) VALUES ('more', 'x', 'm.days')")
    assert "whether they are its own or of more is not in the history" in world.replace(*RANGE).error.what


def test_rows_put_in_by_hand_stay(world):
    world.run("2024-01-01", "2024-01-09")

    def by_hand(session):
        session.engine.query("INSERT INTO m.days (symbol, day, v) VALUES ('AAA', '2024-01-05', 999)")

    world.days({})
    assert world.replace(*RANGE, also=by_hand).removed == 12
    assert ("AAA", 5, 999) in world.rows


@pytest.mark.parametrize(
    ("changed", "each", "what"),
    [
        (("step: 4d}}", "step: 4d}}\ntransform: [{{sql: 'SELECT symbol, v FROM input'}}]"), [], "its cursor `day` is no column of m.days"),
        (("key: [symbol, day]", "key: [symbol, day], mode: versioned"), [], "keeps every revision on purpose"),
        (('  end: "{{{{ window.end }}}}"\n', ""), [], r"does not use `window\.end`"),
        (("from: each.symbol, type: String", "value: X, type: String"), ["symbol=AAA"], "no column is `symbol` as it is"),
    ],
)
def test_what_cannot_be_replaced_is_refused_before_anything_is_asked(world, changed, each, what):
    text = FEED.replace(*changed)
    if "transform" in text:
        text = text.replace("key: [symbol, day]", "key: [symbol]").replace("field: day, within: 3d", "field: v, within: 3d").replace("validate: [{{expect: freshness, field: v, within: 3d, severity: fail}}]\n", "")
    world.feed(text)
    with pytest.raises(ConfigError, match=what):
        world.replace(*RANGE, each=each)
    assert world.asked == []


def test_ids_grow_behind_the_beginning_also_in_the_next_process(tmp_path):
    times = iter([10**18, 10**17, 10**16])
    ids = []
    for _ in range(3):
        store = Store.open(tmp_path / "state.db", clock_ns=lambda: next(times))
        ids.append(store.begin_replace("days", f"replace {len(ids)}..9"))
        store.close()
    assert ids == sorted(ids)


LARGE = """
name: days
source:
  endpoint: {url}/days
  params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
  format: jsonl
cursor: {{field: day, initial: 2024-01-12}}
fields: {{day: Date, n: UInt32, v: UInt32, text: String}}
target: {{table: m.days{key}}}
"""


@pytest.mark.parametrize("line_bytes", [10, 12_000], ids=["lists", "lines"])
@pytest.mark.parametrize("key", ["", ", key: [day, n]"], ids=["no key", "key"])
def test_what_a_large_body_gives_beside_the_range_is_taken_out(tmp_path, key, line_bytes):
    """The source's upper bound is inclusive. Lines that are mapped as they came are held to the range like any other record."""
    version = [1]

    def days(request):
        first, last = request.query["from"][:10], request.query["to"][:10]
        given = [day for day in (f"2024-01-{number:02}" for number in range(1, 20)) if first <= day <= last]
        record = {"v": version[0], "text": "x" * line_bytes}
        return answer("".join(json.dumps({"day": day, "n": n, **record}) + "\n" for day in given for n in range(100)).encode())

    (tmp_path / "sources.d").mkdir()
    with RawServer(days) as server:
        (tmp_path / "sources.d/days.yaml").write_text(LARGE.format(url=server.url, key=key))
        registry = build_registry()
        project = Project.load(tmp_path, registry=registry)
        plan = load_feeds(project, registry).plans["days"]
        with Session.open(project, registry, now=lambda: NOW) as session:
            assert session.run(plan, trigger="backfill", mover=checked_range(plan, "2024-01-01", "2024-01-09", (), NOW).job).status == "ok"
            version[0] = 2
            report = session.run(plan, trigger="replace", mover=checked_range(plan, "2024-01-03", "2024-01-06", (), NOW, replacing=True).job)
            rows = session.engine.rows("SELECT toDayOfMonth(day) AS day, count() AS n, min(v) AS low, max(v) AS high FROM m.days GROUP BY day ORDER BY day")
    assert (report.status, report.read, report.filtered, report.landed, report.removed) == ("ok", 400, 100, 300, 300)
    inside = {3, 4, 5}
    assert rows == [{"day": day, "n": 100, "low": 1 + (day in inside), "high": 1 + (day in inside)} for day in range(1, 10)]
