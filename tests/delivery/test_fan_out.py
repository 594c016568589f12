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


@pytest.mark.capability("Fan-out: parent -> child, fields of the parent on the child", spec="each: {item: {request: {endpoint: https://api.example.com/items}, records: items, column: id, with: {kind: kind}}}")
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


FROM_FILE = """
name: things
source:
  endpoint: {url}/items/{{{{ each.item }}}}
  each: {{item: {{file: lists/items.{suffix}, column: id, with: {{kind: kind}}}}}}
  records: .
fields: {{item: {{from: each.item, type: String}}, kind: {{from: each.kind, type: Nullable(String)}}, n: UInt32}}
target: {{table: m.things}}
"""
FILES = {
    "csv": "id,kind\n007,spy\nNO,\"a, b\"\n007,other\n",
    "tsv": "id\tkind\n007\tspy\nNO\ta, b\n",
    "jsonl": '{"id": "007", "kind": "spy"}\n\n{"kind": "a, b", "id": "NO", "more": [1]}\n',
    "yaml": "- {id: 007, kind: spy}\n- id: NO\n  kind: a, b\n",
}


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.capability("Fan-out: values from a file of the project (CSV, TSV, JSON lines, YAML)", spec="each: {cik: {file: lists/ciks.csv, column: cik, with: {ticker: symbol}}}")
def test_values_of_a_file_keep_their_texts(tmp_path, server, suffix):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / f"items.{suffix}").write_text(FILES[suffix])
    world = World(tmp_path, things=FROM_FILE.format(url=server.url, suffix=suffix))
    report = world.run(sql="SELECT DISTINCT item, kind FROM m.things ORDER BY item")
    assert (report.status, report.partitions) == ("ok", 2)
    assert world.rows == [("007", "spy"), ("NO", "a, b")]
    assert sorted(asked(server)) == ["/items/007", "/items/NO"]


def test_a_file_of_one_column_needs_no_column(tmp_path, server):
    feed = FROM_FILE.replace(", column: id, with: {{kind: kind}}", "").replace("kind: {{from: each.kind, type: Nullable(String)}}, ", "")
    for suffix, text in (("csv", "id\na\nb\n"), ("yaml", "[a, b]")):
        root = tmp_path / suffix
        (root / "lists").mkdir(parents=True)
        (root / "lists" / f"items.{suffix}").write_text(text)
        world = World(root, things=feed.format(url=server.url, suffix=suffix))
        assert world.run(sql="SELECT DISTINCT item FROM m.things ORDER BY item").status == "ok"
        assert world.rows == [("a",), ("b",)]


WRONG_FILES = [  # (text, column, path of the problem, words)
    ("id,kind\n", "id", "file", "it has no values"),
    ("id,kind\na,b\n,c\n", "id", "file", "line 3 has no value in the column `id`"),
    ("id,kind\na,b\n", "idd", "column", "no column `idd` did you mean `id`?"),
    ("id,kin\na,b\n", "id", "with.kind", "no column `kind` did you mean `kin`?"),
    ('id,kind\n"a,b\n', "id", "file", "no CSV"),
]


@pytest.mark.parametrize(("text", "column", "key", "words"), WRONG_FILES)
def test_a_file_without_the_values_is_a_problem_of_the_spec(tmp_path, text, column, key, words):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "items.csv").write_text(text)
    feed = FROM_FILE.format(url="http://127.0.0.1:1", suffix="csv").replace("column: id", f"column: {column}")
    [(path, code, message, line)] = World(tmp_path, things=feed).problems()
    assert (path, code, line) == (f"source.each.item.{key}", "bad-values", 5)
    assert words in message


@pytest.mark.parametrize(
    ("file", "words"),
    [("lists/itens.csv", "did you mean `lists/items.csv`?"), ("sources.d/thing.yaml", "it would be"), ("../secret.csv", "one of the project"), ("/etc/passwd", "one of the project"), ("lists/items.txt", "ends in one of")],
)
def test_a_file_that_is_not_there_or_not_of_the_project_is_a_problem(tmp_path, file, words):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "items.csv").write_text(FILES["csv"])
    (tmp_path.parent / "secret.csv").write_text(FILES["csv"])
    feed = FROM_FILE.format(url="http://127.0.0.1:1", suffix="csv").replace("lists/items.csv", file)
    [(path, _, message, line)] = World(tmp_path, things=feed).problems()
    assert (path, line) == ("source.each.item.file", 5)
    assert words in message


