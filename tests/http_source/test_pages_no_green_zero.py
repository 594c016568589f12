"""Every shape x {absent path, declared error, HTML, repeated page, ...} x {first, third page}: never zero rows and a green run.

Each case: an error that names URL, page and the body's beginning, earlier pages handed on, and a position before the bad page.
"""

from __future__ import annotations

import json

import pytest
from nexus_engine.contract.records import Records
from nexus_engine.errors import NotYet, PageError, RetryLater, StopAll, StopFeed
from raw_server import Raw, RawServer, answer
from source_bench import Feed

SHAPES = {
    "path": (Records(path="data.rows"), lambda n: {"data": {"rows": [{"id": n, "v": 1}, {"id": n + 100}]}}, ()),
    "whole body": (Records(), lambda n: [{"id": n}], ()),
    "zip": (Records(path="recent", zip=True), lambda n: {"recent": {"id": [n, n + 1], "v": [1, None]}}, ("id", "v")),
    "columns": (Records(path="rows", columns=("t", "v")), lambda n: {"rows": [[n, 1], [n + 1, 2]]}, ()),
    "by": (Records(path="coins", by="id"), lambda n: {"coins": {f"c{n}": {"v": 1}}}, ()),
    "meta and rows": (Records(path="[1]"), lambda n: [{"page": n}, [{"id": n}]], ()),
    "list in a list": (Records(path="data.rows[].points[]"), lambda n: {"data": {"rows": [{"id": n, "points": [{"v": 1}]}, {"points": []}]}}, ()),
    "objects by key": (Records(path="coins.{id}.days.{day}"), lambda n: {"coins": {f"c{n}": {"days": {"d": {"v": 1}}}}}, ()),
    "one": (Records(path="item", one=True), lambda n: {"item": {"id": n}}, ()),
}
BAD = {
    "absent path": lambda shape, before: answer({"other": 1} if shape != "meta and rows" else [{"page": 1}]),
    "null": lambda shape, before: answer({"data": None, "recent": None, "rows": None, "coins": None, "item": None} if shape not in ("meta and rows", "whole body") else [{}, None] if shape == "meta and rows" else None),
    "declared error": lambda shape, before: answer({"error": {"text": "no such series"}}),
    "error in a list": lambda shape, before: answer([{"message": "no such series"}]) if shape != "whole body" else answer({"error": {"text": "no such series"}}),
    "HTML": lambda shape, before: answer("<!DOCTYPE html><html><body>Sign in, no such series</body></html>", headers={"Content-Type": "text/html"}),
    "repeated page": lambda shape, before: answer(before),
    "not JSON": lambda shape, before: answer(b'{"a": NaN, "no such series": 1}'),
    "text": lambda shape, before: answer(b'"no such series"'),
    "nothing": lambda shape, before: answer(b""),
    "deep": lambda shape, before: answer(b"[" * 100_000),
    "too deep and whole": lambda shape, before: answer(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not UTF-8 in a name": lambda shape, before: answer(b'{"\xff": 1}'),
    "status 204": lambda shape, before: answer(b"", 204),
}  # fmt: skip


@pytest.mark.fault("F10: invalid JSON, NaN", behaviour="stops the partition in front of the page, with the URL, the page and the body's beginning")
@pytest.mark.fault("F10: deep nesting", behaviour="stops the partition in front of the page")
@pytest.mark.fault("F10: invalid UTF-8", behaviour="stops the partition in front of the page")
@pytest.mark.fault("F30: the page of yesterday again", behaviour="a page equal to the one before stops the feed with an error")
@pytest.mark.parametrize("bad_page", [1, 3])
@pytest.mark.parametrize("fault", list(BAD))
@pytest.mark.parametrize("shape", list(SHAPES))
def test_no_green_zero(shape, fault, bad_page):
    if fault == "repeated page" and bad_page == 1:
        bad_page = 2  # there is none before the first
    records, page, leaves = SHAPES[shape]

    def script(request):
        number = int(request.query["p"])
        if number != bad_page:
            return answer(page(number * 10))
        return BAD[fault](shape, page((number - 1) * 10))

    with RawServer(script) as server:
        rules = [{"path": "error", "message": "error.text"}, {"path": "[0].message"}]
        options = {"endpoint": f"{server.url}/series", "params": {"key": "S3CRET-green"}, "paginate": {"page": "p"}, "errors": rules}
        feed = Feed(options, records, leaves=leaves, secret="S3CRET-green")
        with pytest.raises((PageError, RetryLater) if fault in ("nothing", "deep") else PageError) as caught:
            feed.read()
        assert [json.loads(payload.body) for payload in feed.got] == [page(n * 10) for n in range(1, bad_page)]
        assert not any(payload.last for payload in feed.got)
        says = str(caught.value)
        assert f"{server.url}/series?key=***&p={bad_page}" in says
        assert f"page {bad_page} of" in says
        assert "S3CRET" not in says
        if fault in ("declared error", "error in a list", "HTML", "text"):
            assert "no such series" in says
        if feed.got:  # the next run asks the bad page again
            position = feed.got[-1].position
            assert position["page"] == bad_page - 1
            with pytest.raises(StopFeed):
                feed.read(position)


@pytest.mark.parametrize(
    ("records", "body", "rows"),
    [
        (Records(path="a", empty=("absent",)), {}, 0),
        (Records(path="a.b[0]", empty=("absent",)), {"a": None}, 0),
        (Records(path="a", empty=("null",)), {"a": None}, 0),
        (Records(path="[1]", empty=("null",)), [{"total": 0}, None], 0),
        (Records(path="a", by="id", empty=("absent",)), {}, 0),
        (Records(path="a"), {"a": []}, 0),
        (Records(path="a", by="id"), {"a": {}}, 0),
        (Records(path="a", zip=True), {"a": {"x": [], "y": []}}, 0),
        (Records(path="chart.result[0]", zip=True, empty=("absent",)), {"chart": {"result": [{"meta": {}}]}}, 0),
    ],
)
def test_only_what_the_spec_declares_empty_is_empty(records, body, rows):
    with RawServer(lambda _: answer(body)) as server:
        read = Feed({"endpoint": server.url}, records).read()
        assert [(payload.body, payload.last) for payload in read] == [(b"", True)]


@pytest.mark.parametrize(
    ("records", "body", "says"),
    [
        (Records(path="a"), {"a": {}}, "is an object, not a list"),
        (Records(path="a"), {"a": "x"}, "is a text, not a list"),
        (Records(path="a"), {"a": 5}, "is a number, not a list"),
        (Records(path="a"), {"a": [1, 2]}, "not a list of objects"),
        (Records(path="a", by="id"), {"a": []}, "is a list, not an object"),
        (Records(path="a", zip=True), {"a": []}, "is a list, not an object"),
        (Records(path="a", zip=True), {"a": {"x": 1}}, "none of the arrays"),
        (Records(path="a", zip=True), {"a": {"x": [1], "y": [1, 2]}}, "differ in length: x has 1, y has 2"),
        (Records(path="a", columns=("t",)), {"a": [{"t": 1}]}, "not a list of lists"),
        (Records(path="a", empty=("absent",)), {"a": None}, "is null"),
        (Records(path="a", empty=("null",)), {}, "is absent"),
    ],
)
def test_the_wrong_container_is_an_error(records, body, says):
    with RawServer(lambda _: answer(body)) as server, pytest.raises(PageError, match=says):
        Feed({"endpoint": server.url}, records).read()


ETHERSCAN = [
    {"path": "message", "equals": "No transactions found", "then": "empty"},
    {"path": "result", "matches": "rate limit", "then": "retry"},
    {"path": "result", "matches": "Invalid API", "then": "stop"},
    {"path": "status", "equals": "0", "message": "result"},
    {"status": "403", "then": "not_yet"},
    {"status": "503", "then": "empty"},
]


@pytest.mark.capability("Errors: told by status", spec="errors: [{status: 403, then: not_yet}]")
@pytest.mark.capability("Errors: told by path and value", spec='errors: [{path: status, equals: "0", message: result, then: fail}]')
@pytest.mark.capability("Errors: Etherscan's status 0", spec='errors:\n  - {path: message, equals: No transactions found, then: empty}\n  - {path: result, matches: rate limit, then: retry}\n  - {path: status, equals: "0", message: result}')
@pytest.mark.capability("Errors: treat as empty", spec="errors: [{path: message, equals: No transactions found, then: empty}]")
@pytest.mark.capability("Errors: stop the feed", spec="errors: [{path: result, matches: Invalid API, then: stop}]")
@pytest.mark.parametrize(
    ("reply", "error", "says", "requests"),
    [
        (answer({"status": "1", "message": "OK", "result": [{"a": 1}]}), None, "", 1),
        (answer({"status": "0", "message": "No transactions found", "result": []}), None, "", 1),
        (answer({"status": "0", "message": "NOTOK", "result": "Max rate limit reached"}), RetryLater, "rate limit", 3),
        (answer({"status": "0", "message": "NOTOK", "result": "Invalid API Key"}), StopAll, "Invalid API Key", 1),
        (answer({"status": "0", "message": "NOTOK", "result": "Boom"}), PageError, "an error: Boom", 1),
        (answer({"status": 0, "message": "NOTOK", "result": "Boom"}), PageError, "an error: Boom", 1),
        (answer("<Error/>", 403), NotYet, "not there yet: HTTP 403", 1),
        (answer("<html>", 503), None, "", 1),
        (answer({"message": "nope"}, 404), StopFeed, "HTTP 404.*nope", 1),
    ],
)
def test_errors_inside_answers(reply, error, says, requests):
    with RawServer(lambda _: reply) as server:
        feed = Feed({"endpoint": server.url, "errors": ETHERSCAN, "retry": {"attempts": "3"}}, "result")
        if error is None:
            assert feed.read()[-1].last
        else:
            with pytest.raises(error, match=says) as caught:
                feed.read()
            assert type(caught.value) is error
        assert len(server.requests) == requests


@pytest.mark.parametrize("nothing", [None, "", False, [], {}])
def test_an_error_field_that_says_no_error(nothing):
    with RawServer(lambda _: answer({"error": nothing, "rows": [{"a": 1}]})) as server:
        assert Feed({"endpoint": server.url, "errors": [{"path": "error"}]}, "rows").read()[0].last


@pytest.mark.fault("F6: a body cut without a Content-Length", behaviour="JSON and tables that end in the middle are asked for again, XML stops the partition")
def test_a_body_that_broke_off_is_asked_again():
    replies = [answer(b'{"rows": [{"a": 1'), answer({"rows": [{"a": 1}]})]
    with RawServer(lambda _: replies.pop(0)) as server:
        assert Feed({"endpoint": server.url}, "rows").bodies() == [{"rows": [{"a": 1}]}]
        assert len(server.requests) == 2


@pytest.mark.fault("F10: a BOM", behaviour="is taken off")
@pytest.mark.fault("F10: 1e400", behaviour="the text is kept as it came; no `Float64` takes it, so its record is refused")
@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"rows": [{"a": 1e400}]}', b' \r\n{"rows": [{"a": 12345678901234567.89}]}', '{"rows":[{"é":"\\ud800"}]}'.encode()])
def test_the_body_is_handed_on_as_it_came(body):
    with RawServer(lambda _: answer(body)) as server:
        assert Feed({"endpoint": server.url}, "rows").read()[0].body == body.removeprefix(b"\xef\xbb\xbf")


