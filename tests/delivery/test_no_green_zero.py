"""No green zero: every shape x {absent path, declared error, HTML, repeated page} x {first, third page}, through the whole engine.

Each ends failed, lands the pages before, keeps the position in front of the page, and names URL, page and the body's beginning.
"""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

from raw_server import RawServer, answer  # noqa: E402

from nexus_engine.compile.feeds import load_feeds  # noqa: E402
from nexus_engine.contract.registry import build_registry  # noqa: E402
from nexus_engine.deliver.session import Session  # noqa: E402
from nexus_engine.project.project import Project  # noqa: E402

FEED = """
name: f
source:
  endpoint: {url}/data
  paginate: {{page: page{pages}}}
  errors: [{{path: {error}, then: fail}}]
  format: {format}
  records: {records}
  max_body: 1MB
fields:
  id: UInt32
  v: {{type: Nullable(Float64), from: {leaf}}}
target: {{table: g.t}}
"""


def rows(page):
    return [{"id": page * 10 + n, "v": n} for n in range(3)]


def json_body(value, **more):
    return json.dumps({"pages": 4, **more, "data": value} if more is not None else value)


def broken_json(page):
    return json.dumps({"pages": 4, "other": rows(page)})


SHAPES = {
    # name: (records, body of a page, body without the path, format, leaf of v)
    "list": ("data", lambda p: json_body(rows(p)), broken_json, "json", "v"),
    "zip": ("{path: data, zip: true}", lambda p: json_body({"id": [r["id"] for r in rows(p)], "v": [1, 2, 3]}), broken_json, "json", "v"),
    "columns": ("{path: data, columns: [id, v]}", lambda p: json_body([[r["id"], r["v"]] for r in rows(p)]), broken_json, "json", "v"),
    "by": ("{path: data, by: key}", lambda p: json_body({f"k{r['id']}": r for r in rows(p)}), broken_json, "json", "v"),
    "one": ("{path: data, one: true}", lambda p: json_body(rows(p)[0]), broken_json, "json", "v"),
    "meta_rows": ('"[1]"', lambda p: json.dumps([{"pages": 4}, rows(p)]), lambda p: json.dumps([{"pages": 4}]), "json", "v"),
    "xml": (
        "feed/entry",
        lambda p: "<feed>" + "".join(f"<entry><id>{r['id']}</id><v>{r['v']}</v></entry>" for r in rows(p)) + "</feed>",
        lambda p: "<other><entry/></other>", "xml", "v",
    ),
    "csv": (".", lambda p: "id,v\n" + "".join(f"{r['id']},{r['v']}\n" for r in rows(p)), lambda p: "a,b\n1,2\n", "csv", "v"),
}
HTML = "<!DOCTYPE html><html><body>Service temporarily unavailable</body></html>"
FAULTS = ("absent", "declared", "html", "repeated")


def cases():
    for shape in SHAPES:
        for fault in FAULTS:
            for at in (1, 3):
                if fault == "declared" and shape in ("xml", "csv"):
                    continue  # rules over paths are about JSON bodies
                if fault == "repeated" and at == 1:
                    continue  # there is no page before the first
                yield pytest.param(shape, fault, at, id=f"{shape}-{fault}-{at}")


@pytest.mark.fault("F30: the page of yesterday again", behaviour="a page equal to the one before stops the feed with an error")
@pytest.mark.parametrize(("shape", "fault", "at"), list(cases()))
def test_no_green_zero(tmp_path, shape, fault, at):
    records, good, absent, form, leaf = SHAPES[shape]

    def body(page):
        if page != at:
            return good(page)
        if fault == "absent":
            return absent(page)
        if fault == "html":
            return HTML
        if fault == "repeated":
            return good(page - 1)
        return json.dumps([{"pages": 4, "error": "quota exceeded"}]) if shape == "meta_rows" else json.dumps({"error": "quota exceeded"})

    def script(request):
        page = int(request.query["page"])
        return answer(body(page) if page <= 4 else "[]", headers={"Content-Type": "application/json"})

    error, pages = ('"[0].error"', ', pages: "[0].pages"') if shape == "meta_rows" else ("error", ", pages: pages")
    if form != "json":
        pages = ""
    with RawServer(script) as server:
        (tmp_path / "sources.d").mkdir()
        text = FEED.format(url=server.url, records=records, format=form, leaf=leaf, error=error, pages=pages)
        (tmp_path / "sources.d" / "f.yaml").write_text(text)
        registry = build_registry()
        project = Project.load(tmp_path, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            report = session.run(feeds.plans["f"])
            position = session.store.position("f", "")
            landed = session.engine.rows("SELECT count() AS n FROM g.t")[0]["n"] if report.landed else 0
    per_page = 1 if shape == "one" else 3
    assert report.status == "failed", report
    assert landed == report.landed == per_page * (at - 1)
    assert (position or {}).get("resume", {}).get("page") == (at - 1 or None)
    message = report.error.what
    assert f"page {at}" in message
    assert f"{server.url}/data" in message
    assert f"the body begins: {body(at)[:200]!r}" in message