COMPANIES = """
name: companies
source: {{endpoint: "{url}/owners/1", records: items}}
fields: {{id: {id}, kind: String}}
target: {{table: m.companies, key: [{key}]{engine}}}
"""
FROM_TABLE = """
name: things
source:
  endpoint: {url}/items/{{{{ each.item }}}}
  each: {{item: {{from: m.companies.id, with: {{kind: kind}}}}}}
  records: .
fields: {{item: {{from: each.item, type: String}}, kind: {{from: each.kind, type: String}}, n: UInt32}}
target: {{table: m.things}}
"""


@pytest.mark.capability("Fan-out: values from a landed table's column, read when the run starts", spec="each: {cik: {from: market.sec_companies.cik, with: {ticker: ticker}}}")
@pytest.mark.parametrize("engine", ["", ", engine: ReplacingMergeTree"])
def test_values_of_a_landed_table_are_those_of_its_newest_rows(tmp_path, server, api, engine):
    world = World(tmp_path, companies=COMPANIES.format(url=server.url, id="String", key="id", engine=engine), things=FROM_TABLE.format(url=server.url))
    report = world.run()
    assert (report.status, report.partitions) == ("empty", 0)
    assert report.warnings == ["nothing was asked: m.companies has no value of `id` for each.item yet; run the feed that lands there first"]
    assert world.run("companies").landed == 2
    assert world.run(sql="SELECT DISTINCT item, kind FROM m.things ORDER BY item").partitions == 2
    assert world.rows == [("a", "kind of a"), ("b", "kind of b")]
    api.kind["a"] = "newer"
    world.run("companies")
    world.run(sql="SELECT DISTINCT item, kind FROM m.things ORDER BY item, kind")
    assert world.rows == [("a", "kind of a"), ("a", "newer"), ("b", "kind of b")]


def test_rows_without_a_value_are_left_out_and_told(tmp_path, server, api):
    api.owners["1"] = ["a", None, ""]
    feeds = {"companies": COMPANIES.format(url=server.url, id="Nullable(String)", key="kind", engine=""), "things": FROM_TABLE.format(url=server.url)}
    world = World(tmp_path, **feeds)
    api.kind = {None: "x", "": "y"}
    world.run("companies")
    report = world.run()
    assert (report.status, report.partitions) == ("ok", 1)
    assert report.warnings == ["2 rows of m.companies without a value of `id` left out of each.item"]


@pytest.mark.parametrize(
    ("wrong", "key", "words"),
    [("m.companies.idd", "from", "did you mean `m.companies.id`?"), ("m.companie.id", "from", "did you mean `m.companies.id`?"), ("kind: kin", "with.kind", "did you mean `kind`?")],
)
def test_a_table_or_column_that_no_feed_lands_is_a_problem(tmp_path, wrong, key, words):
    feed = FROM_TABLE.format(url="http://127.0.0.1:1")
    feed = feed.replace("kind: kind", wrong) if key != "from" else feed.replace("m.companies.id", wrong)
    world = World(tmp_path, companies=COMPANIES.format(url="http://127.0.0.1:1", id="String", key="id", engine=""), things=feed)
    [(path, code, message, line)] = world.problems()
    assert (path, code, line) == (f"source.each.item.{key}", "unknown-name", 5)
    assert words in message


def test_a_feed_reads_no_partitions_from_the_table_that_it_alone_fills(tmp_path):
    own = FROM_TABLE.format(url="http://127.0.0.1:1").replace("m.companies.id", "m.things.id").replace("kind: kind", "kind: n")
    world = World(tmp_path, things=own)
    [(path, code, message, line)] = world.problems()
    assert (path, code, line) == ("source.each.item.from", "own-table", 5)
    assert "only this feed lands in `m.things`: it cannot read its partitions from the table it fills" in message
    world.feed("companies", COMPANIES.format(url="http://127.0.0.1:1", id="String", key="id", engine=""))
    assert "companies" not in world.problems()[0][2], "a table that has another name is not what was meant"
    world.feed("companies", COMPANIES.format(url="http://127.0.0.1:1", id="String", key="id", engine="").replace("m.companies", "m.things"))
    assert all(code != "own-table" for _, code, _, _ in world.problems()), "another feed fills it, too"


