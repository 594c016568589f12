"""A total that an API tells is compared with what arrives, per window: another number is an incomplete run, and the next one asks again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_projects import as_json, command
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.contract.source import Window
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.errors import Incomplete
from nexus_engine.project.project import Project
from raw_server import RawServer, answer
from source_bench import Feed

LIMIT = {"param": "limit", "size": "10"}
OFFSET = {"offset": "offset", "limit": LIMIT, "total": "count"}
PAGES = {"page": "page", "limit": LIMIT, "pages": "pages"}
LINK = {"next": "next", "total": "count"}


class Api:
    """25 rows by offset, page or link; ``total(start, rows)`` is what it tells, ``rows`` what it has."""

    def __init__(self, total=lambda start, rows: len(rows), rows=25) -> None:
        self.total, self.rows = total, [{"id": n} for n in range(rows)]

    def __call__(self, request):
        query = request.query
        start = (int(query["page"]) - 1) * 10 if "page" in query else int(query.get("offset", 0))
        rows = [row for row in self.rows if row["id"] > int(query.get("since", -1))]
        body = {"rows": rows[start : start + 10], "pages": 3}
        if (total := self.total(start, rows)) is not None:
            body["count"] = total
        if start + 10 < len(rows):
            body["next"] = f"?since={query.get('since', -1)}&offset={start + 10}"
        return answer(body)


def read(api, paginate, *, start=None, **options):
    """(ids that came, the error)."""
    with RawServer(api) as server:
        reading = Feed({"endpoint": f"{server.url}/x", "paginate": paginate, **options}, "rows")
        reading.window = Window(start)
        error = None
        try:
            reading.read()
        except Incomplete as raised:
            error = raised
    rows = [row["id"] for payload in reading.got if payload.body and not payload.again for row in json.loads(payload.body)["rows"]]
    again = [row["id"] for payload in reading.got if payload.again for row in json.loads(payload.body)["rows"]]
    return rows, again, error


@pytest.mark.capability("Paging: what arrives is compared with the total", spec="paginate: {next: links.next, total: meta.count}")
@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize(
    ("paginate", "total", "arrived", "landed", "says"),
    [
        (OFFSET, lambda start, rows: 30, 25, 25, "after 25 of 30 records"),
        (OFFSET, lambda start, rows: 30 if start < 20 else 0, 25, 25, "after 25 of 30"),  # the page beyond the last one says 0
        (OFFSET, lambda start, rows: 30 if start < 25 else None, 25, 25, "after 25 of 30"),  # or nothing
        (OFFSET, lambda start, rows: 22, 25, 20, "25 records came, and the answer says that there are 22"),
        (LINK, lambda start, rows: 30, 25, 20, "after 25 of 30 records"),
        (LINK, lambda start, rows: 20, 25, 20, "25 records came, and the answer says that there are 20"),
        (OFFSET, lambda start, rows: 25 if start < 20 else 40, 25, 25, "after 25 of 40"),  # it grew, the rows did not come
        (LINK, lambda start, rows: 25 if start < 20 else 24, 25, 20, "25 records came"),
    ],
)  # fmt: skip
def test_another_number_than_the_total(paginate, total, arrived, landed, says, threads):
    if total(20, []) == 0:
        total = lambda start, rows: 30 if start < 25 else 0  # noqa: E731
    rows, again, error = read(Api(total), paginate, concurrency=threads)
    assert error is not None
    assert says in error.what
    assert (error.arrived, error.counted) == (arrived, "records")
    assert rows == list(range(landed))
    assert again == list(range(landed, 25))  # the page that it ended with comes again
    assert (error.where[:7], bool(error.did), bool(error.do)) == ("http://", True, True)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_page_that_is_empty_before_the_last_one(threads):
    rows, again, error = read(Api(rows=10), PAGES, concurrency=threads)
    assert error is not None
    assert (error.what, error.total, error.arrived, error.counted) == ("page 2 of 3 is empty", 3, 1, "pages")
    assert (rows, again) == (list(range(10)), [])


@pytest.mark.parametrize(
    ("paginate", "total", "start", "options", "count"),
    [
        (OFFSET, lambda start, rows: 20 if start < 10 else 25, None, {}, 25),  # it grows while pages are read, and so do the rows
        (OFFSET, lambda start, rows: 40 if start < 20 else 25, None, {}, 25),  # it shrinks
        (LINK, lambda start, rows: 20 if start < 20 else 25, None, {}, 25),
        (OFFSET | {"stop_when": ["seen"], "seen": "id"}, lambda start, rows: 25, "9", {}, 10),  # newest first: the rest was read before
        (OFFSET, lambda start, rows: 25, None, {"errors": [{"path": "rows[0].id", "equals": "20", "then": "end"}]}, 20),  # the spec says that this is the end
        ({"keyset": {"from": "id", "param": "offset"}, "total": "count", "limit": LIMIT, "stop_when": ["short_page"]}, lambda start, rows: 25, None, {}, 27),
    ],
    ids=["grows", "shrinks", "a link, grows", "newest first", "declared end", "overlapping keys"],
)  # fmt: skip
def test_totals_that_are_met_or_not_meant(paginate, total, start, options, count):
    rows, again, error = read(Api(total), paginate, start=start, **options)
    assert error is None
    assert len(rows) + len(again) == count


# ---- the whole loop

FEED = """
name: things
source:
  endpoint: {url}/{{{{ each.kind }}}}
  each: {{kind: [a, b]}}
  params: {{since: "{{{{ window.start }}}}"}}
  paginate: {paginate}
  concurrency: 1
  records: rows