@pytest.mark.capability("Formats: charset from header, BOM or declaration", spec="format: json")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_other_encodings_of_json(encoding):
    with RawServer(lambda _: answer('[{"a":"é"}]'.encode(encoding))) as server:
        assert Feed({"endpoint": server.url}).bodies() == [[{"a": "é"}]]


@pytest.mark.fault("F6: a body cut without a Content-Length", behaviour="JSON and tables that end in the middle are asked for again, XML stops the partition")
@pytest.mark.parametrize(
    ("format", "records", "cut"), [("csv", ".", b"a,b\n1,2\n3,4"), ("json", ".", b'[{"a": 1}'), ("xml", "r/e", b"<r><e><a>1</a></e>")]
)
def test_a_close_delimited_body_that_was_cut_is_noticed(format, records, cut):
    with RawServer(lambda _: Raw([b"HTTP/1.1 200 OK\r\n\r\n" + cut])) as server:
        feed = Feed({"endpoint": server.url, "retry": {"attempts": "2"}}, records, format=format, leaves=["a"])
        with pytest.raises((PageError, RetryLater)):
            feed.read()
        assert len(server.requests) == (1 if format == "xml" else 2)


def test_a_close_delimited_table_that_ends_with_its_line_is_whole():
    with RawServer(lambda _: Raw([b"HTTP/1.1 200 OK\r\n\r\na,b\n1,2\n"])) as server:
        assert Feed({"endpoint": server.url}, format="csv", leaves=["a"]).bodies() == [[{"a": "1"}]]