WRONG = [  # (value of each.item, path below it, code, words)
    ("{file: a.csv, from: a.b.c}", ".from", "exclusive", "only one of `file`, `from`, `request`"),
    ("{column: a}", "", "missing-key", "one of `file`, `from`, `request` must be given"),
    ("{fiel: a.csv}", ".fiel", "unknown-key", "did you mean `file`?"),
    ("{from: a.b}", ".from", "wrong-value", "database.table.column"),
    ("{from: a.b.c, column: c}", ".column", "exclusive", "`from` names the column"),
    ("{request: {endpoint: 'http://x'}}", ".column", "missing-key", "`request` needs `column`"),
    ("{request: {endpoitn: 'http://x'}, column: c}", ".request.endpoitn", "unknown-key", "did you mean `endpoint`?"),
    ("{request: {endpoint: 'http://x', paginate: {page: 1, offset: 2}}, column: c}", ".request.paginate", "wrong-value", "exactly one"),
    ("{request: {endpoint: 'http://x', records: a}, column: c}", ".request.records", "unknown-key", "not known"),
    ("{request: {}, column: c}", ".request", "plugin-option", "needs `endpoint`"),
    ("{request: {endpoint: 'http://x/{{ each.item }}'}, column: c}", ".request.endpoint", "template-name", "`each.item` is not known yet when this listing is asked known in this listing: each.owner"),
    ("{request: {endpoint: 'http://x/{{ each.onwer }}'}, column: c}", ".request.endpoint", "template-name", "did you mean `each.owner`?"),
    ("{request: {endpoint: 'http://x/{{ window.start }}'}, column: c}", ".request.endpoint", "template-name", "`window` is not known in this place"),
    ("{request: {endpoint: 'http://x'}, column: 'a..b'}", ".column", "path", "character"),
    ("{request: {endpoint: 'http://x'}, column: c, records: {path: a, zip: true, one: true}}", ".records.one", "exclusive", "only one"),
    ("{request: {endpoint: 'http://x'}, column: c, format: jsn}", ".format", "unknown-name", "did you mean `json`?"),
    ("{request: {endpoint: 'http://x'}, column: c, with: {owner: d}}", ".with.owner", "wrong-value", "has a meaning already"),
    ("{request: {endpoint: 'http://x'}, column: c, with: {'a b': d}}", ".with.a b", "wrong-value", "a letter"),
    ("{file: a.csv, records: x}", ".records", "exclusive", "does not go with `file`"),
]


def test_a_listing_says_which_names_it_knows(tmp_path):
    feed = (
        "name: things\nsource:\n  endpoint: 'http://127.0.0.1:1/{{ each.item }}'\n  each:\n"
        "    item: {request: {endpoint: 'http://x/{{ each.x }}'}, column: c}\nfields: {n: UInt8}\ntarget: {table: m.things}\n"
    )
    [(path, code, message, line)] = World(tmp_path, things=feed).problems()
    assert (path, code, line) == ("source.each.item.request.endpoint", "template-name", 5)
    assert message == "`each.x` is not known a listing knows the names of `each` that stand before it, and none does"


@pytest.mark.parametrize(("value", "below", "code", "words"), WRONG)
def test_what_is_wrong_under_each_is_a_problem_at_its_place(tmp_path, value, below, code, words):
    feed = (
        "name: things\nsource:\n  endpoint: 'http://127.0.0.1:1/{{ each.item }}'\n  each:\n    owner: [a]\n"
        f"    item: {value}\nfields: {{n: UInt8}}\ntarget: {{table: m.things}}\n"
    )
    [(path, found, message, line)] = World(tmp_path, things=feed).problems()
    assert (path, found, line) == (f"source.each.item{below}", code, 6)
    assert words in message


def test_what_the_feed_says_about_asking_holds_for_its_listings_too(tmp_path, server):
    feed = LISTING.format(url=server.url).replace("  params:", '  headers: {X-Who: me}\n  params:').replace("records: items", "records: items")
    world = World(tmp_path, things=feed)
    assert world.run().status == "ok"
    assert {request.headers.get("x-who") for request in server.requests} == {"me"}
    assert {request.target for request in server.requests if request.path == "/owners/1"} == {"/owners/1"}  # the feed's params are the feed's
    world.feed("things", feed.replace("X-Who: me", 'X-Who: "{{ window.start }}"'))
    [(path, code, message, _)] = world.problems()
    assert (path, code) == ("source.each.item.request", "template-name")
    assert "the feed's `headers` reads `window.start`" in message


