"""What `errors:` can tell apart, and what each action does: once for every dialect of the APIs the feeds use."""

from __future__ import annotations

import contextlib
import json

import pytest
from nexus_engine.contract.source import Window
from nexus_engine.errors import NotYet, PageError, RetryLater, StopAll, StopFeed
from raw_server import Raw, RawServer, answer
from source_bench import Feed

ROWS = [{"id": n} for n in range(8)]
DATE = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}  # 1767225600


def feed(server, errors, records="rows", **options):
    return Feed({"endpoint": server.url, "errors": errors, "retry": {"attempts": "3"}, **options}, records)


@pytest.mark.capability("Errors: retry after a time, a header, a field", spec="errors: [{status: 503, path: error, then: retry, after_path: estimated_time}]")
@pytest.mark.capability("Errors: wait for the reset", spec="errors: [{status: 429, then: retry, after_header: x-rate-limit-reset}]")
@pytest.mark.capability("Errors: a model that is loading", spec="errors: [{status: 503, path: estimated_time, then: retry, after_path: estimated_time}]")
@pytest.mark.parametrize(
    ("rule", "headers", "body", "waits"),
    [
        ({"after": "7s"}, {}, {"error": "busy"}, 7.0),
        ({"after": "7s"}, {"Retry-After": "3"}, {"error": "busy"}, 7.0),
        ({}, {"Retry-After": "3"}, {"error": "busy"}, 3.0),
        ({"after_path": "estimated_time"}, {}, {"error": "loading", "estimated_time": 20.5}, 20.5),
        ({"after_path": "estimated_time"}, {"Retry-After": "3"}, {"error": "loading"}, 3.0),
        ({"after_header": "x-reset"}, {"X-Reset": "45"}, {"error": "busy"}, 45.0),
        ({"after_header": "X-Reset"}, {"x-reset": "1767225660", **DATE}, {"error": "busy"}, 60.0),
        ({"after_header": "x-reset"}, {"X-Reset": "Thu, 01 Jan 2026 00:01:30 GMT", **DATE}, {"error": "busy"}, 90.0),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 503])
def test_retry_waits_as_long_as_the_answer_says(status, rule, headers, body, waits):
    replies = [answer(body, status, headers), answer({"rows": ROWS})]
    with RawServer(lambda _: replies.pop(0)) as server:
        reading = feed(server, [{"status": str(status), "path": "error", "then": "retry", **rule}])
        assert json.loads(reading.read()[0].body)["rows"] == ROWS
        assert reading.clock.waits == [waits]


def test_a_wait_longer_than_allowed_ends_the_run_and_says_how_long():
    with RawServer(lambda _: answer({"error": "quota"}, 429, {"x-reset": "3000"})) as server:
        with pytest.raises(RetryLater, match="longer than `retry.max_wait`") as caught:
            feed(server, [{"status": "429", "then": "retry", "after_header": "x-reset"}]).read()
        assert caught.value.after_s == 3000


X_CAP = [{"status": "429", "path": "title", "equals": "UsageCapExceeded", "then": "stop"}, {"path": "errors", "message": "errors[0].detail"}]


def test_the_monthly_cap_of_x_stops_and_its_short_limit_is_waited_for():
    cap = {"title": "UsageCapExceeded", "period": "Monthly", "status": 429}
    with RawServer(lambda _: answer(cap, 429)) as server, pytest.raises(StopAll, match="UsageCapExceeded"):
        feed(server, X_CAP).read()
    assert len(server.requests) == 1
    replies = [answer({"title": "Too Many Requests"}, 429, {"Retry-After": "2"}), answer({"rows": ROWS})]
    with RawServer(lambda _: replies.pop(0)) as server:
        reading = feed(server, X_CAP)
        reading.read()
        assert reading.clock.waits == [2.0]


def test_an_error_status_that_no_rule_decides_is_judged_as_without_rules():
    rules = [{"status": "401", "path": "code", "equals": "plan", "then": "stop"}, {"path": "message"}]
    with RawServer(lambda _: answer({"message": "no"}, 401)) as server, pytest.raises(StopFeed, match="HTTP 401.*no") as caught:
        feed(server, rules).read()
    assert caught.value.do == "check the credentials"
    with RawServer(lambda _: answer({"message": "down"}, 503)) as server, pytest.raises(RetryLater):
        feed(server, rules).read()
    assert len(server.requests) == 3


