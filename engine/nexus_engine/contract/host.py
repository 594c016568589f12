"""What the host gives every plugin: HTTP under one policy, time as a value, formats. Plugins open no sockets themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from nexus_engine.contract.records import Want


@dataclass(frozen=True)
class HttpRequest:
    """One request before policy. ``secret_headers`` and ``secret_params`` name what the auth or the spec added and what must
    never follow a redirect or next-link to another origin; ``params`` are encoded one by one, in order, repeats allowed."""

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    idempotent: bool = True  # may be sent again after an uncertain failure

    def with_headers(self, *pairs: tuple[str, str]) -> HttpRequest:
        return replace(self, headers=(*self.headers, *pairs))

    def with_params(self, *pairs: tuple[str, str]) -> HttpRequest:
        return replace(self, params=(*self.params, *pairs))


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer, decompressed, within its limits. Header names are lower case. ``url`` is redacted, for messages."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    elapsed_s: float
    location: str = ""  # the real URL that answered: the base for relative next-links; never print it


class Http(Protocol):
    """HTTP for plugins: retries, Retry-After, rate budgets, deadlines, size limits, origin rule, redaction and recording
    are the host's. Thread-safe."""

    def send(self, request: HttpRequest, *, accept: frozenset[int] = frozenset()) -> HttpResponse:
        """Send, with retries. 2xx and the statuses in ``accept`` are returned; others raise.

        Raises:
            StopFeed: 4xx that is no retry, limits met, refused redirect: asking again changes nothing.
            RetryLater: the retry budget is used up (5xx, 429, timeouts, connection failures).
        """
        ...

    def map(self, requests: Iterable[HttpRequest], *, accept: frozenset[int] = frozenset()) -> Iterator[HttpResponse]:
        """Answers in the order of the requests, fetched side by side within the API's concurrency, bounded in bytes."""
        ...


class Host(Protocol):
    """Given to ``Source.read`` for the length of one unit of work."""

    @property
    def http(self) -> Http: ...

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """The feed's format applied to one body: JSON texts, each to be staged as one line. JSON itself: the body."""
        ...

    def stopping(self) -> bool:
        """True once the engine drains: a source returns at its next page boundary."""
        ...

    def log(self, message: str, **fields: Any) -> None: ...


@dataclass(frozen=True)
class RunInfo:
    """Time and identity of the run, as arguments: plugins never ask a clock. ``started_at`` is ISO 8601 UTC, seconds."""

    run_id: str
    feed: str
    started_at: str
    extra: Mapping[str, Any] = field(default_factory=dict)
