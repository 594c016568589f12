"""Cursors that are no field: the end of the window that was asked, and a header of its last answer. Through the whole loop."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from raw_server import RawServer, answer
from test_kill_pages_ahead import HERE, child

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.backfill import checked_range
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

FEED = """
name: things
source:
  endpoint: {url}
  params: {{since: "{{{{ window.start }}}}", until: "{{{{ window.end }}}}"}}
  records: rows
  {more}
cursor: {cursor}
fields: {{id: UInt64}}
target: {{table: m.things{key}}}
"""


SINCE = FEED.replace(', until: "{{{{ window.end }}}}"', "")


class World:
    def __init__(self, root: Path, url: str, cursor: str, more: str = "", key: str = "", feed: str = FEED) -> None:
        self.root = root
        (root / "sources.d").mkdir()
        (root / "sources.d" / "things.yaml").write_text(feed.format(url=url, cursor=cursor, more=more, key=key))

    def run(self, at: str = "2026-01-10T12:00:00", backfill: tuple[str, str] | None = None):
        """(report, ids in the table, the live position)"""
        registry = build_registry()
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        plan = feeds.plans["things"]
        with Session.open(project, registry, now=lambda: now) as session:
            mover = checked_range(plan, *backfill, [], now).job if backfill else None
            report = session.run(plan, mover=mover)
            assert report.closes()
            made = session.engine.rows("SELECT name FROM system.tables WHERE database = 'm'")
            ids = [row["id"] for row in session.engine.rows("SELECT id FROM m.things ORDER BY id")] if made else []
            return report, ids, session.store.position("things", "")


def asked(server):
    return [(request.query.get("since"), request.query.get("until")) for request in server.requests]


@pytest.mark.capability("Incremental: the position is the end of the window that was asked", spec="cursor: {from: window.end, type: date}")
@pytest.mark.parametrize(
    ("cursor", "windows"),
    [
        ("{from: window.end, type: date, initial: 2026-01-01}", [[("2026-01-01", "2026-01-10")], [("2026-01-10", "2026-01-12")]]),
        ("{from: window.end, type: date, initial: 2026-01-01, lookback: 2d}", [[("2026-01-01", "2026-01-10")], [("2026-01-08", "2026-01-12")]]),
        ("{from: window.end, type: date, initial: 2026-01-01, delay: 1d}", [[("2026-01-01", "2026-01-09")], [("2026-01-09", "2026-01-11")]]),
        (
            "{from: window.end, type: date, initial: 2026-01-01, step: 4d}",
            [[("2026-01-01", "2026-01-05"), ("2026-01-05", "2026-01-09"), ("2026-01-09", "2026-01-10")], [("2026-01-10", "2026-01-12")]],
        ),
        # a calendar month ends after the present: the position is the present
        ("{from: window.end, type: date, initial: 2026-01-01, step: 1mo}", [[("2026-01-01", "2026-02-01")], [("2026-01-01", "2026-02-01")]]),
        (
            "{from: window.end, type: datetime, initial: 2026-01-10T00:00:00Z}",
            [[("2026-01-10T00:00:00Z", "2026-01-10T12:00:00Z")], [("2026-01-10T12:00:00Z", "2026-01-12T12:00:00Z")]],
        ),
        ("{from: window.end, type: date, initial: 2026-01-01, end: 2026-01-11}", [[("2026-01-01", "2026-01-11")], [("2026-01-10", "2026-01-11")]]),
        ("{from: window.end, type: number, initial: 1, step: 10, end: 25}", [[("1", "11"), ("11", "21"), ("21", "25")], []]),
    ],
)  # fmt: skip
def test_the_end_of_the_window(tmp_path, cursor, windows):
    """Also where no record comes: the range was asked."""
    with RawServer(lambda _: answer({"rows": []})) as server:
        world = World(tmp_path, server.url, cursor)
        for at, expected in zip(("2026-01-10T12:00:00", "2026-01-12T12:00:00"), windows, strict=True):
            server.requests.clear()
            report, _, _ = world.run(at)
            assert report.status == "empty"
            assert asked(server) == expected


def test_a_window_that_failed_does_not_move_and_one_that_was_cut_goes_on(tmp_path):
    broken = {2}

    def script(request):
        page = int(request.query["page"])
        if page in broken:
            return answer(b"", 404)
        return answer({"rows": [{"id": page}] if page < 4 else []})

    with RawServer(script) as server:
        world = World(tmp_path, server.url, "{from: window.end, type: date, initial: 2026-01-01}", more="paginate: {page: page}", key=", key: [id]")
        report, ids, position = world.run()
        assert (report.status, ids, position["cursor"] if "cursor" in position else None) == ("failed", [1], None)
        assert position["window"] == {"start": "2026-01-01", "end": "2026-01-10"}
        broken.clear()
        server.requests.clear()
        report, ids, position = world.run("2026-01-11T00:00:00")
        assert (report.status, ids, position) == ("ok", [1, 2, 3], {"cursor": "2026-01-11"})
        assert [request.query["since"] for request in server.requests][-1] == "2026-01-10"  # from where the window that was cut ended


def test_a_backfill_leaves_it_where_it_is(tmp_path):
    with RawServer(lambda request: answer({"rows": [{"id": int(request.query["since"][-2:])}]})) as server:
        world = World(tmp_path, server.url, "{from: window.end, type: date, initial: 2026-01-01, step: 2d}", key=", key: [id]")
        assert world.run()[2] == {"cursor": "2026-01-10"}
        server.requests.clear()
        report, ids, position = world.run(backfill=("2025-12-20", "2025-12-24"))
        assert (report.status, report.windows, position) == ("ok", 2, {"cursor": "2026-01-10"})
        assert asked(server) == [("2025-12-20", "2025-12-22"), ("2025-12-22", "2025-12-24")]
        assert 20 in ids


# ---- a header


@pytest.mark.capability("Incremental: the position is a response header of the last page", spec="cursor: {from: header.X-Next-Since, type: number}")
@pytest.mark.parametrize(
    ("kind", "initial", "sent", "position"),
    [
        ("number", "0", ["17", "12345678901234567890"], ["17", "12345678901234567890"]),
        ("number", "0", ["17", "3"], ["17", "17"]),  # never back
        ("text", "start", ["zz9", "aa1"], ["zz9", "aa1"]),  # not to be compared: the newest
        ("date", "2020-01-01", ["2026-01-03", "Mon, 05 Jan 2026 10:00:00 GMT"], ["2026-01-03", "2026-01-05"]),
        (
            "datetime", "2020-01-01T00:00:00Z", ["2026-01-03T01:02:03+01:00", "Mon, 05 Jan 2026 10:00:00 GMT"],
            ["2026-01-03T00:02:03Z", "2026-01-05T10:00:00Z"],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_header(tmp_path, kind, initial, sent, position, form):
    rows = {"json": lambda n: answer({"rows": [{"id": n}]}, headers=head), "jsonl": lambda n: answer(b'{"id":%d}\n' % n, headers=head)}

    with RawServer(lambda _: rows[form](1)) as server:
        feed = SINCE if form == "json" else SINCE.replace("records: rows", "format: jsonl")
        world = World(tmp_path, server.url, f'{{from: header.X-Next-Since, type: {kind}, initial: "{initial}"}}', feed=feed)
        starts = [initial]
        for value, expected in zip(sent, position, strict=True):
            head = {"X-Next-Since": value}
            report, _, stored = world.run()
            assert (report.status, stored) == ("ok", {"cursor": expected})
            assert server.requests[-1].query["since"] == starts[-1]
            starts.append(expected)


def test_it_is_the_header_of_the_last_page_and_an_empty_answer_may_lack_it(tmp_path):
    more = True

    def script(request):
        page = int(request.query.get("page", 1))
        if not more:
            return answer({"rows": []})
        body = {"rows": [{"id": page}], "next": f"?page={page + 1}" if page < 3 else None}
        return answer(body, headers={"X-Next": str(100 - page)})

    with RawServer(script) as server:
        world = World(tmp_path, server.url, '{from: header.x-next, type: number, initial: "0", lookback: 7}', more="paginate: {next: next}", feed=SINCE)
        report, ids, position = world.run()
        assert (report.status, ids, position) == ("ok", [1, 2, 3], {"cursor": "97"})
        more = False
        report, _, position = world.run()
        assert (report.status, position) == ("empty", {"cursor": "97"})
        assert server.requests[-1].query["since"] == "90"


@pytest.mark.fault("F10: a header that the position is taken from is absent, or of another type", behaviour="stops before that page; nothing of it lands")
@pytest.mark.parametrize(("headers", "says"), [({}, "X-Next, which the cursor is taken from, is absent"), ({"X-Next": "soon"}, "'soon'"), ({"X-Next": "NaN"}, "'NaN'")])
def test_records_without_it_do_not_land(tmp_path, headers, says):
    with RawServer(lambda _: answer({"rows": [{"id": 1}]}, headers=headers)) as server:
        world = World(tmp_path, server.url, '{from: header.X-Next, type: number, initial: "0"}', feed=SINCE)
        report, ids, position = world.run()
        assert (report.status, ids, position) == ("failed", [], None)
        assert says in report.errors[0].what
        assert all((report.errors[0].where, report.errors[0].did, report.errors[0].do))


def test_a_304_leaves_it_and_a_header_of_it_counts(tmp_path):
    def script(request):
        if "if-none-match" in request.headers:
            return answer(b"", 304, {"ETag": '"1"', **later})
        return answer({"rows": [{"id": 1}]}, headers={"ETag": '"1"', "X-Next": "5"})

    later = {}
    with RawServer(script) as server:
        world = World(tmp_path, server.url, '{from: header.X-Next, type: number, initial: "5"}', more="conditional: true", feed=SINCE)
        world.run()
        report, _, position = world.run()
        assert (report.status, position["cursor"]) == ("unchanged", "5")
        later = {"X-Next": "9"}
        report, _, position = world.run()
        assert (report.status, position["cursor"]) == ("unchanged", "9")


@pytest.mark.parametrize(
    ("cursor", "params", "place", "says"),
    [
        ("{from: window.end, type: date, field: id}", "since: '{{ window.end }}'", "cursor.field", "only one of field, from may be given"),
        ("{initial: 1}", "a: b", "cursor", "one of field, from must be given"),
        ("{from: window.end}", "since: '{{ window.end }}'", "cursor.type", "needs type"),
        ("{from: windw.end, type: date}", "a: b", "cursor.from", "expected window.end or header."),
        ("{from: headers.X-Next, type: date}", "a: b", "cursor.from", "expected window.end or header."),
        ("{field: id, type: number, initial: 1}", "a: '{{ window.start }}'", "cursor.type", "type goes with from"),
        ("{from: window.end, type: date, initial: 2026-01-01}", "a: b", "cursor.from", "does not use window.start"),
        ("{from: window.end, type: text, initial: a}", "a: '{{ window.start }}'", "cursor.type", "is a date, a time or a number"),
        ("{from: window.end, type: number, initial: 1}", "a: '{{ window.start }}'", "cursor.type", "only with step"),
        ("{from: header.x, type: date, initial: 2026-01-01, step: 1d}", "a: '{{ window.start }}'", "cursor.step", "no place in it"),
        ("{from: header.x, type: text, initial: a, lookback: 1d}", "a: '{{ window.start }}'", "cursor.lookback", "is a text"),
    ],
)  # fmt: skip
def test_words_that_do_not_go_together(tmp_path, cursor, params, place, says):
    (tmp_path / "sources.d").mkdir()
    text = f"name: things\nsource: {{endpoint: https://x.example, params: {{{params}}}}}\ncursor: {cursor}\nfields: {{id: UInt64}}\ntarget: {{table: m.t}}\n"
    (tmp_path / "sources.d" / "things.yaml").write_text(text)
    registry = build_registry()
    problems = load_feeds(Project.load(tmp_path, registry=registry), registry).problems
    assert [(problem.path, problem.line) for problem in problems] == [(place, 3)]
    assert says in problems[0].message.replace("`", "")


def test_a_source_without_headers_has_none_to_offer(tmp_path):
    (tmp_path / "sources.d").mkdir()
    text = "name: things\nsource: {plugin: scripted, file: '{{ window.start }}'}\ncursor: {from: header.x, type: text, initial: a}\nfields: {id: UInt64}\ntarget: {table: m.t}\n"
    (tmp_path / "sources.d" / "things.yaml").write_text(text)
    registry = build_registry(["scripted_source"])
    problems = load_feeds(Project.load(tmp_path, registry=registry), registry).problems
    assert [(problem.path, problem.message) for problem in problems] == [("cursor.from", "this kind of source has no response headers")]


# ---- crashes

KILLED = """
name: pages
source:
  endpoint: {url}/{home}
  params: {{after: "{{{{ window.start }}}}"}}
  paginate: {{offset: offset, limit: {{param: limit, size: 5}}, total: count}}
  records: rows
