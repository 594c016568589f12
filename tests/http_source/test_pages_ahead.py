"""Pages fetched side by side: the same payloads and positions as one by one, in order, whatever the server does."""

from __future__ import annotations

import threading
import time

import pytest
from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.errors import NexusError, StopFeed
from nexus_engine.host.halt import Halt
from nexus_engine.host.ordered import in_order
from raw_server import RawServer, answer
from source_bench import Feed

ROWS = [{"id": n} for n in range(64)]
LIMIT = {"param": "limit", "size": "5"}
PAGINGS = {
    "offset": {"offset": "offset", "limit": LIMIT, "total": "count"},
    "page, pages": {"page": "page", "limit": LIMIT, "pages": "pages"},
    "page, total": {"page": "page", "limit": LIMIT, "total": "count"},
    "page from zero": {"page": "page", "limit": LIMIT, "total": "count", "start": "0"},
}


class Api:
    """Answers out of order: every third page takes longer. ``most``: requests at once."""

    def __init__(self, rows=ROWS, *, cap=100, first=1, change=None):
        self.rows, self.cap, self.first, self.change = list(rows), cap, first, change or (lambda api, start, body: body)
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        query = request.query
        size = min(int(query["limit"]), self.cap)
        start = int(query["offset"]) if "offset" in query else (int(query["page"]) - self.first) * size
        time.sleep(0.03 if start // size % 3 == 1 else 0.01)
        body = {"rows": self.rows[start : start + size], "count": len(self.rows), "pages": -(-len(self.rows) // size)}
        reply = self.change(self, start, body)
        with self.lock:
            self.running -= 1
        return reply if not isinstance(reply, dict) else answer(reply)


def read(server, paginate, concurrency, position=None, **options):
    """(payloads without the URL's port, the error)."""
    feed = Feed({"endpoint": f"{server.url}/x", "paginate": paginate, "concurrency": concurrency, **options}, "rows")
    error = None
    try:
        feed.read(position)
    except NexusError as raised:
        error = raised
    return [(p.body, p.position, p.last, p.page, p.total) for p in feed.got], error, feed


@pytest.mark.capability("Paging: pages side by side, in order", spec="paginate: {offset: offset, limit: {param: limit, size: 100}, total: count}\nconcurrency: 4")
@pytest.mark.parametrize("paginate", PAGINGS.values(), ids=list(PAGINGS))
def test_payloads_and_positions_are_those_of_one_by_one(paginate):
    api = Api(first=int(paginate.get("start", 1)))
    with RawServer(api) as server:
        alone, error, _ = read(server, paginate, "1")
        assert error is None
        assert api.most == 1
        asked = sorted(request.target for request in server.requests)
        server.requests.clear()
        together, error, _ = read(server, paginate, "4")
        assert error is None
        assert 1 < api.most <= 4
        assert together == alone
        assert sorted(request.target for request in server.requests) == asked  # none in vain
        for number in (1, 6, len(alone) - 2):
            rest, error, _ = read(server, paginate, "4", alone[number][1])
            assert error is None
            assert rest == alone[number + 1 :]


CHANGES = {
    "shorter pages than asked": {"cap": 3},
    "a shorter page in the middle": {"change": lambda api, start, body: body | {"rows": body["rows"][:2]} if start == 20 else body},
    "an error in the middle": {"change": lambda api, start, body: answer(b"", 404) if start == 20 else body},
    "no JSON in the middle": {"change": lambda api, start, body: answer(b"<html>") if start == 20 else body},
    "a declared error in the middle": {"change": lambda api, start, body: {"error": "no"} if start == 20 else body},
    "an empty page in the middle": {"change": lambda api, start, body: body | {"rows": []} if start == 20 else body},
    "the page before again": {"change": lambda api, start, body: body | {"rows": ROWS[15:20]} if start == 20 else body},
    "the total grows": {"change": lambda api, start, body: body | {"count": 30 if start < 10 else 64}},
    "the total shrinks": {"change": lambda api, start, body: body | {"count": 64 if start < 10 else 30}},
    "no total": {"change": lambda api, start, body: {"rows": body["rows"]}},
    "smaller pages wanted in the middle": {
        "change": lambda api, start, body: {"error": "too large"} if start >= 20 and len(body["rows"]) > 2 else body,
    },
}  # fmt: skip


@pytest.mark.capability("Paging: pages side by side, in order", spec="paginate: {page: page, pages: pages}\nconcurrency: 4")
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_whatever_the_server_does_it_ends_as_one_by_one(change):
    rules = [{"path": "error", "equals": "too large", "then": "smaller_page"}, {"path": "error", "then": "fail"}]
    size = {**PAGINGS["offset"], "limit": {"param": "limit", "size": "4"}} if "smaller" in str(change) else PAGINGS["offset"]
    with RawServer(Api(**change)) as server:
        alone, first, _ = read(server, size, "1", errors=rules)
        together, second, _ = read(server, size, "5", errors=rules)
    assert together == alone
    assert (type(second), str(second)) == (type(first), str(first))


def test_a_body_that_breaks_off_is_asked_for_once_more():
    broken = set()

    def change(api, start, body):
        if start in (10, 30) and start not in broken:
            broken.add(start)
            return answer(b'{"rows": [{"id": 1}')
        return body

    with RawServer(Api(change=change)) as server:
        together, error, _ = read(server, PAGINGS["offset"], "4")
        assert error is None
        assert len(together) == 13
        assert len(server.requests) == 15


def test_when_the_engine_stops_nothing_more_is_asked():
    stop = []

    def change(api, start, body):
        if start == 20:
            stop[0].set()
        return body

    with RawServer(Api([{"id": n} for n in range(1000)], change=change)) as server:
        feed = Feed({"endpoint": f"{server.url}/x", "paginate": PAGINGS["offset"], "concurrency": "4"}, "rows")
        stop.append(feed.stop)
        try:
            feed.read()
        except StopFeed as error:
            assert "the engine stops" in str(error)  # noqa: PT017
        assert [payload.page for payload in feed.got] == list(range(1, len(feed.got) + 1))
        assert len(server.requests) < 30


def test_what_waits_is_bounded_in_bytes():
    taken, body = [], b"x" * 30_000_000
    lock, most = threading.Lock(), [0]

    def send(request):
        with lock:
            most[0] = max(most[0], int(request.url) - len(taken))
        return HttpResponse(200, {}, body, "", 0.0)

    requests = (HttpRequest("GET", str(n)) for n in range(40))
    for answered in in_order(send, requests, Halt(threading.Event()), threads=4, name="t"):
        assert answered.body is body
        taken.append(1)
    assert len(taken) == 40
    assert most[0] <= 8
    late = [0]

    def counted():
        for n in range(40):
            late[0] = n
            yield HttpRequest("GET", str(n))

    answers = in_order(send, counted(), Halt(threading.Event()), threads=4, name="t")
    for _ in range(12):
        next(answers)
    time.sleep(0.1)
    assert late[0] - 12 <= 8
    for n in range(20):
        next(answers)
        assert late[0] <= 12 + n + 4  # two bodies of this size may wait, and one that is under way
    answers.close()
