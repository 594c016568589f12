"""What the host gives every plugin: HTTP under one policy, time as a value, formats. Plugins open no sockets themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol

from nexus_engine.contract.format import Piece
from nexus_engine.contract.records import Want


@dataclass(frozen=True)
class HttpRequest:
    """One request before policy. ``params`` are encoded one by one, in order, repeats allowed, and replace those of the same
    name in ``url``.

    ``base`` is set when ``url`` came out of an answer (a next-link): the spec's own URL, to whose origin the credentials
    belong. On another origin the host sends neither credentials nor the spec's headers, and only where `hosts` allows it.
    """

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    idempotent: bool = True  # may be sent again after an uncertain failure
    base: str = ""

    def with_headers(self, *pairs: tuple[str, str]) -> HttpRequest:
        return replace(self, headers=(*self.headers, *pairs))

    def with_cookies(self, cookies: Mapping[str, str]) -> HttpRequest:
        """These beside the cookies it has, in one header."""
        texts = [value for name, value in self.headers if name.lower() == "cookie"]
        texts += [f"{name}={value}" for name, value in cookies.items()]
        others = tuple(pair for pair in self.headers if pair[0].lower() != "cookie")
        return replace(self, headers=(*others, ("cookie", "; ".join(texts))))

    def with_params(self, *pairs: tuple[str, str]) -> HttpRequest:
        return replace(self, params=(*self.params, *pairs))


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer, decompressed, within its limits; or one whose body still comes (``length``). Header names are lower case. ``url`` is redacted, for messages."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    elapsed_s: float
    whole: bool = True  # False: the server closed the connection to end the body, so a cut shows only in the body itself
    location: str = ""  # the real URL that answered: the base for relative next-links; never print it
    file: BinaryIO | None = None  # of an answer that was asked for as a stream: its body; ``body`` is its beginning
    length: int | None = None  # bytes of a body that still comes

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        if self.length is not None:
            return self.length
        if self.file is None:
            return len(self.body)
        at = self.file.tell()
        size = self.file.seek(0, 2)
        self.file.seek(at)
        return size


Check = Callable[[HttpResponse], None]
MapCheck = Callable[[HttpRequest, HttpResponse], None]


class Undecided(Exception):
    """Raised by a ``check`` that has nothing to say about an answer: the host judges it as if nobody had asked for its status."""


class Http(Protocol):
    """HTTP for plugins: retries, Retry-After, rate budgets, deadlines, size limits, origin rule, redaction and recording
    are the host's. Thread-safe."""

    def send(
        self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None
    ) -> HttpResponse:
        """Send, with retries. 2xx and the statuses in ``accept`` are returned; others raise.

        ``check`` sees each answer that would be returned: what it raises as RetryLater is one more failed attempt (after
        its ``after_s``), :class:`Undecided` leaves the answer to the host, any other error ends the sending.

        Raises:
            StopFeed: 4xx that is no retry, limits met, refused redirect: asking again changes nothing.
            RetryLater: the retry budget is used up (5xx, 429, timeouts, connection failures).
        """
        ...

    def map(
        self, requests: Iterable[HttpRequest], *, accept: frozenset[int] = frozenset(), check: MapCheck | None = None
    ) -> Iterator[HttpResponse]:
        """Answers in the order of the requests, fetched side by side within the API's concurrency, bounded in bytes; an error
        is raised at its request's turn. Close the iterator when the rest is not wanted: requests under way then end soon.

        ``check`` is that of :meth:`send`, with the request; it is called in threads of the host.
        """
        ...

    def redact(self, text: str) -> str:
        """``text`` of an answer with every secret in it hidden, for messages."""
        ...

    def seal(self, text: str) -> str:
        """``text`` (a URL that goes into a position) with every secret in it replaced by a mark that names it."""
        ...

    def unseal(self, text: str) -> str:
        """The inverse of :meth:`seal`."""
        ...


class SourceHttp(Http, Protocol):
    """What sources have beside :class:`Http`."""

    def stream(
        self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None, live: bool = False
    ) -> HttpResponse:
        """As :meth:`send`, for a body of any size: the answer's ``file`` holds it, out of memory. It is whole, as every answer:
        nothing of a body is read before all of it came within its limits and deadline.

        With ``live`` a large body of known length may be handed on while it comes: its ``file`` is read forwards only and must be
        closed. Time during which nobody reads does not count against the deadline.

        Raises (from reading such a ``file``):
            Reconnect: the rest does not come; ask again, and pass over what was read.
            StopFeed: a limit was met, the engine stops, or the request may not be sent twice.
        """
        ...

    def allow(self, request: HttpRequest) -> None:
        """Nothing is sent.

        Raises:
            StopFeed: it would be refused whoever answers: by its URL, its origin, or a secret that it would carry there.
        """
        ...


class Host(Protocol):
    """Given to ``Source.read`` for the length of one unit of work."""

    @property
    def http(self) -> SourceHttp: ...

    @property
    def flat(self) -> bool:
        """True when the feed's format gives lists of flat objects (XML, CSV) and not the body's own structure (JSON)."""
        ...

    @property
    def notices_cuts(self) -> bool:
        """True when a body of the feed's format that was cut cannot be read: JSON and XML close what they open, CSV does not."""
        ...

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """The feed's format applied to one body: JSON texts, each to be staged as one line. JSON itself: the body."""
        ...

    @property
    def streams(self) -> bool:
        """True when the feed's format reads a body of any size: :meth:`stream` may be used."""
        ...

    def stream(self, response: HttpResponse, *, want: Want) -> Iterator[Piece]:
        """The feed's format applied to an answer of :meth:`SourceHttp.stream`: lists of records, of about 256 kB each (lines as they came: 1 MB), always the
        same for the same body."""
        ...

    def require_end(self, response: HttpResponse) -> None:
        """For such an answer whose body the server ended by closing the connection, where a compressed file says itself where it ends.

        Raises:
            Cut: it does not end.
            ValueError: it is no such file.
        """
        ...

    def stopping(self) -> bool:
        """True once the engine drains: a source returns at its next page boundary."""
        ...

    def log(self, message: str, **fields: Any) -> None: ...

    def warn(self, message: str) -> None:
        """``message`` goes into the run's report: reading goes on, and the result may not be what the user expects."""
        ...


@dataclass(frozen=True)
class RunInfo:
    """Time and identity of the run, as arguments: plugins never ask a clock. ``started_at`` is ISO 8601 UTC, seconds."""

    run_id: str
    feed: str
    started_at: str
    extra: Mapping[str, Any] = field(default_factory=dict)