cursor: {{from: header.X-Next, type: number, initial: "0"}}
fields: {{series: {{value: a, type: String}}, id: UInt32}}
target: {{table: m.pages}}
"""
POINTS = ("stage.closed", "query.mapped", "spool.renamed", "intent.before", "intent.after", "insert.after", "done.before", "done.after")


def test_a_kill_loses_nothing_and_lands_nothing_twice(tmp_path):
    """Into a table without a key: where the next run begins is all that keeps a row from coming twice, or never."""
    import subprocess
    import sys

    def script(request):
        start, after = int(request.query["offset"]), int(request.query["after"])
        ids = range(after + 1, 31)
        return answer({"count": len(ids), "rows": [{"id": n} for n in ids[start : start + 5]]}, headers={"X-Next": "30"})

    with RawServer(script) as server:

        def killed(name: str) -> Path:
            home = tmp_path / name
            (home / "sources.d").mkdir(parents=True)
            (home / "sources.d" / "pages.yaml").write_text(KILLED.format(url=server.url, home=name))
            done = child(home, crash_at=name.replace("-", "#"))
            assert done.returncode == -9, done.stderr[-3000:]
            return home

        with ThreadPoolExecutor(2) as pool:
            homes = list(pool.map(killed, [f"{point}-{visit}" for point in POINTS for visit in (1, 3)]))
        for _ in range(2):
            done = child(*homes)
            assert done.returncode == 0, done.stderr[-3000:]
    oracle = subprocess.run([sys.executable, "-I", str(HERE / "pages_oracle.py"), *map(str, homes)], capture_output=True, text=True, check=True)
    verdicts = [json.loads(line) for line in oracle.stdout.splitlines()]
    assert verdicts == [{"ids": {"a": list(range(1, 31))}, "repeated": 0}] * len(homes)
