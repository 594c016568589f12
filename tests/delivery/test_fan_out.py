"""Fan-out over a file, a landed table and a listing: what is asked, what lands, what a failure stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.backfill import checked_range
from nexus_engine.deliver.preview import preview
from nexus_engine.deliver.session import Session
from nexus_engine.errors import ConfigError
from nexus_engine.project.project import Project
from raw_server import RawServer, answer

OWNERS = {"1": ["a", "b"], "2": ["c"], "3": []}


class Api:
    """A listing per owner, the rows of each item. ``broken``: owners whose listing answers 404."""

    def __init__(self) -> None:
        self.owners = {owner: list(items) for owner, items in OWNERS.items()}
        self.kind: dict[str, str] = {}
        self.broken: set[str] = set()

    def __call__(self, request):
        parts = request.path.strip("/").split("/")
        if parts[0] == "owners":
            if parts[1] in self.broken:
                return answer({"error": "gone"}, 404)
            return answer({"items": [{"id": item, "kind": self.kind.get(item, f"kind of {item}")} for item in self.owners[parts[1]]]})
        after = int(request.query.get("after", 0))
        return answer([{"n": n, "text": f"{parts[1]}{n}"} for n in range(1, 4) if n > after])


LISTING = """
name: things
source:
  endpoint: {url}/items/{{{{ each.item }}}}
  params: {{after: "{{{{ window.start }}}}", kind: "{{{{ each.kind }}}}"}}
  each:
    owner: ["1", "2", "3"]
    item: {{request: {{endpoint: "{url}/owners/{{{{ each.owner }}}}"}}, records: items, column: id, with: {{kind: kind}}}}
cursor: {{field: n, initial: "0"}}
fields:
  owner: {{from: each.owner, type: String}}
  item: {{from: each.item, type: String}}
  kind: {{from: each.kind, type: String}}
  n: UInt32
  text: String
target: {{table: m.things, key: [owner, item, n]}}
"""


class World:
    def __init__(self, root: Path, **feeds: str) -> None:
        self.root = root
        (root / "sources.d").mkdir(exist_ok=True)
        for name, text in feeds.items():
            self.feed(name, text)

    def feed(self, name: str, text: str) -> None:
        (self.root / "sources.d" / f"{name}.yaml").write_text(text)

    def load(self):
        registry = build_registry()
        project = Project.load(self.root, registry=registry)
        return project, registry, load_feeds(project, registry)

    def problems(self):
        return [(problem.path, problem.code, f"{problem.message} {problem.suggestion}", problem.line) for problem in self.load()[2].problems]

    def run(self, name: str = "things", sql: str = "", mover=None):
        project, registry, feeds = self.load()
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            report = session.run(feeds.plans[name], mover=mover and mover(feeds.plans[name], session).job)
            self.positions = session.store.positions(name)
            self.quarantine = session.store.quarantine(name)
            self.rows = [tuple(row.values()) for row in session.engine.rows(sql)] if sql else []
        assert report.closes(), report
        assert not list((self.root / "data" / "raw").iterdir())
        return report

    def preview(self, name: str = "things", **each: str):
        project, registry, feeds = self.load()
        return preview(feeds.plans[name], project, registry, each=each)


@pytest.fixture()
def api():
    return Api()


@pytest.fixture()
def server(api):
    with RawServer(api) as running:
        yield running


def asked(server, prefix=""):
    return [request.path for request in server.requests if request.path.startswith(prefix)]


ROWS = "SELECT item, kind, n FROM m.things ORDER BY item, n"


@pytest.mark.capability("Fan-out: parent -> child, fields of the parent on the child", spec="each: {item: {request: {...}, records: items, column: id, with: {kind: kind}}}")
def test_a_listing_gives_the_partitions_and_its_fields_stand_on_the_rows(tmp_path, server, api):
    world = World(tmp_path, things=LISTING.format(url=server.url))
    report = world.run(sql=ROWS)
    assert (report.status, report.partitions, report.landed, report.errors) == ("ok", 3, 9, [])
    assert world.rows == [(item, f"kind of {item}", n) for item in "abc" for n in (1, 2, 3)]
    assert sorted(world.positions) == ["owner=1;item=a", "owner=1;item=b", "owner=2;item=c"]
    assert {request.query["kind"] for request in server.requests if request.path == "/items/a"} == {"kind of a"}
    # another kind is no other partition: it goes on from its position
    api.kind["a"] = "changed"
    server.requests.clear()
    world.run(sql=ROWS)
    assert [request.query["after"] for request in server.requests if request.path == "/items/a"] == ["3"]
    api.owners["3"] = ["d"]
    assert world.run(sql="SELECT count() FROM m.things WHERE item = 'd'").partitions == 4
    assert world.rows == [(3,)]


@pytest.mark.fault("Fan-out: a listing answers with an error", behaviour="what is below it is not asked; the other partitions land, the run is failed and names it")
def test_a_listing_that_fails_stops_only_what_is_below_it(tmp_path, server, api):
    api.broken = {"1"}
    world = World(tmp_path, things=LISTING.format(url=server.url))
    report = world.run(sql=ROWS)
    assert (report.status, report.landed) == ("failed", 3)
    [error] = report.errors
    assert (error.partition, error.kind) == ("owner=1", "StopFeed")
    assert error.what.startswith("the listing of each.item cannot be read: ")
    assert error.did == "nothing below it was asked; the other partitions go on"
    assert "/items/a" not in asked(server)
    api.broken = set()
    assert world.run(sql=ROWS).status == "ok"
    assert len(world.rows) == 9


def test_no_listing_has_a_record_is_an_empty_run_with_a_note(tmp_path, server, api):
    api.owners = {owner: [] for owner in api.owners}
    report = World(tmp_path, things=LISTING.format(url=server.url)).run()
    assert (report.status, report.partitions, report.errors) == ("empty", 0, [])
    assert report.warnings == ["nothing was asked: no listing for each.item has a record"]
