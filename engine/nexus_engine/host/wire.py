"""The engine's transport for httpx: pooled connections of http.client under :class:`httpx.Client`.

::

    httpx.Client.send(request, stream=True) -> WireTransport.handle_request -> Pool -> WireBody -> host.body.read_body

httpx builds the request (URL, encoding, Host, lengths), holds the client and hands out the streamed answer; its own transport
costs four times the CPU of http.client per request and its timeouts are per socket call, so the bytes go through
:mod:`nexus_engine.host.connection`. A request's ``extensions["reach"]`` says what it may lead to and by when.

Imported when the first request is made: httpx takes 0.1 s.
"""

from __future__ import annotations

import http.client
import logging
import ssl
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any, Final

import httpx

from nexus_engine.host.body import BodyCut, LimitMet
from nexus_engine.host.connection import Connection, OriginKey, Pool, Reach
from nexus_engine.host.resolve import Resolver
from nexus_engine.host.urls import origin

_AT_ONCE: Final = 1 << 20  # bytes of a body that are read in one piece: as many as a piece of lines has, which is then neither cut nor joined
_NO_AUTH: Final = httpx.Auth()  # credentials are the host's affair, also those that stand in a URL

logging.getLogger("httpx").setLevel(logging.WARNING)  # its line per request shows the URL with what is secret in it


class NotSendable(ValueError):
    """The URL or a header holds what must not be sent."""


class _NoCookies(CookieJar):
    """What an answer sets is not kept: a request holds what its spec says."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        pass


class _Answer(httpx.Response):
    """httpx would prepare the request that a redirect leads to, and fail on a bad Location: the host judges those."""

    @property
    def has_redirect_location(self) -> bool:
        return False


def new_client(resolver: Resolver) -> httpx.Client:
    """One client over one pool, without proxies, redirects or cookies."""
    return httpx.Client(
        transport=WireTransport(Pool(resolver)), trust_env=False, follow_redirects=False, cookies=_NoCookies(),
        timeout=None,  # noqa: S113  each request has a deadline over all of it
    )  # fmt: skip


def new_request(
    method: str, url: str, headers: dict[str, str], body: bytes | None, host: str, *, reach: Reach, again: bool
) -> httpx.Request:
    """A request as it goes out.

    Args:
        host: what the Host header says; "": what the URL says.
        again: it may be sent again when a connection that was idle turns out to be closed.

    Raises:
        NotSendable
    """
    pairs = [(name.encode("utf-8"), value.encode("utf-8")) for name, value in headers.items()]
    if host:
        pairs.insert(0, (b"host", host.encode("idna" if not host.isascii() else "ascii")))
    try:
        return httpx.Request(
            method, url, headers=pairs, content=body, extensions={"reach": reach, "again": again, "timeout": {}}
        )  # fmt: skip
    except httpx.InvalidURL as error:
        raise NotSendable(f"the URL holds a control character or is none: {error}") from None


def send(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """The head of the answer; its stream is to be read and closed.

    Raises:
        httpx.ConnectError, httpx.ConnectTimeout: nothing was sent.
        httpx.TransportError: no answer came.
        AddressRefused, ssl.SSLCertVerificationError, NotSendable: nothing was sent, and nothing will be.
        LimitMet: more headers than http.client takes.
    """
    return client.send(request, stream=True, auth=_NO_AUTH)


class WireTransport(httpx.BaseTransport):
    """Thread-safe. An answer's extensions: ``peer`` (address), ``length`` (of the body as sent, None: unknown), ``chunked``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def close(self) -> None:
        self._pool.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        key = _key(request.url)
        fresh = False
        while True:
            connection = self._connected(key, request.extensions["reach"], fresh)
            try:
                answer = _asked(connection, request)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                stale = connection.used and isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError))
                if not (stale and request.extensions["again"]):
                    raise _named(error) from error
                fresh = True
                continue
            except BaseException:
                connection.close()
                raise
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
            extensions = {"peer": connection.peer, "length": answer.length, "chunked": bool(answer.chunked)}
            stream = WireBody(self._pool, key, connection, answer)
            return _Answer(answer.status, headers=headers, stream=stream, extensions=extensions)

    def _connected(self, key: OriginKey, reach: Reach, fresh: bool) -> Connection:
        try:
            return self._pool.take(key, reach, fresh=fresh)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error) or "timed out") from error
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(error)) from error


class WireBody(httpx.SyncByteStream):
    """The body as sent. A connection goes back to the pool only when all of it was read."""

    def __init__(self, pool: Pool, key: OriginKey, connection: Connection, answer: http.client.HTTPResponse) -> None:
        self._pool = pool
        self._key = key
        self._connection = connection
        self._answer = answer
        self._whole = answer.length == 0

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        try:
            if answer.length is not None and answer.length <= _AT_ONCE:
                yield answer.read()
            else:
                while chunk := answer.read(_AT_ONCE):
                    yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise _named(error) from error
        self._whole = True

    def close(self) -> None:
        if self._whole and not self._answer.will_close:
            self._pool.give_back(self._key, self._connection)
        else:
            self._connection.close()


def _key(url: httpx.URL) -> OriginKey:
    return url.scheme, url.raw_host.decode("ascii").rstrip("."), url.port or (443 if url.scheme == "https" else 80)


def same_place(request: httpx.Request, url: str) -> bool:
    """Whether httpx reads ``url`` as the checks of the host did: a text that two parsers read as two hosts is not sent."""
    scheme, host, port = _key(request.url)
    return origin(url) in (f"{scheme}://{host}:{port}", f"{scheme}://{request.url.host.rstrip('.')}:{port}")


def _asked(connection: Connection, request: httpx.Request) -> http.client.HTTPResponse:
    try:
        connection.putrequest(request.method, request.url.raw_path.decode("ascii"), skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.raw:
            connection.putheader(name, value)
        connection.endheaders(request.content or None)
    except (ValueError, http.client.InvalidURL):  # http.client refuses control characters
        raise NotSendable("a header or the URL holds a control character") from None
    return connection.getresponse()


def _named(error: OSError | http.client.HTTPException) -> Exception:
    """What http.client and sockets raise, in httpx's words."""
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout(str(error))
    if isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
        return httpx.RemoteProtocolError(f"the server closed the connection: {error}")
    if isinstance(error, http.client.IncompleteRead):
        return BodyCut(f"the body ends {error.expected:,} bytes too early" if error.expected else "the chunked body was cut")
    if isinstance(error, http.client.LineTooLong) or type(error) is http.client.HTTPException:
        return LimitMet(f"the answer's headers are too large: {error}", "header_bytes")
    return httpx.ReadError(f"the answer broke off: {type(error).__name__}: {error}")