HOSTILE = """
name: things
source:
  {address}
  each: {{item: {{request: {{endpoint: "{url}/owners/1"}}, records: items, column: id}}}}
fields: {{item: {{from: each.item, type: String}}, n: UInt32}}
target: {{table: m.things}}
"""


@pytest.mark.fault("Fan-out: a listing's value with slashes, a query or another path in it", behaviour="it is percent-encoded: it stays one segment of the path; `..` is refused")
def test_a_value_of_a_listing_stays_one_segment_of_the_path(tmp_path, server, api):
    api.owners["1"] = ["a/../../admin?x=1#y", "b c&d", "..", "\u00e9"]
    world = World(tmp_path, things=HOSTILE.format(url=server.url, address=f'endpoint: "{server.url}/items/{{{{ each.item }}}}/rows"'))
    report = world.run()
    assert [error.partition for error in report.errors] == ["item=.."]
    assert "stands alone in the path" in report.errors[0].what
    assert sorted(request.target for request in server.requests if request.target.startswith("/items")) == [
        "/items/%C3%A9/rows", "/items/a%2F..%2F..%2Fadmin%3Fx%3D1%23y/rows", "/items/b%20c%26d/rows",
    ]  # fmt: skip


@pytest.mark.fault("Fan-out: a listing's value chooses the host", behaviour="only hosts that the spec names are asked; link-local and metadata addresses never")
@pytest.mark.parametrize("hosts", ["", ', hosts: [169.254.169.254, "{url}"]'])
def test_a_value_of_a_listing_chooses_no_host_that_the_spec_does_not_name(tmp_path, server, api, hosts):
    port = server.url.rsplit(":", 1)[1]
    api.owners["1"] = [f"127.0.0.1:{port}", "169.254.169.254", "evil.example"]
    address = 'endpoint: "http://{{ each.item }}/items/x"' + hosts.format(url=server.url).replace(", ", "\n  ", 1)
    report = World(tmp_path, things=HOSTILE.format(url=server.url, address=address)).run()
    found = {error.partition: error.what for error in report.errors}
    assert "leads to the host 'evil.example', which the spec does not name" in found["item=evil.example"]
    if hosts:
        assert "link-local or metadata" in found["item=169.254.169.254"]
        assert report.landed == 3
    else:
        assert "which the spec does not name" in found["item=169.254.169.254"]
        assert report.landed == 0


def test_whole_urls_of_a_listing_are_asked_where_they_lead_home(tmp_path, server, api):
    api.owners["1"] = [f"{server.url}/items/a?x=1", "http://169.254.169.254/latest", "file:///etc/passwd"]
    apis = tmp_path / "apis.d"
    apis.mkdir()
    (apis / "own.yaml").write_text(f"name: own\nbase_url: {server.url}\nheaders: {{X-Key: k}}\n")
    report = World(tmp_path, things=HOSTILE.format(url=server.url, address='api: own\n  endpoint: "{{ each.item }}"')).run()
    assert len(report.errors) == 2
    assert all("which the spec does not name" in error.what for error in report.errors)
    assert [request.target for request in server.requests if request.path == "/items/a"] == ["/items/a?x=1"]


def test_a_value_that_comes_twice_is_one_partition(tmp_path, server, api):
    api.owners["1"] = ["a", "b", "a"]
    report = World(tmp_path, things=LISTING.format(url=server.url)).run(sql=ROWS)
    assert (report.status, report.partitions, report.landed) == ("ok", 3, 9)