@pytest.mark.parametrize("then", ["skip", "not_yet"])
@pytest.mark.parametrize("status", [200, 403, 404])
def test_nothing_failed(then, status):
    body = "<Error><Code>AccessDenied</Code></Error>"
    with RawServer(lambda _: answer(body, status)) as server, pytest.raises(NotYet, match="skipped" if then == "skip" else "not there yet"):
        feed(server, [{"status": str(status), "matches": "<Code>(AccessDenied|NoSuchKey)<", "then": then}]).read()


@pytest.mark.capability("Errors: end of pages", spec="errors: [{status: 503, matches: Unavailable, then: end}]")
@pytest.mark.capability("Errors: SEC's 503 at the end of getcurrent", spec="errors: [{status: 503, matches: Unavailable, then: end}]")
def test_the_end_of_pages_is_none_on_a_first_page():
    def script(request):
        start = int(request.query["start"])
        return answer({"rows": ROWS[start : start + 4]}) if start < fails_from else answer("<html>Service Unavailable</html>", 503)

    options = {"paginate": {"offset": "start"}}
    rules = [{"status": "503", "matches": "Unavailable", "then": "end"}]
    fails_from = 4
    with RawServer(script) as server:
        read = feed(server, rules, **options).read()
        assert [payload.last for payload in read] == [False, True]
    fails_from = 0
    with RawServer(script) as server, pytest.raises(RetryLater):
        feed(server, rules, **options).read()


@pytest.mark.capability("Paging: smaller pages on a declared error", spec="paginate: {offset: offset, limit: {param: limit, size: 10000}}\nerrors: [{path: result, matches: too large, then: smaller_page}]")
@pytest.mark.parametrize(
    ("paginate", "asked"),
    [
        ({"offset": "o"}, ["0/8", "0/4", "0/2", "2/2", "4/2", "6/2", "8/2"]),
        ({"page": "o"}, ["1/8", "1/4", "1/2", "2/2", "3/2", "4/2", "5/2"]),
        ({"page": "o", "start": "0"}, ["0/8", "0/4", "0/2", "1/2", "2/2", "3/2", "4/2"]),
    ],
)
def test_smaller_pages_miss_nothing_and_stay_small_after_a_restart(paginate, asked):
    def script(request):
        at, size = int(request.query["o"]), int(request.query["size"])
        if size > 2:
            return answer({"error": "Result window is too large"})
        start = at if "offset" in paginate else (at - int(paginate.get("start", 1))) * size
        return answer({"rows": ROWS[start : start + size]})

    rules = [{"path": "error", "matches": "too large", "then": "smaller_page"}, {"path": "error"}]
    words = {"paginate": {**paginate, "limit": {"param": "size", "size": "8"}}}
    with RawServer(script) as server:
        whole = feed(server, rules, **words).read()
        assert [row for item in whole if item.body for row in json.loads(item.body)["rows"]] == ROWS
        assert [f"{request.query['o']}/{request.query['size']}" for request in server.requests] == asked
        rest = feed(server, rules, **words).read(json.loads(json.dumps(whole[1].position)))
        assert [row for item in rest if item.body for row in json.loads(item.body)["rows"]] == ROWS[4:]


