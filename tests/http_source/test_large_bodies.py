"""Bodies that are read in pieces: every position resumes exactly, no cut body lands, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest
from nexus_engine.contract.records import Records
from nexus_engine.errors import NexusError, NotYet, PageError, RetryLater, StopFeed
from raw_server import Raw, RawServer, answer
from source_bench import Feed, FeedHost

LINES = [{"id": n, "text": "x" * (n % 50)} for n in range(2000)]
BODY = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(sys.modules[FeedHost.__module__], "_PIECE", 4000)


def ids(payloads):
    return [record["id"] for payload in payloads if payload.body for record in json.loads(payload.body)]


def feed_on(server, *, format="jsonl", **options):
    records = options.pop("records", Records())
    return Feed({"endpoint": f"{server.url}/trades", **options}, records, format=format, leaves=("id",) if format == "csv" else ())


@pytest.mark.capability("Formats: a body larger than memory", spec="format: jsonl")
@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_every_position_resumes_with_what_would_have_followed(headers):
    body = gzip.compress(BODY) if headers else BODY
    with RawServer(lambda request: answer(body, headers=headers)) as server:
        feed = feed_on(server)
        whole = feed.read()
        assert ids(whole) == [line["id"] for line in LINES]
        assert len(whole) > 10
        assert [payload.last for payload in whole] == [False] * (len(whole) - 1) + [True]
        for number in (0, 1, len(whole) - 2):
            assert feed.read(whole[number].position) == whole[number + 1 :]


def test_a_body_that_changed_is_read_from_its_start():
    with RawServer(lambda request: answer(BODY if len(server.requests) < 2 else b'{"id": -1}\n' + BODY)) as server:
        feed = feed_on(server)
        middle = feed.read()[4]
        assert ids(feed.read(middle.position)) == [-1, *(line["id"] for line in LINES)]
        assert "no longer begins with what had landed" in feed.warned[0]
        assert len(server.requests) == 2  # a body that came whole is not asked for again


def test_a_body_that_became_shorter():
    with RawServer(lambda request: answer(BODY if len(server.requests) < 2 else BODY[: BODY.index(b"\n") + 1])) as server:
        feed = feed_on(server)
        assert ids(feed.read(feed.read()[4].position)) == [0]


def test_csv_in_pieces_has_the_rows_of_the_whole():
    body = b"id,v\n" + b"".join(b"%d,x\n" % n for n in range(3000))
    with RawServer(lambda request: answer(body, headers={"Content-Type": "text/csv"})) as server:
        payloads = feed_on(server, format="csv").read()
        assert len(payloads) > 2
        assert ids(payloads) == [str(n) for n in range(3000)]


@pytest.mark.fault("F5: a body shorter than its Content-Length, a chunk cut", behaviour="asks again; nothing of it is handed on")
def test_a_cut_body_gives_nothing_and_is_asked_for_again():
    whole = answer(BODY)
    cut = Raw([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY[:-500]])
    with RawServer(lambda request: cut if len(server.requests) < 3 else whole) as server:
        assert ids(feed_on(server).read()) == [line["id"] for line in LINES]
        assert len(server.requests) == 3
    with RawServer(lambda request: cut) as server:
        feed = feed_on(server)
        with pytest.raises(RetryLater):
            feed.read()
        assert feed.got == []


@pytest.mark.fault("F6: a body cut without a Content-Length", behaviour="a last line without its end is an error")
@pytest.mark.parametrize(("end", "error"), [(BODY, None), (BODY[:-1], PageError), (BODY[:-20], PageError)])
def test_without_a_length_the_last_line_needs_its_end(end, error):
    with RawServer(lambda request: Raw([b"HTTP/1.1 200 OK\r\n\r\n" + end])) as server:
        feed = feed_on(server)
        if error is None:
            assert len(ids(feed.read())) == len(LINES)
            return
        with pytest.raises(error, match="closed the connection in the middle of a line"):
            feed.read()
        assert feed.got == []
        assert len(server.requests) == 2


def test_a_bad_line_stops_behind_the_pieces_before_it():
    bad = BODY + b'{"id": 1, }\n'
    with RawServer(lambda request: answer(bad)) as server:
        feed = feed_on(server)
        with pytest.raises(PageError, match="line 2001 is not one JSON value"):
            feed.read()
        assert 0 < len(ids(feed.got)) < len(LINES)
        assert not any(payload.last for payload in feed.got)


@pytest.mark.parametrize(
    ("sent", "words", "error", "says"),
    [
        (answer({"error": "no such day"}), {"errors": [{"path": "error"}]}, PageError, "no such day"),
        (answer(b"<html>no such day</html>"), {}, PageError, "HTML came"),
        (answer(b"no such day", 403), {"errors": [{"status": 403, "then": "not_yet"}]}, NotYet, "not there yet"),
        (answer(b"no such day", 404), {}, StopFeed, "no such day"),
        (answer(b""), {}, PageError, "not one line"),
    ],
)
def test_errors_inside_answers(sent, words, error, says):
    with RawServer(lambda request: sent) as server:
        feed = feed_on(server, **words)
        with pytest.raises(error, match=says):
            feed.read()
        assert feed.got == []


def test_declared_empty():
    with RawServer(lambda request: answer(b"gone", 404)) as server:
        (payload,) = feed_on(server, errors=[{"status": 404, "then": "empty"}]).read()
        assert (payload.body, payload.last) == (b"", True)
    with RawServer(lambda request: answer(b"\n")) as server:
        (payload,) = feed_on(server, records=Records(empty=("absent",))).read()
        assert (payload.body, payload.last) == (b"", True)


def test_limits_hold_for_bodies_in_files():
    with RawServer(lambda request: answer(BODY)) as server, pytest.raises(NexusError, match="max_body"):
        feed_on(server, max_body="10kB").read()


CHILD = """
import sys, threading, resource
sys.path[:0] = {path!r}
from source_bench import Feed, FeedHost
feed = Feed({{"endpoint": sys.argv[1]}}, format="jsonl")
feed.read_all = 0
from nexus_engine.contract.source import Partition, ReadRequest
from nexus_engine.contract.records import Want
from nexus_engine.contract.host import RunInfo
from nexus_plugins.sources.http.source import HttpSource
request = ReadRequest(feed.options, Partition(), feed.window, None, feed.records, Want(".", ()), RunInfo("r", "f", "2026-01-01T00:00:00Z"), feed.host)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = sum(len(payload.body) for payload in HttpSource().read(request))
print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.capability("Formats: a body larger than memory", spec="format: jsonl")
def test_a_large_body_is_never_in_memory():
    body = b'{"id": 123456, "text": "abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz"}\n' * 1_000_000
    packed = gzip.compress(body[: len(body) // 1000], 1) * 1000  # members one after the other
    with RawServer(lambda request: answer(packed, headers={"Content-Encoding": "gzip"})) as server:
        code = CHILD.format(path=sys.path)
        ran = subprocess.run([sys.executable, "-c", code, f"{server.url}/trades"], capture_output=True, text=True, check=True)
    size, grown_mb = map(int, ran.stdout.split())
    assert size > 100_000_000
    assert grown_mb < 40