@pytest.mark.fault("Fan-out: more partitions than `limits.max_partitions`", behaviour="nothing of the feed is asked; the error names the limit")
@pytest.mark.parametrize("feed", [LISTING, FROM_FILE, LISTING.replace('["1", "2", "3"]', "[a, b, c, d]")])
def test_more_partitions_than_the_limit_are_an_error(tmp_path, server, feed):
    (tmp_path / "nexus.yaml").write_text("limits: {max_partitions: 2}\n")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "items.csv").write_text("id,kind\na,1\nb,2\nc,3\n")
    world = World(tmp_path, things=feed.format(url=server.url, suffix="csv"))
    if "suffix" in feed:
        [(path, _, message, _)] = world.problems()
        assert (path, "more than 2 different values" in message) == ("source.each.item.file", True)
        return
    report = world.run()
    assert report.status == "failed"
    [error] = report.errors
    assert (error.kind, error.what) == ("ConfigError", f"each.{'owner' if '[a,' in feed or '3' in feed else 'item'} gives more than 2 partitions")
    assert "limits.max_partitions" in error.do
    assert asked(server, "/items") == []


def test_a_record_of_a_listing_without_the_value_fails_that_listing(tmp_path, server, api):
    api.owners["2"] = [None]
    report = World(tmp_path, things=LISTING.format(url=server.url)).run()
    [error] = report.errors
    assert (error.partition, report.landed) == ("owner=2", 6)
    assert error.what == "the listing of each.item cannot be read: record 0 has no `id`"


def test_a_listing_says_what_stops_the_feed_and_what_is_only_a_note(tmp_path, server, api):
    api.broken = {"2"}
    feed = LISTING.format(url=server.url)
    world = World(tmp_path, things=feed.replace("  params:", "  errors: [{status: 404, then: not_yet}]\n  params:"))
    report = world.run()
    assert (report.status, report.landed, report.errors) == ("ok", 6, [])
    assert report.warnings[0].startswith("owner=2: the listing of each.item cannot be read: not there yet")
    world.feed("things", feed.replace("  params:", "  errors: [{status: 404, then: stop}]\n  params:"))
    report = world.run()
    assert (report.status, report.landed, [error.kind for error in report.errors]) == ("failed", 0, ["StopAll"])


def test_a_backfill_asks_the_listings_of_its_own_partitions_only(tmp_path, server, api):
    feed = LISTING.format(url=server.url).replace("{after:", '{before: "{{ window.end }}", after:')
    world = World(tmp_path, things=feed)

    def backfill(*each):
        return lambda plan, session: checked_range(plan, "0", "2", each, session.reader.now())

    report = world.run(sql=ROWS, mover=backfill("owner=1", "item=b"))
    assert (report.status, report.partitions) == ("ok", 1)
    assert {row[0] for row in world.rows} == {"b"}
    assert asked(server, "/owners") == ["/owners/1"]
    report = world.run(mover=backfill("item=zz"))
    assert "no partition has this value now" in report.errors[0].what
    with pytest.raises(ConfigError, match="there is no such name"):
        world.run(mover=backfill("kind=x"))


def test_a_replayed_record_has_the_fields_of_its_parent(tmp_path, server, api):
    from nexus_engine.deliver.replay import Replay

    feed = LISTING.format(url=server.url)+ "max_refused: 1\nvalidate: [{expect: in_set, field: text, values: [x]}]\n"
    world = World(tmp_path, things=feed)
    report = world.run()
    assert (report.landed, report.quarantined) == (0, 9)
    world.feed("things", LISTING.format(url=server.url) + "max_refused: 1\n")
    server.requests.clear()
    report = world.run(sql=ROWS, mover=lambda plan, session: Replay())
    assert (report.status, report.landed) == ("ok", 9)
    assert world.rows == [(item, f"kind of {item}", n) for item in "abc" for n in (1, 2, 3)]
    assert world.quarantine == []
    assert server.requests == []


def test_a_preview_asks_a_few_listings_and_one_child(tmp_path, server, api):
    api.owners = {"1": [], "2": ["c", "e"], "3": ["d"]}
    world = World(tmp_path, things=LISTING.format(url=server.url))
    shown = world.preview()
    assert (shown.error, shown.partition, shown.read) == (None, "owner=2;item=c", 3)
    assert asked(server, "/items") == ["/items/c"]
    assert world.preview(owner="3").partition == "owner=3;item=d"
    assert world.preview(owner="9", item="x", kind="y").partition.startswith("owner=9;item=x")
    assert "there is no such name" in world.preview(itme="x").error.what
    world.feed("companies", COMPANIES.format(url=server.url, id="String", key="id", engine=""))
    world.feed("things", FROM_TABLE.format(url=server.url))
    error = world.preview().error
    assert "is not open here" in error.what
    assert error.do == "say the values: --each item=..."
    assert world.preview(item="c", kind="k").read == 3