@pytest.mark.capability("Paging: smaller pages on a declared error", spec="paginate: {cursor: next, param: after, limit: {param: limit, size: 10000}}\nerrors: [{path: error, matches: too large, then: smaller_page}]")
@pytest.mark.parametrize(
    "paginate", [{"cursor": "next", "param": "after"}, {"header": "X-Next", "param": "after"}, {"keyset": {"from": "id", "param": "after"}}], ids=["cursor", "header", "keyset"]
)  # fmt: skip
def test_smaller_pages_go_on_behind_what_was_read(paginate):
    """Tokens say where to go on, whatever the size: the third page is too large in the middle, and none is asked for twice."""

    def script(request):
        after, size = request.query.get("after"), int(request.query["size"])
        start = int(after) + 1 if after else 0
        if size > (4 if start < 4 else 2):
            return answer({"error": "Result window is too large"})
        rows = ROWS[start : start + size]
        more = {"after": str(start + size - 1)} if start + size < len(ROWS) else {}
        return answer({"rows": rows, "next": more.get("after")}, headers={"X-Next": more["after"]} if more else {})

    rules = [{"path": "error", "matches": "too large", "then": "smaller_page"}, {"path": "error"}]
    words = {"paginate": {**paginate, "limit": {"param": "size", "size": "8"}}}
    last = ["7/2"] if "keyset" in paginate else []  # a key goes on until nothing comes
    with RawServer(script) as server:
        whole = feed(server, rules, **words).read()
        assert [row for item in whole if item.body for row in json.loads(item.body)["rows"]] == ROWS
        asked = [f"{request.query.get('after', '')}/{request.query['size']}" for request in server.requests]
        assert asked == ["/8", "/4", "3/4", "3/2", "5/2", *last]
        server.requests.clear()
        rest = feed(server, rules, **words).read(json.loads(json.dumps(whole[1].position)))
        assert [row for item in rest if item.body for row in json.loads(item.body)["rows"]] == ROWS[6:]
        assert [f"{request.query['after']}/{request.query['size']}" for request in server.requests] == ["5/2", *last]


def test_a_page_that_cannot_be_smaller_is_an_error():
    rules = [{"path": "error", "then": "smaller_page"}]
    with RawServer(lambda _: answer({"error": "too large"})) as server:
        with pytest.raises(PageError, match="too large"):
            feed(server, rules, paginate={"offset": "o", "limit": {"param": "size", "size": "4"}}).read()
        assert [request.query["size"] for request in server.requests] == ["4", "2", "1"]
        with pytest.raises(PageError, match="too large"):
            feed(server, rules).read()


@pytest.mark.capability("Errors: told by header", spec="errors: [{header: X-State, equals: stale, then: fail}]")
@pytest.mark.capability("Errors: told by pattern", spec='errors: [{matches: "Edge: Too Many", then: retry}]')
@pytest.mark.capability("Errors: told by path and value", spec='errors: [{path: "[0].message", message: "[0].message[0].value"}]')
@pytest.mark.parametrize(
    ("rule", "reply", "format", "says"),
    [
        ({"matches": "Edge: Too Many"}, answer("Edge: Too Many Requests"), "json", "an error"),
        ({"matches": "<error code="}, answer('<error code="400" message="Bad"/>'), "xml", "an error"),
        ({"matches": "^Error"}, answer("Error,reason\n1,no\n"), "csv", "an error"),
        ({"header": "x-error"}, answer({"rows": []}, headers={"X-Error": "quota"}), "json", "x-error: quota"),
        ({"header": "X-State", "equals": "stale"}, answer({"rows": []}, headers={"x-state": "stale"}), "json", "X-State: stale"),
        ({"path": "[0].message", "message": "[0].message[0].value"}, answer([{"message": [{"value": "not valid"}]}]), "json", "not valid"),
    ],
)  # fmt: skip
def test_what_a_rule_can_look_at(rule, reply, format, says):
    with RawServer(lambda _: reply) as server, pytest.raises(PageError, match=says):
        Feed({"endpoint": server.url, "errors": [rule]}, "entry" if format == "xml" else "rows", format=format, leaves=["id"]).read()


