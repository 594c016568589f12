"""Faults F1-F11 and F13, F14 of a hostile server, at the host: what is retried, what stops, what is never believed."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

import pytest
from fake_clock import FakeClock
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import ByteSize, Duration
from nexus_engine.contract.policy import Policy, RetryOptions
from nexus_engine.errors import RetryLater, StopFeed
from nexus_engine.events import Observers, RequestDone
from nexus_engine.host.body import Limits
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from raw_server import Raw, RawServer, Reset, answer


class Client:
    def __init__(self, *, limits=None, clock=None, base_urls=None, **policy):
        self.clock = clock or FakeClock()
        self.events = []
        self.redactor = Redactor()
        self.stop = threading.Event()
        self.host = HttpHost(
            self.redactor, observers=Observers(self.events.append), clock=self.clock, limits=limits, base_urls=base_urls
        )
        self.http = self.host.for_feed("feed", run_id="r1", policy=Policy(**policy), stop=self.stop)

    def get(self, url, **kw):
        return self.http.send(HttpRequest("GET", url), **kw)


def replies(*items):
    """One after the other; the last repeats."""
    left = list(items)

    def script(request):
        return left.pop(0) if len(left) > 1 else left[0]

    return script


def raw(*pieces, keep=False):
    return Raw(list(pieces), keep)


OK = answer({"ok": 1})


# F1
@pytest.mark.fault("F1: Retry-After in every form", behaviour="waits the stated time; garbage, negative and past values fall back to the growing random wait")
@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("120", 120.0),
        ("1.5", 1.5),
        ("0", 0.0),
        (formatdate(1_700_000_060, usegmt=True), 60.0),
        (formatdate(1_600_000_000, usegmt=True), 0.0),
        ("-5", 0.5),  # the backoff: half of one second
        ("soon", 0.5),
        ("Thu, 99 Foo 2026", 0.5),
        ("nan", 0.5),
        ("", 0.5),
    ],
)
def test_retry_after_in_every_form(header, waited):
    with RawServer(replies(answer(b"", 429, {"Retry-After": header}), OK)) as server:
        client = Client()
        assert client.get(server.url + "/a").status == 200
        assert client.clock.waits == [waited]
        assert len(server.requests) == 2


@pytest.mark.fault("F1: a wait longer than allowed", behaviour="ends the run with its position kept, and says when to ask again")
@pytest.mark.parametrize("header", ["99999999999", "1e300", "inf", "3600", formatdate(1_900_000_000, usegmt=True)])
def test_a_wait_longer_than_allowed_ends_the_run_at_once(header):
    with RawServer(replies(answer(b"", 429, {"Retry-After": header}))) as server:
        client = Client()
        with pytest.raises(RetryLater, match="asks to wait") as caught:
            client.get(server.url + "/a")
        assert 3600 <= caught.value.after_s <= 21_600
        assert client.clock.waits == []
        assert len(server.requests) == 1


# F2
@pytest.mark.fault("F2: statuses that pass", behaviour="asks again with growing random waits, up to `retry.attempts`")
@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429])
def test_passing_failures_are_asked_again(status):
    with RawServer(replies(answer(b"", status), answer(b"", status), OK)) as server:
        client = Client()
        assert client.get(server.url + "/a").body == b'{"ok": 1}'
        assert client.clock.waits == [0.5, 1.0]
        seen = [(event.status, event.attempt) for event in client.events if isinstance(event, RequestDone)]
        assert seen == [(status, 1), (status, 2), (200, 3)]


@pytest.mark.fault("F2: statuses that last", behaviour="stops the partition after one request, with the answer's text")
@pytest.mark.fault("F3: credentials refused", behaviour="stops the partition after one request, with the answer's text")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501, 505])
def test_lasting_failures_are_asked_once(status):
    with RawServer(replies(answer(b'{"error": "no"}', status))) as server, pytest.raises(StopFeed, match=f"HTTP {status}.*no"):
        Client().get(server.url + "/a")
    assert len(server.requests) == 1


def test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap():
    with RawServer(replies(answer(b"", 503))) as server:
        client = Client(retry=RetryOptions(attempts=6, base=Duration("10s"), max_wait=Duration("30s")))
        with pytest.raises(RetryLater, match="HTTP 503.*6 attempts"):
            client.get(server.url + "/a")
        assert client.clock.waits == [5.0, 10.0, 15.0, 15.0, 15.0]
        assert len(server.requests) == 6


@pytest.mark.fault("F2: a POST that acts", behaviour="is never sent twice unless `idempotent: true`")
@pytest.mark.parametrize("first", [answer(b"", 503), answer(b"", 429), raw(b"")])
def test_a_post_that_acts_is_sent_once(first):
    with RawServer(replies(first, OK)) as server:
        with pytest.raises(StopFeed):
            Client().http.send(HttpRequest("POST", server.url + "/a", body=b"{}", idempotent=False))
        assert len(server.requests) == 1


def test_a_post_that_only_reads_is_sent_again():
    with RawServer(replies(raw(b""), answer(b"", 503), OK)) as server:
        assert Client().http.send(HttpRequest("POST", server.url + "/a", body=b"{}")).status == 200
        assert [request.body for request in server.requests] == [b"{}"] * 3


# F3
@pytest.mark.fault("F3: credentials refused", behaviour="renews them once, then stops; no storm of requests")
def test_one_renewal_of_credentials_and_no_storm():
    class Token:
        options = str
        made = []

        def __init__(self, options):
            self.token = options
            Token.made.append(self)

        def apply(self, request, http):
            return request.with_headers(("Authorization", f"Bearer {self.token}"))

        def refresh(self, http):
            self.token = "renewed"
            return True

    def script(request):
        return OK if request.headers["authorization"] == "Bearer renewed" and request.path == "/good" else answer(b"", 401)

    with RawServer(script) as server:
        host = HttpHost(Redactor(), auth={"token": Token}, clock=FakeClock())
        http = host.for_feed("feed", api="x", policy=Policy(auth={"token": "stale-token"}))
        assert http.send(HttpRequest("GET", server.url + "/good")).status == 200
        with pytest.raises(StopFeed, match="401"):
            http.send(HttpRequest("GET", server.url + "/bad"))
        host.for_feed("other", api="x", policy=Policy(auth={"token": "stale-token"}))
        assert [request.path for request in server.requests] == ["/good", "/good", "/bad", "/bad"]
        assert len(Token.made) == 1  # shared by the feeds of the API


# F4
def drip(head: bytes, gap: float = 0.05):
    def pieces():
        yield head
        while True:
            yield gap
            yield b"x"

    return Raw(pieces())


@pytest.mark.fault("F4: an answer that drips", behaviour="ends at `timeout`, which counts from the first to the last byte")
@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["status line", "headers", "endless body", "body"],
)
def test_an_answer_that_drips_meets_the_deadline_of_the_whole_request(head):
    with RawServer(lambda _: drip(head)) as server:
        client = Client(timeout=Duration("300ms"), retry=RetryOptions(attempts=2))
        with pytest.raises(RetryLater, match=r"no whole answer within 0\.3 s"):
            client.get(server.url + "/a")
        assert len(server.requests) == 2


@pytest.mark.fault("F4: a server that never answers", behaviour="ends at `timeout` and asks again")
def test_a_server_that_never_answers_meets_the_deadline():
    with RawServer(lambda _: Raw([60.0])) as server, pytest.raises(RetryLater, match="no whole answer"):
        Client(timeout=Duration("200ms"), retry=RetryOptions(attempts=1)).get(server.url + "/a")


# F5, F6, F7
BODY = b'{"a": [' + b"1," * 500_000 + b"1]}"
PACKED = gzip.compress(BODY)


@pytest.mark.fault("F5: a body shorter than its Content-Length, a chunk cut", behaviour="asks again; nothing of it is handed on")
@pytest.mark.fault("F7: a gzip body cut", behaviour="fails although the client says 200: the end of the stream is looked for; asks again")
@pytest.mark.parametrize(
    "reply",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + BODY),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + PACKED[:-20]),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (len(PACKED) - 20) + PACKED[:-20]),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\nnot gzip!!"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + PACKED + b"tail"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(BODY)[:-9]),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
        raw(b""),
    ],
    ids=["short", "short, long body", "chunk cut", "last chunk missing", "gzip cut", "gzip cut, length right", "no gzip", "gzip and more",
         "deflate cut", "two lengths", "head cut", "nothing"],
)  # fmt: skip
def test_a_body_that_is_not_whole_is_never_handed_on(reply):
    with RawServer(lambda _: reply) as server:
        client = Client(retry=RetryOptions(attempts=2))
        with pytest.raises(RetryLater):
            client.get(server.url + "/a")
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", PACKED),
        ("x-gzip", PACKED),
        ("gzip", gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]) + b"\0" * 8),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("identity", BODY),
    ],
)
@pytest.mark.parametrize("framing", ["length", "close", "chunked"])
def test_whole_bodies_arrive_whole(coding, data, framing):
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding.encode() + b"\r\n"
    if framing == "length":
        reply = raw(head + b"Content-Length: %d\r\n\r\n" % len(data) + data, keep=True)
    elif framing == "close":
        reply = raw(head + b"\r\n" + data)
    else:
        parts = [data[i : i + 70_000] for i in range(0, len(data), 70_000)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        reply = raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", keep=True)
    with RawServer(lambda _: reply) as server:
        client = Client(limits=Limits(ratio=2000))
        assert client.get(server.url + "/a").body == BODY
        assert client.get(server.url + "/a").body == BODY
        assert server.connections == (2 if framing == "close" else 1)


# F8, F9
BOMB = gzip.compress(b"\0" * 40_000_000, 9)


@pytest.mark.fault("F8: a gzip bomb, nested encodings", behaviour="stops at `limits.max_decompressed` or `limits.max_ratio` while it streams; other encodings are refused")
@pytest.mark.fault("F9: a flood of headers", behaviour="stops at 64 kB or 100 headers")
@pytest.mark.fault("F9: a body over its limit, an endless body", behaviour="stops at `max_body`, before or while it comes")
@pytest.mark.parametrize(
    ("reply", "policy", "limit"),
    [
        (answer(BOMB, headers={"Content-Encoding": "gzip"}), {}, "200 times"),
        (answer(BOMB, headers={"Content-Encoding": "gzip"}), {"max_body": ByteSize("5MB")}, "decompresses to more than 10,000,000"),
        (answer(b"", headers={"Content-Encoding": "gzip, gzip"}), {}, "Content-Encoding"),
        (answer(b"x", headers={"Content-Encoding": "br"}), {}, "Content-Encoding"),
        (answer(b"x" * 3000), {"max_body": ByteSize("2kB")}, "3,000 bytes; 2,000 are allowed"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), {}, "99,999,999,999 bytes"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n"), {}, "headers are too large"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: %s\r\n\r\n" % (b"b" * 70_000)), {}, "headers are too large"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"b" * 5000) for i in range(20)) + b"\r\n"), {}, "headers have"),
    ],
)
def test_each_limit_stops_the_feed_without_another_try(reply, policy, limit):
    with RawServer(lambda _: reply) as server, pytest.raises(StopFeed, match=limit):
        Client(**policy).get(server.url + "/a")
    assert len(server.requests) == 1


@pytest.mark.fault("5.10: every limit is met", behaviour="the error names the limit and says what to raise")
def test_headers_up_to_their_limits_are_read():
    """65,536 bytes, names, values and what stands between and behind them; 100 lines with the blank one."""

    def headed(size=0, lines=2):
        short = b"".join(b"X-%d: 1\r\n" % n for n in range(lines - 2))
        head = b"Content-Length: 2\r\n" + short + b"".join(b"Y-%d: %s\r\n" % (n, b"y" * 9992) for n in range(size // 10_000))
        rest = b"Z: %s\r\n" % (b"z" * (size - len(head) - 5)) if size else b""
        return raw(b"HTTP/1.1 200 OK\r\n" + head + rest + b"\r\n{}")

    for good in (headed(size=65_536), headed(lines=100)):
        with RawServer(lambda _: good) as server:  # noqa: B023
            assert Client().get(server.url + "/a").body == b"{}"
    for bad, says in ((headed(size=65_537), "65,537 bytes; 65,536 are allowed"), (headed(lines=101), "headers are too large")):
        with RawServer(lambda _: bad) as server, pytest.raises(StopFeed, match=says):  # noqa: B023
            Client().get(server.url + "/a")


@pytest.mark.fault("F9: a body over its limit, an endless body", behaviour="stops at `max_body`, before or while it comes")
def test_an_endless_body_stops_at_the_limit():
    def pieces():
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"x" * 100_000

    with RawServer(lambda _: Raw(pieces())) as server, pytest.raises(StopFeed, match="more than 3,000,000 bytes"):
        Client(max_body=ByteSize("3MB")).get(server.url + "/a")


# F13, F14
@pytest.mark.fault("F13: a name that does not resolve", behaviour="tries again, then ends the run with the name in the message")
@pytest.mark.fault("F13: connection refused", behaviour="tries again, then ends the run with the address in the message")
def test_a_name_that_does_not_resolve_and_a_closed_port_are_tried_again():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        client = Client(retry=RetryOptions(attempts=3))
        with pytest.raises(RetryLater, match="no connection to 127"):
            client.get(f"http://127.0.0.1:{port}/a")
        assert len(client.clock.waits) == 2
    for name in ("host.invalid", "bücher.invalid", "xn--bcher-kva.invalid"):
        with pytest.raises(RetryLater, match="no connection to .*invalid"):
            Client(retry=RetryOptions(attempts=1)).get(f"http://{name}/a")


@pytest.mark.fault("F13: a resolver that hangs", behaviour="ends at `timeout`; one thread waits, however often it is asked")
def test_a_resolver_that_hangs_meets_the_deadline_and_holds_one_thread(monkeypatch):
    asked, release = [], threading.Event()
    real = socket.getaddrinfo

    def hanging(host, *rest, **kw):
        if kw.get("flags") or host != "slow.invalid":
            return real(host, *rest, **kw)
        asked.append(host)
        release.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    client = Client(timeout=Duration("200ms"), retry=RetryOptions(attempts=3))
    with pytest.raises(RetryLater, match=r"no connection to slow\.invalid: the deadline has passed"):
        client.get("http://slow.invalid/a")
    release.set()
    assert asked == ["slow.invalid"]


@contextmanager
def black_hole() -> Iterator[str]:
    """A URL whose host takes no more connections and refuses none."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        try:
            yield f"http://127.0.0.1:{full.getsockname()[1]}/a"
        finally:
            for other in waiting:
                other.close()