def test_a_position_keeps_its_meaning_when_its_values_come_from_somewhere_else(tmp_path, server):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "items.csv").write_text("id\na\nb\n")
    feed = LISTING.format(url=server.url).replace(', kind: "{{ each.kind }}"', "").replace("  kind: {from: each.kind, type: String}\n", "")
    listing = feed[feed.index("  each:") : feed.index("cursor:")]

    def each(text):
        return feed.replace(listing, f"  each: {{owner: ['1'], item: {text}}}\n")

    world = World(tmp_path, things=each("[a, b]"))
    hashes = set()
    for text in ("[a, b]", "{file: lists/items.csv}", f"{{request: {{endpoint: '{server.url}/owners/1'}}, records: items, column: id}}"):
        world.feed("things", each(text))
        assert world.run().errors == []
        hashes.add(world.load()[2].plans["things"].position_hash)
    assert len(hashes) == 1
    world.feed("things", each("{file: lists/items.csv, with: {kind: id}}"))
    assert world.load()[2].plans["things"].position_hash not in hashes


def test_an_answer_that_did_not_change_is_read_again_when_its_parent_did(tmp_path, server, api):
    feed = LISTING.format(url=server.url).replace('  params: {after: "{{ window.start }}", kind: "{{ each.kind }}"}', "  conditional: true")
    world = World(tmp_path, things=feed.replace("cursor: {field: n, initial: \"0\"}\n", ""))
    assert world.run().landed == 9
    report = world.run()
    assert (report.status, report.partitions, report.read) == ("unchanged", 3, 0)
    api.kind["a"] = "newer"
    report = world.run(sql=ROWS)
    assert (report.read, report.revised) == (3, 3)
    assert [row for row in world.rows if row[1] == "newer"] == [("a", "newer", n) for n in (1, 2, 3)]


def test_a_value_that_a_template_needs_and_a_listing_has_not_is_named(tmp_path, server, api):
    feed = HOSTILE.replace("column: id", "column: id, with: {{more: more}}")
    report = World(tmp_path, things=feed.format(url=server.url, address=f'endpoint: "{server.url}/items/{{{{ each.item }}}}/{{{{ each.more }}}}"')).run()
    assert {(error.kind, "no value for each.more" in error.what) for error in report.errors} == {("ConfigError", True)}


def test_a_run_that_is_stopped_while_listings_are_asked_is_stopped_not_empty(tmp_path, server, api):
    import threading

    stop = threading.Event()

    def slow(request):
        if request.path == "/owners/2":
            stop.set()
        return api(request)

    with RawServer(slow) as running:
        world = World(tmp_path, things=LISTING.format(url=running.url) + "\n")
        world.feed("things", LISTING.format(url=running.url).replace("  params:", "  concurrency: 1\n  params:"))
        project, registry, feeds = world.load()
        with Session.open(project, registry) as session:
            report = session.run(feeds.plans["things"], stop=stop)
        assert (report.status, report.errors) == ("stopped", [])
        assert "/owners/3" not in asked(running)
        assert world.run(sql=ROWS).landed == 9


@pytest.mark.capability("Fan-out: bounded concurrency", spec="concurrency: 4")
def test_listings_are_asked_side_by_side_within_the_feeds_concurrency(tmp_path):
    import threading
    import time

    lock, running, most = threading.Lock(), [0], [0]

    def counting(request):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)
        with lock:
            running[0] -= 1
        return answer({"items": [{"id": f"{request.path[-1]}{n}"} for n in range(3)]} if "owners" in request.path else [{"n": 1}])

    with RawServer(counting) as server:
        feed = LISTING.format(url=server.url).replace("  params:", "  concurrency: 3\n  params:").replace(", with: {kind: kind}", "")
        feed = feed.replace('["1", "2", "3"]', "[a, b, c, d, e, f]").replace(', kind: "{{ each.kind }}"', "").replace("  kind: {from: each.kind, type: String}\n", "")
        report = World(tmp_path, things=feed.replace("  text: String\n", "").replace("owner, item, n]", "owner, item, n]")).run()
        assert (report.status, report.partitions, report.landed) == ("ok", 18, 18)
    assert 1 < most[0] <= 3