FRED = '<?xml version="1.0" encoding="utf-8" ?>\n<error code="400" message="Bad Request.  The series does not exist." />'
S3 = '<?xml version="1.0"?><Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>AccessDenied</Code><Message>Access &lt;Denied&gt;</Message></Error>'
SOAP = '<s:Envelope xmlns:s="http://soap"><s:Body><s:Fault><faultcode>Server</faultcode><faultstring>\n  Too busy\n</faultstring></s:Fault></s:Body></s:Envelope>'
UTF16 = '<?xml version="1.0" encoding="UTF-16"?><error><text>Grüße</text></error>'.encode("utf-16")
LATIN = '<?xml version="1.0" encoding="ISO-8859-1"?><error>Grüße</error>'.encode("latin-1")
XML = [
    ({"path": "error/@code", "equals": "400", "message": "error/@message"}, FRED, "Bad Request.  The series does not exist."),
    ({"path": "@code", "equals": "400"}, FRED, "400"),
    ({"path": "error"}, FRED, "400 Bad Request"),
    ({"path": "Error/Code", "equals": "AccessDenied", "message": "Error/Message"}, S3, "Access <Denied>"),
    ({"path": "Code", "matches": "Denied$"}, S3, "AccessDenied"),
    ({"path": "Error"}, S3, "AccessDenied Access <Denied>"),
    ({"path": "Body/Fault/faultstring"}, SOAP, "Too busy"),
    ({"path": "s:Envelope/s:Body/s:Fault/faultcode", "message": "Body/Fault/faultstring"}, SOAP, "Too busy"),
    ({"path": "error/text"}, UTF16, "Grüße"),
    ({"path": "error"}, LATIN, "Grüße"),
    ({"path": "error/text"}, "<error><text>first</text><text>second</text><broken", "first"),
]


@pytest.mark.capability("Errors: by path in XML, whatever the feed's format", spec="errors: [{status: 403, path: Error/Code, equals: AccessDenied, then: not_yet}]")
@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("format", ["json", "xml", "csv"])
@pytest.mark.parametrize(("rule", "reply", "says"), XML)
def test_a_path_in_an_xml_body(rule, reply, says, format, status):
    rule = {"status": str(status), "then": "stop", **rule}
    with RawServer(lambda _: answer(reply, status)) as server, pytest.raises(StopAll) as raised:
        Feed({"endpoint": server.url, "errors": [rule]}, "entry" if format == "xml" else ".", format=format, leaves=["id"]).read()
    assert says in raised.value.what


@pytest.mark.parametrize("rule", [{"path": "error/@mesage"}, {"path": "Error"}, {"path": "code"}, {"path": "x:error"}, {"path": "error/error"}, {"path": "error.code"}, {"path": "@code", "equals": "401"}])
def test_a_path_that_is_not_in_the_xml_does_not_hold(rule):
    with RawServer(lambda _: answer(FRED, 400)) as server, pytest.raises(StopFeed, match="HTTP 400"):
        feed(server, [{"status": "400", "then": "empty", **rule}]).read()


def test_declared_entities_and_deep_nesting_end_the_look_and_nothing_else():
    bomb = '<!DOCTYPE e [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><error>&b;</error>'
    for reply in (bomb, "<a>" * 5000 + "</a>" * 5000 + "<error>1</error>"):
        with RawServer(lambda _: answer(reply, 400)) as server, pytest.raises(StopFeed, match="HTTP 400"):  # noqa: B023
            feed(server, [{"status": "400", "path": "error", "then": "empty"}]).read()


