"""Connections of http.client with a total deadline on every socket call, checked addresses, and a pool.

Timeouts of HTTP clients are per socket call, so an answer that comes byte by byte never times out; the sockets below give
each call only what is left until the request's deadline.
"""

from __future__ import annotations

import http.client
import ipaddress
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from nexus_engine.host.resolve import Resolver

CONNECT_S: Final = 15.0
STOP_GRACE_S: Final = 3.0  # what a request in flight still gets once the engine stops
_POLL_S: Final = 1.0

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NEVER: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "64:ff9b::/96", "64:ff9b:1::/48")
)


class AddressRefused(Exception):
    """A host name leads to an address that this request must not reach."""


class Deadline:
    """When a request must be over, on the monotonic clock; comes nearer when ``stop`` is set."""

    __slots__ = ("_at", "_stop", "_stopped")

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self._at = time.monotonic() + seconds
        self._stop = stop
        self._stopped = False

    def put_off(self, seconds: float) -> None:
        """The request waited for its turn, not for the server."""
        self._at += seconds

    def left(self) -> float:
        """Seconds left.

        Raises:
            TimeoutError: none.
        """
        now = time.monotonic()
        if not self._stopped and self._stop.is_set():
            self._stopped = True
            self._at = min(self._at, now + STOP_GRACE_S)
        left = self._at - now
        if left <= 0:
            raise TimeoutError("the engine stops" if self._stopped else "the deadline has passed")
        return left


class _DeadlineMixin:
    """Gives each receiving and sending call of a socket what is left of the deadline, looking up every second."""

    deadline: Deadline | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        while True:
            self.settimeout(min(_POLL_S, self.deadline.left()) if self.deadline else None)  # type: ignore[attr-defined]
            try:
                return super().recv_into(*args, **kwargs)  # type: ignore[misc,no-any-return]
            except TimeoutError:
                if self.deadline is None:
                    raise

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left() if self.deadline else None)  # type: ignore[attr-defined]
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class DeadlineSocket(_DeadlineMixin, socket.socket):
    pass


class DeadlineTLS(_DeadlineMixin, ssl.SSLSocket):
    pass


def refused(address: str, *, from_answer: bool, private_base: bool) -> str:
    """Why ``address`` must not be reached, or "". Link-local and metadata services never; loopback and private networks not
    by a URL that an answer gave, unless the spec's own host is private too."""
    ip: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip.version == network.version and ip in network for network in _NEVER):
        return "it is a link-local or metadata address"
    if from_answer and not private_base and not (ip.is_global and not ip.is_multicast):
        return "it is not a public address and the URL came out of an answer"
    return ""


def is_private(address: str) -> bool:
    return not ipaddress.ip_address(address.partition("%")[0]).is_global


@dataclass(frozen=True)
class Reach:
    """What a connection may lead to, and by when."""

    deadline: Deadline
    from_answer: bool = False
    private_base: bool = False

    def check(self, host: str, address: str) -> None:
        if why := refused(address, from_answer=self.from_answer, private_base=self.private_base):
            raise AddressRefused(f"{host} is at {address}: {why}")


def _open_socket(host: str, port: int, reach: Reach, resolver: Resolver) -> DeadlineSocket:
    """Resolve once, check every address, connect to the first that answers."""
    failure: OSError = OSError(f"no address for {host}")
    found = resolver.addresses(host, port, reach.deadline.left)
    for *_, where in found:
        reach.check(host, str(where[0]))
    for family, kind, proto, _, where in found:
        sock = DeadlineSocket(family, kind, proto)
        try:
            sock.settimeout(min(CONNECT_S, reach.deadline.left()))
            sock.connect(where)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.deadline = reach.deadline
            return sock
        except OSError as error:
            failure = error
            sock.close()
    raise failure


class Connection(http.client.HTTPConnection):
    """One connection. ``peer`` is the address it leads to, without the port."""

    peer: str = ""
    used: bool = False

    def open(self, reach: Reach, tls: ssl.SSLContext | None, resolver: Resolver) -> None:
        sock: socket.socket = _open_socket(self.host, self.port, reach, resolver)
        try:
            self.peer = str(sock.getpeername()[0])
            if tls is not None:
                sock.settimeout(reach.deadline.left())
                sock = tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self.sock = sock
        self.give(reach.deadline)

    def give(self, deadline: Deadline | None) -> None:
        self.sock.deadline = deadline  # type: ignore[union-attr]

    def is_dropped(self) -> bool:
        """True when the server closed it while idle (or sent what nobody asked for)."""
        if self.sock is None:
            return True
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


def tls_context() -> ssl.SSLContext:
    """What httpx believes (certifi's authorities, or those that SSL_CERT_FILE names), and the system's besides."""
    import httpx

    context = httpx.create_ssl_context()
    context.load_default_certs()
    context.sslsocket_class = DeadlineTLS
    return context


OriginKey = tuple[str, str, int]  # scheme, host, port


@dataclass
class Pool:
    """Idle connections by origin, the latest first. Thread-safe; one per session."""

    resolver: Resolver = field(default_factory=Resolver)
    tls: ssl.SSLContext | None = None  # made when the first https request needs it
    _idle: dict[OriginKey, list[Connection]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: OriginKey, reach: Reach, *, fresh: bool = False) -> Connection:
        """An idle connection that is still open, else a new one.

        Raises:
            AddressRefused, OSError (ssl.SSLError, TimeoutError, socket.gaierror among them): nothing was sent.
        """
        while not fresh:
            with self._lock:
                idle = self._idle.get(key)
                connection = idle.pop() if idle else None
            if connection is None:
                break
            if not connection.is_dropped():
                if reach.from_answer:
                    reach.check(key[1], connection.peer)
                connection.give(reach.deadline)
                return connection
            connection.close()
        scheme, host, port = key
        tls = None
        if scheme == "https":
            with self._lock:
                if self.tls is None:
                    self.tls = tls_context()
                tls = self.tls
        connection = Connection(host, port)
        connection.open(reach, tls, self.resolver)
        return connection

    def give_back(self, key: OriginKey, connection: Connection) -> None:
        connection.used = True
        with self._lock:
            self._idle.setdefault(key, []).append(connection)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()
