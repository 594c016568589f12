"""Every fault of the catalogue through the whole engine, then again from a server that is mended.

After each: what landed is a prefix of complete pages, the position stands behind it, the books close, the message says what failed,
where, what the engine did and what to do; and the next run goes on behind what landed and ends with every row once.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faulty_feed import AT, PAGES, WHOLE, Api, Script, World, asked, good, ids, rows
from raw_server import Raw, RawServer, Request, Reset, answer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

import proof  # noqa: E402

CERTS = Path(__file__).parents[1] / "servers" / "certs"
SLOW = {"timeout": "1s"}
CURSOR = {"paginate": "{{cursor: next, param: page}}"}
LINK = {"paginate": "{{next: link}}"}


@dataclass(frozen=True)
class Fault:
    """``script`` answers the third page (and every other path); ``says`` is in what the error says."""

    script: Script
    says: str
    options: dict[str, str] = field(default_factory=dict)
    scheme: str = "http"


def always(reply: Raw) -> Script:
    return lambda _: reply


def raw(*pieces: object) -> Script:
    return lambda _: Raw(list(pieces))


def endless(head: bytes, piece: bytes, gap_s: float = 0.0) -> Script:
    def pieces() -> Iterator[object]:
        yield head
        while True:
            if gap_s:
                yield gap_s
            yield piece

    return lambda _: Raw(pieces())


BODY = good(Request("GET", "/rows?page=3", {}, b"", 0.0)).pieces[0].partition(b"\r\n\r\n")[2]
PACKED = gzip.compress(BODY)
OK = b"HTTP/1.1 200 OK\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\n"
BOMB = gzip.compress(gzip.compress(b"\0" * 30_000_000, 9) + b"\0" * 30_000_000, 9)


def moved(to: str) -> Script:
    return always(answer(b"", 302, {"Location": to}))


def changed(**values: object) -> Script:
    """The third page with its records changed."""
    return lambda request: good(request, rows=[{**row, **values} for row in rows(AT)])


FAULTS: dict[str, list[Fault]] = {
    "F1: Retry-After in every form": [
        Fault(always(answer(b"", 429, {"Retry-After": text})), "HTTP 429") for text in ("1", "soon", "-5", "Thu, 01 Jan 2026 00:00:00 GMT")
    ],
    "F1: a wait longer than allowed": [Fault(always(answer(b"", 429, {"Retry-After": "99999999999"})), "asks to wait", {"retry": "{{attempts: 2}}"})],
    "F2: statuses that pass": [Fault(always(answer(b"", status)), f"HTTP {status}") for status in (500, 502, 503, 504)],
    "F2: statuses that last": [Fault(always(answer({"error": "gone"}, status)), "gone") for status in (400, 404, 501)],
    "F2: a POST that acts": [Fault(always(answer(b"", 503)), "HTTP 503", {"method": "POST"})],
    "F3: credentials refused": [Fault(always(answer({"error": "no"}, status)), f"HTTP {status}") for status in (401, 403)],
    "F4: an answer that drips": [
        Fault(endless(OK + b"Content-Length: 100000\r\n\r\n", b"x", 0.05), "no whole answer", SLOW),
        Fault(endless(OK + b"X-Slow: ", b"x", 0.05), "no whole answer", SLOW),
    ],
    "F4: a server that never answers": [Fault(raw(60.0), "no whole answer", SLOW)],
    "F5: a body shorter than its Content-Length, a chunk cut": [
        Fault(raw(OK + b"Content-Length: 5000\r\n\r\n" + BODY), "bytes too early"),
        Fault(raw(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (len(BODY) + 9) + BODY), ""),
    ],
    "F6: a body cut without a Content-Length": [Fault(raw(OK + b"\r\n" + BODY[:-9]), "")],
    "F7: a gzip body cut": [
        Fault(raw(GZIP + b"\r\n" + PACKED[:-9]), "was cut"),
        Fault(raw(GZIP + b"Content-Length: %d\r\n\r\n" % (len(PACKED) - 9) + PACKED[:-9]), "was cut"),
    ],
    "F8: a gzip bomb, nested encodings": [
        Fault(always(answer(BOMB, headers={"Content-Encoding": "gzip"})), "200 times"),
        Fault(always(answer(BODY, headers={"Content-Encoding": "gzip, gzip"})), "Content-Encoding"),
    ],
    "F9: a body over its limit, an endless body": [
        Fault(always(answer(b"x" * 30_000)), "30,000 bytes", {"max_body": "20kB"}),
        Fault(endless(OK + b"\r\n", b"x" * 9000), "more than 20,000 bytes", {"max_body": "20kB"}),
    ],
    "F9: a flood of headers": [Fault(raw(OK + b"X-A: b\r\n" * 300 + b"\r\n" + BODY), "headers")],
    "F10: invalid JSON, NaN": [
        Fault(always(answer(b'{"count": 15, "rows": [{"id": NaN}]}')), "not JSON"),
        Fault(always(answer(b"<html>Sign in</html>")), "Sign in"),
    ],
    "F10: deep nesting": [Fault(always(answer(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")), "")],
    "F10: invalid UTF-8": [Fault(always(answer(b'{"\xff": 1}')), "")],
    "F11: a redirect loop": [Fault(moved("/rows?page=3"), "more than 5 redirects")],
    "F11: a redirect to another origin": [Fault(moved("http://other.invalid/x"), "another origin")],
    "F11: from https to http": [Fault(moved("http://api.nexus.invalid/b"), "from https to http", {"hosts": "[api.nexus.invalid]"}, "https")],
    "F13: connection reset": [Fault(raw(OK + b"Content-Length: 500\r\n\r\n{", Reset), "")],
    "F14: the next page is the same page": [
        Fault(lambda request: good(request, rows=rows(AT - 1)), "same records"),
        Fault(lambda request: good(request, link="/rows?page=3"), "read before", LINK),
    ],
    "F14: an empty page with a next one": [Fault(lambda request: good(request, rows=[]), "after 6 of 15 records")],
    "F14: a cursor that goes backwards": [Fault(lambda request: good(request, next="2"), "read before", CURSOR)],
    "F14: pages without end": [Fault(lambda request: good(request, rows=[], count=99), "after 6 of 99")],
    "F15: a missing field": [Fault(lambda request: good(request, rows=[{"v": 1}] * 3), "id: null")],
    "F15: a changed type": [Fault(changed(id="one"), "id: cast")],
    "F15: null where a value is due": [Fault(changed(id=None), "id: null")],
    "F30: the page of yesterday again": [Fault(lambda request: good(request, rows=rows(AT - 1)), "same records")],
    "F30: fewer records than the total told": [Fault(lambda request: good(request, rows=[]), "after 6 of 15 records")],
    "5.3: link-local and metadata addresses": [
        Fault(moved("http://169.254.169.254/latest"), "metadata", {"hosts": "[169.254.169.254]"}),
        Fault(lambda request: good(request, link="http://169.254.169.254/latest"), "metadata", {**LINK, "hosts": "[169.254.169.254]"}),
    ],
    "5.3: what is no http URL": [Fault(moved("file:///etc/passwd"), "no http or https URL")],
    "5.4: secrets to another origin by redirect": [Fault(moved("http://other.invalid/x?key=1"), "another origin")],
    "5.4: secrets to another origin by a next URL or Link": [Fault(lambda request: good(request, link="http://other.invalid/x"), "another origin", LINK)],
}  # fmt: skip

# What is met where the server is reached, not in an answer; and what no page can show.
REACHED = {
    "F12: a certificate that expired, of another host, self-signed", "F12: plain HTTP where TLS is due", "F13: a name that does not resolve",
    "F13: a resolver that hangs", "F13: connection refused", "F13: a black hole",
}  # fmt: skip
LANDS = {"F10: 1e400", "F10: duplicate keys", "F10: a BOM", "F15: a new field"}
ELSEWHERE = {
    "5.3: a private address out of an answer", "5.3: a name that changes its address (DNS rebinding)", "5.4: a token to another origin",
    "5.10: every limit is met",
}  # fmt: skip


def test_every_fault_of_the_catalogue_is_met() -> None:
    assert {*FAULTS, *REACHED, *LANDS, *ELSEWHERE} == set(proof.FAULTS)


def is_told(report, says: str) -> None:
    """The four parts, and no second page's."""
    (error,) = report.errors
    assert error.what
    assert error.where
    assert error.did
    assert error.do
    assert re.search(says, error.what), error.what


