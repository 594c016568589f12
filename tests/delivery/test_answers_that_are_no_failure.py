"""The http source through the whole loop: not yet, skipped, and stop for all; what lands, what the run says, what is asked next."""

import json
from pathlib import Path

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

FEED = """
name: filings
source:
  endpoint: {url}/{{{{ each.cik }}}}
  each: {{cik: [A, B, C]}}
  records: rows
  concurrency: {threads}
  paginate: {{page: page}}
  errors:
    - {{status: 403, matches: AccessDenied, then: not_yet}}
    - {{status: 404, then: skip}}
    - {{status: 429, path: title, equals: UsageCapExceeded, then: stop}}
fields: {{cik: {{type: String, from: each.cik}}, id: UInt64}}
target: {{table: m.filings, key: [cik, id]}}
"""


def run(root: Path, url: str, *, threads=3):
    (root / "sources.d").mkdir(exist_ok=True)
    (root / "sources.d" / "filings.yaml").write_text(FEED.format(url=url, threads=threads))
    registry = build_registry()
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry) as session:
        report = session.run(feeds.plans["filings"])
        rows = session.engine.rows("SELECT cik, id FROM m.filings ORDER BY ALL")
    assert report.closes()
    return report, [(row["cik"], row["id"]) for row in rows]


@pytest.mark.capability("Errors: skip the partition", spec="errors: [{status: 404, then: skip}]")
@pytest.mark.capability("Errors: not yet: try at the next run", spec="errors: [{status: 403, matches: AccessDenied, then: not_yet}]")
@pytest.mark.capability("Errors: SEC's 403 on an unpublished day", spec="errors: [{status: 403, matches: AccessDenied, then: not_yet}]")
@pytest.mark.parametrize(("status", "says"), [(403, "not there yet: HTTP 403"), (404, "skipped: HTTP 404")])
def test_what_is_not_there_is_a_note_and_is_asked_for_again(tmp_path, status, says):
    missing = {"/B"}

    def script(request):
        page = int(request.query["page"])
        if request.path in missing and page == 2:
            return answer("<Code>AccessDenied</Code>", status)
        return answer({"rows": [{"id": page}] if page < 3 else []})

    with RawServer(script) as server:
        report, rows = run(tmp_path, server.url)
        assert (report.status, report.errors) == ("ok", [])
        assert [note.partition(" (")[0] for note in report.warnings] == [f"cik=B: {says}"]
        assert rows == [("A", 1), ("A", 2), ("B", 1), ("C", 1), ("C", 2)]
        missing.clear()
        report, rows = run(tmp_path, server.url)
        assert report.warnings == []
        assert rows == [("A", 1), ("A", 2), ("B", 1), ("B", 2), ("C", 1), ("C", 2)]


def test_nothing_but_what_is_not_there_is_an_empty_run(tmp_path):
    def script(request):
        return answer({"rows": [{"id": 1}] if request.query["page"] == "1" else []}) if ready else answer("AccessDenied", 403)

    ready = True
    with RawServer(script) as server:
        run(tmp_path, server.url)
        ready = False
        report, _ = run(tmp_path, server.url)
        assert (report.status, report.errors, len(report.warnings)) == ("empty", [], 3)


@pytest.mark.capability("Errors: stop the feed", spec="errors: [{status: 429, path: title, equals: UsageCapExceeded, then: stop}]")
@pytest.mark.capability("Errors: X's monthly cap", spec="errors: [{status: 429, path: title, equals: UsageCapExceeded, then: stop}]")
def test_a_cap_that_is_used_up_is_met_once_and_stops_every_partition(tmp_path):
    def script(request):
        if request.path == "/B":
            return answer(json.dumps({"title": "UsageCapExceeded"}), 429)
        return answer({"rows": [{"id": 1}] if request.query["page"] == "1" else []})

    with RawServer(script) as server:
        report, rows = run(tmp_path, server.url, threads=1)
        assert (report.status, rows) == ("failed", [("A", 1)])
        assert [(error.kind, error.partition) for error in report.errors] == [("StopAll", "cik=B")]
        assert {request.path for request in server.requests} == {"/A", "/B"}
