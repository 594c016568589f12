"""Redirects and next-links: what is followed, and that credentials reach the spec's own origin and nothing else (F11)."""

from __future__ import annotations

import base64
import socket
import threading
from urllib.parse import quote

import pytest
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.policy import Policy
from nexus_engine.errors import StopFeed
from nexus_engine.host.connection import refused
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from nexus_engine.host.urls import BaseUrls, resolve, with_params
from nexus_plugins.auth import static
from raw_server import Raw, RawServer, answer

SECRET = "S3CRET/key+with=odd chars"
AUTH = {"header": static.HeaderAuth, "query": static.QueryAuth, "bearer": static.BearerAuth, "basic": static.BasicAuth, "cookie": static.CookieAuth}
WORDS = {
    "header": {"header": {"X-Api-Key": SECRET}},
    "query": {"query": {"api_key": SECRET}},
    "bearer": {"bearer": SECRET},
    "basic": {"basic": {"username": "user", "password": SECRET}},
    "cookie": {"cookie": {"sid": SECRET}},
}
SENT = {  # what of them the own origin is sent, and where
    "header": {"x-api-key": SECRET},
    "query": {"api_key": SECRET},
    "bearer": {"authorization": f"Bearer {SECRET}"},
    "basic": {"authorization": "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()},
    "cookie": {"cookie": f"sid={SECRET}"},
}


def sent(request):
    """Everything in a request that may be a credential."""
    headers = {name: request.headers[name] for name in ("x-api-key", "authorization", "cookie") if name in request.headers}
    return headers | {name: value for name, value in request.query.items() if name == "api_key"}


def client(hosts=(), auth=None, base_urls=None):
    redactor = Redactor()
    redactor.add(SECRET, "KEY")
    host = HttpHost(redactor, auth=AUTH, base_urls=base_urls)
    return host.for_feed("feed", policy=Policy(auth=auth or {}, hosts=tuple(hosts)))


def shows_secret(server: RawServer) -> bool:
    redactor = Redactor()
    redactor.add(SECRET)
    return any(redactor.contains(request.raw.decode("latin-1")) for request in server.requests)


def moved(to: str, status: int = 302):
    return answer(b"", status, {"Location": to})


@pytest.mark.fault("5.4: secrets to another origin by redirect", behaviour="headers, cookies, credentials and secrets in a query are left out")
@pytest.mark.fault("5.4: secrets to another origin by a next URL or Link", behaviour="headers, cookies, credentials and secrets in a query are left out")
@pytest.mark.parametrize("method", WORDS)
@pytest.mark.parametrize("way", ["redirect", "redirect with the query", "next-link", "next-link with the query"])
def test_no_secret_reaches_another_origin(method, way):
    with RawServer(lambda _: answer({"ok": 1})) as other, RawServer(lambda request: home(request)) as own:
        link = other.url + "/there"
        if "query" in way:
            link += "?api_key=" + quote(SECRET, safe="") + "&page=2"

        def home(request):
            return moved(link) if request.path == "/a" else answer({"ok": 1})

        http = client([f"127.0.0.1:{other.port}"], WORDS[method])
        spec_headers = (("X-Team", SECRET), ("Cookie", f"team={SECRET}"))
        if way.startswith("redirect"):
            http.send(HttpRequest("GET", own.url + "/a", (("key", SECRET),), spec_headers))
            at_home = {"cookie": f"team={SECRET}"} | SENT[method]
            if method == "cookie":
                at_home["cookie"] = f"team={SECRET}; sid={SECRET}"
            assert [(sent(request), request.headers["x-team"], request.query["key"]) for request in own.requests] == [(at_home, SECRET, SECRET)]
        else:
            http.send(HttpRequest("GET", link, (), spec_headers, base=own.url + "/a"))
        assert len(other.requests) == 1
        assert not shows_secret(other)
        assert "authorization" not in other.requests[0].headers
        if "query" in way:
            assert other.requests[0].query == {"page": "2"}


@pytest.mark.capability("Auth: key in a header", spec='auth: {header: {X-Api-Key: "{{ secrets.KEY }}"}}')
@pytest.mark.capability("Auth: key in the query", spec='auth: {query: {api_key: "{{ secrets.KEY }}"}}')
@pytest.mark.capability("Auth: bearer", spec='auth: {bearer: "{{ secrets.TOKEN }}"}')
@pytest.mark.capability("Auth: basic", spec='auth: {basic: {username: me, password: "{{ secrets.PASSWORD }}"}}')
@pytest.mark.parametrize("method", WORDS)
def test_credentials_stay_on_the_own_origin_through_redirects(method):
    with RawServer(lambda request: moved("/b?x=1") if request.path == "/a" else answer({"ok": 1})) as own:
        response = client(auth=WORDS[method]).send(HttpRequest("GET", own.url + "/a"))
        assert response.status == 200
        assert SECRET not in response.url
        followed = {} if method == "query" else SENT[method]  # a redirect says itself what its query is
        assert [(request.path, sent(request)) for request in own.requests] == [("/a", SENT[method]), ("/b", followed)]


@pytest.mark.fault("F11: a redirect to another origin", behaviour="is refused unless `hosts` names it")
@pytest.mark.parametrize("kind", ["redirect", "next-link"])
def test_another_origin_is_refused_unless_it_is_allowed(kind):
    with RawServer(lambda _: answer({"ok": 1})) as other, RawServer(lambda _: moved(other.url + "/x")) as own:
        request = HttpRequest("GET", own.url + "/a") if kind == "redirect" else HttpRequest("GET", other.url + "/x", base=own.url + "/a")
        with pytest.raises(StopFeed, match=f"a {kind} to another origin.*{other.port}.*refused") as caught:
            client().send(request)
        assert "hosts:" in caught.value.do
        assert other.requests == []


@pytest.mark.fault("F11: a redirect loop", behaviour="stops after `limits.max_redirects`")
@pytest.mark.fault("F11: a redirect to another origin", behaviour="is refused unless `hosts` names it")
@pytest.mark.fault("5.3: what is no http URL", behaviour="is refused before anything is sent")
@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("/a", "more than 5 redirects"),
        ("file:///etc/passwd", "no http or https URL"),
        ("ftp://127.0.0.1/x", "no http or https URL"),
        ("http://[::1", "no http or https URL"),
        ("http://169.254.169.254/latest/meta-data", "another origin"),
        ("//evil.invalid/x", "another origin"),
        ("http://2130706433/", "another origin"),
    ],
)
def test_a_redirect_that_must_not_be_followed(to, says):
    with RawServer(lambda _: moved(to)) as own, pytest.raises(StopFeed, match=says):
        client().send(HttpRequest("GET", own.url + "/a"))