cursor: {{field: id, initial: "-1"}}
fields: {{kind: {{type: String, from: each.kind}}, id: UInt64}}
target: {{table: m.things{key}}}
"""


def write(root: Path, url: str, paginate: dict, key: str) -> None:
    (root / "sources.d").mkdir(exist_ok=True)
    (root / "sources.d" / "things.yaml").write_text(FEED.format(url=url, paginate=json.dumps(paginate), key=key))


def run(root: Path):
    registry = build_registry()
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry) as session:
        session.limits = Limits(batch_pages=1)
        report = session.run(feeds.plans["things"])
        assert report.closes()
        rows = [(row["kind"], row["id"]) for row in session.engine.rows("SELECT kind, id FROM m.things ORDER BY ALL")]
        return report, rows, session.store.books(report.run_id), session.store.runs("things")


WHOLE = [(kind, n) for kind in "ab" for n in range(25)]


@pytest.mark.fault("F30: fewer records than the total told", behaviour="the run is incomplete; the next one asks again from the same page")
@pytest.mark.parametrize("paginate", [OFFSET, LINK], ids=["offset", "link"])
@pytest.mark.parametrize("key", ["", ", key: [kind, id]"], ids=["no key", "key"])
def test_a_run_that_is_incomplete_and_the_one_that_mends_it(tmp_path, paginate, key):
    api = Api()
    late = {"/b"}

    def script(request):
        if request.path in late:
            return Api(lambda start, rows: 25, rows=22)(request)
        return api(request)

    with RawServer(script) as server:
        write(tmp_path, server.url, paginate, key)
        for _ in range(2):  # asked again, it is still incomplete, and nothing comes twice
            report, rows, books, _ = run(tmp_path)
            assert report.status == "incomplete"
            (error,) = report.errors
            assert (error.kind, error.partition, error.window_start, error.total, error.arrived) == ("Incomplete", "kind=b", "-1", 25, 22)
            held = 20 if paginate is LINK and not key else 22  # a page that comes again lands only where a key absorbs it
            assert rows == [(kind, n) for kind, n in WHOLE if kind == "a" or n < held]
            (book,) = [book for book in books if book.partition == "kind=b"]
            assert (book.complete, book.counts["total"], book.counts["arrived"]) == (False, 25, 22)
            (window,) = [book for book in report.books if book.partition == "kind=b"]
            assert (window.complete, window.total, window.arrived) == (False, 25, 22)
        late.clear()
        asked = len(server.requests)
        report, rows, books, runs = run(tmp_path)
        assert (report.status, rows) == ("ok", WHOLE)
        assert [r.query.get("offset") for r in server.requests[asked:] if r.path == "/b"][0] != "0"  # it went on inside the window
        assert [run.status for run in runs] == ["ok", "incomplete", "incomplete"]
        assert {book.partition: (book.complete, book.counts.get("total")) for book in books}["kind=b"] == (True, 25)


def test_incomplete_is_told_by_run_status_and_runs(tmp_path):
    with RawServer(Api(lambda start, rows: 30)) as server:
        write(tmp_path, server.url, LINK, "")
        done = command(tmp_path, "run", "things", "--once", "--json")
        assert done.returncode == 1
        (report,) = as_json(done)["runs"]
        assert (report["status"], report["errors"][0]["total"], report["errors"][0]["arrived"]) == ("incomplete", 30, 25)
        done = command(tmp_path, "run", "things", "--once")
        assert done.returncode == 1
        assert "incomplete" in done.stdout
        assert "after 25 of 30 records" in done.stderr
        done = command(tmp_path, "status", "--json")
        assert (done.returncode, as_json(done)["feeds"][0]["state"]) == (1, "incomplete")
        assert "incomplete" in command(tmp_path, "runs").stdout
        shown = command(tmp_path, "runs", "show", report["run_id"]).stdout
        assert "arrived" in shown
        assert "incomplete" in shown


def test_another_failure_beside_it_is_a_failed_run(tmp_path):
    with RawServer(lambda r: answer(b"", 404) if r.path == "/a" else Api(lambda start, rows: 30)(r)) as server:
        write(tmp_path, server.url, LINK, "")
        report = run(tmp_path)[0]
        assert (report.status, sorted(error.kind for error in report.errors)) == ("failed", ["Incomplete", "StopFeed"])