@pytest.mark.parametrize("format", ["csv", "xml"])
@pytest.mark.parametrize("bad_page", [1, 3])
@pytest.mark.parametrize("fault", ["HTML", "another document", "repeated page", "nothing"])
def test_no_green_zero_in_flat_formats(format, bad_page, fault):
    good = {"csv": "id,v\n{0},1\n", "xml": "<feed><entry><id>{0}</id></entry></feed>"}[format]
    other = {"csv": '{"error": "no such series"}', "xml": "<Error><Code>no such series</Code></Error>"}[format]
    if fault == "repeated page" and bad_page == 1:
        bad_page = 2

    def script(request):
        number = int(request.query["p"])
        if number != bad_page:
            return answer(good.format(number))
        return answer({"HTML": "\n<html>no such series", "another document": other, "repeated page": good.format(number - 1), "nothing": ""}[fault])

    with RawServer(script) as server:
        feed = Feed({"endpoint": server.url, "paginate": {"page": "p"}}, "feed/entry" if format == "xml" else ".", format=format, leaves=["id"])
        with pytest.raises(PageError, match=f"page {bad_page} of {server.url}/.p={bad_page}"):
            feed.read()
        assert [json.loads(payload.body) for payload in feed.got] == [[{"id": str(n)}] for n in range(1, bad_page)]
