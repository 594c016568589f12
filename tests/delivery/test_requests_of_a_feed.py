"""What a feed sends: templates in headers, segments and bodies, products of lists; and answers whose content type lies. Whole runs."""

from __future__ import annotations

import json

import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project


def run(root, text, query):
    (root / "sources.d").mkdir(exist_ok=True)
    (root / "sources.d" / "f.yaml").write_text(text)
    registry = build_registry()
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry) as session:
        report = session.run(feeds.plans["f"])
        rows = session.engine.rows(query) if report.status == "ok" else []
    assert report.closes()
    return report, rows


TEMPLATED = """
name: f
source:
  endpoint: "{url}/v1/{{{{ each.pair | urlencode }}}}/bars"
  method: POST
  idempotent: true
  headers: {{X-Pair: "{{{{ each.pair | lower }}}}", User-Agent: "{{{{ vars.contact }}}}"}}
  params: {{from: "{{{{ window.start | epoch_ms }}}}", "tags[]": ["a b", "c&d"]}}
  json: {{filter: {{pair: "{{{{ each.pair }}}}", size: "{{{{ each.size }}}}"}}}}
  each: {{pair: [BTC/USD, ETH/EUR], size: [1m, 1h]}}
  records: rows
cursor: {{field: at, initial: 2026-01-01}}
fields: {{pair: {{type: String, from: each.pair}}, size: {{type: String, from: each.size}}, at: Date}}
target: {{table: r.f, key: [pair, size, at]}}
"""


@pytest.mark.capability("Requests: templated path segments", spec='endpoint: "https://api.example.com/{{ each.symbol | urlencode }}/bars"')
@pytest.mark.capability("Requests: templated headers", spec='headers: {X-Symbol: "{{ each.symbol | lower }}"}')
@pytest.mark.capability("Requests: bracketed parameters", spec='params: {"tags[]": [a, b]}')
@pytest.mark.capability("Requests: POST with a JSON body", spec='method: POST\njson: {filter: {since: "{{ window.start }}"}}\nidempotent: true')
@pytest.mark.capability("Fan-out: products of lists", spec="each: {symbol: [AAA, BBB], interval: [1m, 1h]}")
def test_templates_are_filled_in_for_each_of_a_product_of_lists(tmp_path):
    (tmp_path / "nexus.yaml").write_text("vars: {contact: Example Ltd admin@example.com}\n")
    with RawServer(lambda request: answer({"rows": [{"at": "2026-01-02"}]})) as server:
        report, rows = run(tmp_path, TEMPLATED.format(url=server.url), "SELECT pair, size FROM r.f ORDER BY ALL")
        assert (report.status, report.partitions) == ("ok", 4)
        wanted = [(pair, size) for pair in ("BTC/USD", "ETH/EUR") for size in ("1h", "1m")]
        assert [(row["pair"], row["size"]) for row in rows] == wanted
        asked = {(json.loads(request.body)["filter"]["pair"], json.loads(request.body)["filter"]["size"]): request for request in server.requests}
        assert sorted(asked) == wanted
        request = asked["BTC/USD", "1m"]
        assert request.target == "/v1/BTC%2FUSD/bars?from=1767225600000&tags%5B%5D=a%20b&tags%5B%5D=c%26d"
        assert (request.headers["x-pair"], request.headers["user-agent"]) == ("btc/usd", "Example Ltd admin@example.com")


@pytest.mark.capability("Shapes: a bare scalar", spec="records: {one: true}")
@pytest.mark.parametrize(
    ("body", "path", "kind", "value"),
    [
        ("924000", ".", "UInt64", 924000),
        ('"0.25"', ".", "Decimal(9, 2)", "0.25"),
        ('"abc"', ".", "String", "abc"),
        ("true", ".", "Bool", True),
        ('{"result": {"tip": -1.5}}', "result.tip", "Float64", -1.5),
        ("[7, 8]", '"[1]"', "UInt8", 8),
    ],
)
def test_an_answer_that_is_one_value(tmp_path, body, path, kind, value):
    with RawServer(lambda _: answer(body)) as server:
        source = f"{{endpoint: {server.url}/tip, records: {{path: {path}, one: true}}}}"
        text = f"name: f\nsource: {source}\nfields: {{v: {{type: '{kind}', from: .}}}}\ntarget: {{table: r.f}}\n"
        report, rows = run(tmp_path, text, "SELECT v FROM r.f")
    assert (report.status, rows) == ("ok", [{"v": value}])


FORMATS = {
    "json": ("records: rows", b'{"rows": [{"id": 1}, {"id": 2}]}'),
    "csv": ("format: csv", b"id\n1\n2\n"),
    "xml": ("format: xml\n  records: r/e", b"<r><e><id>1</id></e><e><id>2</id></e></r>"),
    "jsonl": ("format: jsonl", b'{"id": 1}\n{"id": 2}\n'),
}


@pytest.mark.capability("Formats: a content type that lies", spec="format: csv")
@pytest.mark.parametrize("said", ["text/html; charset=utf-8", "application/octet-stream", "text/plain", "", "nonsense", "image/png"])
@pytest.mark.parametrize("format", list(FORMATS))
def test_the_spec_says_what_a_body_is_whatever_its_header_says(tmp_path, format, said):
    words, body = FORMATS[format]
    text = f"name: f\nsource:\n  endpoint: {{url}}/x\n  {words}\nfields: {{{{id: UInt8}}}}\ntarget: {{{{table: r.f}}}}\n"
    with RawServer(lambda _: answer(body, headers={"Content-Type": said} if said else {})) as server:
        report, rows = run(tmp_path, text.format(url=server.url), "SELECT id FROM r.f ORDER BY id")
    assert (report.status, [row["id"] for row in rows]) == ("ok", [1, 2])
