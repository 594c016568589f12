"""HTTPS: whole exchanges, deadlines inside TLS, and certificates that are not believed (F12)."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from fake_clock import FakeClock
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import Duration
from nexus_engine.contract.policy import Policy, RetryOptions
from nexus_engine.errors import RetryLater, StopFeed
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from raw_server import Raw, RawServer, answer

CERTS = Path(__file__).parents[1] / "servers" / "certs"


def server_side(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / f"{name}.pem")
    return context


@pytest.fixture
def trusted(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "ca.pem"))


def client(**policy):
    return HttpHost(Redactor(), clock=FakeClock()).for_feed("feed", policy=Policy(retry=RetryOptions(attempts=2), **policy))


def test_exchanges_over_tls_share_a_connection(trusted):
    body = b'{"a": "' + b"x" * 3_000_000 + b'"}'
    with RawServer(lambda _: answer(body, gzip=True), server_side("good")) as server:
        http = client()
        assert [http.send(HttpRequest("GET", server.url)).body for _ in range(3)] == [body] * 3
        assert http.send(HttpRequest("GET", f"https://localhost:{server.port}/")).status == 200
        assert server.connections == 2


@pytest.mark.fault("F4: an answer that drips", behaviour="ends at `timeout`, which counts from the first to the last byte")
def test_a_tls_answer_that_drips_meets_the_deadline(trusted):
    def pieces():
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        while True:
            yield 0.05
            yield b"x"

    with RawServer(lambda _: Raw(pieces()), server_side("good")) as server, pytest.raises(RetryLater, match="no whole answer within"):
        client(timeout=Duration("300ms")).send(HttpRequest("GET", server.url))


@pytest.mark.fault("F4: a server that never answers", behaviour="ends at `timeout` and asks again")
def test_a_server_silent_in_the_handshake_meets_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RetryLater, match="no connection.*timed out"):
        client(timeout=Duration("300ms")).send(HttpRequest("GET", f"https://127.0.0.1:{silent.getsockname()[1]}/"))


@pytest.mark.fault("F12: a certificate that expired, of another host, self-signed", behaviour="stops the feed with the host and the reason; nothing is sent")
@pytest.mark.parametrize(
    ("name", "says"), [("expired", "certificate has expired"), ("other", "IP address mismatch|not valid for"), ("good", "self|issuer")]
)
def test_a_certificate_that_is_not_valid_stops_the_feed(name, says, monkeypatch):
    if name != "good":
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "ca.pem"))
    with RawServer(lambda _: answer(b"{}"), server_side(name)) as server:
        with pytest.raises(StopFeed, match=f"certificate of 127.0.0.1 is not valid: .*({says})"):
            client().send(HttpRequest("GET", server.url))
        assert server.requests == []


@pytest.mark.fault("F12: plain HTTP where TLS is due", behaviour="fails closed")
def test_plain_http_where_tls_is_due_and_the_other_way_round(trusted):
    with RawServer(lambda _: answer(b"{}"), server_side("good")) as server, pytest.raises(RetryLater):
        client().send(HttpRequest("GET", f"http://127.0.0.1:{server.port}/"))
    with RawServer(lambda _: answer(b"{}")) as server, pytest.raises(RetryLater, match="no connection"):
        client().send(HttpRequest("GET", f"https://127.0.0.1:{server.port}/"))
