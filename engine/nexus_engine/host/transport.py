"""One request to its final answer: send -> follow redirects -> one exchange -> read the body. No retries, no waiting.

Everything that decides where credentials go is here: they are sent to the origin of the spec's own URL and nowhere else.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from nexus_engine import __version__
from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.errors import StopFeed
from nexus_engine.host.body import BodyCut, LimitMet, Limits, read_body
from nexus_engine.host.connection import AddressRefused, Connection, Deadline, Pool, Reach, is_private, origin_key
from nexus_engine.host.redact import Redactor
from nexus_engine.host.urls import BaseUrls, origin, query_pairs, request_target, resolve, with_params

USER_AGENT: Final = f"nexus-engine/{__version__}"
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


@dataclass
class _Hop:
    """The request as it goes out next. ``home`` is the origin that credentials belong to."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    home: str
    foreign: bool = False  # the URL came out of an answer and leads to another origin


_Answer = tuple[int, dict[str, str], bytes, bool]  # status, headers, body, whole
Exchange = Callable[[str, str, dict[str, str], bytes | None, int, dict[str, str], bytes], None]


class Transport:
    """Sends requests over one pool. Thread-safe.

    Args:
        exchanged: told each exchange (method, URL, request headers and body, status, response headers, body): the recorder.
    """

    def __init__(
        self, redactor: Redactor, base_urls: BaseUrls | None = None, *, exchanged: Exchange | None = None, pool: Pool | None = None
    ) -> None:
        self._redactor = redactor
        self._bases = base_urls or BaseUrls()
        self._exchanged = exchanged
        self._pool = pool or Pool()
        self._private: dict[str, bool] = {}  # origins of specs whose server was seen at a private address

    def close(self) -> None:
        self._pool.close()

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        """The final answer, whatever its status.

        Raises:
            SendFailed: none came, or not whole.
            StopFeed: a limit, a refused redirect, link or address.
        """
        started = time.monotonic()
        deadline = Deadline(route.timeout_s, route.stop)
        hop = self._first(request, route)
        for _ in range(route.limits.redirects + 1):
            status, headers, body, whole = self._exchange(hop, request, route, deadline)
            if status not in _REDIRECTS or "location" not in headers:
                shown = self._redactor.redact(hop.url)
                return HttpResponse(status, headers, body, shown, time.monotonic() - started, whole, hop.url)
            hop = self._redirected(hop, status, headers["location"], route)
        raise self._stop(f"more than {route.limits.redirects} redirects", hop.url)

    def _first(self, request: HttpRequest, route: Route) -> _Hop:
        try:
            url = with_params(request.url, request.params)
            home = origin(request.base or request.url)
            here = origin(url)
        except ValueError as error:
            raise self._stop(f"the request was not sent: {error}", request.url) from None
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
            raise self._stop("a redirect to what is no http or https URL was refused", hop.url) from None
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
            raise self._stop(f"a {kind} from https to http was refused", url)
        if not route.hosts & {goes.hostname, goes.netloc, origin(url)}:
            raise self._stop(
                f"a {kind} to another origin, {origin(url)}, was refused", source,
                do=f"when that host belongs to the API, add `hosts: [{goes.hostname}]`; it gets no credentials",
            )
        kept = [text for name, value, text in query_pairs(goes.query) if not self._redactor.contains(f"{name}={value}")]
        clean = urlunsplit((goes.scheme, goes.netloc.rpartition("@")[2], goes.path, "&".join(kept), ""))
        if self._redactor.contains(clean):
            raise self._stop(f"a {kind} to another origin carries a secret and was refused", source)
        headers = {name: value for name, value in hop.headers.items() if name in _NEUTRAL and not self._redactor.contains(value)}
        return _Hop(hop.method, clean, headers, None, hop.home, foreign=True)

    def _exchange(self, hop: _Hop, request: HttpRequest, route: Route, deadline: Deadline) -> _Answer:
        """One request on one connection. A connection that was idle and turns out closed is replaced once."""
        target = self._bases.target(hop.url)
        try:
            key = origin_key(urlsplit(target))
        except ValueError as error:
            raise self._stop(f"the request was not sent: {error}", hop.url) from None
        mapped = target is not hop.url
        from_answer = hop.foreign and not mapped
        reach = Reach(deadline, from_answer, from_answer and self._home_is_private(hop.home))
        fresh = False
        while True:
            connection = self._connect(key, reach, hop, fresh)
            if not hop.foreign and hop.home not in self._private:
                self._private[hop.home] = is_private(connection.peer)
            try:
                return self._talk(connection, key, target, hop, route)
            except _Stale:
                fresh = True
                if not request.idempotent:
                    raise SendFailed("the server closed the connection", sent=True) from None

    def _home_is_private(self, home: str) -> bool:
        """Whether the spec's own host is at a private address: then links of its answers may lead to such, too."""
        if home not in self._private:
            try:
                found = socket.getaddrinfo(urlsplit(self._bases.target(home)).hostname, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                return False
            self._private[home] = bool(found) and all(is_private(str(where[0])) for *_, where in found)
        return self._private[home]

    def _connect(self, key: tuple[str, str, int], reach: Reach, hop: _Hop, fresh: bool) -> Connection:
        try:
            return self._pool.take(key, reach, fresh=fresh)
        except AddressRefused as error:
            raise self._stop(f"the request was not sent: {error}", hop.url) from None
        except ssl.SSLCertVerificationError as error:
            raise self._stop(
                f"the certificate of {key[1]} is not valid: {error.verify_message}", hop.url,
                do="check the host name and the clock of this machine; checking cannot be switched off",
            ) from None
        except TimeoutError as error:
            raise SendFailed(f"no connection to {key[1]}: {error or 'timed out'}", sent=False) from None
        except (OSError, UnicodeError) as error:
            raise SendFailed(f"no connection to {key[1]}: {error}", sent=False) from None

    def _talk(
        self, connection: Connection, key: tuple[str, str, int], target: str, hop: _Hop, route: Route
    ) -> _Answer:
        try:
            self._write(connection, target, hop)
            response = connection.getresponse()
            headers, length = self._headers(response, hop, route), response.length
            body = b"" if hop.method == "HEAD" else read_body(response, route.limits)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            connection.close()
            if connection.used:
                raise _Stale from None
            raise SendFailed(f"the server closed the connection: {error}", sent=True) from None
        except TimeoutError as error:
            connection.close()
            raise SendFailed(f"no whole answer within {route.timeout_s:g} s: {error}", sent=True) from None
        except BodyCut as error:
            connection.close()
            raise SendFailed(str(error), sent=True) from None
        except LimitMet as error:
            connection.close()
            raise self._stop(str(error), hop.url, do=f"the limit is `{error.option}`") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if isinstance(error, http.client.LineTooLong) or type(error) is http.client.HTTPException:  # too many headers
                raise self._stop(f"the answer's headers are too large: {error}", hop.url, do="the limit is `header_bytes`") from None
            raise SendFailed(f"the answer broke off: {type(error).__name__}: {error}", sent=True) from None
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._pool.give_back(key, connection)
        if self._exchanged is not None:
            self._exchanged(hop.method, hop.url, hop.headers, hop.body, response.status, headers, body)
        whole = length is not None or response.chunked or "content-encoding" in headers  # gzip has an end mark
        return response.status, headers, body, whole

    def _write(self, connection: Connection, target: str, hop: _Hop) -> None:
        place = urlsplit(hop.url if self._bases.everything else target)
        host = place.netloc.rpartition("@")[2].encode("idna" if not place.netloc.isascii() else "ascii").decode()
        try:
            connection.putrequest(hop.method, request_target(target), skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host)
            for name, value in hop.headers.items():
                connection.putheader(name, value.encode("utf-8"))
            if hop.body is not None:
                connection.putheader("Content-Length", str(len(hop.body)))
            connection.endheaders(hop.body)
        except ValueError:  # http.client refuses control characters
            connection.close()
            raise self._stop("the request was not sent: a header or the URL holds a control character", hop.url) from None

    def _headers(self, response: http.client.HTTPResponse, hop: _Hop, route: Route) -> dict[str, str]:
        """By lower-case name; repeated ones are joined by a comma, as HTTP says."""
        headers: dict[str, str] = {}
        size = 0
        for written, value in response.headers.items():
            size += len(written) + len(value) + 4
            name = written.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if size > route.limits.header_bytes:
            raise LimitMet(f"the answer's headers have {size:,} bytes; {route.limits.header_bytes:,} are allowed", "header_bytes")
        lengths = set(response.headers.get_all("Content-Length", []))
        if len(lengths) > 1:
            raise BodyCut("the answer names several lengths")
        return headers

    def _stop(self, what: str, url: str, *, do: str = "") -> StopFeed:
        where = self._redactor.redact(url)
        return StopFeed(self._redactor.redact(what), where=where, did="the feed stopped with its position kept", do=do)


class _Stale(Exception):
    """A connection from the pool was closed by the server before the request."""