CASES = [pytest.param(fault, id=f"{name}-{n}") for name, faults in FAULTS.items() for n, fault in enumerate(faults)]


@pytest.mark.parametrize("fault", CASES)
def test_a_prefix_lands_and_the_next_run_goes_on_behind_it(fault: Fault, tmp_path: Path) -> None:
    api = Api(fault.script)
    world = World(tmp_path, fault.options, fault.scheme)
    with RawServer(api) as server:
        report, landed, position = world.run(server.url)
        assert report.status == ("incomplete" if re.search(r"after \d+ of \d+", fault.says) else "failed")
        is_told(report, fault.says)
        safe = position["resume"]["page"]
        assert safe == AT - 1
        assert landed == ids(range(1, AT))
        assert asked(server)[0] == 1
        api.healed = True
        report, landed, _ = world.run(server.url)
        assert (report.status, report.errors) == ("ok", [])
        assert landed == WHOLE
        pages = asked(server)  # with the page before, where numbers may have shifted
        assert pages in [list(range(first, PAGES + 1)) for first in (safe, safe + 1)]


@contextlib.contextmanager
def expired(name: str) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / f"{name}.pem")
    with RawServer(Api(), context) as server:
        yield server.url


@contextlib.contextmanager
def plain() -> Iterator[str]:
    with RawServer(Api()) as server:
        yield server.url.replace("http:", "https:")