@pytest.mark.fault("5.3: link-local and metadata addresses", behaviour="are never reached")
def test_an_allowed_host_at_a_metadata_address_is_refused():
    with RawServer(lambda _: moved("http://169.254.169.254/latest")) as own, pytest.raises(StopFeed, match="link-local or metadata"):
        client(["169.254.169.254"]).send(HttpRequest("GET", own.url + "/a"))


@pytest.mark.fault("F11: from https to http", behaviour="is refused, also when `hosts` names it")
def test_https_to_http_is_refused_also_when_the_host_is_allowed():
    with RawServer(lambda _: moved("http://api.invalid/b")) as own, pytest.raises(StopFeed, match="from https to http"):
        http = client(["api.invalid"], base_urls={"https://api.invalid": own.url})
        http.send(HttpRequest("GET", "https://api.invalid/a"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_post(status):
    with RawServer(lambda request: moved("/b", status) if request.path == "/a" else answer({"ok": 1})) as own:
        client().send(HttpRequest("POST", own.url + "/a", body=b"{}"))
        again = own.requests[1]
        assert (again.method, again.body) == (("POST", b"{}") if status in (307, 308) else ("GET", b""))


@pytest.mark.fault("5.3: link-local and metadata addresses", behaviour="are never reached")
@pytest.mark.fault("5.3: a private address out of an answer", behaviour="is refused unless the feed's own host is private")
@pytest.mark.parametrize(
    ("address", "from_answer", "private_base", "is_refused"),
    [
        ("93.184.216.34", True, False, False),
        ("127.0.0.1", False, False, False),
        ("127.0.0.1", True, False, True),
        ("127.0.0.1", True, True, False),
        ("10.1.2.3", True, False, True),
        ("0.0.0.0", True, False, True),
        ("224.0.0.1", True, False, True),
        ("::1", True, False, True),
        ("::ffff:10.0.0.1", True, False, True),
        ("::ffff:169.254.169.254", False, True, True),
        ("169.254.1.1", False, True, True),
        ("fe80::1%eth0", False, True, True),
        ("fd00:ec2::254", False, True, True),
        ("64:ff9b::a9fe:a9fe", False, True, True),
        ("100.100.100.200", False, True, True),
    ],
)
def test_addresses(address, from_answer, private_base, is_refused):
    assert bool(refused(address, from_answer=from_answer, private_base=private_base)) is is_refused


@pytest.mark.capability("Paging: the next URL: absolute, relative, a piece of a query", spec="paginate: {next: links.next}")
@pytest.mark.parametrize(
    ("base", "link", "url"),
    [
        ("https://a.b/c?x=1", "https://d.e/f", "https://d.e/f"),
        ("https://a.b/c/d?x=1", "/f?y=2", "https://a.b/f?y=2"),
        ("https://a.b/c/d?x=1", "f?y=2", "https://a.b/c/f?y=2"),
        ("https://a.b/c?x=1&page%5Bnumber%5D=1", "&page%5Bnumber%5D=2&page%5Bsize%5D=100",
         "https://a.b/c?x=1&page%5Bnumber%5D=2&page%5Bsize%5D=100"),
        ("https://a.b/c?x=1", "?x=2", "https://a.b/c?x=2"),
    ],
)  # fmt: skip
def test_links(base, link, url):
    assert resolve(base, link) == url


@pytest.mark.capability("Requests: each value is encoded on its own", spec='params: {q: "é& = %"}')
def test_parameters_replace_their_namesakes_and_are_encoded_one_by_one():
    url = with_params("https://a.b?keep=%2F1&old=1#frag", [("old", "é &="), ("page[size]", "10"), ("r", "1"), ("r", "2")])
    assert url == "https://a.b/?keep=%2F1&old=%C3%A9%20%26%3D&page%5Bsize%5D=10&r=1&r=2"


def test_a_mapped_base_url_answers_and_its_links_to_itself_count_as_the_api():
    with RawServer(lambda request: moved(mirror.url + "/v1/b") if request.path == "/v1/a" else answer({"ok": 1})) as mirror:
        http = client(auth=WORDS["header"], base_urls={"https://api.invalid/data": mirror.url + "/v1"})
        response = http.send(HttpRequest("GET", "https://api.invalid/data/a"))
        assert response.location == "https://api.invalid/data/b"
        link = HttpRequest("GET", mirror.url + "/v1/b?page=2", base="https://api.invalid/data/a")
        assert http.send(link).location == "https://api.invalid/data/b?page=2"
        assert [request.path for request in mirror.requests] == ["/v1/a", "/v1/b", "/v1/b"]
        assert all(request.headers["host"] == f"127.0.0.1:{mirror.port}" for request in mirror.requests)
        assert all(request.headers["x-api-key"] == SECRET for request in mirror.requests)
    assert BaseUrls({"https://api.invalid/data": "http://m"}).target("https://api.invalid/database") == "https://api.invalid/database"


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with RawServer(lambda _: answer({"ok": 1})) as own:
        assert client().send(HttpRequest("GET", own.url)).status == 200


@pytest.mark.fault("5.3: a name that changes its address (DNS rebinding)", behaviour="each connection looks the name up once and goes to the address that was judged")
@pytest.mark.parametrize("second", ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "100.100.100.200"])
def test_a_name_that_leads_elsewhere_the_second_time_is_judged_again(second, monkeypatch):
    asked, real = [], socket.getaddrinfo

    def rebinding(host, port, *rest, **kw):
        if host != "rebind.invalid" or kw.get("flags"):
            return real(host, port, *rest, **kw)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else second, port, *rest, **kw)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    once = Raw([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])  # and the connection is closed: the next request needs a new one
    with RawServer(lambda _: once) as own:
        http = client()
        url = f"http://rebind.invalid:{own.port}/a"
        assert http.send(HttpRequest("GET", url)).status == 200
        with pytest.raises(StopFeed, match="rebind.invalid is at .*link-local or metadata") as caught:
            http.send(HttpRequest("GET", url))
        assert "look at what the API answers" in caught.value.do
        assert len(own.requests) == 1
    assert len(asked) == 2  # never looked up a second time between the judgement and the connection


@pytest.mark.fault("5.3: a private address out of an answer", behaviour="is refused unless the feed's own host is private")
@pytest.mark.parametrize("host", ["inner.invalid", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.1"])
def test_a_link_of_a_public_api_leads_to_no_private_address_however_it_is_written(host, monkeypatch):
    real = socket.getaddrinfo

    def names(name, port, *rest, **kw):
        known = {"public.invalid": "93.184.216.34", "inner.invalid": "127.0.0.1"}
        return real(name if kw.get("flags") else known.get(name, name), port, *rest, **kw)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    with RawServer(lambda _: answer({"ok": 1})) as inner:
        link = f"http://{host}:{inner.port}/latest"
        http = client([host.strip("[]"), f"{host}:{inner.port}"])
        with pytest.raises(StopFeed, match="not a public address|can be read in two ways"):
            http.send(HttpRequest("GET", link, base="http://public.invalid/a"))
        assert inner.requests == []
