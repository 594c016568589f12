"""Conditional polling through the whole loop: what is asked, what is not decoded, what the run says, and when all of it is asked again."""

from __future__ import annotations

import hashlib
import json
from email.utils import formatdate
from pathlib import Path

import pytest
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.errors import PageError
from nexus_engine.events import Observers, PageRead, RequestDone, RunFinished
from nexus_engine.project.project import Project
from raw_server import RawServer, answer
from source_bench import Feed

FEED = """
name: prices
source:
  endpoint: {url}
  conditional: true
  {more}
fields: {{id: UInt64, price: String}}
target: {{table: m.prices{key}}}
"""


class Api:
    """Answers with ``body`` and the headers that ``says`` names; knows conditions when ``obeys``."""

    def __init__(self, says=("etag",), *, obeys=True, **headers: str) -> None:
        self.rows = [{"id": 1, "price": "1.5"}, {"id": 2, "price": "2.5"}]
        self.says, self.obeys, self.headers = says, obeys, headers
        self.changed_at = 1_700_000_000

    def body(self, request) -> bytes:
        return json.dumps(self.rows).encode()

    def __call__(self, request):
        body = self.body(request)
        etag, changed = f'"{hashlib.md5(body).hexdigest()}"', formatdate(self.changed_at, usegmt=True)  # noqa: S324
        head = dict(self.headers)
        if "etag" in self.says:
            head["ETag"] = etag
        if "modified" in self.says:
            head["Last-Modified"] = changed
        asked = request.headers
        same = asked["if-none-match"] == etag if "if-none-match" in asked else asked.get("if-modified-since") == changed
        return answer(b"", 304, head) if self.obeys and same else answer(body, 200, head)


class Project_:
    """One project over several runs; each opens and closes the session, as a process does."""

    def __init__(self, root: Path, url: str, feed: str = FEED, key: str = "", more: str = "") -> None:
        self.root = root
        (root / "sources.d").mkdir(exist_ok=True)
        self.write(url, feed, key, more)
        self.events: list = []

    def write(self, url: str, feed: str = FEED, key: str = "", more: str = "") -> None:
        (self.root / "sources.d" / "prices.yaml").write_text(feed.format(url=url, key=key, more=more))

    def run(self, reset=False):
        registry = build_registry()
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        self.events.clear()
        with Session.open(project, registry, observers=Observers(self.events.append)) as session:
            if reset:
                session.store.reset("prices")
            report = session.run(feeds.plans["prices"])
            rows = session.engine.rows("SELECT id, price FROM m.prices ORDER BY ALL")
            kept = session.store.run(report.run_id)
        assert report.closes()
        assert kept.status == report.status
        assert kept.report["unchanged_answers"] == report.unchanged_answers
        return report, [(row["id"], row["price"]) for row in rows]

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


TWO = [(1, "1.5"), (2, "2.5")]


@pytest.mark.capability("Conditional polling: ETag, Last-Modified and content hash", spec="conditional: true")
@pytest.mark.parametrize(("says", "header"), [(("etag",), "if-none-match"), (("modified",), "if-modified-since"), (("etag", "modified"), "if-none-match")])
def test_a_304_lands_nothing_and_is_told_as_unchanged(tmp_path, says, header):
    api = Api(says)
    with RawServer(api) as server:
        feed = Project_(tmp_path, server.url)
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, rows) == ("ok", 0, TWO)
        assert not {"if-none-match", "if-modified-since"} & set(server.requests[0].headers)
        for _ in range(2):
            report, rows = feed.run()
            assert (report.status, report.unchanged_answers, report.read, report.requests, rows) == ("unchanged", 1, 0, 1, TWO)
            assert header in server.requests[-1].headers
            assert [event.status for event in feed.told(RequestDone)] == [304]
            assert [event.unchanged for event in feed.told(PageRead)] == [True]
            assert [(event.status, event.unchanged_answers) for event in feed.told(RunFinished)] == [("unchanged", 1)]
        api.rows, api.changed_at = [*api.rows, {"id": 3, "price": "3.5"}], api.changed_at + 1
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, report.read) == ("ok", 0, 3)
        assert rows == sorted([*TWO, *TWO, (3, "3.5")])  # without a key each reading lands whole: the unchanged ones did not