@pytest.mark.slow
@pytest.mark.fault("F13: a black hole", behaviour="an address that does not answer is given up after 15 s, however long `timeout` is")
def test_a_host_that_answers_no_connection_is_given_up_long_before_the_timeout():
    with black_hole() as url, pytest.raises(RetryLater, match="no connection to 127.*timed out"):
        Client(timeout=Duration("10m"), retry=RetryOptions(attempts=1)).get(url)


@pytest.mark.fault("F13: a black hole", behaviour="ends at `timeout` and tries again")
def test_a_host_that_answers_no_connection_meets_the_deadline():
    with black_hole() as url:
        client = Client(timeout=Duration("300ms"), retry=RetryOptions(attempts=2))
        with pytest.raises(RetryLater, match="no connection to 127|no whole answer"):
            client.get(url)
        assert len(client.clock.waits) == 1


@pytest.mark.fault("F13: connection reset", behaviour="hands nothing on and asks again")
@pytest.mark.parametrize("before", [0, 1], ids=["first request", "connection used before"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 200 OK\r\n\r\n{"])
def test_a_connection_that_is_reset_hands_nothing_on(sent, before):
    with RawServer(replies(*[OK] * before, Raw([sent, Reset]), OK)) as server:
        client = Client(retry=RetryOptions(attempts=2))
        for _ in range(before + 1):
            assert client.get(server.url + "/a").body == b'{"ok": 1}'
        assert len(server.requests) == before + 2
        in_body = b"\r\n\r\n" in sent
        assert len(client.clock.waits) == (1 if in_body or not before else 0)  # else the connection was stale, not the server


@pytest.mark.parametrize("url", ["http://a b.invalid/", "http://a\u3002b\u2488.invalid/"])
def test_a_host_that_can_be_read_in_two_ways_is_refused(url):
    with pytest.raises(StopFeed, match="not sent"):
        Client().get(url)


def test_what_an_answer_sets_as_cookie_is_not_sent_and_a_users_name_in_the_url_neither():
    with RawServer(lambda _: answer({"ok": 1}, headers={"Set-Cookie": "a=b; Path=/"})) as server:
        client = Client()
        for _ in range(2):
            assert client.get(server.url.replace("//", "//user:password@") + "/a").status == 200
        assert all(not {"cookie", "authorization"} & request.headers.keys() for request in server.requests)


def test_a_connection_closed_while_idle_is_replaced_without_a_failed_attempt():
    with RawServer(lambda _: raw(answer(b"{}").pieces[0], 0.0)) as server:
        client = Client()
        for _ in range(3):
            assert client.get(server.url + "/a").status == 200
        assert client.clock.waits == []


@pytest.mark.fault("5.3: what is no http URL", behaviour="is refused before anything is sent")
@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "file:///etc/passwd", "http://", "nonsense", "http://[::1/", "http://127.0.0.1:x/"])
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(StopFeed, match="not sent"):
        Client().get(url)


@pytest.mark.fault("5.3: link-local and metadata addresses", behaviour="are never reached")
@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/"])
def test_metadata_addresses_are_never_reached(url):
    with pytest.raises(StopFeed, match="link-local or metadata"):
        Client().get(url)


def test_a_control_character_in_a_header_is_refused():
    with RawServer(lambda _: OK) as server, pytest.raises(StopFeed, match="control character"):
        Client().http.send(HttpRequest("GET", server.url + "/a", headers=(("X-A", "b\r\nX-Evil: 1"),)))
    assert server.requests == []


def test_stopping_ends_a_wait_at_once_and_a_request_in_flight_soon():
    from nexus_engine.host.clock import SystemClock

    with RawServer(lambda _: answer(b"", 503, {"Retry-After": "100"})) as server:
        client = Client(clock=SystemClock())
        threading.Timer(0.2, client.stop.set).start()
        with pytest.raises(StopFeed, match="the engine stops"):
            client.get(server.url + "/a")
        assert len(server.requests) == 1
    with RawServer(lambda _: Raw([100.0])) as server:
        client = Client(clock=SystemClock())
        threading.Timer(0.2, client.stop.set).start()
        with pytest.raises(StopFeed, match="the engine stops"):
            client.get(server.url + "/a")


def test_map_keeps_the_order():
    def script(request):
        time.sleep(0.05 if request.query["n"] == "0" else 0)
        return answer(request.query["n"])

    with RawServer(script) as server:
        client = Client(concurrency=3)
        asked = [HttpRequest("GET", server.url, (("n", str(n)),)) for n in range(20)]
        assert [response.body for response in client.http.map(asked)] == [str(n).encode() for n in range(20)]
        assert server.connections <= 3
