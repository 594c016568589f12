"""A restart inside a window: what is safe is not handed on again while it is still the same, whatever has expired, grown or broken."""

from __future__ import annotations

import json

import pytest
from nexus_engine.errors import NexusError
from raw_server import RawServer, answer
from source_bench import Feed

ROWS = [{"id": n, "v": "x"} for n in range(18)]
SIZE = 5
LIMIT = {"param": "limit", "size": "5"}
COUNTED = {
    "offset, total": {"offset": "offset", "limit": LIMIT, "total": "count"},
    "offset": {"offset": "offset", "limit": LIMIT},
    "page, total": {"page": "page", "limit": LIMIT, "total": "count"},
    "page, pages": {"page": "page", "limit": LIMIT, "pages": "pages"},
}
LED = {
    "cursor": {"cursor": "next", "param": "token"},
    "header": {"header": "X-Next", "param": "token"},
    "next": {"next": "link"},
    "link": {"link": "next"},
}


class Api:
    """Every paging at once over ``rows``. Tokens of another ``era`` are refused with ``gone``; the page from ``broken_at`` on is ``broken``."""

    def __init__(self) -> None:
        self.rows = list(ROWS)
        self.era = 1
        self.gone = answer({"error": "expired"}, 410)
        self.broken_at, self.broken = -1, answer(b"")

    def __call__(self, request):
        query = request.query
        start = int(query.get("offset", 0)) or (int(query.get("page", 1)) - 1) * SIZE
        if "token" in query:
            era, _, text = query["token"].partition("-")
            if int(era) != self.era:
                return self.gone
            start = int(text)
        if "after" in query:
            start = int(query["after"]) + 1
        if start == self.broken_at:
            return self.broken
        token = f"{self.era}-{start + SIZE}" if start + SIZE < len(self.rows) else None
        link = f"/x?token={token}" if token else None
        body = {"rows": self.rows[start : start + SIZE], "count": len(self.rows), "pages": -(-len(self.rows) // SIZE), "next": token, "link": link}
        return answer(body, headers={"X-Next": token, "Link": f'<{link}>; rel="next"'} if token else {})


def feed(server, paginate, **options):
    return Feed({"endpoint": f"{server.url}/x", "paginate": paginate, "retry": {"attempts": "1"}, **options}, "rows")


def rows_of(payloads):
    return [row for payload in payloads if payload.body for row in json.loads(payload.body)["rows"]]


def position_of(server, paginate, page=2):
    return json.loads(json.dumps(feed(server, paginate).read()[page - 1].position))


@pytest.mark.capability("Incremental: resume by page inside a window", spec="paginate: {offset: offset, limit: {param: limit, size: 5}, total: count}")
@pytest.mark.parametrize("paginate", COUNTED.values(), ids=list(COUNTED))
def test_a_source_that_grew_at_its_end_is_read_on(paginate):
    api = Api()
    with RawServer(api) as server:
        position = position_of(server, paginate)
        api.rows += [{"id": n, "v": "new"} for n in range(18, 25)]
        again = feed(server, paginate)
        assert rows_of(again.read(position)) == api.rows[10:]
        assert again.warned == []


CHANGES = {
    "one more before": lambda rows: [{"id": -1, "v": "new"}, *rows],
    "one more in the middle of the page": lambda rows: [*rows[:7], {"id": 99, "v": "new"}, *rows[7:]],
    "one less before": lambda rows: rows[1:],
    "one less in the page": lambda rows: [*rows[:8], *rows[9:]],
    "one less before, one more behind": lambda rows: [*rows[1:], {"id": 99, "v": "new"}],
    "one less in the page, one more behind": lambda rows: [*rows[:9], *rows[10:], {"id": 99, "v": "new"}],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("paginate", COUNTED.values(), ids=list(COUNTED))
def test_pages_that_have_shifted_are_read_again_and_that_is_told(paginate, change):
    api = Api()
    with RawServer(api) as server:
        position = position_of(server, paginate)
        api.rows = change(api.rows)
        again = feed(server, paginate)
        assert rows_of(again.read(position)) == api.rows
        (text,) = again.warned
        assert "page 2 is no longer what had landed" in text
        assert "without one they are there twice" in text


def test_a_record_that_was_revised_has_not_shifted_anything():
    for paginate, at in ((COUNTED["offset, total"], 3), (COUNTED["offset, total"], 7), (COUNTED["page, pages"], 7)):
        api = Api()
        with RawServer(api) as server:
            position = position_of(server, paginate)
            api.rows[at] = {"id": at, "v": "revised"}
            again = feed(server, paginate)
            assert rows_of(again.read(position)) == api.rows[10:]
            assert again.warned == []


def test_a_last_page_that_was_short_and_grew():
    """An offset leads behind the records that are safe; the next page's number would lead past those that are new."""
    for paginate, expected in ((COUNTED["offset"], 18), ({"page": "page", "limit": LIMIT}, 0)):
        api = Api()
        with RawServer(api) as server:
            position = position_of(server, paginate, 4)
            api.rows += [{"id": n, "v": "new"} for n in range(18, 22)]
            again = feed(server, paginate)
            assert rows_of(again.read(position)) == api.rows[expected:]
            assert len(again.warned) == (expected == 0)


def test_positions_of_an_earlier_version_are_understood():
    """Those had the total and the first record of the page, and nothing of the pages that links led to."""
    api = Api()
    with RawServer(api) as server:
        counted = position_of(server, COUNTED["offset, total"])
        counted["guard"] = {"at": 5, "total": 18, "first": counted["guard"]["first"]}
        assert rows_of(feed(server, COUNTED["offset, total"]).read(counted)) == ROWS[10:]
        led = position_of(server, LED["cursor"])
        del led["walked"]
        rest = feed(server, LED["cursor"]).read(led)
        assert rows_of(rest) == ROWS[10:]
        assert "walked" not in rest[0].position
        api.era, api.rows = 2, [*ROWS, {"id": 18, "v": "new"}]
        for position, paginate in ((counted, COUNTED["offset, total"]), (led, LED["cursor"])):
            again = feed(server, paginate)
            assert rows_of(again.read(position)) == api.rows
            assert len(again.warned) == 1


@pytest.mark.parametrize("status", [400, 404, 410, 422])
@pytest.mark.parametrize("paginate", LED.values(), ids=list(LED))
def test_what_has_expired_is_found_again_and_nothing_comes_twice(paginate, status):
    api = Api()
    api.gone = answer({"error": "unknown token"}, status)
    with RawServer(api) as server:
        for page in (1, 3):
            api.era += 1
            position = position_of(server, paginate, page)
            api.era += 1
            server.requests.clear()
            again = feed(server, paginate)
            read = again.read(position)
            assert rows_of(read) == ROWS[page * SIZE :]
            assert (again.warned, len(server.requests)) == ([], 1 + 4)
            assert [payload.page for payload in read] == list(range(page + 1, 5))
            if page == 1:  # the digest goes on: the same works behind the next page
                api.era += 1
                assert rows_of(feed(server, paginate).read(json.loads(json.dumps(read[0].position)))) == ROWS[10:]


@pytest.mark.parametrize("paginate", LED.values(), ids=list(LED))
@pytest.mark.parametrize("at", [0, 3, 9])
def test_what_has_expired_behind_pages_that_changed_is_read_from_the_start(paginate, at):
    api = Api()
    with RawServer(api) as server:
        position = position_of(server, paginate)
        api.era += 1
        api.rows[at] = {"id": 99, "v": "another"}
        again = feed(server, paginate)
        assert rows_of(again.read(position)) == api.rows
        (text,) = again.warned
        assert "what leads to page 3 may have expired, and the pages before it are no longer what had landed" in text


def test_a_window_that_ends_where_it_had_come_to():
    api = Api()
    with RawServer(api) as server:
        position = position_of(server, LED["cursor"])
        api.era, api.rows = 2, ROWS[:10]
        assert [(payload.body, payload.last) for payload in feed(server, LED["cursor"]).read(position)] == [(b"", True)]


MAINTENANCE = [{"path": "error", "matches": "maint", "then": "fail"}]
BROKEN = {
    "400": (answer({"error": "bad"}, 400), 1 + 2 + 1),  # may be a token that has expired: one walk, and the page once more
    "401": (answer({"error": "no"}, 401), 1),
    "403": (answer({"error": "no"}, 403), 1),
    "429": (answer(b"", 429), 1),
    "500": (answer(b"", 500), 1),
    "another shape": (answer({"oops": 1}), 1),
    "no JSON": (answer(b"<html>"), 1),
    "a declared error": (answer({"error": "maintenance"}), 1),
    "a declared error by its status": (answer({"error": "maintenance"}, 400), 1),
}


@pytest.mark.parametrize(("reply", "requests"), BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("paginate", [*LED.values(), {"keyset": {"from": "id", "param": "after"}}], ids=[*LED, "keyset"])
def test_a_page_that_stays_broken_gives_nothing_again(paginate, reply, requests):
    api = Api()
    rules = [*MAINTENANCE, {"status": "400", "path": "error", "equals": "maintenance", "then": "fail"}]
    with RawServer(api) as server:
        position = position_of(server, paginate)
        api.broken_at, api.broken = 10, reply
        server.requests.clear()
        again = feed(server, paginate, errors=rules)
        with pytest.raises(NexusError):
            again.read(position)
        assert (again.got, again.warned) == ([], [])
        assert len(server.requests) == (1 if "keyset" in paginate else requests)
        api.broken_at = -1
        assert rows_of(feed(server, paginate).read(position)) == ROWS[10:]


def test_a_page_that_fails_while_the_window_is_walked_changes_nothing():
    api = Api()
    with RawServer(api) as server:
        position = position_of(server, LED["cursor"])
        api.era, api.broken_at, api.broken = 2, 5, answer({"oops": 1})
        again = feed(server, LED["cursor"])
        with pytest.raises(NexusError):
            again.read(position)
        assert (again.got, again.warned) == ([], [])