@pytest.mark.parametrize("says", [(), ("etag",)])
def test_the_same_body_is_not_read_again_where_the_server_knows_no_conditions(tmp_path, says):
    api = Api(says, obeys=False)
    with RawServer(api) as server:
        feed = Project_(tmp_path, server.url)
        assert feed.run()[1] == TWO
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, rows) == ("unchanged", 1, TWO)
        assert [event.status for event in feed.told(RequestDone)] == [200]
        api.rows = api.rows[:1]
        report, rows = feed.run()
        assert (report.status, len(rows)) == ("ok", 3)


@pytest.mark.parametrize("method", ["POST"])
def test_only_a_get_is_asked_with_a_condition_and_the_hash_holds_for_both(tmp_path, method):
    with RawServer(Api()) as server:
        feed = Project_(tmp_path, server.url, more=f"method: {method}\n  json: {{q: 1}}\n  idempotent: true")
        feed.run()
        report, rows = feed.run()
        assert (report.status, rows) == ("unchanged", TWO)
        assert "if-none-match" not in server.requests[-1].headers


@pytest.mark.parametrize("how", ["fields", "request", "header", "reset"])
def test_another_spec_another_request_and_a_reset_ask_in_full(tmp_path, how):
    with RawServer(Api()) as server:
        feed = Project_(tmp_path, server.url)
        feed.run()
        if how == "fields":
            feed.write(server.url, feed=FEED.replace("price: String", "price: {{type: String, missing: [x]}}"))
        elif how == "request":
            feed.write(server.url, more="auth: {query: {k: '1'}}\n  headers: {x-a: '2'}")
        elif how == "header":
            feed.write(server.url, more="headers: {x-a: '1'}")
        report, _ = feed.run(reset=how == "reset")
        assert (report.status, report.read) == ("ok", 2)
        assert "if-none-match" not in server.requests[-1].headers
        assert feed.run()[0].status == "unchanged"


def test_a_secret_that_changed_is_the_same_request_and_is_kept_nowhere(tmp_path):
    api = Api()
    with RawServer(api) as server:
        feed = Project_(tmp_path, server.url, more="params: {key: '{{ secrets.API_KEY }}'}")
        (tmp_path / ".env").write_text("API_KEY=first-secret-of-the-feed\n")
        feed.run()
        (tmp_path / ".env").write_text("API_KEY=second-secret-of-the-feed\n")
        assert feed.run()[0].status == "unchanged"
        assert b"secret-of-the-feed" not in (tmp_path / "data" / "state.db").read_bytes()


def test_refused_answers_are_not_remembered(tmp_path):
    """A run that did not take the rows must not make the next one skip them."""
    api = Api()
    good, api.rows = api.rows, [{"id": "x", "price": "1"}, {"id": "y", "price": "1"}]
    with RawServer(api) as server:
        feed = Project_(tmp_path, server.url, key=", key: [id]")
        report, _ = feed.run()
        assert (report.status, report.errors[0].kind) == ("failed", "TooManyRefused")
        assert feed.run()[0].status == "failed"
        assert "if-none-match" not in server.requests[-1].headers
        api.rows = good
        assert feed.run()[1] == TWO
        api.rows = [{"id": "x", "price": "1"}]
        assert feed.run()[0].status == "failed"
        api.rows = good  # what landed last is still what is remembered
        assert (feed.run()[0].status, server.requests[-1].headers["if-none-match"]) == ("unchanged", server.requests[-2].headers["if-none-match"])


@pytest.mark.fault("F2: a 304 that nobody asked for", behaviour="an error; the position is kept, nothing lands")
def test_a_304_without_a_condition_is_an_error():
    with RawServer(lambda _: answer(b"", 304)) as server:
        reading = Feed({"endpoint": server.url, "conditional": "true"})
        with pytest.raises(PageError, match="304 .not modified. to a request without a condition"):
            reading.read()


def test_an_answer_that_a_rule_decided_is_not_the_last_one(tmp_path):
    api = Api()
    with RawServer(lambda r: answer({"msg": "no data"}) if closed else api(r)) as server:
        closed = False
        feed = Project_(tmp_path, server.url, more="errors: [{path: msg, then: empty}]")
        assert feed.run()[1] == TWO
        closed = True
        for _ in range(2):
            report, rows = feed.run()
            assert (report.status, report.unchanged_answers, rows) == ("empty", 0, TWO)
        closed = False
        assert feed.run()[0].status == "unchanged"


