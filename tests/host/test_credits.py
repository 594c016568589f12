"""Requests that cost more than one: the quota counts credits, what answers say of them is believed, and all of it is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from fake_clock import FakeClock
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import Quota
from nexus_engine.contract.policy import CostOptions, Policy
from nexus_engine.errors import BudgetSpent
from nexus_engine.host.http import HttpHost
from nexus_engine.host.quota import Meter
from nexus_engine.host.redact import Redactor
from nexus_engine.state.store import Store
from raw_server import RawServer, answer

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield store
    store.close()


def left(store, clock, text):
    return Meter("api", Quota(text), clock, store).left


def until_spent(store, clock, url, feeds, *quotas):
    """Feeds ask in turn until the quota says no: (requests sent, the error). ``feeds`` are the costs of a request of each."""
    host = HttpHost(Redactor(), clock=clock, stamps=store)
    https = [
        host.for_feed(f"f{n}", api="api", policy=Policy(quota=tuple(map(Quota, quotas)), cost=cost)) for n, cost in enumerate(feeds)
    ]
    for sent in range(100):
        try:
            https[sent % len(https)].send(HttpRequest("GET", url))
        except BudgetSpent as error:
            host.close()
            return sent, error
    raise AssertionError("never spent")


@pytest.mark.capability("Budgets: credits, a request costs more than one", spec="quota: [1000/day]\ncost: 5")
def test_the_quota_counts_credits_of_all_feeds_and_goes_on_when_it_renews(store):
    clock = FakeClock(START)
    with RawServer(lambda _: answer(b"{}")) as server:
        sent, error = until_spent(store, clock, server.url, [CostOptions(credits=5), None], "20/day", "100/month")
        assert sent == 6  # 5+1+5+1+5+1 = 18, then 5 are not left
        assert error.what == "the quota of 20/day is used up but for 2, and a request costs 5: this request was not sent, nor any after it"
        assert error.renews_at == "2026-02-01T00:00:00Z"
        assert (left(store, clock, "20/day"), left(store, clock, "100/month")) == (2, 82)
        assert until_spent(store, clock, server.url, [None], "20/day")[0] == 2  # after a restart what is left is what was left
        clock.now += 86_400
        assert until_spent(store, clock, server.url, [CostOptions(credits=5)], "20/day", "100/month")[0] == 4
    assert len(server.requests) == 12


def test_the_quota_counts_credits_of_all_feeds_exactly_at_its_end(store):
    clock = FakeClock(START)
    with RawServer(lambda _: answer(b"{}")) as server:
        assert until_spent(store, clock, server.url, [CostOptions(credits=5)], "20/day")[0] == 4
    assert left(store, clock, "20/day") == 0


TOLD = [
    (CostOptions(credits=2, header="X-Credits-Used"), lambda cost: ({"x-credits-used": f"{cost}"}, {})),
    (CostOptions(credits=2, header="X-Credits-Used"), lambda cost: ({"x-credits-used": f"{cost - 1}.5;w=1"}, {})),
    (CostOptions(credits=2, path="meta.usage[0].credits"), lambda cost: ({}, {"meta": {"usage": [{"credits": cost}]}})),
    (CostOptions(credits=2, path="meta.count"), lambda cost: ({}, {"meta": {"count": str(cost)}})),
]


@pytest.mark.parametrize(("cost", "tell"), TOLD)
@pytest.mark.capability("Budgets: credits told by the answer", spec="quota: [1000/day]\ncost: {credits: 5, header: X-Credits-Used, left_header: X-Credits-Left}")
def test_what_the_answer_says_it_cost_counts(store, cost, tell):
    clock, costs = FakeClock(START), iter([1, 6, 2, 9, 2])

    def script(_):
        headers, body = tell(next(costs))
        return answer(json.dumps(body).encode(), 200, headers)

    with RawServer(script) as server:
        sent, error = until_spent(store, clock, server.url, [cost], "15/day")
        assert sent == 4  # 1+6+2+9 = 18: the answer cost more than was left
        assert "15/day is used up:" in error.what
    assert left(store, clock, "15/day") == 0


@pytest.mark.parametrize("tell", [({}, b"{}"), ({"x-used": "many"}, b'{"used": null}'), ({"x-used": "-3"}, b"[1]"), ({"x-used": ""}, b"used: 3"), ({}, b'{"used": {"a": 1}}')])
def test_an_answer_that_says_nothing_of_use_costs_what_was_thought(store, tell):
    headers, body = tell
    for cost in (CostOptions(credits=4, header="X-Used"), CostOptions(credits=4, path="used")):
        clock = FakeClock(START)
        clock.now += 86_400 * (1 + bool(cost.path))
        with RawServer(lambda _: answer(body, 200, headers)) as server:
            assert until_spent(store, clock, server.url, [cost], "10/day")[0] == 2


@pytest.mark.parametrize("cost", [CostOptions(left_header="X-Left"), CostOptions(left_path="left")])
def test_what_the_answer_says_is_left_is_taken_from_the_longest_quota(store, cost):
    clock, lefts = FakeClock(START), iter([90, 95, 3, 3])  # the second is an older answer: it gives nothing back

    def script(_):
        said = next(lefts)
        return answer(json.dumps({"left": said}).encode(), 200, {"x-left": str(said)})

    with RawServer(script) as server:
        host = HttpHost(Redactor(), clock=clock, stamps=store)
        http = host.for_feed("f", api="api", policy=Policy(quota=(Quota("10/day"), Quota("100/month")), cost=cost))
        seen = []
        for _ in range(4):
            http.send(HttpRequest("GET", server.url))
            seen.append((left(store, clock, "10/day"), left(store, clock, "100/month")))
        host.close()
    assert seen == [(9, 90), (8, 89), (7, 3), (6, 2)]
