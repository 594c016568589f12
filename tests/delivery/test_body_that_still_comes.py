"""A large body of lines is read while it comes: rows land before its end, and when it breaks off, reading goes on behind what was read."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from lines_world import World, body
from raw_server import RawServer, Request, Reset, answer
from raw_server import Raw as RawAnswer

from nexus_engine.deliver.run import Limits
from nexus_engine.events import BatchLanded, RequestDone

LINES = 8000  # of `a`, about 8 MB
MORE = '  retry: {base: "1ms"}\n'


def head(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size


def cut(size: int, *, end: tuple[object, ...] = ()) -> RawAnswer:
    """The first ``size`` bytes of `a`."""
    whole = body(0, LINES)
    return RawAnswer([head(len(whole)) + whole[:size], *end])  # type: ignore[list-item]


def server(first: Callable[[int, Request], RawAnswer]) -> RawServer:
    """``first`` answers for `a`, told how often it was asked for; `b` is small."""
    asked: list[Request] = []

    def script(request: Request) -> RawAnswer:
        if request.query["series"] == "b":
            return answer(body(0, 10))
        asked.append(request)
        return first(len(asked), request)

    return RawServer(script)


@pytest.mark.capability("Formats: lines land while their body still comes", spec="format: jsonl")
def test_rows_land_before_the_body_has_ended(tmp_path):
    landed, landed_before_the_end = threading.Event(), []

    def slowly(_: int, request: Request) -> RawAnswer:
        whole = body(0, LINES)

        def pieces():
            yield head(len(whole)) + whole[:6_000_000]
            landed_before_the_end.append(landed.wait(60))
            yield whole[6_000_000:]

        return RawAnswer(pieces())

    def seen(event):
        if isinstance(event, BatchLanded) and event.rows > 10:
            landed.set()

    with server(slowly) as source:
        report, ids, _ = World(tmp_path, source.url).run(seen)
    assert landed_before_the_end == [True]
    assert (report.status, ids) == ("ok", {"a": list(range(LINES)), "b": list(range(10))})


@pytest.mark.fault("F5: a large body of lines cut while it is read", behaviour="asks again and reads on behind what was read; no line twice")
@pytest.mark.parametrize("end", [(), (Reset,)], ids=["cut", "reset"])
def test_a_body_that_breaks_off_is_read_on_behind_the_break(tmp_path, end):
    """Without a key: nothing would absorb a line that comes twice."""
    sizes = [5_000_000, 4_500_000, 7_900_000]

    def first(count: int, request: Request) -> RawAnswer:
        return cut(sizes[count - 1], end=end) if count <= len(sizes) else answer(body(0, LINES))

    requests = []
    with server(first) as source:
        report, ids, _ = World(tmp_path, source.url, more=MORE).run(lambda event: requests.append(event) if isinstance(event, RequestDone) else None)
    assert (report.status, ids["a"]) == ("ok", list(range(LINES)))
    told = [(event.body_bytes, bool(event.error)) for event in requests if event.body_bytes > 100_000]
    assert len(told) == 4
    assert [error for _, error in told] == [True, True, True, False]


@pytest.mark.fault("F5: a large body of lines cut at every request", behaviour="what came before the cut has landed; the run fails; the next one reads on behind it")
def test_a_body_that_always_breaks_off_lands_what_came_before(tmp_path):
    mended = []
    with server(lambda count, request: answer(body(0, LINES)) if mended else cut(5_000_000)) as source:
        world = World(tmp_path, source.url, more=MORE)
        for _ in range(2):
            report, ids, _ = world.run()
            assert report.status == "failed"
            (error,) = report.errors
            assert "the body broke off: 5,000,000 of" in error.what
            assert "the pages before the break are kept" in error.did
            assert 3000 < len(ids["a"]) < 5000
            assert ids["a"] == list(range(len(ids["a"])))
        mended.append(True)
        report, ids, _ = world.run()
    assert (report.status, ids["a"]) == ("ok", list(range(LINES)))


def test_a_body_that_changed_behind_a_break_is_read_from_its_beginning(tmp_path):
    """With a key: what came before is superseded or unchanged."""
    changed = body(0, LINES).replace(b'"1.5"', b'"2.5"', 1)
    with server(lambda count, request: cut(6_000_000) if count == 1 else answer(changed)) as source:
        report, ids, _ = World(tmp_path, source.url, key=", key: [series, id]", more=MORE).run()
    assert report.status == "ok"
    assert ids["a"] == sorted([0, *range(LINES)])  # line 0 has two revisions
    assert any("no longer begins with what had landed" in warning for warning in report.warnings)
    assert report.revised == 1


def test_time_in_which_nobody_reads_is_not_the_servers(tmp_path):
    """`timeout` is shorter than the run, because batches take their time; the server never kept anybody waiting."""
    with server(lambda count, request: answer(body(0, LINES))) as source:
        few = Limits(batch_bytes=1 << 20, first_bytes=1 << 20, channel_bytes=1 << 20)
        world = World(tmp_path, source.url, more=MORE + '  timeout: "700ms"\n  concurrency: 1\n', limits=few)
        slow = threading.Event()
        report, ids, _ = world.run(lambda event: slow.wait(0.4) if isinstance(event, BatchLanded) else None)
        assert len(source.requests) == 2  # one each
    assert (report.status, ids["a"]) == ("ok", list(range(LINES)))
    assert report.batches > 3


@pytest.mark.fault("F4: a large body of lines that stops coming", behaviour="ends at `timeout`, which counts only the waiting; what came before has landed")
def test_a_body_that_stops_coming_ends_at_the_deadline(tmp_path):
    with server(lambda count, request: cut(5_000_000, end=(60.0,))) as source:
        report, ids, _ = World(tmp_path, source.url, more=MORE + '  timeout: "300ms"\n').run()
    assert report.status == "failed"
    (error,) = report.errors
    assert "no whole answer within 0.3 s" in error.what
    assert 3000 < len(ids["a"]) < 5000