PARTS = """
name: prices
source:
  endpoint: {url}/{{{{ each.day }}}}
  conditional: true
  {more}
  each: {{day: [a, b, c]}}
fields: {{id: UInt64, price: {{type: String, from: each.day}}}}
target: {{table: m.prices{key}}}
"""


def test_each_partition_has_its_own_memory_and_the_run_counts(tmp_path):
    seen = {"a": [1], "b": [2], "c": []}

    class Days(Api):
        def body(self, request):
            return json.dumps([{"id": n} for n in seen[request.path[1:]]]).encode()

    with RawServer(Days()) as server:
        feed = Project_(tmp_path, server.url, PARTS)
        report, rows = feed.run()
        assert (report.status, rows) == ("ok", [(1, "a"), (2, "b")])
        seen["b"] = [3]
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, report.read, rows) == ("ok", 2, 1, [(1, "a"), (2, "b"), (3, "b")])
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, len(rows)) == ("unchanged", 3, 3)


WINDOWS = """
name: prices
source:
  endpoint: {url}
  params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
  conditional: true
  {more}
cursor: {{field: id, initial: "0", step: 10, end: 40, lookback: 20}}
fields: {{id: UInt64, price: String}}
target: {{table: m.prices{key}}}
"""


def test_each_window_has_its_own_memory(tmp_path):
    class Ranges(Api):
        def body(self, request):
            ids = [n for n in top if int(request.query["from"]) <= n < int(request.query["to"])]
            return json.dumps([{"id": n, "price": "1"} for n in ids]).encode()

    top = [1, 5, 12, 18, 25, 33]
    with RawServer(Ranges()) as server:
        feed = Project_(tmp_path, server.url, WINDOWS, key=", key: [id]")
        report, rows = feed.run()
        assert (report.status, len(rows)) == ("ok", 6)
        report, _ = feed.run()  # from 33 - 20 on: windows that begin elsewhere
        assert (report.status, report.unchanged_answers, report.unchanged) == ("ok", 0, 3)
        server.requests.clear()
        top.append(38)
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, report.new) == ("ok", 2, 1)
        assert [(r.query["from"], "if-none-match" in r.headers) for r in server.requests] == [("13", True), ("23", True), ("33", True)]
        assert len(rows) == 7


@pytest.mark.parametrize("obeys", [True, False])
def test_large_bodies_are_compared_in_their_file(tmp_path, obeys):
    class Lines(Api):
        def body(self, request):
            return b"\n".join(json.dumps({"id": n, "price": "x" * 400}).encode() for n in range(count)) + b"\n"

    count = 6000  # more than two pieces
    with RawServer(Lines(obeys=obeys)) as server:
        feed = Project_(tmp_path, server.url, more="format: jsonl")
        report, rows = feed.run()
        assert (report.status, len(rows)) == ("ok", count)
        report, rows = feed.run()
        assert (report.status, report.unchanged_answers, report.read, len(rows)) == ("unchanged", 1, 0, count)
        assert [event.status for event in feed.told(RequestDone)] == [304 if obeys else 200]
        count += 1
        report, rows = feed.run()
        assert (report.status, report.read) == ("ok", count)


def test_a_lying_etag_hides_what_changed_and_a_weak_one_is_asked_with(tmp_path):
    """What the docs say: nothing can be known of a body that a 304 does not send."""
    weak = 'W/"1"'

    def script(request):
        if request.headers.get("if-none-match") == weak:
            return answer(b"", 304, {"ETag": weak})
        return answer([{"id": 1, "price": "1"}], 200, {"ETag": weak})

    with RawServer(script) as server:
        feed = Project_(tmp_path, server.url)
        feed.run()
        assert feed.run()[0].status == "unchanged"


def test_conditional_and_paging_do_not_go_together(tmp_path):
    (tmp_path / "sources.d").mkdir()
    (tmp_path / "sources.d" / "prices.yaml").write_text(FEED.format(url="http://x.example", key="", more="paginate: {page: page}"))
    registry = build_registry()
    problems = load_feeds(Project.load(tmp_path, registry=registry), registry).problems
    assert [(p.line, p.path) for p in problems] == [(5, "source.conditional")]
    assert "`conditional` is for a feed without `paginate`" in problems[0].message
