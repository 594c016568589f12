"""Windows over numbers and bounds through the whole loop: each record lands once, and the next run begins where this one ended."""

from pathlib import Path

import pytest

from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

BLOCKS = """
name: feed
source:
  endpoint: {url}/blocks
  params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
cursor: {{field: height, initial: 0, step: 10, end: 100, bounds: "[]"}}
fields: {{height: UInt64}}
target: {{table: m.t}}
"""
TWEETS = """
name: feed
source:
  endpoint: {url}/tweets
  params: {{since_id: "{{{{ window.start | default('') }}}}"}}
  paginate: {{cursor: meta.next_token, param: pagination_token, stop_when: seen, seen: id}}
  records: {{path: data, empty: absent}}
cursor: {{field: id, initial: 0}}
fields: {{id: UInt64}}
target: {{table: m.t, key: [id]}}
"""


def run(root: Path, text: str, column: str):
    (root / "sources.d").mkdir(exist_ok=True)
    (root / "sources.d" / "feed.yaml").write_text(text)
    registry = build_registry()
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry) as session:
        report = session.run(feeds.plans["feed"])
        assert (report.status, report.errors) == ("ok", [])
        return [row[column] for row in session.engine.rows(f"SELECT {column} FROM m.t ORDER BY ALL")]


@pytest.mark.capability("Incremental: a number as cursor", spec='cursor: {field: block, initial: 1, step: 5000, end: 900000, bounds: "[]", lookback: 12}')
@pytest.mark.capability("Incremental: inclusive and exclusive bounds", spec='cursor: {field: block, initial: 1, step: 5000, end: 900000, bounds: "[]"}')
def test_blocks_in_steps_come_once_each_and_the_next_run_goes_on(tmp_path):
    head = 34

    def script(request):
        first, last = int(request.query["from"]), int(request.query["to"])
        return answer([{"height": n} for n in range(first, last + 1) if n <= head])

    with RawServer(script) as server:
        assert run(tmp_path, BLOCKS.format(url=server.url), "height") == list(range(35))
        assert [request.target.partition("?")[2] for request in server.requests][:2] == ["from=0&to=9", "from=10&to=19"]
        asked, head = len(server.requests), 57
        rows = run(tmp_path, BLOCKS.format(url=server.url), "height")
        assert server.requests[asked].query["from"] == "34"
        assert sorted(set(rows)) == list(range(58))


@pytest.mark.capability("Paging: newest first: ends at what was read before", spec="paginate: {cursor: meta.next_token, param: pagination_token, stop_when: seen, seen: id}")
@pytest.mark.capability("Incremental: a number as cursor", spec="cursor: {field: id, initial: 1}")
def test_newest_first_with_tokens_goes_back_to_what_was_read(tmp_path):
    tweets = [1900000000000000000 + n for n in range(25)]

    def script(request):
        ids = sorted((n for n in tweets if n > 1 or "since_id" in request.query), reverse=True)
        start = int(request.query.get("pagination_token", 0))
        page, following = ids[start : start + 5], start + 5
        meta = {"result_count": len(page)} | ({"next_token": str(following)} if following < len(ids) else {})
        return answer({"data": [{"id": str(n)} for n in page], "meta": meta} if page else {"meta": meta})

    with RawServer(script) as server:
        assert run(tmp_path, TWEETS.format(url=server.url), "id") == tweets
        assert len(server.requests) == 5
        tweets += [tweets[-1] + n for n in range(1, 8)]
        assert run(tmp_path, TWEETS.format(url=server.url), "id") == tweets
        assert len(server.requests) == 7
