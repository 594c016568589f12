"""What an API tells of its budget, in each dialect, and quotas: shared by feeds, kept over restarts, never overdrawn."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from fake_clock import FakeClock
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import Quota, Rate
from nexus_engine.contract.policy import BudgetOptions, Policy
from nexus_engine.errors import BudgetSpent, RetryLater, StopAll
from nexus_engine.events import Observers, Waiting
from nexus_engine.host.http import HttpHost
from nexus_engine.host.quota import Meter, Spent, period
from nexus_engine.host.redact import Redactor
from nexus_engine.state.store import Store
from raw_server import RawServer, answer

START = datetime(2026, 1, 31, 23, 58, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield store
    store.close()


class Metered:
    """An API with so many requests per period, told in headers; the period begins with its first request."""

    def __init__(self, clock, count, period_s, tell):
        self.clock, self.count, self.period_s, self.tell = clock, count, period_s, tell
        self.reset_at, self.left, self.refused = 0.0, 0, 0

    def __call__(self, request):
        now = self.clock.now
        if now >= self.reset_at:
            self.reset_at, self.left = now + self.period_s, self.count
        if not self.left:
            self.refused += 1
            return answer(b"", 429, self.tell(0, self.reset_at, now))
        self.left -= 1
        return answer(b"{}", 200, self.tell(self.left, self.reset_at, now))


DIALECTS = {
    "x": ({"dialect": "x"}, lambda left, at, now: {"x-rate-limit-limit": "5", "x-rate-limit-remaining": str(left), "x-rate-limit-reset": str(int(at))}),
    "reddit": ({"dialect": "reddit"}, lambda left, at, now: {"x-ratelimit-remaining": f"{left}.0", "x-ratelimit-reset": str(int(at - now))}),
    "glassnode": ({"dialect": "glassnode"}, lambda left, at, now: {"x-rate-limit-remaining": str(left), "x-rate-limit-reset": str(int(at - now))}),
    "github": ({"dialect": "github"}, lambda left, at, now: {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(int(at))}),
    "ietf": ({"dialect": "ietf"}, lambda left, at, now: {"RateLimit-Remaining": f"{left}", "RateLimit-Reset": f"{int(at - now)};w=60"}),
    "own words": (
        {"remaining": "Calls-Left", "reset": "Calls-Reset", "reset_as": "epoch"},
        lambda left, at, now: {"calls-left": str(left), "calls-reset": f"{at:.1f}"},
    ),
}  # fmt: skip


@pytest.mark.capability("Budgets: learned from headers, in every dialect", spec="budget: {dialect: reddit}")
@pytest.mark.capability("Budgets: kept over restarts", spec="budget: {dialect: github}")
@pytest.mark.parametrize(("words", "tell"), DIALECTS.values(), ids=list(DIALECTS))
def test_a_told_budget_is_used_up_and_never_overdrawn(words, tell, store):
    clock, events = FakeClock(START + 0.4), []
    api = Metered(clock, 5, 60, tell)
    policy = Policy(budget=BudgetOptions(**words))
    with RawServer(api) as server:
        for _ in range(2):  # the second round is the process after a restart: what was told still holds
            host = HttpHost(Redactor(), clock=clock, stamps=store, observers=Observers(events.append))
            feeds = [host.for_feed(f"feed{n}", api="api", policy=policy) for n in range(3)]
            for n in range(9):
                assert feeds[n % 3].send(HttpRequest("GET", server.url)).status == 200
    assert api.refused == 0
    assert len(server.requests) == 18
    assert {event.reason for event in events if isinstance(event, Waiting)} == {"budget"}
    assert 180 <= sum(clock.waits) <= 190


def test_side_by_side_it_is_not_overdrawn_either():
    clock = FakeClock(START)
    api = Metered(clock, 5, 60, DIALECTS["x"][1])
    lock = threading.Lock()

    def script(request):
        with lock:
            return api(request)

    with RawServer(script) as server:
        http = HttpHost(Redactor(), clock=clock).for_feed("f", api="api", policy=Policy(budget=BudgetOptions(dialect="x"), concurrency=4))
        http.send(HttpRequest("GET", server.url))
        assert len(list(http.map(HttpRequest("GET", f"{server.url}/{n}") for n in range(20)))) == 20
    assert api.refused <= 3  # in the moment after a reset nothing is known yet: at most the requests then in flight


@pytest.mark.capability("Errors: wait for the reset", spec="budget: {dialect: x}")
def test_a_429_that_only_tells_the_reset_waits_for_it():
    clock = FakeClock(START)
    api = Metered(clock, 3, 60, DIALECTS["x"][1])
    with RawServer(api) as server:
        api(None), api(None), api(None)  # another program used it up
        http = HttpHost(Redactor(), clock=clock).for_feed("f", policy=Policy(budget=BudgetOptions(dialect="x")))
        assert http.send(HttpRequest("GET", server.url)).status == 200
    assert api.refused == 1
    assert 60 <= sum(clock.waits) <= 62


def test_a_reset_far_away_ends_the_run_with_its_position_kept():
    clock = FakeClock(START)
    with RawServer(Metered(clock, 1, 900, DIALECTS["x"][1])) as server:
        http = HttpHost(Redactor(), clock=clock).for_feed("f", policy=Policy(budget=BudgetOptions(dialect="x")))
        http.send(HttpRequest("GET", server.url))
        with pytest.raises(RetryLater, match=r"no request is left for 90\d s, longer than `retry.max_wait`") as raised:
            http.send(HttpRequest("GET", server.url))
        assert 899 <= raised.value.after_s <= 902
        assert len(server.requests) == 1


@pytest.mark.capability("Budgets: learned from headers, in every dialect", spec="budget: {remaining: x-calls-left, reset: x-calls-reset, reset_as: epoch, per: feed}")
def test_feeds_with_limits_of_their_own():
    clock, lefts = FakeClock(START), {"/a": 1, "/b": 5}

    def script(request):
        lefts[request.path] -= 1
        return answer(b"{}", 200, {"x-rate-limit-remaining": str(lefts[request.path]), "x-rate-limit-reset": str(int(clock.now + 900))})

    with RawServer(script) as server:
        host, policy = HttpHost(Redactor(), clock=clock), Policy(budget=BudgetOptions(dialect="x", per="feed"))
        a, b = (host.for_feed(name, api="api", policy=policy) for name in "ab")
        a.send(HttpRequest("GET", server.url + "/a"))
        for _ in range(5):
            b.send(HttpRequest("GET", server.url + "/b"))
        for http, path in ((a, "/a"), (b, "/b")):
            with pytest.raises(RetryLater):
                http.send(HttpRequest("GET", server.url + path))


@pytest.mark.parametrize("headers", [{}, {"x-rate-limit-remaining": "none"}, {"x-rate-limit-remaining": "0"}, {"x-rate-limit-remaining": "-1", "x-rate-limit-reset": "x"}])
def test_answers_that_tell_nothing_change_nothing(headers):
    with RawServer(lambda _: answer(b"{}", 200, headers)) as server:
        http = HttpHost(Redactor(), clock=FakeClock(START)).for_feed("f", policy=Policy(budget=BudgetOptions(dialect="x")))
        for _ in range(3):
            assert http.send(HttpRequest("GET", server.url)).status == 200


@pytest.mark.capability("Budgets: daily and monthly quotas", spec="quota: [1000/day, 100000/month]")
@pytest.mark.capability("Budgets: kept over restarts", spec="quota: [1000/day]")
def test_a_quota_is_shared_kept_and_renewed(store):
    clock = FakeClock(START)
    policy = Policy(quota=(Quota("7/day"), Quota("9/month")))
    sent = 0
    with RawServer(lambda _: answer(b"{}")) as server:

        def until_spent():
            host = HttpHost(Redactor(), clock=clock, stamps=store)
            feeds = [host.for_feed(f"feed{n}", api="api", policy=policy) for n in range(2)]
            with pytest.raises(BudgetSpent) as raised:
                for n in range(20):
                    feeds[n % 2].send(HttpRequest("GET", server.url))
            host.close()
            return raised.value

        for _ in range(2):  # also after a restart
            error = until_spent()
            assert isinstance(error, StopAll)
            assert "7/day is used up" in error.what
            assert error.renews_at == "2026-02-01T00:00:00Z"
            assert len(server.requests) == 7
        clock.now += 300  # the next day, which is the next month
        until_spent()
        sent = len(server.requests)
        assert sent == 14
        clock.now += 86_400
        error = until_spent()
        assert len(server.requests) - sent == 2
        assert "9/month is used up" in error.what
        assert error.renews_at == "2026-03-01T00:00:00Z"


def test_redirects_and_retries_count():
    script = {"/a": answer(b"", 302, {"Location": "/b"}), "/b": answer(b"{}")}
    with RawServer(lambda request: script[request.path]) as server:
        http = HttpHost(Redactor(), clock=FakeClock(START)).for_feed("f", policy=Policy(quota=(Quota("3/hour"),), rate=Rate("100/s")))
        http.send(HttpRequest("GET", server.url + "/a"))
        with pytest.raises(BudgetSpent):
            http.send(HttpRequest("GET", server.url + "/a"))
        assert len(server.requests) == 3


@pytest.mark.parametrize("killed_after", [1, 2, 57, 58, 59, 1000, 1500])
def test_a_kill_never_gives_requests_back(killed_after, store):
    clock = FakeClock(START)
    quota = Quota("100000/month")
    meter = Meter("api", quota, clock, store)
    for _ in range(killed_after):
        meter.spend()
        clock.now += 0.001
    after = Meter("api", quota, clock, store)
    assert quota.count - killed_after - 100 <= after.left <= quota.count - killed_after
    meter.close()
    assert Meter("api", quota, clock, store).left == quota.count - killed_after


def test_a_clock_that_is_set_back_renews_nothing():
    clock = FakeClock(START)
    meter = Meter("api", Quota("2/day"), clock)
    meter.spend()
    clock.now -= 90_000
    meter.spend()
    with pytest.raises(Spent):
        meter.spend()


def test_periods():
    now = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert period("hour", now) == (datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert period("day", now) == (datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert period("month", now) == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
