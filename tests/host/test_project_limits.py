"""`limits:` of nexus.yaml reach the wire, each with an error that names it; a feed's own `max_body` comes before them."""

from __future__ import annotations

import gzip

import pytest
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import ByteSize
from nexus_engine.contract.policy import Policy
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.reader import Reader
from nexus_engine.errors import StopFeed
from nexus_engine.events import Observers
from nexus_engine.project.project import Project
from raw_server import RawServer, answer

REGISTRY = build_registry()


def client(tmp_path, limits, **policy):
    (tmp_path / "nexus.yaml").write_text(f"limits: {limits}\n")
    project = Project.load(tmp_path, registry=REGISTRY)
    assert not project.problems
    reader = Reader.open(project, REGISTRY, Observers())
    return reader.http.for_feed("feed", policy=Policy(**policy))


ZIPPED = answer(b"ab" * 50_000, gzip=True)
BOMB = answer(gzip.compress(b"\0" * 20_000_000), headers={"Content-Encoding": "gzip"})
AWAY = answer(b"", 302, {"Location": "/again"})


@pytest.mark.fault("5.10: every limit is met", behaviour="the error names the limit and says what to raise")
@pytest.mark.parametrize(
    ("limits", "reply", "says", "name"),
    [
        ("{max_body: 1kB}", answer(b"x" * 1001), "1,001 bytes; 1,000 are allowed", "max_body"),
        ("{max_decompressed: 50kB}", ZIPPED, "more than 50,000 bytes", "limits.max_decompressed"),
        ("{max_ratio: 10}", BOMB, "more than 10 times its size", "limits.max_ratio"),
        ("{max_redirects: 2}", AWAY, "more than 2 redirects", "limits.max_redirects"),
        ("{max_redirects: 0}", AWAY, "more than 0 redirects", "limits.max_redirects"),
    ],
)
def test_each_limit_is_met(tmp_path, limits, reply, says, name):
    with RawServer(lambda _: reply) as server, pytest.raises(StopFeed, match=says) as raised:
        client(tmp_path, limits).send(HttpRequest("GET", server.url))
    assert f"`{name}`" in raised.value.do


def test_a_feeds_own_limit_comes_first(tmp_path):
    with RawServer(lambda _: answer(b"x" * 5000)) as server:
        assert client(tmp_path, "{max_body: 1kB}", max_body=ByteSize("6kB")).send(HttpRequest("GET", server.url)).status == 200
        with pytest.raises(StopFeed, match="4,000 are allowed"):
            client(tmp_path, "{max_body: 1MB}", max_body=ByteSize("4kB")).send(HttpRequest("GET", server.url))
