"""Cursors that are times counted in micro- and nanoseconds: what is asked for is the position to its last digit."""

from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

FEED = """
name: trades
source:
  endpoint: {url}/trades
  params: {{after: "{{{{ window.start | epoch_{unit} }}}}"}}
  paginate: {{page: page}}
cursor: {{field: at, initial: "2026-01-01T00:00:00Z"}}
fields: {{at: {{type: DateTime64({digits}), from: t, epoch: {unit}}}}}
target: {{table: m.trades}}
"""
START = 1_767_225_600


@pytest.mark.capability("Incremental: a time as cursor: epoch, ISO 8601, a format", spec='params: {after: "{{ window.start | epoch_us }}"}')
@pytest.mark.capability("Incremental: a time as cursor: epoch, ISO 8601, a format", spec='params: {after: "{{ window.start | epoch_ns }}"}')
@pytest.mark.parametrize(("unit", "digits"), [("us", 6), ("ns", 9)])
def test_each_trade_lands_once_where_the_api_gives_what_is_later(tmp_path: Path, unit: str, digits: int) -> None:
    """Trades one count apart, oldest first, a batch for each page, into a table without a key: asked a count too early, one would
    land twice, a count too late, one would be missing."""
    first = START * 10**digits + 7
    trades = list(range(first, first + 6))

    def script(request):
        page = int(request.query["page"]) - 1
        later = [trade for trade in trades if trade > int(request.query["after"])]
        return answer([{"t": trade} for trade in later[2 * page : 2 * page + 2]])

    def run() -> list[int]:
        registry = build_registry()
        project = Project.load(tmp_path, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            session.limits = Limits(batch_pages=1)
            report = session.run(feeds.plans["trades"])
            assert (report.errors, report.quarantined) == ([], 0)
            return [int(row["n"]) for row in session.engine.rows(f"SELECT toUnixTimestamp64{'Micro' if unit == 'us' else 'Nano'}(at) AS n FROM m.trades ORDER BY n")]

    (tmp_path / "sources.d").mkdir()
    with RawServer(script) as server:
        (tmp_path / "sources.d" / "trades.yaml").write_text(FEED.format(url=server.url, unit=unit, digits=digits))
        assert run() == trades
        asked = len(server.requests)
        trades += range(first + 6, first + 9)
        assert run() == trades
    assert [request.query["after"] for request in (server.requests[0], server.requests[asked])] == [str(START * 10**digits), str(first + 5)]
