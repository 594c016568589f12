"""One request to its final answer: send -> follow redirects -> one exchange -> read the body. No retries, no waiting.

Everything that decides where credentials go is here: they are sent to the origin of the spec's own URL and nowhere else.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import urlsplit, urlunsplit

from nexus_engine import __version__
from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.errors import StopFeed
from nexus_engine.host.body import HEAD, BodyCut, LimitMet, Limits, coding_of, read_body
from nexus_engine.host.connection import AddressRefused, Deadline, Reach, is_private, refused
from nexus_engine.host.live import LARGE, LiveBody
from nexus_engine.host.redact import Redactor
from nexus_engine.host.resolve import Resolver
from nexus_engine.host.urls import BaseUrls, origin, query_pairs, resolve, with_params

if TYPE_CHECKING:
    import httpx

USER_AGENT: Final = f"nexus-engine/{__version__}"
_MEND_URL: Final = "mend the URL, its host or the headers in the feed or its API file"
_ELSEWHERE: Final = "look at what the API answers: it names a place that must not be reached; the next run asks again"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NEUTRAL: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})  # headers another origin may see


class SendFailed(Exception):
    """No whole answer came. ``sent``: the server may have received the request."""

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(what)
        self.sent = sent


@dataclass(frozen=True)
class Route:
    """What one feed's requests obey on the wire."""

    limits: Limits = field(default_factory=Limits)
    timeout_s: float = 60.0  # of the whole request, redirects and body included
    hosts: frozenset[str] = frozenset()
    stop: threading.Event = field(default_factory=threading.Event)
    file: Callable[[], BinaryIO] | None = None  # where the bodies of good answers go, when not into memory
    live: bool = False  # large ones may be handed on while they come


