"""Budgets, judged by the server's own log: five threads, a restart and a 429 in the middle never show one window too full."""

from __future__ import annotations

import random
import threading
import time

import pytest

from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import Duration, Rate
from nexus_engine.contract.policy import Policy, RetryOptions
from nexus_engine.events import Observers, Waiting
from nexus_engine.host.clock import SystemClock
from nexus_engine.host.http import HttpHost
from nexus_engine.host.rate import Budget
from nexus_engine.host.redact import Redactor
from raw_server import RawServer, answer
from fake_clock import FakeClock


class Stamps:
    """What the state store does, in memory."""

    def __init__(self):
        self.kept = {}

    def load(self, key):
        return self.kept.get(key, [])

    def save(self, key, stamps):
        self.kept[key] = list(stamps)


def fullest(times, period):
    times = sorted(times)
    return max(sum(1 for other in times if at <= other < at + period) for at in times)


def test_no_window_of_the_servers_log_is_too_full():
    chance = random.Random(7)
    refused = []

    def script(request):
        time.sleep(chance.random() * 0.03)
        if len(server.requests) == 25 and not refused:
            refused.append(1)
            return answer(b"", 429, {"Retry-After": "0.3"})
        return answer(b"{}")

    with RawServer(script) as server:
        stamps, policy = Stamps(), Policy(rate=Rate("8/400ms"), retry=RetryOptions(base=Duration("10ms")))
        for _ in range(2):  # the second round is the process after a restart
            host = HttpHost(Redactor(), stamps=stamps, clock=SystemClock())

            def feed(n, host=host):
                http = host.for_feed(f"feed{n}", api="api", policy=policy)
                for _ in range(5):
                    time.sleep(chance.random() * 0.02)
                    assert http.send(HttpRequest("GET", server.url)).status == 200

            threads = [threading.Thread(target=feed, args=(n,)) for n in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(server.requests) == 51
        assert fullest([request.at for request in server.requests], 0.4) <= 8
        gap = sorted(request.at for request in server.requests)
        assert len(refused) == 1 and gap[25] - gap[24] > 0.28  # everybody waited after the 429


def test_the_stricter_of_two_feeds_counts_the_others_requests():
    clock = FakeClock()
    budget, stop, waits = Budget("api", clock), threading.Event(), []
    for rate in (Rate("10/min"), Rate("10/min"), Rate("2/min")):
        with budget.slot(rate, 4, stop, lambda reason, wait: waits.append((reason, wait))):
            pass
    assert [reason for reason, _ in waits] == ["rate"]
    assert 60 <= waits[0][1] <= 62


def test_stamps_of_the_process_before_count():
    clock, stamps = FakeClock(), Stamps()
    stamps.save("api", [clock.now - 30, clock.now - 20, clock.now - 3000])
    budget = Budget("api", clock, stamps)
    with budget.slot(Rate("2/min"), 1, threading.Event(), lambda *_: None):
        pass
    assert 30 <= sum(clock.waits) <= 33
    assert len(stamps.kept["api"]) <= 3


def test_redirects_count():
    def script(request):
        return answer(b"", 302, {"Location": "/there"}) if request.path == "/here" else answer(b"{}")

    with RawServer(script) as server:
        clock = FakeClock()
        http = HttpHost(Redactor(), clock=clock).for_feed("f", policy=Policy(rate=Rate("3/min"), timeout=Duration("5s")))
        for _ in range(3):
            assert http.send(HttpRequest("GET", server.url + "/here")).status == 200
        assert len(server.requests) == 6
        assert 60 <= sum(clock.waits) <= 62


def test_a_fast_api_costs_few_transactions_and_a_restart_counts_them_all():
    class Counted(Stamps):
        saves = 0

        def save(self, key, stamps):
            self.saves += 1
            super().save(key, stamps)

    clock, stamps, stop = FakeClock(), Counted(), threading.Event()
    budget = Budget("api", clock, stamps)
    for _ in range(500):
        with budget.slot(Rate("1000/s"), 1, stop, lambda *_: None):
            clock.now += 0.0001
    assert stamps.saves <= 10
    assert sum(stamp >= clock.now - 1 for stamp in stamps.kept["api"]) >= 500
    after = Budget("api", clock, stamps)  # the process after a kill
    began, sent = clock.now, 0
    while clock.now < began + 0.99:
        with after.slot(Rate("1000/s"), 1, stop, lambda *_: None):
            sent += clock.now < began + 0.99
    assert sent <= 500


def test_waiting_is_told():
    events = []
    with RawServer(lambda _: answer(b"{}")) as server:
        http = HttpHost(Redactor(), clock=FakeClock(), observers=Observers(events.append)).for_feed("f", policy=Policy(rate=Rate("1/s")))
        for _ in range(3):
            http.send(HttpRequest("GET", server.url))
    waits = [event for event in events if isinstance(event, Waiting)]
    assert [(event.reason, event.wait_s >= 1) for event in waits] == [("rate", True)] * 2


@pytest.mark.capability("Budgets: rate and concurrency of an API, shared by its feeds", spec="rate: 120/min\nconcurrency: 4")
@pytest.mark.capability("Fan-out: bounded concurrency", spec="each: {symbol: [A, B, C, D]}\nconcurrency: 2")
@pytest.mark.parametrize(("policy", "allowed"), [(Policy(concurrency=2), 2), (Policy(), 8)])
def test_concurrency_is_shared_by_the_feeds_of_an_api(policy, allowed):
    running, most, lock = [0], [0], threading.Lock()

    def script(request):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return answer(b"{}")

    with RawServer(script) as server:
        host = HttpHost(Redactor())

        def feed(n):
            host.for_feed(f"feed{n}", api="api", policy=policy).send(HttpRequest("GET", server.url))

        threads = [threading.Thread(target=feed, args=(n,)) for n in range(4 * allowed)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most[0] == allowed
