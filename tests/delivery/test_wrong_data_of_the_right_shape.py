"""Answers that are whole, well-formed and wrong (F30), and records whose fields grow (F15): what lands, what is said, where the position stays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

FEED = """
name: prices
source: {{endpoint: "{url}/prices", params: {{since: "{{{{ window.start }}}}"}}, records: rows}}
cursor: {{field: day, initial: 2026-01-01, lookback: 2d}}
fields: {{day: Date, price: "Decimal(9, 2)", kind: "Enum8('bid' = 1, 'ask' = 2)"}}
validate: [{{expect: freshness, field: day, within: 5d, severity: {severity}}}]
target: {{table: w.prices, key: [day]}}
"""


def rows(*days: int, price: float = 0.5, kind: str = "bid"):
    return [{"day": f"2026-01-{day:02}", "price": day + price, "kind": kind} for day in days]


class World:
    def __init__(self, root: Path, url: str, severity: str = "warn") -> None:
        self.root = root
        (root / "sources.d").mkdir()
        (root / "sources.d" / "prices.yaml").write_text(FEED.format(url=url, severity=severity))

    def run(self, day: int):
        registry = build_registry()
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry, now=lambda: datetime(2026, 1, day, 12, tzinfo=UTC)) as session:
            report = session.run(feeds.plans["prices"])
            position = session.store.positions("prices")[""]
            landed = [(row["day"], row["price"]) for row in session.engine.rows("SELECT day, toString(price) AS price FROM w.prices ORDER BY day")]
            self.quarantine = session.store.quarantine("prices")
        assert report.closes()
        return report, position, landed


@pytest.mark.fault("F30: the page of yesterday again", behaviour="of the next run: nothing lands twice, the cursor never goes back, a `freshness` rule says it")
def test_yesterdays_answer_lands_nothing_and_moves_nothing_back(tmp_path):
    answers = [rows(1, 2, 3), rows(1, 2, 3), rows(1, 2), rows(2, 3, 4, 12)]
    with RawServer(lambda _: answer({"rows": answers.pop(0)})) as server:
        world = World(tmp_path, server.url)
        _, _, first = world.run(3)
        for day in (9, 10):  # a cache gives what it gave before, then even less
            report, position, landed = world.run(day)
            assert (report.status, report.landed, report.new) == ("ok", 0, 0)
            assert position["cursor"] == "2026-01-03"
            assert landed == first
            assert any("freshness" in note or "day" in note for note in report.warnings), report.warnings
        report, position, landed = world.run(12)
        assert (report.new, position["cursor"], len(landed)) == (2, "2026-01-12", 5)
        assert report.warnings == []


@pytest.mark.fault("F30: the page of yesterday again", behaviour="with `severity: fail` on that rule the run fails in front of it")
def test_a_rule_that_fails_keeps_the_position(tmp_path):
    answers = [rows(1, 2, 3), rows(1, 2, 3), rows(3, 12)]
    with RawServer(lambda _: answer({"rows": answers.pop(0)})) as server:
        world = World(tmp_path, server.url, "fail")
        world.run(3)
        report, position, _ = world.run(12)
        assert (report.status, position["cursor"], report.errors[0].kind) == ("failed", "2026-01-03", "RuleFailed")
        report, position, landed = world.run(12)
        assert (report.status, position["cursor"], len(landed)) == ("ok", "2026-01-12", 4)


@pytest.mark.fault("F15: a changed type", behaviour="a value that an Enum does not know is refused like any other; the rest lands")
def test_an_enum_that_grows_at_the_source(tmp_path):
    with RawServer(lambda _: answer({"rows": [*rows(1, 2), *rows(3, kind="mid")]})) as server:
        world = World(tmp_path, server.url)
        report, _, landed = world.run(3)
    assert (report.status, report.quarantined, len(landed)) == ("ok", 1, 2)
    assert "mid" in world.quarantine[0].reasons[0]
    assert '"kind": "mid"' in world.quarantine[0].raw