@dataclass
class _Hop:
    """The request as it goes out next. ``home`` is the origin that credentials belong to."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    home: str
    foreign: bool = False  # the URL came out of an answer and leads to another origin


_Answer = tuple[int, dict[str, str], bytes, bool, BinaryIO | None]  # status, headers, body, whole, the body's file
Exchange = Callable[[str, str, dict[str, str], bytes | None, int, dict[str, str], bytes], None]


class Transport:
    """Sends requests through one :class:`httpx.Client`, made with the first request. Thread-safe.

    Args:
        exchanged: told each exchange (method, URL, request headers and body, status, response headers, body): the recorder.
    """

    def __init__(
        self, redactor: Redactor, base_urls: BaseUrls | None = None, *, exchanged: Exchange | None = None
    ) -> None:
        self._redactor = redactor
        self._bases = base_urls or BaseUrls()
        self._exchanged = exchanged
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._resolver = Resolver()
        self._private: dict[str, bool] = {}  # origins of specs whose server was seen at a private address

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> httpx.Client:
        from nexus_engine.host import wire

        with self._lock:
            if self._client is None:
                self._client = wire.new_client(self._resolver)
            return self._client

    def send(self, request: HttpRequest, route: Route, again: Callable[[], float]) -> HttpResponse:
        """The final answer, whatever its status.

        Args:
            again: called before a redirect is followed, which is one more request to the API: waits for its turn and says
                how many seconds that took; they do not count against the deadline.

        Raises:
            SendFailed: none came, or not whole.
            StopFeed: a limit, a refused redirect, link or address.
        """
        started = time.monotonic()
        deadline = Deadline(route.timeout_s, route.stop)
        hop = self._first(request, route)
        for _ in range(route.limits.redirects + 1):
            status, headers, body, whole, file = self._exchange(hop, request, route, deadline)
            if status not in _REDIRECTS or "location" not in headers:
                shown = self._redactor.redact(hop.url)
                length = file.length if isinstance(file, LiveBody) else None
                return HttpResponse(status, headers, body, shown, time.monotonic() - started, whole, hop.url, file, length)
            hop = self._redirected(hop, status, headers["location"], route)
            deadline.put_off(again())
        raise self._stop(f"more than {route.limits.redirects} redirects", hop.url, do="the limit is `limits.max_redirects`")

    def allow(self, request: HttpRequest, route: Route) -> None:
        """Raises:
        StopFeed: the request would be refused before anybody is asked.
        """
        hop = self._first(request, route)
        host = urlsplit(hop.url).hostname or ""
        try:
            why = refused(host, from_answer=False, private_base=True)
        except ValueError:  # a name: its addresses are judged when it is asked
            return
        if why:
            raise self._stop(f"the request was not sent: {host}: {why}", hop.url, do=_ELSEWHERE)

    def _first(self, request: HttpRequest, route: Route) -> _Hop:
        try:
            url = with_params(request.url, request.params)
            home = origin(request.base or request.url)
            here = origin(url)
        except ValueError as error:
            raise self._stop(f"the request was not sent: {error}", request.url, do=_MEND_URL) from None
        headers = {name.lower(): value for name, value in request.headers}
        headers.setdefault("user-agent", USER_AGENT)
        headers.setdefault("accept", "*/*")
        headers["accept-encoding"] = "gzip, deflate"
        hop = _Hop(request.method, url, headers, request.body, home)
        return hop if here == home else self._abroad(hop, request.base, request.url, "next-link", route)

    def _redirected(self, hop: _Hop, status: int, location: str, route: Route) -> _Hop:
        try:
            url = self._bases.logical(resolve(hop.url, location))
            here = origin(url)
        except ValueError:
            raise self._stop("a redirect to what is no http or https URL was refused", hop.url, do=_ELSEWHERE) from None
        method, body = hop.method, hop.body
        if status == 303 or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
        following = _Hop(method, url, hop.headers, body, hop.home, hop.foreign)
        if here == hop.home and not hop.foreign:
            return following
        return self._abroad(following, hop.url, url, "redirect", route)

    def _abroad(self, hop: _Hop, source: str, url: str, kind: str, route: Route) -> _Hop:
        """The hop to another origin, when it is allowed: without credentials, body or the spec's headers."""
        came, goes = urlsplit(source), urlsplit(url)
        if came.scheme == "https" and goes.scheme == "http":
            raise self._stop(f"a {kind} from https to http was refused", url, do=_ELSEWHERE)
        if not route.hosts & {goes.hostname, goes.netloc, origin(url)}:
            raise self._stop(
                f"a {kind} to another origin, {origin(url)}, was refused", source,
                do=f"when that host belongs to the API, add `hosts: [{goes.hostname}]`; it gets no credentials",
            )
        kept = [text for name, value, text in query_pairs(goes.query) if not self._redactor.contains(f"{name}={value}")]
        clean = urlunsplit((goes.scheme, goes.netloc.rpartition("@")[2], goes.path, "&".join(kept), ""))
        if self._redactor.contains(clean):
            raise self._stop(f"a {kind} to another origin carries a secret and was refused", source, do=_ELSEWHERE)
        headers = {name: value for name, value in hop.headers.items() if name in _NEUTRAL and not self._redactor.contains(value)}
        return _Hop(hop.method, clean, headers, None, hop.home, foreign=True)

    def _exchange(self, hop: _Hop, request: HttpRequest, route: Route, deadline: Deadline) -> _Answer:
        """One request and its whole answer, or one that still comes."""
        from nexus_engine.host import wire

        sending = self._built(hop, deadline, request.idempotent)
        with self._named(hop, sending.url.host, route):
            response = wire.send(self._open(), sending)
            live = False
            try:
                found = self._read(response, hop, route, deadline)
                live = isinstance(found[-1], LiveBody)
                return found
            finally:
                if not live:
                    response.close()

    @contextmanager
    def _named(self, hop: _Hop, place: str, route: Route) -> Iterator[None]:
        """Errors of the wire by what is to be done."""
        import httpx

        from nexus_engine.host import wire

        try:
            yield
        except wire.NotSendable as error:
            raise self._stop(f"the request was not sent: {error}", hop.url, do=_MEND_URL) from None
        except AddressRefused as error:
            raise self._stop(f"the request was not sent: {error}", hop.url, do=_ELSEWHERE) from None
        except ssl.SSLCertVerificationError as error:
            raise self._stop(
                f"the certificate of {place} is not valid: {error.verify_message}", hop.url,
                do="check the host name and the clock of this machine; checking cannot be switched off",
            ) from None
        except LimitMet as error:
            raise self._stop(str(error), hop.url, do=f"when the answer is right, raise `{error.option}`: docs/security.md says where it is set") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise SendFailed(f"no connection to {place}: {error}", sent=False) from None
        except httpx.TimeoutException as error:
            raise SendFailed(f"no whole answer within {route.timeout_s:g} s: {error}", sent=True) from None
        except (BodyCut, httpx.TransportError) as error:
            raise SendFailed(str(error), sent=True) from None

    def _built(self, hop: _Hop, deadline: Deadline, again: bool) -> httpx.Request:
        from nexus_engine.host import wire

        target = self._bases.target(hop.url)
        from_answer = hop.foreign and target is hop.url
        reach = Reach(deadline, from_answer, from_answer and self._home_is_private(hop.home, deadline))
        host = urlsplit(hop.url).netloc.rpartition("@")[2] if self._bases.everything else ""
        try:
            sending = wire.new_request(hop.method, target, hop.headers, hop.body, host, reach=reach, again=again)
            if not wire.same_place(sending, target):
                raise ValueError("its host can be read in two ways")
        except ValueError as error:
            raise self._stop(f"the request was not sent: {error}", hop.url, do=_MEND_URL) from None
        return sending

    def _read(self, response: httpx.Response, hop: _Hop, route: Route, deadline: Deadline) -> _Answer:
        """The answer, all of it or nothing; of one that may still come, its beginning."""
        told = response.extensions
        if not hop.foreign and hop.home not in self._private:
            self._private[hop.home] = is_private(told["peer"])
        headers, length = self._headers(response, route), told["length"]
        coding = coding_of(headers.get("content-encoding", ""))
        if self._is_live(response.status_code, length, coding, route):
            assert length is not None
            live = LiveBody(response.iter_raw(), length, deadline, lambda: self._named(hop, urlsplit(hop.url).hostname or "", route), response.close)
            return response.status_code, headers, live.begin(HEAD), True, cast("BinaryIO", live)
        file = route.file() if route.file is not None and response.status_code < 300 else None
        body = b"" if hop.method == "HEAD" else read_body(response.iter_raw(), length, coding, route.limits, file)
        framed = length is not None or told["chunked"]
        if not (body or framed) and response.status_code < 300:
            raise BodyCut("the connection closed before the body")  # also when it closed inside the headers
        if self._exchanged is not None:
            whole = body if file is None else file.read()
            self._exchanged(hop.method, hop.url, hop.headers, hop.body, response.status_code, headers, whole)
            if file is not None:
                file.seek(0)
        return response.status_code, headers, body, framed or "content-encoding" in headers, file  # gzip has an end mark

    def _is_live(self, status: int, length: int | None, coding: str, route: Route) -> bool:
        """Whether the body is handed on while it comes; one that is larger than allowed is refused instead."""
        large = route.live and length is not None and LARGE <= length <= route.limits.max_body
        return large and status < 300 and not coding and self._exchanged is None

    def _home_is_private(self, home: str, deadline: Deadline) -> bool:
        """Whether the spec's own host is at a private address: then links of its answers may lead to such, too."""
        if home not in self._private:
            try:
                found = self._resolver.addresses(urlsplit(self._bases.target(home)).hostname or "", 0, deadline.left)
            except (OSError, UnicodeError):
                return False
            self._private[home] = bool(found) and all(is_private(str(where[0])) for *_, where in found)
        return self._private[home]

    def _headers(self, response: httpx.Response, route: Route) -> dict[str, str]:
        """By lower-case name; repeated ones are joined by a comma, as HTTP says."""
        headers: dict[str, str] = {}
        size = 0
        for written, data in response.headers.raw:
            size += len(written) + len(data) + 4
            name, value = written.lower().decode("latin-1"), data.decode("latin-1")
            if name not in headers:
                headers[name] = value
            elif name != "content-length":
                headers[name] = f"{headers[name]}, {value}"
            elif headers[name] != value:
                raise BodyCut("the answer names several lengths")
        if size > route.limits.header_bytes:
            raise LimitMet(f"the answer's headers have {size:,} bytes; {route.limits.header_bytes:,} are allowed", "header_bytes")
        return headers

    def _stop(self, what: str, url: str, *, do: str) -> StopFeed:
        where = self._redactor.redact(url)
        return StopFeed(self._redactor.redact(what), where=where, did="the feed stopped with its position kept", do=do)