@pytest.mark.parametrize("format", ["xml", "csv", "jsonl"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_path_in_a_json_body_of_a_feed_of_another_format(format, status):
    rule = {"status": str(status), "path": "error.code", "equals": "7", "message": "error.text", "then": "stop"}
    with RawServer(lambda _: answer({"error": {"code": 7, "text": "no more"}}, status)) as server, pytest.raises(StopAll, match="no more"):
        Feed({"endpoint": server.url, "errors": [rule]}, "entry" if format == "xml" else ".", format=format, leaves=["id"]).read()


@pytest.mark.capability("Errors: by a column of CSV's first row", spec='errors: [{path: Error, equals: "limit", then: retry}]')
@pytest.mark.parametrize(("body", "path"), [
    ("Error,Message\nlimit,slow down\n", "Error"), ("id; Error \n1;limit\n", "Error"), ('id\t"Error"\n\n1\t"limit"\n', "Error"), ("\ufeffError code|b\nlimit|2\n3|4", '"Error code"'),
])
def test_a_column_of_the_first_row(body, path):
    rule = {"path": path, "equals": "limit", "then": "stop"}
    for format in ("csv", "json"):
        with RawServer(lambda _: answer(body)) as server, pytest.raises(StopAll, match="limit"):
            Feed({"endpoint": server.url, "errors": [rule]}, format=format, leaves=["id"]).read()


def test_rows_of_csv_and_xml_that_are_no_error_are_read():
    rules = [{"path": "Error"}, {"path": "error/@code"}, {"path": "id", "equals": "9"}]
    for format, body, records in (("csv", "id,Error\n1,\n9,\n", "."), ("xml", "<rows><entry><id>1</id></entry><entry><id>9</id></entry></rows>", "entry")):
        with RawServer(lambda _: answer(body)) as server:  # noqa: B023
            [payload] = Feed({"endpoint": server.url, "errors": rules}, records, format=format, leaves=["id"]).read()
        assert [row["id"] for row in json.loads(payload.body)] == ["1", "9"]


@pytest.mark.parametrize("format", ["xml", "csv", "jsonl"])
def test_rules_see_the_beginning_of_a_body_in_lines_or_xml(format):
    """65,536 bytes: an error is small, and stands at the beginning."""

    def read(blanks):
        body = "<!--" + " " * (blanks - 14) + "--><error>7</error>" if format == "xml" else "id,x" + " " * (blanks - 7) + "\n7,1\n"
        with RawServer(lambda _: answer(body)) as server:
            Feed({"endpoint": server.url, "errors": [rule]}, "." if format != "xml" else "error", format=format, leaves=["id"]).read()

    rule = {"path": "error" if format == "xml" else "id", "equals": "7", "then": "stop"} if format != "jsonl" else {"matches": "7,1", "then": "stop"}
    with pytest.raises(StopAll):
        read(65_500)
    with contextlib.suppress(PageError):  # read as rows, which for XML and JSON lines these are not
        read(65_600)


def test_text_where_json_was_due_may_mean_empty_but_half_an_answer_does_not():
    rules = [{"matches": "no data|rows", "then": "empty"}]
    with RawServer(lambda _: answer("no data")) as server:
        assert [payload.body for payload in feed(server, rules).read()] == [b""]
    cut = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"rows": [{"id"'
    with RawServer(lambda _: Raw([cut])) as server, pytest.raises((PageError, RetryLater)):
        feed(server, rules).read()


@pytest.mark.parametrize("rule", [{"header": "x-state", "equals": "stale"}, {"matches": "nope"}, {"path": "rows[9]"}, {"path": "state", "matches": "^no"}])
def test_a_rule_that_does_not_hold_changes_nothing(rule):
    with RawServer(lambda _: answer({"rows": ROWS, "state": "ok"}, headers={"x-state": "fresh"})) as server:
        assert len(feed(server, [rule]).read()) == 1


@pytest.mark.parametrize(
    "rule",
    [{"then": "empty"}, {"equals": "x"}, {"path": "a", "header": "b"}, {"status": "200"}, {"path": "a", "after": "3s"}, {"matches": "("}, {"path": "a..b"}],
)  # fmt: skip
def test_rules_that_contradict_themselves(rule):
    with pytest.raises(ValueError):
        Feed({"errors": [rule]})


AGES = [  # window, whether it ended 12 hours before 2026-01-01T00:00:00Z
    (Window("2025-12-30", "2025-12-31"), True),
    (Window("2025-12-31", "2026-01-01"), False),
    (Window("2025-12-31", "2025-12-31"), False),  # a day that is its own end ends with the day
    (Window("2025-12-30", "2025-12-30"), True),
    (Window("2025-12-31T00:00:00Z", "2025-12-31T12:00:00Z"), True),
    (Window("2025-12-31T00:00:00Z", "2025-12-31T12:00:01Z"), False),
    (Window("2025-12-31T00:00:00Z", "2025-12-31T14:00:00+02:00"), True),
    (Window("2020-01-01", None), False),
    (Window("5", "10"), False),
    (Window(), False),
]


@pytest.mark.parametrize(("window", "old"), AGES, ids=[f"{window.start}..{window.end}" for window, _ in AGES])
def test_a_rule_for_windows_that_ended_long_ago(window, old):
    rules = [{"status": "403", "older_than": "12h", "then": "empty"}, {"status": "403", "then": "not_yet"}]
    with RawServer(lambda _: answer("no", 403)) as server:
        asked = feed(server, rules)
        asked.window = window
        if old:
            assert [payload.body for payload in asked.read()] == [b""]
        else:
            with pytest.raises(NotYet):
                asked.read()
