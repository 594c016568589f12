"""Several named credentials of one API: each has its own rate, quotas, told budget and tokens, shared by the feeds that name it."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from fake_clock import FakeClock
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import Quota, Rate
from nexus_engine.contract.policy import BudgetOptions, Policy
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.errors import BudgetSpent
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from nexus_engine.host.tokens import TokenFile
from nexus_engine.project.project import Project
from nexus_engine.state.store import Store
from raw_server import RawServer, answer

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC).timestamp()
REGISTRY = build_registry()
API = """\
name: broker
base_url: {url}
{more}credentials:
  research: {{header: {{X-Api-Key: "{{{{ secrets.RESEARCH_KEY }}}}"}}}}
  trading: {{bearer: "{{{{ secrets.TRADING_KEY }}}}", rate: 10/s, quota: [2/month]}}
"""
FEED = """\
name: {name}
source: {{api: broker, path: {name}, records: rows{more}}}
fields: {{id: UInt32}}
target: {{table: t.{name}, key: [id]}}
"""


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield store
    store.close()


def ask(host, url, feed, credential, policy, times):
    http = host.for_feed(feed, api="broker", policy=Policy(credential=credential, **policy))
    for _ in range(times):
        assert http.send(HttpRequest("GET", url)).status == 200


@pytest.mark.capability("Budgets: rate per API and credential", spec='credentials: {research: {bearer: "{{ secrets.RESEARCH }}", rate: 60/min}}')
def test_one_credential_does_not_spend_anothers_rate_and_feeds_of_one_share_it_over_restarts(store):
    clock, policy = FakeClock(START), {"rate": Rate("5/min")}
    with RawServer(lambda request: answer(b"{}")) as server:
        host = HttpHost(Redactor(), clock=clock, stamps=store)
        ask(host, server.url, "a", "research", policy, 3)
        ask(host, server.url, "b", "research", policy, 2)
        ask(host, server.url, "c", "trading", policy, 5)
        ask(host, server.url, "d", "", policy, 5)
        assert clock.waits == []
        ask(host, server.url, "b", "research", policy, 1)
        assert 60 <= sum(clock.waits) <= 61
        clock.waits.clear()
        ask(HttpHost(Redactor(), clock=clock, stamps=store), server.url, "e", "research", policy, 4)  # after a restart
        assert sum(clock.waits) <= 2
        ask(HttpHost(Redactor(), clock=clock, stamps=store), server.url, "f", "research", policy, 1)
        assert sum(clock.waits) > 50


def test_one_credential_does_not_spend_anothers_quota(store):
    clock, policy = FakeClock(START), {"quota": (Quota("2/day"),)}
    with RawServer(lambda request: answer(b"{}")) as server:
        host = HttpHost(Redactor(), clock=clock, stamps=store)
        ask(host, server.url, "a", "research", policy, 2)
        ask(host, server.url, "b", "trading", policy, 2)
        for again in (host, HttpHost(Redactor(), clock=clock, stamps=store)):
            for name in ("research", "trading"):
                with pytest.raises(BudgetSpent):
                    ask(again, server.url, "a", name, policy, 1)


def test_one_credential_does_not_spend_what_another_was_told(store):
    told = iter([("0", "600"), ("7", "600"), ("6", "600")])

    def script(request):
        left, reset = next(told)
        return answer(b"{}", 200, {"x-left": left, "x-reset": reset})

    clock, policy = FakeClock(START), {"budget": BudgetOptions(remaining="x-left", reset="x-reset")}
    with RawServer(script) as server:
        host = HttpHost(Redactor(), clock=clock, stamps=store)
        ask(host, server.url, "a", "research", policy, 1)
        ask(host, server.url, "b", "trading", policy, 2)
        assert clock.waits == []


def test_each_credential_has_its_own_token_and_its_own_kept_refresh_token(tmp_path):
    """A server that gives a new refresh token each time, and takes each of them once."""
    asked, good = [], {"first-of-research", "first-of-trading"}

    def script(request):
        if request.path != "/token":
            return answer({"rows": []})
        shown = dict(parse_qsl(request.body.decode()))["refresh_token"]
        if shown not in good:
            return answer({"error": "invalid_grant"}, 400)
        asked.append(shown)
        good.remove(shown)
        who = shown.partition("-of-")[2]
        good.add(f"next{len(asked)}-of-{who}")
        return answer({"access_token": f"access-{who}-{len(asked)}", "expires_in": 3600, "refresh_token": f"next{len(asked)}-of-{who}"})

    with RawServer(script) as server:
        for _ in range(2):  # the second round is the process after a restart
            host = HttpHost(Redactor(), clock=FakeClock(START), tokens=TokenFile(tmp_path / "tokens.json"), auth={name: item.cls for name, item in REGISTRY.auth.items()})
            for feed, name in (("a", "research"), ("b", "trading"), ("c", "research")):
                words = {"token_url": f"{server.url}/token", "grant": "refresh_token", "client_id": "app", "refresh_token": f"first-of-{name}"}
                policy = Policy(credential=name, auth={"oauth2": words})
                host.for_feed(feed, api="broker", policy=policy).send(HttpRequest("GET", f"{server.url}/{feed}"))
    assert asked == ["first-of-research", "first-of-trading", "next1-of-research", "next2-of-trading"]
    sent = [request.headers["authorization"] for request in server.requests if request.path != "/token"]
    assert sent == [f"Bearer access-{who}" for who in ("research-1", "trading-2", "research-1", "research-3", "trading-4", "research-3")]


class Broker:
    """A project with the API `broker` and feeds of it."""

    def __init__(self, root, url="https://api.example.com", more="", env="RESEARCH_KEY=research-secret\nTRADING_KEY=trading-secret\n"):
        self.root = root
        for name in ("apis.d", "sources.d"):
            (root / name).mkdir()
        (root / "apis.d" / "broker.yaml").write_text(API.format(url=url, more=more))
        (root / ".env").write_text(env)

    def feed(self, name, more=""):
        (self.root / "sources.d" / f"{name}.yaml").write_text(FEED.format(name=name, more=more))

    def load(self):
        self.project = Project.load(self.root, registry=REGISTRY)
        return load_feeds(self.project, REGISTRY)


@pytest.mark.capability("Auth: several named credentials per API", spec='credentials: {research: {header: {X-Api-Key: "{{ secrets.RESEARCH }}"}}, trading: {bearer: "{{ secrets.TRADING }}"}}\ncredential: research')
def test_each_feed_sends_the_credential_it_names(tmp_path):
    with RawServer(lambda request: answer({"rows": [{"id": 1}]})) as server:
        world = Broker(tmp_path, server.url, "rate: 1000/s\n")
        world.feed("papers", ", credential: research")
        world.feed("orders", ", credential: trading")
        world.feed("fills", ", credential: trading")
        world.feed("own", ", auth: {query: {key: mine}}")
        feeds = world.load()
        assert not feeds.problems, feeds.problems
        options = feeds.plans["orders"].source.options
        assert (options["rate"], options["quota"], options["credential"], "credentials" in options) == ("10/s", ["2/month"], "trading", False)
        assert feeds.plans["papers"].source.options["rate"] == "1000/s"
        with Session.open(world.project, REGISTRY) as session:
            for name in ("papers", "orders", "own"):
                assert session.run(feeds.plans[name]).status == "ok"
            assert session.run(feeds.plans["orders"]).status == "ok"
            assert session.run(feeds.plans["fills"]).errors[0].kind == "BudgetSpent"
    sent = {request.path: (request.headers.get("x-api-key"), request.headers.get("authorization"), "key=mine" in request.target) for request in server.requests}
    assert sent == {"/papers": ("research-secret", None, False), "/orders": (None, "Bearer trading-secret", False), "/own": (None, None, True)}


class Together:
    """Answers wait until all of ``at_once`` are under way, and then for one more that must not come. ``most``: how many were, by credential."""

    def __init__(self, at_once):
        self.at_once, self.lock = at_once, threading.Lock()
        self.now, self.most, self.at_most = Counter(), Counter(), 0
        self.reached, self.passed = threading.Event(), threading.Event()

    def __call__(self, request):
        who = request.headers["authorization"]
        with self.lock:
            self.now[who] += 1
            self.most[who] = max(self.most[who], self.now[who])
            self.at_most = max(self.at_most, self.now.total())
            if self.now.total() >= self.at_once:
                self.reached.set()
            if self.now.total() > self.at_once:
                self.passed.set()
        self.reached.wait(5)
        self.passed.wait(0.2)
        with self.lock:
            self.now[who] -= 1
        return answer({"rows": [{"id": 1}]})


@pytest.mark.capability("Auth: several named credentials per API", spec='credentials: {research: {bearer: "{{ secrets.RESEARCH }}", concurrency: 2}, trading: {bearer: "{{ secrets.TRADING }}", concurrency: 1}}\ncredential: research')
def test_each_credential_has_its_own_requests_in_flight_shared_by_its_feeds(tmp_path):
    together = Together(at_once=3)
    with RawServer(together) as server:
        world = Broker(tmp_path, server.url)
        words = "  research: {bearer: research, concurrency: 2}\n  trading: {bearer: trading, concurrency: 1}\n"
        (tmp_path / "apis.d" / "broker.yaml").write_text(f"name: broker\nbase_url: {server.url}\nconcurrency: 8\ncredentials:\n{words}")
        for name, credential in (("papers", "research"), ("notes", "research"), ("orders", "trading"), ("fills", "trading")):
            world.feed(name, f', credential: {credential}, each: {{item: [a, b, c]}}, params: {{item: "{{{{ each.item }}}}"}}')
        feeds = world.load()
        assert not feeds.problems, feeds.problems
        with Session.open(world.project, REGISTRY) as session, ThreadPoolExecutor() as pool:
            assert [report.status for report in pool.map(session.run, feeds.plans.values())] == ["ok"] * 4
        assert len(server.requests) == 12
    assert together.most == {"Bearer research": 2, "Bearer trading": 1}
    assert together.at_most == 3  # one does not wait for the other


def test_secrets_of_credentials_that_no_feed_uses_may_be_unset(tmp_path):
    world = Broker(tmp_path, env="RESEARCH_KEY=research-secret\n")
    world.feed("papers", ", credential: research")
    world.feed("orders", ", credential: trading")
    feeds = world.load()
    assert feeds.unset == {"orders": ("TRADING_KEY",)}
    assert not feeds.invalid


def test_the_position_is_kept_when_a_feed_changes_its_credential(tmp_path):
    world = Broker(tmp_path)
    world.feed("papers", ", credential: research")
    before = world.load().plans["papers"].position_hash
    world.feed("papers", ", credential: trading")
    assert world.load().plans["papers"].position_hash == before


@pytest.mark.parametrize(
    ("api", "feed", "code", "says"),
    [
        ("", "", "missing-key", "known: research, trading"),
        ("auth: {bearer: x}\n", "", "", ""),
        ("credential: trading\n", "", "", ""),
        ("", ", auth: {bearer: x}", "", ""),
        ("credential: trading\n", ", auth: {bearer: x}", "", ""),
        ("", ", credential: reserch", "unknown-name", "did you mean `research`?"),
        ("credential: tradin\n", "", "unknown-name", "did you mean `trading`?"),
        ("", ", credential: research, auth: {bearer: x}", "exclusive", ""),
    ],
)
def test_what_is_chosen(tmp_path, api, feed, code, says):
    world = Broker(tmp_path, more=api)
    world.feed("papers", feed)
    problems = world.load().problems
    assert [problem.code for problem in problems] == ([code] if code else [])
    for problem in problems:
        assert says in problem.suggestion
        assert problem.path.endswith("credential")
        assert problem.line == (3 if "broker" in problem.file else 2)


@pytest.mark.parametrize(
    ("words", "path", "says"),
    [
        ("{heder: {X: y}}", "credentials.bad.heder", "did you mean `header`?"),
        ("{bearer: x, basic: {username: y}}", "credentials.bad", "installed: "),
        ("{rate: 10/s}", "credentials.bad", "installed: "),
        ("{bearer: x, rate: fast}", "credentials.bad.rate", "a rate like"),
        ("{bearer: x, quota: [1/week]}", "credentials.bad.quota[0]", "a quota like"),
        ("{basic: {username: x, pasword: y}}", "credentials.bad.basic.pasword", "did you mean `password`?"),
        ("{oauth2: {token_url: https://x, grant: password}}", "credentials.bad.oauth2.username", "needs `username`"),
    ],
)
def test_mistakes_inside_a_credential_are_told_with_their_place(tmp_path, words, path, says):
    world = Broker(tmp_path)
    file = tmp_path / "apis.d" / "broker.yaml"
    file.write_text(file.read_text() + f"  bad: {words}\n")
    problems = world.load().problems
    assert (problems[0].path, problems[0].line) == (path, 6)
    assert says in problems[0].message + problems[0].suggestion


def test_a_quota_used_up_before_a_login_is_no_wrong_password(tmp_path):
    """The login costs what a request costs: the second process has one credit left, and a login needs two."""
    with RawServer(lambda request: answer({"token": "t0"} if request.path == "/login" else {"rows": [{"id": 1}], "credits": 4})) as server:
        words = f'{{url: "{server.url}/login", json: {{password: right}}, token: token}}'
        world = Broker(tmp_path, server.url)
        world.feed("spent", f", quota: [7/day], cost: {{credits: 2, path: credits}}, auth: {{login: {words}}}")
        feeds = world.load()
        for _ in range(2):
            with Session.open(world.project, REGISTRY) as session:
                report = session.run(feeds.plans["spent"])
        assert [request.path for request in server.requests] == ["/login", "/spent"]
    [error] = report.errors
    assert error.kind == "BudgetSpent"
    assert error.what.startswith("the login: the quota of 7/day is used up but for 1, and a request costs 2")
    assert "the quota renews at" in error.do and "credentials" not in error.do
    assert report.warnings == ["left to do: 1 of 1 partitions: the feed from its start"]
