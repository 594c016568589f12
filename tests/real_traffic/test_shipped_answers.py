"""What each shipped feed calls empty, and what it must call an error: no green zero."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from landing import landing
from traffic import Answer, project, serving

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
ATOM = b'<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>x</title></feed>'
HTML = b"<!DOCTYPE html><html><body>Service is down for maintenance</body></html>"

EMPTY = {
    "fred_daily": b'{"count":0,"offset":0,"limit":100000,"observations":[]}',
    "treasury_yield_curve": ATOM,
    "treasury_debt_to_penny": b'{"data":[],"meta":{"count":0,"total-count":0,"total-pages":0},"links":{"next":null}}',
    "world_bank_m2": b'[{"page":0,"pages":0,"per_page":20000,"total":0,"sourceid":null,"lastupdated":null},null]',
    "glassnode_onchain": b"[]",
    "defillama_protocols": b"[]",
}
WRONG = {
    "fred_daily": [b'{"error_code":400,"error_message":"Bad Request.  The series does not exist."}', b'{"count":3,"observation":[]}'],
    "treasury_yield_curve": [b"<Error><Code>AccessDenied</Code></Error>", b"<feed><entry>"],
    "treasury_debt_to_penny": [b'{"error":"Invalid Query Param","message":"Invalid query parameter"}', b'{"meta":{}}'],
    "world_bank_m2": [b'[{"message":[{"id":"120","key":"Invalid value","value":"The provided parameter value is not valid"}]}]', b'{"message":"x"}'],
    "glassnode_onchain": [b'{"message":"plan"}', b"null"],
    "defillama_protocols": [b'{"statusCode":502}', b""],
    "sec_submissions": [b'{"cik":"0000320193","filings":{"files":[]}}', b"[]"],
}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRED_API_KEY", "a-key")
    monkeypatch.setenv("GLASSNODE_API_KEY", "a-key")


@pytest.mark.parametrize("feed", EMPTY)
def test_empty(tmp_path: Path, feed: str) -> None:
    with serving(lambda path, query: Answer(EMPTY[feed], content_type="text/plain")) as traffic:
        project(tmp_path, feed, traffic.url)
        with landing(tmp_path, NOW) as landed:
            report = landed.run(feed)
            assert (report.status, report.read, report.errors) == ("empty", 0, [])


@pytest.mark.parametrize("feed", WRONG)
def test_wrong(tmp_path: Path, feed: str) -> None:
    body = [b""]
    with serving(lambda path, query: Answer(body[0])) as traffic:
        project(tmp_path, feed, traffic.url)
        with landing(tmp_path, NOW) as landed:
            for body[0] in [*WRONG[feed], HTML]:
                report = landed.run(feed)
                assert (report.status, report.landed) == ("failed", 0), body[0]
                assert body[0][:20].decode() in str(report.to_json()).replace("\\'", "'"), body[0]
                positions = landed.session.store.positions(feed).values()
                assert all(not position.get("cursor") for position in positions), body[0]
