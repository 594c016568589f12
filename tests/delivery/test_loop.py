"""The one loop, over real chdb and a real state store: what lands, what is refused, where the position stays."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nexus_engine.compile.feeds import load_feeds  # noqa: E402
from nexus_engine.contract.registry import build_registry  # noqa: E402
from nexus_engine.deliver.run import Limits  # noqa: E402
from nexus_engine.deliver.session import Session  # noqa: E402
from nexus_engine.errors import ConfigError  # noqa: E402
from nexus_engine.events import Observers, RowsRefused  # noqa: E402
from nexus_engine.project.project import Project  # noqa: E402

FEED = """
name: prices
source:
  plugin: scripted
  file: {file}
  each: {{symbol: [AAA, BBB]}}
  records: rows
cursor: {{field: day, initial: 2024-01-01}}
fields:
  symbol: {{type: String, from: each.symbol}}
  day: Date
  price: "Decimal(38, 10)"
  qty: {{type: Nullable(UInt8), missing: ["."]}}
target: {{table: m.prices, key: [symbol, day]}}
"""


def page(*rows):
    return {"rows": [dict(zip(("day", "price", "qty"), row)) for row in rows]}


@pytest.fixture()
def world(tmp_path):
    return World(tmp_path)


class World:
    """A project of one feed over scripted pages; each ``run`` is a session of its own."""

    def __init__(self, root):
        self.root = root
        self.pages = root / "pages.json"
        (root / "sources.d").mkdir()
        self.feed(FEED)

    def feed(self, text):
        (self.root / "sources.d" / "prices.yaml").write_text(text.format(file=self.pages))

    def run(self, query="SELECT * FROM m.prices ORDER BY ALL", limits=None, **pages):
        self.pages.write_text(json.dumps({f"symbol={key}": value for key, value in pages.items()}))
        registry = build_registry(["scripted_source"])
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        self.events = []
        with Session.open(project, registry, observers=Observers(self.events.append)) as session:
            session.limits = limits or session.limits
            report = session.run(feeds.plans["prices"])
            self.positions = session.store.positions("prices")
            self.quarantine = session.store.quarantine("prices")
            try:
                self.rows = session.engine.rows(query)
            except Exception:  # noqa: BLE001  no table yet
                self.rows = []
        assert report.closes(), report
        assert not list((self.root / "data" / "raw").iterdir())
        assert not list((self.root / "data" / "spool").iterdir())
        return report


@pytest.mark.capability("Incremental: cursor from a field", spec="cursor: {field: date, initial: 2024-01-01}")
@pytest.mark.capability("Incremental: a position for each partition", spec="each: {symbol: [AAA, BBB]}")
@pytest.mark.capability("Fan-out: a list", spec="each: {symbol: [AAA, BBB]}")
def test_rows_land_exactly_and_a_second_run_adds_only_what_changed(world):
    first = {"AAA": [page(("2024-01-02", "12345678901234567.8900000001", 1), ("2024-01-03", "1.5", "."))], "BBB": [page(("2024-01-02", 2, 255))]}
    report = world.run(**first)
    assert (report.status, report.read, report.landed, report.batches) == ("ok", 3, 3, 1)
    assert [tuple(row.values()) for row in world.rows] == [
        ("AAA", "2024-01-02", "12345678901234567.8900000001", 1),
        ("AAA", "2024-01-03", "1.5", None),
        ("BBB", "2024-01-02", "2", 255),
    ]
    assert world.positions == {"symbol=AAA": {"cursor": "2024-01-03"}, "symbol=BBB": {"cursor": "2024-01-02"}}
    first["AAA"][0]["rows"][1]["price"] = "1.6"
    first["AAA"][0]["rows"].append({"day": "2024-01-04", "price": "7", "qty": None})
    report = world.run("SELECT count() AS n FROM m.prices", **first)
    assert (report.read, report.unchanged, report.revised, report.new) == (4, 2, 1, 1)
    assert world.rows == [{"n": 5}]


def test_a_column_that_is_added_later_is_a_zero_or_null_in_old_rows_until_they_are_read_again(world):
    old = [page(("2024-01-02", "1", 1), ("2024-01-03", "2", 2))]
    assert world.run(AAA=old, BBB=[page()]).landed == 2
    world.feed(FEED.replace("  price:", "  n: {{type: UInt8, from: qty}}\n  t: {{type: String, from: qty}}\n  m: {{type: Nullable(UInt8), from: qty}}\n  price:"))
    columns = "SELECT n, t, m FROM m.prices_latest ORDER BY day"
    assert world.run(columns, AAA=[page(("2024-01-04", "3", 3))], BBB=[page()]).landed == 1
    assert [tuple(row.values()) for row in world.rows] == [(0, "", None), (0, "", None), (3, "3", 3)]
    assert world.run(columns, AAA=old, BBB=[page()]).revised == 2
    assert [tuple(row.values()) for row in world.rows] == [(1, "1", 1), (2, "2", 2), (3, "3", 3)]


@pytest.mark.fault("F15: a changed type", behaviour="the record goes to quarantine as it came, with the reason; the others land")
@pytest.mark.fault("F15: null where a value is due", behaviour="the record goes to quarantine as it came, with the reason; the others land")
def test_bad_rows_go_to_quarantine_raw_and_good_ones_land(world):
    rows = [("2024-01-02", "1", 1), ("2024-02-30", "1", 1), ("2024-01-03", "1.00000000001", 1), ("2024-01-04", "2", 256), ("2024-01-05", "3", 3)]
    world.feed(FEED + "max_refused: 0.7\n")
    report = world.run(AAA=[page(*rows)], BBB=[page()])
    assert (report.read, report.landed, report.quarantined) == (5, 2, 3)
    assert [(found.record, found.reasons[0].split(":")[0], json.loads(found.raw)["day"]) for found in sorted(world.quarantine, key=lambda f: f.record)] == [
        (1, "day", "2024-02-30"),
        (2, "price", "2024-01-03"),
        (3, "qty", "2024-01-04"),
    ]
    (told,) = (event for event in world.events if isinstance(event, RowsRefused))
    assert (told.rows, told.reasons) == (3, {"day: cast": 1, "price: cast": 1, "qty: cast": 1})  # nothing of the data


@pytest.mark.parametrize("name", ["a*b", "what?", "{dev}"])
def test_a_data_folder_that_is_a_pattern_is_refused(tmp_path, name):
    root = tmp_path / name
    (root / "sources.d").mkdir(parents=True)
    registry = build_registry([])
    with pytest.raises(ConfigError, match="pattern of paths"):
        Session.open(Project.load(root, registry=registry), registry)
    assert not (root / "data").exists()


def test_pages_mapped_ahead_of_a_refused_one_do_not_land(world):
    good = [page((f"2024-01-{n:02}", "1", 1)) for n in range(2, 14)]
    spoilt = [*good[:3], page(("2024-02-30", "1", 1)), *good[4:]]
    report = world.run(limits=Limits(batch_pages=1), AAA=spoilt, BBB=good)
    assert (report.status, report.read, report.landed, report.batches) == ("failed", 15, 15, 15)
    assert [error.partition for error in report.errors] == ["symbol=AAA"]
    assert world.positions["symbol=AAA"]["resume"] == {"page": 3}
    assert [row["day"] for row in world.rows if row["symbol"] == "AAA"] == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert world.positions["symbol=BBB"] == {"cursor": "2024-01-13"}
    report = world.run(limits=Limits(batch_pages=5), AAA=spoilt, BBB=good)  # batches of good and bad pages, mapped as one
    assert (report.status, report.read, report.new) == ("failed", 12, 0)
    report = world.run(limits=Limits(batch_pages=2), AAA=good, BBB=good)
    assert (report.status, report.new) == ("ok", 9)
    assert len(world.rows) == 24


@pytest.mark.capability("Fan-out: one partition's error holds back no other", spec="each: {symbol: [AAA, BBB]}")
def test_a_failed_partition_keeps_its_page_and_holds_back_no_other(world):
    good = [page((f"2024-01-0{n}", "1", 1)) for n in range(2, 6)]
    report = world.run(AAA=[*good[:2], {"raise": "the path rows is absent"}, good[3]], BBB=good)
    assert (report.status, report.landed) == ("failed", 6)
    assert "page 3 of scripted:symbol=AAA" in report.error.what
    assert "<html>" in report.error.what
    assert world.positions["symbol=AAA"]["resume"] == {"page": 2}
    assert world.positions["symbol=BBB"] == {"cursor": "2024-01-05"}
    report = world.run(AAA=good, BBB=good)  # goes on at page 3, inside the same window
    assert (report.status, report.read, report.new) == ("ok", 6, 2)
    assert world.positions["symbol=AAA"] == {"cursor": "2024-01-05"}


@pytest.mark.fault("F15: a missing field", behaviour="more than `max_refused` of a page refused stops the partition in front of it")
def test_a_page_that_is_mostly_refused_stops_its_partition_in_front_of_it(world):
    good = [page(*[(f"2024-01-{n:02}", "1", 1) for n in range(start, start + 5)]) for start in (1, 6, 11)]
    spoilt = {"rows": [{"date": row["day"], **{k: v for k, v in row.items() if k != "day"}} for row in good[1]["rows"]]}
    report = world.run(AAA=[good[0], spoilt, good[2]], BBB=good)
    assert (report.status, report.landed, report.quarantined) == ("failed", 20, 0)
    assert report.error.kind == "TooManyRefused"
    assert "5 of 5 records of page 2" in report.error.what
    assert "day: null" in report.error.what
    assert world.positions["symbol=AAA"]["resume"] == {"page": 1}
    assert world.run(AAA=good, BBB=[page()]).new == 10


def test_a_record_that_breaks_the_query_is_quarantined_alone(world):
    poison = {"rows": [{"day": "2024-01-02", "price": "1", "qty": 1}, 17, {"day": "2024-01-03", "price": "2", "qty": 2}]}
    report = world.run(AAA=[poison, page(("2024-01-04", "3", 3))], BBB=[page(("2024-01-02", "1", 1))])
    assert (report.status, report.read, report.landed, report.quarantined) == ("ok", 5, 4, 1)
    assert [(found.raw, found.record) for found in world.quarantine] == [("17", 1)]
    assert "structure" in world.quarantine[0].reasons[0]


def test_a_plugin_that_raises_stops_its_partition_only(world):
    report = world.run(AAA=[{"crash": "boom"}], BBB=[page(("2024-01-02", "1", 1))])
    assert (report.status, report.landed, report.error.kind) == ("failed", 1, "PluginFailed")
    assert "RuntimeError" in report.error.what


def test_repeats_inside_a_batch_are_superseded_by_the_last(world):
    report = world.run(AAA=[page(("2024-01-02", "1", 1)), page(("2024-01-02", "2", 1))], BBB=[page()])
    assert (report.read, report.landed, report.superseded) == (2, 1, 1)
    assert world.rows[0]["price"] == "2"


def test_a_changed_feed_refuses_its_old_position(world):
    assert world.run(AAA=[page(("2024-01-02", "1", 1))], BBB=[page()]).status == "ok"
    world.feed(FEED.replace("records: rows", "records: {{path: rows, empty: [absent]}}"))
    report = world.run(AAA=[page(("2024-01-03", "1", 1))], BBB=[page()])
    assert (report.status, report.read, report.error.kind) == ("failed", 0, "PositionConflict")
    assert "state adopt prices" in report.error.do


def test_a_failing_rule_lands_nothing_and_moves_nothing(world):
    world.feed(FEED + "validate: [{{expect: row_count, min: 3, severity: fail}}]\n")
    report = world.run(AAA=[page(("2024-01-02", "1", 1))], BBB=[page()])
    assert (report.status, report.landed, report.error.kind) == ("failed", 0, "RuleFailed")
    assert world.positions == {}


def test_nothing_read_is_said(world):
    report = world.run(AAA=[page()], BBB=[page()])
    assert (report.status, report.read) == ("empty", 0)


@pytest.mark.fault("F15: a missing field", behaviour="a nullable one becomes null, and the run warns with the nearest name")
def test_a_name_that_no_record_has_is_said(world):
    world.feed(FEED.replace("qty: {{type: Nullable(UInt8), missing: [\".\"]}}", "quantity: {{type: Nullable(UInt8), from: qtty}}"))
    report = world.run(AAA=[page(("2024-01-02", "1", 1)), page(("2024-01-03", "1", 1))], BBB=[page(("2024-01-02", "1", 1))])
    assert (report.status, report.landed) == ("ok", 3)
    assert report.warnings == ["`qtty` stands in none of the records looked at, so its field is null; did you mean `qty`?"]
