"""Paging of every kind: the requests made, the positions given, resume from each of them, and shifts noticed."""

from __future__ import annotations

import json

import pytest
from nexus_engine.contract.records import Records
from nexus_engine.errors import PageError, StopFeed
from raw_server import RawServer, answer
from source_bench import Feed

ROWS = [{"id": n} for n in range(25)]


class Api:
    """Offset, page-number and next-link paging over ``rows``."""

    def __init__(self, rows, cap=100):
        self.rows = list(rows)
        self.cap = cap

    def __call__(self, request):
        query = request.query
        size = min(int(query.get("limit", 10)), self.cap)
        start = int(query.get("offset", 0)) if "offset" in query else (int(query.get("page", 1)) - 1) * size
        rows = self.rows[start : start + size]
        body = {"rows": rows, "count": len(self.rows), "pages": -(-len(self.rows) // size), "next": None}
        if start + size < len(self.rows):
            body["next"] = self.link(request, start // size + 2)
        return answer(body)

    def link(self, request, page):
        style = request.path.strip("/")
        return {
            "absolute": f"http://{request.headers['host']}/absolute?page={page}",
            "relative": f"/relative?page={page}",
            "fragment": f"&page={page}",
            "query": f"?page={page}",
        }.get(style)


OFFSET = {"offset": "offset", "limit": {"param": "limit", "size": "10"}, "total": "count"}
PAGES = {
    "offset, total": ("x", OFFSET),
    "offset, no total": ("x", {"offset": "offset", "limit": {"param": "limit", "size": "10"}}),
    "page, pages": ("x", {"page": "page", "limit": {"param": "limit", "size": "10"}, "pages": "pages"}),
    "page, total": ("x", {"page": "page", "limit": {"param": "limit", "size": "10"}, "total": "count"}),
    "page, neither": ("x", {"page": "page", "limit": {"param": "limit", "size": "10"}}),
    "absolute link": ("absolute", {"next": "next"}),
    "relative link": ("relative", {"next": "next"}),
    "fragment link": ("fragment", {"next": "next", "total": "count"}),
    "query link": ("query", {"next": "next"}),
}


def feed(server, path, paginate, **options):
    return Feed({"endpoint": f"{server.url}/{path}", "params": {"keep": "1"}, "paginate": paginate, **options}, "rows")


def rows_of(payloads):
    return [row for payload in payloads if payload.body for row in json.loads(payload.body)["rows"]]


@pytest.mark.capability("Paging: page numbers", spec="paginate: {page: page, limit: {param: limit, size: 100}}")
@pytest.mark.capability("Paging: offset", spec="paginate: {offset: offset, limit: {param: limit, size: 100}}")
@pytest.mark.capability("Paging: the total is told", spec="paginate: {offset: offset, limit: {param: limit, size: 100}, total: count}")
@pytest.mark.capability("Paging: the number of pages is told", spec="paginate: {page: page, pages: meta.total-pages}")
@pytest.mark.capability("Paging: the next URL: absolute, relative, a piece of a query", spec="paginate: {next: links.next}")
@pytest.mark.capability("Paging: ends at an empty page", spec="paginate: {page: page}")
@pytest.mark.capability("Incremental: resume by page inside a window", spec="paginate: {page: page}")
@pytest.mark.parametrize(("path", "paginate"), PAGES.values(), ids=list(PAGES))
def test_every_record_once_and_resume_from_every_position(path, paginate):
    with RawServer(Api(ROWS)) as server:
        whole = feed(server, path, paginate).read()
        assert rows_of(whole) == ROWS
        assert [payload.page for payload in whole] == list(range(1, len(whole) + 1))
        assert [payload.last for payload in whole] == [False] * (len(whole) - 1) + [True]
        for number, payload in enumerate(whole[:-1], 1):
            position = json.loads(json.dumps(payload.position))
            rest = feed(server, path, paginate).read(position)
            assert rows_of(rest) == ROWS[number * 10 :]
            assert [item.page for item in rest][0] == number + 1


def test_requests_of_offset_paging():
    with RawServer(Api(ROWS)) as server:
        read = feed(server, "x", OFFSET).read()
        assert [request.target for request in server.requests] == [f"/x?keep=1&offset={n}&limit=10" for n in (0, 10, 20)]
        assert [payload.total for payload in read] == [25, 25, 25]


def test_a_server_that_caps_the_page_size_loses_nothing():
    with RawServer(Api(ROWS, cap=7)) as server:
        assert rows_of(feed(server, "x", OFFSET).read()) == ROWS
        assert [request.query["offset"] for request in server.requests] == ["0", "7", "14", "21"]


def test_a_numbering_may_start_at_zero():
    def script(request):
        return answer({"rows": ROWS[int(request.query["page"]) * 10 :][:10]})

    with RawServer(script) as server:
        assert rows_of(feed(server, "x", {"page": "page", "start": "0"}).read()) == ROWS
        assert [request.query["page"] for request in server.requests] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("paginate", [OFFSET, PAGES["page, pages"][1]])
def test_shifted_pages_start_the_window_again(paginate):
    api = Api(ROWS)
    with RawServer(api) as server:
        position = feed(server, "x", paginate).read()[0].position
        api.rows = [{"id": "new"}, *ROWS]
        again = feed(server, "x", paginate)
        assert rows_of(again.read(position)) == api.rows
        assert "no longer what had landed" in again.warned[0]


def test_an_expired_link_behind_other_pages_starts_the_window_again():
    expired = []

    def script(request):
        if expired and request.query.get("page") == "2":
            return answer({"error": "expired"}, 410)
        if expired and request.query.get("page"):
            return Api(ROWS[:5])(request)
        return Api(ROWS if not expired else ROWS[:5])(request)

    with RawServer(script) as server:
        position = feed(server, "relative", {"next": "next"}).read()[0].position
        expired.append(1)
        again = feed(server, "relative", {"next": "next"})
        assert rows_of(again.read(position)) == ROWS[:5]
        assert "may have expired" in again.warned[0]


def test_a_position_holds_no_secret_and_works():
    def script(request):
        assert request.query["api_key"] == "S3CRET/position"
        page = int(request.query.get("page", 1))
        link = f"/x?api_key=S3CRET%2Fposition&page={page + 1}" if page < 3 else ""
        return answer({"rows": [{"id": page}], "next": link})

    with RawServer(script) as server:
        options = {"endpoint": f"{server.url}/x", "params": {"api_key": "S3CRET/position"}, "paginate": {"next": "next"}}
        whole = Feed(options, "rows", secret="S3CRET/position").read()
        assert len(whole) == 3
        assert "S3CRET" not in json.dumps([payload.position for payload in whole]) + "".join(payload.url for payload in whole)
        rest = Feed(options, "rows", secret="S3CRET/position").read(whole[0].position)
        assert rows_of(rest) == [{"id": 2}, {"id": 3}]


@pytest.mark.fault("5.4: secrets to another origin by a next URL or Link", behaviour="another origin is refused unless `hosts` names it; the page before lands")
def test_a_link_to_another_origin_is_refused_before_its_page_is_a_position():
    with RawServer(lambda _: answer({"rows": []})) as other:
        link = f"{other.url}/steal"
        with RawServer(lambda _: answer({"rows": ROWS[:3], "next": link})) as server:
            reading = feed(server, "x", {"next": "next"})
            with pytest.raises(StopFeed, match="another origin"):
                reading.read()
            assert reading.got == []
        assert other.requests == []


@pytest.mark.capability("Paging: the next URL: absolute, relative, a piece of a query", spec="paginate: {next: links.next, next_link: rewrite_to_base}")
@pytest.mark.parametrize("paginate", [{"next": "next"}, {"link": "next"}])
def test_links_that_name_an_internal_host_are_asked_of_the_feeds_own(paginate):
    def script(request):
        page = int(request.query.get("page", 1))
        link = f"http://rows.internal:8080/v2/rows?page={page + 1}" if page < 3 else None
        return answer({"rows": [{"id": page}], "next": link}, headers={"Link": f"<{link}>; rel=next"} if link else {})

    with RawServer(script) as server:
        with pytest.raises(StopFeed, match="another origin"):
            feed(server, "x", paginate).read()
        server.requests.clear()
        reading = feed(server, "x", {**paginate, "next_link": "rewrite_to_base"}, auth={"header": {"X-Api-Key": "k"}})
        whole = reading.read()
        assert rows_of(whole) == [{"id": 1}, {"id": 2}, {"id": 3}]
        assert [request.target for request in server.requests] == ["/x?keep=1", "/v2/rows?page=2", "/v2/rows?page=3"]
        assert {request.headers["x-api-key"] for request in server.requests} == {"k"}
        assert rows_of(feed(server, "x", {**paginate, "next_link": "rewrite_to_base"}).read(whole[0].position)) == [{"id": 2}, {"id": 3}]


@pytest.mark.capability("Paging: guard against circles", spec="paginate: {next: next}")
@pytest.mark.capability("Paging: a limit of pages", spec="paginate: {page: page, max_pages: 500}")
@pytest.mark.fault("F14: the next page is the same page", behaviour="stops with an error; the pages before land")
@pytest.mark.fault("F14: pages without end", behaviour="stops at `max_pages`")
@pytest.mark.fault("F30: the page of yesterday again", behaviour="a page equal to the one before stops the feed with an error")
@pytest.mark.parametrize(
    ("paginate", "script", "says"),
    [
        (OFFSET, lambda r: answer({"rows": ROWS[:10], "count": 25}), "same records as the page before"),
        ({"page": "page"}, lambda r: answer({"rows": ROWS[:10]}), "same records as the page before"),
        ({"next": "next"}, lambda r: answer({"rows": [{"id": r.target}], "next": "/x?keep=1"}), "was read before"),
        ({"next": "next"}, lambda r: answer({"rows": [{"id": r.target}], "next": "/a" if r.path == "/b" else "/b"}), "was read before"),
        ({"next": "next"}, lambda r: answer({"rows": ROWS[:2], "next": {"href": "x"}}), "is no text"),
        (OFFSET, lambda r: answer({"rows": ROWS[:10]}), "`count`, which paging needs, is absent"),
        (OFFSET, lambda r: answer({"rows": ROWS[:10], "count": "many"}), "is not a count"),
        ({"page": "page", "max_pages": "3"}, lambda r: answer({"rows": [{"id": r.target}]}), "more than 3 pages"),
    ],
)  # fmt: skip
def test_paging_that_cannot_be_right_stops_the_feed(paginate, script, says):
    with RawServer(script) as server, pytest.raises(PageError, match=says) as caught:
        feed(server, "x", paginate).read()
    assert f"page {caught.value.page} of http" in caught.value.what


def test_an_empty_window():
    with RawServer(lambda _: answer({"rows": [], "count": 0})) as server:
        read = feed(server, "x", OFFSET).read()
        assert [(payload.body, payload.last, payload.position) for payload in read] == [(b"", True, {})]


def test_stopping_ends_at_a_page_boundary():
    with RawServer(Api(ROWS)) as server:
        reading = feed(server, "x", OFFSET)
        reading.stop.set()
        assert [payload.last for payload in reading.read()] == [False]
        assert len(server.requests) == 1


@pytest.mark.capability("Requests: GET with a query", spec='params: {symbol: "{{ each.symbol }}", from: "{{ window.start }}"}')
@pytest.mark.capability("Requests: each value is encoded on its own", spec='params: {q: "é& = %"}')
@pytest.mark.capability("Requests: repeated parameters", spec="params: {tag: [a, b]}")
@pytest.mark.capability("Requests: bracketed parameters", spec='params: {"page[size]": "100"}')
def test_requests_carry_what_the_options_say():
    with RawServer(lambda _: answer([])) as server:
        Feed({
            "base_url": f"{server.url}/v1/", "path": "/a b/c", "params": {"r": ["1", "2"], "none": None, "page[size]": "é&"},
            "headers": {"User-Agent": "Company admin@company.com"}, "auth": {"header": {"X-Api-Key": "k"}},
        }, Records(path=".")).read()  # fmt: skip
        request = server.requests[0]
        assert request.target == "/v1/a%20b/c?r=1&r=2&page%5Bsize%5D=%C3%A9%26"
        assert request.headers["user-agent"] == "Company admin@company.com"
        assert request.headers["x-api-key"] == "k"
        assert request.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.capability("Requests: POST with a JSON body", spec='method: POST\njson: {filter: {since: "{{ window.start }}"}}\nidempotent: true')
def test_a_json_body_is_posted():
    with RawServer(lambda _: answer([{"a": 1}])) as server:
        Feed({"endpoint": server.url, "method": "POST", "json": {"q": [1, None]}}).read()
        request = server.requests[0]
        assert (request.method, json.loads(request.body), request.headers["content-type"]) == ("POST", {"q": [1, None]}, "application/json")


@pytest.mark.parametrize(
    "options",
    [{"paginate": {}}, {"paginate": {"page": "p", "next_link": "rewrite_to_base"}}, {"paginate": {"page": "p", "offset": "o"}}, {"paginate": {"offset": "o", "pages": "p"}}, {"errors": [{}]},
     {"errors": [{"equals": "x", "status": "200"}]}, {"errors": [{"path": "a", "matches": "("}]}, {"endpoint": "http://x", "path": "y"}],
)  # fmt: skip
def test_options_that_contradict_themselves(options):
    with pytest.raises(ValueError):
        Feed(options)


def test_an_endpoint_is_needed():
    with pytest.raises(StopFeed, match="needs `endpoint`"):
        Feed({}).read()


def test_fewer_pages_than_when_it_was_cut_off_end_the_window():
    pages = [3]

    def script(request):
        return answer({"rows": [{"id": int(request.query["page"])}], "pages": pages[0]})

    with RawServer(script) as server:
        whole = feed(server, "data", {"page": "page", "pages": "pages"}).read()
        pages[0] = 1
        rest = feed(server, "data", {"page": "page", "pages": "pages"}).read(whole[0].position)
    assert [(payload.body, payload.last) for payload in rest] == [(b"", True)]
