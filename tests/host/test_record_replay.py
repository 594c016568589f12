"""What was recorded replays the same, shows no secret, and an unknown request is a clear error."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pytest
import yaml
from fake_clock import FakeClock
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.policy import Policy
from nexus_engine.errors import StopFeed
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from nexus_engine.testing.replay import BadCassette, ReplayServer
from raw_server import RawServer, answer

SECRET = "S3CRET-recorded"


def host(**options):
    redactor = Redactor()
    redactor.add(SECRET, "KEY")
    return HttpHost(redactor, clock=FakeClock(), **options)


def ask(url, value="1", method="GET"):
    return HttpRequest(method, url + "/a b/é", (("api_key", SECRET), ("n", value)), (("Authorization", "Bearer x"),))


@pytest.fixture
def recorded(tmp_path):
    """Answers of several kinds, recorded from a server mapped to https://api.invalid."""

    def script(request):
        n = request.query["n"]
        bodies = {
            "1": answer({"text": f"é\r\n\t\u2028 {SECRET}", "n": len(server.requests)}, gzip=True),
            "2": answer(b"\xff\xfe\0binary"),
            "3": answer(b"gone", 404),
            "4": answer(b"", 302, {"Location": "/moved?n=5"}),
            "5": answer(b"yes: no # not yaml\n- x\n"),
        }
        return bodies[n]

    with RawServer(script) as server:
        recording = host(base_urls={"https://api.invalid": server.url}, record=tmp_path / "tape")
        http = recording.for_feed("feed", policy=Policy())
        bodies = [http.send(ask("https://api.invalid", n), accept=frozenset({404})).body for n in "11234"]
        recording.for_feed("other").send(ask("https://api.invalid", "5", "POST"))
    return tmp_path / "tape", bodies


def test_a_recording_is_a_vcr_cassette_without_secrets(recorded):
    folder, _ = recorded
    assert sorted(path.name for path in folder.iterdir()) == ["feed.yaml", "other.yaml"]
    text = (folder / "feed.yaml").read_text()
    assert "S3CRET" not in text and "Bearer x" not in text
    data = yaml.safe_load(text)
    assert data["version"] == 1
    assert data["metadata"]["recorded_at"] == "2023-11-14T22:13:20Z"
    first = data["interactions"][0]
    assert first["request"]["uri"] == "https://api.invalid/a b/é?api_key=REDACTED&n=1"
    assert first["request"]["headers"]["authorization"] == ["REDACTED"]
    assert first["response"]["status"] == {"code": 200, "message": "OK"}
    assert "content-encoding" not in first["response"]["headers"]
    assert data["interactions"][2]["response"]["body"]["string"] == b"\xff\xfe\0binary"


def test_the_nth_repeat_gets_the_nth_answer_and_then_an_error(recorded):
    folder, bodies = recorded
    with ReplayServer(folder) as replay:
        http = host(replay=replay.base_url).for_feed("feed")
        again = [http.send(ask("https://api.invalid", n), accept=frozenset({404})).body for n in "11234"]
        assert again == [body.replace(SECRET.encode(), b"REDACTED") for body in bodies]
        assert again[0] != again[1]
        assert replay.recorded_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) == replay.now()
        assert [text.split("?")[0] for text in replay.unused()] == ["POST https://api.invalid/a b/é"]
        with pytest.raises(StopFeed, match="no more answers.*recorded 2 times"):
            http.send(ask("https://api.invalid", "1"))


def test_the_last_answer_repeats_when_asked_for(recorded):
    with ReplayServer(recorded[0], repeat_last=True) as replay:
        http = host(replay=replay.base_url).for_feed("feed")
        assert len({http.send(ask("https://api.invalid", "1")).body for _ in range(4)}) == 2


@pytest.mark.parametrize(
    "request_",
    [
        ask("https://api.invalid", "9"),
        ask("https://api.invalid", "2", "POST"),
        HttpRequest("GET", "https://api.invalid/a b/é", (("n", "1"),)),
        HttpRequest("GET", "https://api.invalid/else", (("api_key", SECRET), ("n", "1"))),
    ],
)
def test_an_unrecorded_request_stops_the_feed_and_names_the_nearest(recorded, request_):
    with ReplayServer(recorded[0]) as replay:
        client = host(replay=replay.base_url)
        with pytest.raises(StopFeed, match=r"holds no answer for .*; the nearest recorded request of this host is (GET|POST) api\.invalid/") as caught:
            client.for_feed("feed").send(request_)
        assert "S3CRET" not in str(caught.value)
        assert client.clock.waits == []  # not asked again
        assert len(replay.asked.unmatched) == 1


def test_no_request_of_another_host_is_taken_for_the_nearest(recorded):
    with ReplayServer(recorded[0]) as replay, pytest.raises(StopFeed) as caught:
        host(replay=replay.base_url).for_feed("feed").send(ask("https://other.invalid", "1"))
    assert "holds no answer for GET other.invalid/" in caught.value.what and "it was recorded from api.invalid" in caught.value.what


@pytest.mark.parametrize("text", ["", "a: [", "interactions: 5", "interactions:\n- {}\n", "[1]"])
def test_a_file_that_is_no_cassette_is_named(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(BadCassette, match=r"bad\.yaml: not a cassette"):
        ReplayServer(tmp_path)
    with pytest.raises(BadCassette, match="no cassette"):
        ReplayServer(tmp_path / "nowhere")


def test_a_cassette_that_vcrpy_wrote(tmp_path):
    """Headers capitalised, several values, body as text or bytes, compressed no more."""
    (tmp_path / "x.yaml").write_text(
        "interactions:\n- request:\n    body: null\n    headers:\n      Accept: ['*/*']\n    method: GET\n"
        "    uri: https://api.invalid:443/x?b=2&a=1\n  response:\n    body:\n      string: '{\"a\":1}'\n    headers:\n"
        "      Content-Encoding: [gzip]\n      Content-Type: [application/json]\n      Set-Cookie: [a=1, b=2]\n"
        "    status: {code: 200, message: OK}\nversion: 1\n"
    )
    with ReplayServer(tmp_path / "x.yaml") as replay:
        response = host(replay=replay.base_url).for_feed("f").send(HttpRequest("GET", "https://api.invalid/x", (("a", "1"), ("b", "2"))))
        assert response.body == b'{"a":1}'
        assert replay.recorded_at is None


def test_a_recording_is_never_overwritten(recorded):
    folder, _ = recorded
    with RawServer(lambda _: answer(gzip.compress(b"x"))) as server, pytest.raises(StopFeed, match="exists already"):
        host(record=folder).for_feed("feed").send(HttpRequest("GET", server.url))