@contextlib.contextmanager
def closed() -> Iterator[str]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """A port whose queue of connections is full: what knocks gets no answer."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@contextlib.contextmanager
def hanging_name() -> Iterator[str]:
    release, real = threading.Event(), socket.getaddrinfo

    def hanging(host, *rest, **kw):
        if host == "slow.invalid" and not kw.get("flags"):
            release.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "too late")
        return real(host, *rest, **kw)

    socket.getaddrinfo = hanging
    try:
        yield "http://slow.invalid"
    finally:
        socket.getaddrinfo = real
        release.set()


PLACES = {
    "F12: a certificate that expired, of another host, self-signed": [(lambda: expired("expired"), "not valid"), (lambda: expired("other"), "not valid"), (lambda: expired("good"), "not valid")],
    "F12: plain HTTP where TLS is due": [(plain, "no connection")],
    "F13: a name that does not resolve": [(lambda: contextlib.nullcontext("http://nobody.invalid"), "no connection to nobody.invalid")],
    "F13: a resolver that hangs": [(hanging_name, "deadline has passed")],
    "F13: connection refused": [(closed, "no connection to 127.0.0.1")],
    "F13: a black hole": [(black_hole, "no connection|no whole answer")],
}  # fmt: skip
assert set(PLACES) == REACHED


@pytest.mark.parametrize(
    ("place", "says"), [pytest.param(*case, id=f"{name}-{n}") for name, cases in PLACES.items() for n, case in enumerate(cases)]
)
def test_a_server_that_cannot_be_reached_changes_nothing(place, says: str, tmp_path: Path) -> None:
    api = Api(always(answer(b"", 503)))
    world = World(tmp_path, SLOW)
    with RawServer(api) as server:
        _, before, position = world.run(server.url)
        assert before == ids(range(1, AT))
        with place() as base:
            report, landed, after = world.run(base)
        assert (report.status, report.read) == ("failed", 0)
        is_told(report, says)
        assert (landed, after) == (before, position)
        api.healed = True
        server.requests.clear()
        report, landed, _ = World(tmp_path, {}).run(server.url)
        assert (report.status, landed) == ("ok", WHOLE)
        assert asked(server) == list(range(AT - 1, PAGES + 1))


def spoilt(text: bytes) -> Script:
    """The third page with this as its first record."""
    others = b", ".join(b'{"id": %d, "v": 1}' % row["id"] for row in rows(AT)[1:])
    return always(answer(b'{"count": 15, "rows": [' + text + b", " + others + b"]}"))


@pytest.mark.fault("F10: duplicate keys", behaviour="the record goes to quarantine as it came, with the reason; the others land")
@pytest.mark.fault("F10: 1e400", behaviour="the record goes to quarantine as it came, with the reason; the others land")
@pytest.mark.fault("F10: invalid UTF-8", behaviour="in a value: the record goes to quarantine; the others land")
@pytest.mark.fault("F15: null where a value is due", behaviour="the record goes to quarantine as it came, with the reason; the others land")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"id": 30, "v": 1, "v": 2}', "duplicate key"),
        (b'{"id": 30, "v": 1e400}', "is no Float64"),
        (b'{"id": 30, "v": "\xff"}', "is no Float64"),
        (b'{"id": null, "v": 1}', "no value"),
        (b'{"id": 300000000000, "v": 1}', "is no UInt32"),
    ],
)
def test_one_record_that_cannot_be_read_holds_back_no_other(text: bytes, reason: str, tmp_path: Path) -> None:
    with RawServer(Api(spoilt(text))) as server:
        world = World(tmp_path, {})
        report, landed, _ = world.run(server.url)
        assert (report.status, report.quarantined) == ("ok", 1)
        assert landed == [n for n in WHOLE if n != 30]
        (found,) = world.quarantine
        assert reason in found.reasons[0]
        assert found.raw.encode() == text.replace(b"\xff", "\ufffd".encode())
        assert found.page == AT


@pytest.mark.fault("F10: duplicate keys", behaviour="around the records: the last one counts, for paging and for what lands alike; a total that is missed is `incomplete`")
@pytest.mark.parametrize(
    ("body", "status", "landed"),
    [
        (b'{"count": 15, "rows": [{"id": 99, "v": 1}], ' + BODY[1:], "ok", WHOLE),
        (BODY[:-1] + b', "rows": [{"id": 99, "v": 1}]}', "incomplete", [*(n for n in WHOLE if n // 10 != 3), 99]),
        (BODY[:-1] + b', "rows": []}', "incomplete", ids(range(1, AT))),
    ],
)
def test_a_name_that_stands_twice_around_the_records(body: bytes, status: str, landed: list[int], tmp_path: Path) -> None:
    with RawServer(Api(always(answer(body)))) as server:
        report, found, _ = World(tmp_path, {}).run(server.url)
    assert (report.status, report.read, found) == (status, len(landed), landed)


@pytest.mark.fault("F10: a BOM", behaviour="is taken off")
@pytest.mark.fault("F15: a new field", behaviour="is left where it is; the columns of the spec land")
@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" + BODY, BODY.replace(b'"v"', b'"new": {"deep": [1, {"x": null}]}, "v"')])
def test_what_is_no_fault_lands(body: bytes, tmp_path: Path) -> None:
    with RawServer(Api(always(answer(body)))) as server:
        report, landed, _ = World(tmp_path, {}).run(server.url)
        assert (report.status, report.quarantined, landed) == ("ok", 0, WHOLE)
