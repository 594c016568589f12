"""OAuth2 and logins against a real server: when a token is asked for, how often, by how many, and that none is ever shown."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import parse_qsl

import msgspec
import pytest
from fake_clock import FakeClock
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.policy import Policy
from nexus_engine.contract.registry import build_registry
from nexus_engine.errors import RetryLater, StateDamaged, StopFeed
from nexus_engine.events import Observers
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from nexus_engine.host.tokens import TokenFile
from raw_server import RawServer, answer

AUTH = {name: item.cls for name, item in build_registry().auth.items()}


class Api:
    """A token endpoint and an API that knows which tokens are good."""

    def __init__(self, *, expires_in=3600, rotate=False):
        self.given = 0
        self.good: set[str] = set()
        self.expires_in, self.rotate = expires_in, rotate
        self.refresh = "first-refresh-token"
        self.asked: list[dict[str, str]] = []
        self.lock = threading.Lock()

    def __call__(self, request):
        if request.path == "/token":
            return self.token(request)
        if request.path == "/login":
            return self.login(request)
        sent = request.headers.get("authorization", "") or request.headers.get("cookie", "")
        return answer({"rows": []}) if any(token in sent for token in self.good) else answer({"error": "invalid_token"}, 401)

    def token(self, request):
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        with self.lock:
            self.asked.append(fields)
            if fields["grant_type"] == "refresh_token" and fields["refresh_token"] != self.refresh:
                return answer({"error": "invalid_grant", "error_description": "used before"}, 400)
            self.given += 1
            token = f"access-token-{self.given}"
            self.good = {token}
            body = {"access_token": token, "token_type": "bearer", "expires_in": self.expires_in}
            if self.rotate:
                self.refresh = body["refresh_token"] = f"refresh-token-{self.given}"
        return answer(body)

    def login(self, request):
        with self.lock:
            self.given += 1
            self.good = {f"session-{self.given}"}
        fields = json.loads(request.body) if request.body[:1] == b"{" else dict(parse_qsl(request.body.decode()))
        assert fields == {"user": "me", "password": "pass/word"}
        headers = {"Set-Cookie": f"lang=en; Expires=Thu, 01 Jan 2032 00:00:00 GMT, sid=session-{self.given}; HttpOnly"}
        return answer({"data": {"token": f"session-{self.given}"}}, headers=headers)


class Client:
    """Two feeds of one API over one host."""

    def __init__(self, auth, *, tokens=None, recorder=None):
        self.redactor, self.clock, self.events = Redactor(), FakeClock(), []
        observers = Observers()
        observers.add(self.events.append)
        self.host = HttpHost(self.redactor, clock=self.clock, auth=AUTH, tokens=tokens, observers=observers, record=recorder)
        policy = Policy(auth=auth)
        self.feeds = [self.host.for_feed(name, api="api", policy=policy) for name in ("one", "two")]

    def get(self, server, feed=0, path="/rows"):
        return self.feeds[feed].send(HttpRequest("GET", f"{server.url}{path}"))


def oauth2(server, **words):
    return {"oauth2": {"token_url": f"{server.url}/token", "client_id": "app", "client_secret": "app-secret", **words}}


def tokens_asked(server):
    return [request for request in server.requests if request.path in ("/token", "/login")]


@pytest.mark.capability("Auth: OAuth2 client credentials", spec='auth: {oauth2: {token_url: https://api.example.com/token, client_id: app, client_secret: "{{ secrets.APP }}"}}')
def test_one_token_serves_all_feeds_of_the_api_until_shortly_before_it_expires():
    with RawServer(Api()) as server:
        client = Client(oauth2(server, scope="read all", params={"audience": "x"}))
        for feed in (0, 1, 0):
            client.get(server, feed)
        asked = tokens_asked(server)
        assert [dict(parse_qsl(request.body.decode())) for request in asked] == [
            {"grant_type": "client_credentials", "audience": "x", "scope": "read all"}
        ]
        assert asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"app:app-secret").decode()
        client.clock.now += 3600 - 61
        client.get(server)
        assert len(tokens_asked(server)) == 1
        client.clock.now += 2
        client.get(server, 1)
        assert len(tokens_asked(server)) == 2
        assert [request.headers["authorization"] for request in server.requests if request.path == "/rows"][-1] == "Bearer access-token-2"


@pytest.mark.capability("Auth: OAuth2 client credentials", spec='auth: {oauth2: {token_url: https://api.example.com/token, client_id: app, client_secret: "{{ secrets.APP }}"}}')
def test_a_token_that_is_refused_is_renewed_once():
    api = Api()
    with RawServer(api) as server:
        client = Client(oauth2(server))
        client.get(server)
        api.good = set()
        client.get(server)
        assert api.given == 2
        api.token = lambda request: answer({"access_token": "never-good"})
        api.good = set()
        with pytest.raises(StopFeed, match="HTTP 401"):
            client.get(server)


@pytest.mark.capability("Auth: OAuth2 client credentials", spec='auth: {oauth2: {token_url: https://api.example.com/token, client_id: app, client_secret: "{{ secrets.APP }}"}}')
def test_many_threads_fetch_one_token_and_renew_it_once():
    api = Api()
    with RawServer(api) as server:
        client = Client(oauth2(server))
        for _ in range(2):
            threads = [threading.Thread(target=client.get, args=(server, n % 2)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            api.good = set()
        assert api.given == 2


@pytest.mark.capability("Auth: OAuth2 password", spec='auth: {oauth2: {token_url: https://api.example.com/token, grant: password, client_id: app, username: me, password: "{{ secrets.PASSWORD }}"}}')
def test_password_grant_and_client_in_the_body():
    api = Api()
    with RawServer(api) as server:
        words = {"grant": "password", "username": "me", "password": "p&ss", "client": "body", "header": "X-Auth", "prefix": ""}
        client = Client(oauth2(server, **words))
        api.good = {"access"}
        with pytest.raises(StopFeed):  # the API looks at Authorization
            client.get(server)
        assert api.asked[0] == {"grant_type": "password", "username": "me", "password": "p&ss", "client_id": "app", "client_secret": "app-secret"}
        assert "authorization" not in tokens_asked(server)[0].headers
        assert server.requests[1].headers["x-auth"] == "access-token-1"


@pytest.mark.capability("Auth: OAuth2 refresh token", spec='auth: {oauth2: {token_url: https://api.example.com/token, grant: refresh_token, client_id: app, client_secret: "{{ secrets.APP }}", refresh_token: "{{ secrets.REFRESH }}"}}')
def test_a_replaced_refresh_token_is_kept_over_restarts_and_a_new_secret_begins_anew(tmp_path):
    api, path = Api(rotate=True), tmp_path / "data" / "tokens.json"
    with RawServer(api) as server:
        for number in range(1, 4):
            client = Client(oauth2(server, grant="refresh_token", refresh_token="first-refresh-token"), tokens=TokenFile(path))
            client.get(server)
            assert api.refresh == f"refresh-token-{number}"
        assert [fields["refresh_token"] for fields in api.asked] == ["first-refresh-token", "refresh-token-1", "refresh-token-2"]
        assert path.stat().st_mode & 0o777 == 0o600
        api.refresh = "second-secret-token"
        Client(oauth2(server, grant="refresh_token", refresh_token="second-secret-token"), tokens=TokenFile(path)).get(server)
        assert api.asked[-1]["refresh_token"] == "second-secret-token"


@pytest.mark.capability("Auth: a login whose answer gives a token", spec='auth: {login: {url: https://api.example.com/login, json: {user: me, password: "{{ secrets.PASSWORD }}"}, token: data.token, lasts: 1h}}')
def test_a_login_with_a_token():
    api = Api()
    with RawServer(api) as server:
        words = {"url": f"{server.url}/login", "json": {"user": "me", "password": "pass/word"}, "token": "data.token", "lasts": "1h"}
        client = Client({"login": words})
        client.get(server)
        client.get(server, 1)
        assert api.given == 1
        client.clock.now += 3600
        client.get(server)
        assert api.given == 2


@pytest.mark.capability("Auth: a login whose answer sets a cookie", spec='auth: {login: {url: https://api.example.com/login, form: {user: me, password: "{{ secrets.PASSWORD }}"}, cookies: sid}}')
def test_a_login_with_a_cookie_beside_others():
    api = Api()
    with RawServer(api) as server:
        words = {"url": f"{server.url}/login", "form": {"user": "me", "password": "pass/word"}, "cookies": "sid"}
        client = Client({"login": words})
        client.feeds[0].send(HttpRequest("GET", f"{server.url}/rows", headers=(("cookie", "a=b"),)))
        assert server.requests[-1].headers["cookie"] == "a=b; sid=session-1"
        api.good = set()
        client.get(server)
        assert api.given == 2


@pytest.mark.capability("Auth: key in a cookie", spec='auth: {cookie: {session: "{{ secrets.KEY }}"}}')
def test_a_key_in_a_cookie():
    with RawServer(lambda _: answer([])) as server:
        Client({"cookie": {"key": "v1"}}).feeds[0].send(HttpRequest("GET", server.url, headers=(("cookie", "a=b"),)))
        assert server.requests[0].headers["cookie"] == "a=b; key=v1"


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (answer({"error": "invalid_grant", "error_description": "bad app-secret"}, 400), StopFeed, r"token request failed.*invalid_grant"),
        (answer({"error": "invalid_client"}, 200), StopFeed, "holds no token: invalid_client"),
        (answer({"access_token": 5}), StopFeed, "is no text"),
        (answer("<html>"), StopFeed, "not answered with a JSON object"),
        (answer("", 503), RetryLater, "token request failed"),
    ],
)
def test_no_token(reply, error, says):
    with RawServer(lambda _: reply) as server:
        client = Client(oauth2(server))
        client.redactor.add("app-secret", "SECRET")
        with pytest.raises(error, match=says) as caught:
            client.get(server)
        assert "app-secret" not in str(caught.value)
        assert all(request.path == "/token" for request in server.requests)


@pytest.mark.parametrize(
    ("status", "does"),
    [
        (401, "check the credentials under `auth`"),
        (404, "there is no such address: check the URL under `auth`"),
        (405, "there is no such address: check the URL and the method under `auth`"),
        (415, "the server will answer the same again; mend the request"),
    ],
)
@pytest.mark.parametrize("method", ["oauth2", "login"])
def test_what_to_do_about_a_login_that_is_refused(status, does, method):
    with RawServer(lambda _: answer({"error": "no"}, status)) as server:
        words = oauth2(server) if method == "oauth2" else {"login": {"url": f"{server.url}/login", "token": "token"}}
        with pytest.raises(StopFeed, match=f"(the token request|the login).* HTTP {status}; the body begins: .*no") as caught:
            Client(words).get(server)
        assert caught.value.do == does
        assert len(server.requests) == 1


def test_a_login_that_the_engines_stop_ends_says_nothing_of_credentials():
    stop = threading.Event()

    def busy(_):
        stop.set()
        return answer("", 503)

    with RawServer(busy) as server:
        host = HttpHost(Redactor(), clock=FakeClock(), auth=AUTH)
        feed = host.for_feed("one", policy=Policy(auth={"login": {"url": f"{server.url}/login", "token": "token"}}), stop=stop)
        with pytest.raises(StopFeed, match="the login: the engine stops") as caught:
            feed.send(HttpRequest("GET", f"{server.url}/rows"))
        assert caught.value.do == ""
        assert caught.value.where == f"{server.url}/login"


@pytest.mark.parametrize("words", [{"login": {"url": "http://x", "token": "a..b"}}, {"oauth2": {"token_url": "http://x", "token": "a..b"}}])
def test_a_token_that_a_template_made_no_path_of_is_no_bug_of_the_plugin(words):
    with pytest.raises(StopFeed, match=r"`auth\.(login|oauth2)` is not right: not a path: a name is missing at character 3"):
        Client(words)


def test_no_token_in_events_messages_or_recordings(tmp_path):
    api = Api(rotate=True)

    def script(request):
        reply = api(request)
        return answer({"echo": request.headers["authorization"]}, 403) if request.path == "/echo" else reply

    with RawServer(script) as server:
        client = Client(oauth2(server, grant="refresh_token", refresh_token="first-refresh-token"), recorder=tmp_path)
        client.get(server, path="/rows?again=access-token-1")
        with pytest.raises(StopFeed, match=r"Bearer \*\*\*") as caught:
            client.get(server, path="/echo")
        client.host.close()
        recorded = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
        assert "/rows" in recorded
        assert "/token" not in recorded
        assert not [secret for secret in ("access-token", "refresh-token") if secret in f"{client.events!r}{caught.value}{recorded}"]


@pytest.mark.fault("5.4: a token to another origin", behaviour="is never sent")
def test_no_token_is_sent_to_another_origin():
    with RawServer(lambda _: answer([])) as other, RawServer(Api()) as server:
        client = Client(oauth2(server))
        host = other.url.removeprefix("http://")
        feed = client.host.for_feed("one", api="api", policy=Policy(auth=oauth2(server), hosts=(host,)))
        feed.send(HttpRequest("GET", f"{other.url}/next", base=f"{server.url}/rows"))
        assert "authorization" not in other.requests[0].headers


def test_a_damaged_token_file_stops_before_a_token_is_asked_for(tmp_path):
    path = tmp_path / "tokens.json"
    path.write_text("{")
    with RawServer(Api(rotate=True)) as server, pytest.raises(StateDamaged, match="cannot be read"):
        Client(oauth2(server, grant="refresh_token", refresh_token="first-refresh-token"), tokens=TokenFile(path)).get(server)
    assert server.requests == []


def test_holders_of_one_text_wait_for_each_other(tmp_path):
    counter = [TokenFile(tmp_path / "tokens.json") for _ in range(2)]  # as two processes have it

    def add(file):
        for _ in range(20):
            with file.slot("n") as slot:
                slot.write(str(int(slot.read() or 0) + 1))

    threads = [threading.Thread(target=add, args=(file,)) for file in (*counter, *counter)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert msgspec.json.decode((tmp_path / "tokens.json").read_bytes()) == {"n": "80"}
