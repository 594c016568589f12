"""Tokens, Link headers and keys: every record once, resume from each position, how a window ends, and guards against circles."""

from __future__ import annotations

import json

import pytest
from nexus_engine.contract.records import Records
from nexus_engine.contract.source import Window
from nexus_engine.errors import PageError
from raw_server import RawServer, answer
from source_bench import Feed

ROWS = [{"id": n, "block": n // 2} for n in range(25)]


def api(request):
    """Every kind at once: a token in body and header, a Link header, keys that the bound includes or not."""
    query = dict(request.query)
    if request.method == "POST":
        kind = request.headers["content-type"]
        query |= json.loads(request.body) if "json" in kind else dict(pair.split("=") for pair in request.body.decode().split("&"))
    start = int(str(query.get("token", "t0"))[1:])
    if "after" in query:
        start = int(query["after"]) + 1
    if "from_block" in query:
        start = next(n for n, row in enumerate(ROWS) if row["block"] >= int(query["from_block"]))
    if "/chain/" in request.path:
        start = int(request.path.rpartition("/")[2]) + 1
    size = int(query.get("limit", 10))
    end = start + size
    more = end < len(ROWS)
    headers = {"Link": '<https://other.example/?a=1,2>; rel="prev", <?token=t%d>; title="a, b"; rel="next last"' % end} if more else {}
    if more:
        headers["X-Next"] = f"t{end}"
    return answer({"rows": ROWS[start:end], "next": f"t{end}" if more else None, "end": f"t{end}" if more else "0-0-0", "more": more}, headers=headers)


LIMIT = {"param": "limit", "size": "10"}
KINDS = {
    "token": {"cursor": "next", "param": "token"},
    "token with an end": {"cursor": "end", "param": "token", "end": ["0-0-0"]},
    "token with a flag": {"cursor": "end", "param": "token", "more": "more"},
    "token until a short page": {"cursor": "end", "param": "token", "limit": LIMIT, "stop_when": ["short_page"]},
    "token in a header": {"header": "X-Next", "param": "token"},
    "Link": {"link": "next"},
    "key": {"keyset": {"from": "id", "param": "after"}},
    "key in the path": {"keyset": {"from": "id", "path": "chain"}},
    "key until a short page": {"keyset": {"from": "id", "param": "after"}, "limit": LIMIT, "stop_when": ["short_page"]},
}


def feed(server, paginate, path="x", **options):
    return Feed({"endpoint": f"{server.url}/{path}", "params": {"keep": "1"}, "paginate": paginate, **options}, "rows")


def rows_of(payloads):
    return [row for payload in payloads if payload.body for row in json.loads(payload.body)["rows"]]


@pytest.mark.capability("Paging: a cursor in the body", spec="paginate: {cursor: meta.next_token, param: after}")
@pytest.mark.capability("Paging: a cursor in a header", spec="paginate: {header: X-Next, param: after}")
@pytest.mark.capability("Paging: Link header (RFC 8288)", spec="paginate: {link: next}")
@pytest.mark.capability("Paging: keyset: from the last record on", spec="paginate: {keyset: {from: id, param: after}}")
@pytest.mark.capability("Paging: ends at a short page", spec="paginate: {keyset: {from: id, param: after}, limit: {param: limit, size: 100}, stop_when: short_page}")
@pytest.mark.capability("Paging: ends without a token", spec="paginate: {cursor: next, param: after, end: 0-0-0}")
@pytest.mark.capability("Paging: ends by a declared flag", spec="paginate: {cursor: next, param: after, more: has_more}")
@pytest.mark.capability("Incremental: resume by page inside a window", spec="paginate: {cursor: next, param: after}")
@pytest.mark.parametrize("paginate", KINDS.values(), ids=list(KINDS))
def test_every_record_once_and_resume_from_every_position(paginate):
    with RawServer(api) as server:
        whole = feed(server, paginate).read()
        assert rows_of(whole) == ROWS
        assert [payload.last for payload in whole] == [False] * (len(whole) - 1) + [True]
        if "link" not in paginate:
            assert all(request.query["keep"] == "1" for request in server.requests)
        for number, payload in enumerate(whole[:-1], 1):
            asked = len(server.requests)
            rest = feed(server, paginate).read(json.loads(json.dumps(payload.position)))
            assert rows_of(rest) == ROWS[number * 10 :]
            assert len(server.requests) - asked == len(rest), "no page is asked for twice"


@pytest.mark.capability("Paging: keyset: from the last record on", spec="paginate: {keyset: {from: blockNumber, param: startblock}, limit: {param: offset, size: 10000}, stop_when: short_page}")
def test_a_key_that_the_bound_includes_gives_the_last_records_again():
    with RawServer(api) as server:
        rows = rows_of(feed(server, {"keyset": {"from": "block", "param": "from_block"}, "limit": LIMIT}).read())
        assert [row for n, row in enumerate(rows) if row not in rows[:n]] == ROWS
        assert [request.query.get("from_block") for request in server.requests] == [None, "4", "8", "12"]


def test_a_whole_page_of_one_key_cannot_be_passed():
    same = [{"id": n, "block": 7} for n in range(10)]
    with RawServer(lambda _: answer({"rows": same})) as server, pytest.raises(PageError, match="cannot be reached"):
        feed(server, {"keyset": {"from": "block", "param": "from_block"}, "limit": LIMIT}).read()


@pytest.mark.capability("Paging: a cursor in the body", spec="method: POST\njson: {q: a}\nidempotent: true\npaginate: {cursor: next, param: after, into: json}")
@pytest.mark.capability("Requests: POST with a JSON body", spec="method: POST\njson: {q: a}\nidempotent: true")
@pytest.mark.capability("Requests: POST with a form", spec="method: POST\nform: {q: a}\nidempotent: true")
@pytest.mark.parametrize("into", ["json", "form"])
def test_paging_in_the_body(into):
    with RawServer(api) as server:
        paginate = {"cursor": "next", "param": "token", "into": into, "limit": LIMIT}
        assert rows_of(feed(server, paginate, method="POST", idempotent="true", **{into: {"q": "a"}}).read()) == ROWS
        bodies = [request.body.decode() for request in server.requests]
        assert bodies == (
            ['{"q":"a","limit":10}', '{"q":"a","token":"t10","limit":10}', '{"q":"a","token":"t20","limit":10}'] if into == "json"
            else ["q=a&limit=10", "q=a&token=t10&limit=10", "q=a&token=t20&limit=10"]
        )  # fmt: skip


@pytest.mark.capability("Paging: guard against circles", spec="paginate: {cursor: next, param: after}")
@pytest.mark.fault("F14: a cursor that goes backwards", behaviour="a token or key that was asked with before stops the feed with an error")
@pytest.mark.fault("F14: pages without end", behaviour="stops at `max_pages`")
@pytest.mark.parametrize(
    ("paginate", "script", "says"),
    [
        ({"cursor": "next", "param": "token"}, lambda r: answer({"rows": [{"id": len(r.target)}], "next": "a"}), "read before"),
        ({"cursor": "next", "param": "t"}, lambda r: answer({"rows": [{"id": r.target}], "next": "b" if "=a" in r.target else "a"}), "read before"),
        ({"cursor": "next", "param": "token"}, lambda r: answer({"rows": [{"id": r.target}], "next": ["a"]}), "no text or number"),
        ({"link": "next"}, lambda r: answer({"rows": [{"id": 1}]}, headers={"Link": f"<{r.target}>; rel=next"}), "read before"),
        ({"keyset": {"from": "id", "param": "after"}}, lambda r: answer({"rows": [{"x": 1}]}), "absent from the page's last record"),
        ({"keyset": {"from": "id", "param": "p"}}, lambda r: answer({"rows": [{"id": "b" if "=a" in r.target else "a"}]}), "back to a page"),
        ({"cursor": "n", "param": "token", "max_pages": "3"}, lambda r: answer({"rows": [{"id": r.target}], "n": r.target[-9:] + "x"}), "more than 3"),
    ],
)  # fmt: skip
def test_circles_and_missing_words_stop_the_feed(paginate, script, says):
    with RawServer(script) as server:
        with pytest.raises(PageError, match=says):
            feed(server, paginate).read()
        assert len(server.requests) < 9


@pytest.mark.capability("Paging: ends at an empty page", spec="paginate: {cursor: next, param: after, stop_when: empty_page}")
@pytest.mark.fault("F14: an empty page with a next one", behaviour="goes on to the next page, unless `stop_when: empty_page` says it ends")
def test_an_empty_page_with_a_token_goes_on_unless_the_spec_says_it_ends():
    def script(request):
        page = int(request.query.get("token", 1))
        return answer({"rows": [{"id": page}] if page != 2 else [], "next": page + 1 if page < 3 else ""})

    with RawServer(script) as server:
        words = {"cursor": "next", "param": "token"}
        assert rows_of(feed(server, words).read()) == [{"id": 1}, {"id": 3}]
        assert rows_of(feed(server, words | {"stop_when": ["empty_page"]}).read()) == [{"id": 1}]


@pytest.mark.capability("Paging: newest first: ends at what was read before", spec="paginate: {offset: offset, stop_when: seen, seen: id}")
@pytest.mark.parametrize(
    ("start", "values", "pages"),
    [
        ("5", [9, 8, 7, 6, 5, 4, 3, 2, 1], 3),  # numbers, also beyond 2**53 and as texts
        ("1900000000000000005", [f"190000000000000000{n}" for n in (9, 8, 7, 6, 5, 4)], 3),
        ("2026-01-02T00:00:00Z", [1767484800.0, 1767398400.0, 1767312000.0, 1767225600.0], 2),  # seconds since 1970
        *(("2026-01-02T00:00:00.5Z", [int(second * per) for second in (1767484800, 1767398400, 1767312000.5, 1767225600)], 2) for per in (10**3, 10**6, 10**9)),
        ("2026-01-02", ["2026-01-04T00:00:00Z", "2026-01-03", "2026-01-02", "2026-01-01"], 2),
        (None, [3, 2, 1], 3),
    ],
)
def test_newest_first_ends_where_the_last_run_began(start, values, pages):
    def script(request):
        at = int(request.query.get("offset", 0))
        return answer({"rows": [{"t": value} for value in values[at : at + 2]]})

    with RawServer(script) as server:
        words = {"offset": "offset", "total": "", "stop_when": ["seen"], "seen": "t"}
        reading = feed(server, words)
        reading.window = Window(start)
        read = reading.read()
        assert len(server.requests) == pages
        assert read[-1].last


@pytest.mark.capability("Incremental: a full answer without paging is an error", spec="page_size: 1000")
def test_a_full_answer_without_paging_is_an_error_where_its_size_is_known():
    with RawServer(lambda _: answer(ROWS)) as server:
        assert len(Feed({"endpoint": server.url, "page_size": "26"}).read()) == 1
        with pytest.raises(PageError, match="the answer is full"):
            Feed({"endpoint": server.url, "page_size": "25"}).read()


@pytest.mark.parametrize("records", [Records(path="rows", columns=("id",))])
def test_keys_of_rows_that_are_lists(records):
    with RawServer(lambda r: answer({"rows": [[n] for n in range(int(r.query.get("after", -1)) + 1, 5)][:2]})) as server:
        Feed({"endpoint": server.url, "paginate": {"keyset": {"from": "[0]", "param": "after"}}}, records).read()
        assert [request.query.get("after") for request in server.requests] == [None, "1", "3", "4"]


def test_keys_of_a_flat_format():
    def script(request):
        start = int(request.query.get("after", 0))
        return answer("id,v\n" + "".join(f"{n},x\n" for n in range(start + 1, 6)[:2]))

    with RawServer(script) as server:
        Feed({"endpoint": server.url, "paginate": {"keyset": {"from": "id", "param": "after"}}}, format="csv", leaves=["id", "v"]).read()
        assert [request.query.get("after") for request in server.requests] == [None, "2", "4", "5"]


@pytest.mark.parametrize(
    "paginate",
    [{"cursor": "a"}, {"param": "a", "next": "b"}, {"cursor": "a", "link": "next"}, {"keyset": {"from": "a"}},
     {"keyset": {"from": "a", "param": "b", "path": "c"}}, {"link": "next", "end": ["x"]}, {"offset": "o", "stop_when": ["short_page"]},
     {"offset": "o", "stop_when": ["seen"]}, {"offset": "o", "seen": "x"}, {"cursor": "a[", "param": "b"}],
)  # fmt: skip
def test_options_that_contradict_themselves(paginate):
    with pytest.raises(ValueError):
        Feed({"paginate": paginate})


@pytest.mark.capability("Requests: POST with a form", spec='method: POST\nform: {q: rates, r: ["1", "2"]}')
def test_cookies_form_and_segments():
    with RawServer(lambda _: answer([{"a": 1}])) as server:
        Feed({
            "endpoint": f"{server.url}/a%2Fb/c", "method": "POST", "cookies": {"lang": "en", "seen": "1"},
            "form": {"q": "a b&c", "r": ["1", "2"], "none": None, "é[0]": "*"},
        }).read()  # fmt: skip
        request = server.requests[0]
        assert request.target == "/a%2Fb/c"
        assert request.headers["cookie"] == "lang=en; seen=1"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.body == b"q=a+b%26c&r=1&r=2&%C3%A9%5B0%5D=*"
