"""What links a payload to the answers it came from: HTTP for a source that keeps each good answer in the archive.

A source knows nothing of it. What it was answered between two payloads is what the second one came from; a payload without an answer
of its own is a further piece of the last.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import msgspec

from nexus_engine.contract.host import Check, HttpRequest, HttpResponse, MapCheck, SourceHttp
from nexus_engine.contract.source import Payload
from nexus_engine.deliver.archive import Archive
from nexus_engine.deliver.windows import Unit
from nexus_engine.deliver.worked import PageStats, Worked
from nexus_engine.host.redact import Redactor
from nexus_engine.state.records import Body

NOT_MODIFIED = 304
MAX_REQUEST_BYTES = 64_000  # of a request's body; a longer one is cut in the index


class Exchanges(SourceHttp, Protocol):
    """HTTP that knows what the payloads came from."""

    def taken(self, payload: Payload) -> tuple[Body, ...]:
        """The answers that ``payload``, just handed over, came from."""
        ...


Wrap = Callable[[SourceHttp, Unit, object], Exchanges]
"""HTTP for one reading of a unit from a position on."""


class Beside:
    """What stands between a source and its HTTP: which answers are new, and the words about secrets handed on."""

    def __init__(self, inner: SourceHttp) -> None:
        self._inner = inner
        self._new: list[Body] = []
        self._last: tuple[Body, ...] = ()

    def redact(self, text: str) -> str:
        return self._inner.redact(text)

    def seal(self, text: str) -> str:
        return self._inner.seal(text)

    def unseal(self, text: str) -> str:
        return self._inner.unseal(text)


class KeptHttp(Beside):
    """A source's HTTP, whose answers are kept.

    Args:
        number: counts the answers of the run.
        resumed: the source begins behind a position, and may look at a page again that is safe already.
    """

    def __init__(self, inner: SourceHttp, archive: Archive, redactor: Redactor, run_id: str, number: Iterator[int], *, resumed: bool) -> None:
        super().__init__(inner)
        self._archive = archive
        self._redactor = redactor
        self._run_id = run_id
        self._number = number
        self._resumed = resumed

    def send(self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None) -> HttpResponse:
        return self._kept(request, self._inner.send(request, accept=accept, check=check))

    def stream(
        self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None, live: bool = False
    ) -> HttpResponse:
        """Never live: what is kept is whole."""
        return self._kept(request, self._inner.stream(request, accept=accept, check=check))

    def map(
        self, requests: Iterable[HttpRequest], *, accept: frozenset[int] = frozenset(), check: MapCheck | None = None
    ) -> Iterator[HttpResponse]:
        asked: deque[HttpRequest] = deque()

        def noted() -> Iterator[HttpRequest]:
            for request in requests:
                asked.append(request)
                yield request

        answers = self._inner.map(noted(), accept=accept, check=check)
        try:
            for response in answers:
                yield self._kept(asked.popleft(), response)
        finally:
            cast("Any", answers).close()

    def allow(self, request: HttpRequest) -> None:
        self._inner.allow(request)

    def taken(self, payload: Payload) -> tuple[Body, ...]:
        if self._new:
            # Behind a position only the last answer is new, and without records it was the page that is safe.
            self._last = tuple(self._new) if not self._resumed else tuple(self._new[-1:]) if payload.body else ()
            self._new.clear()
        self._resumed = False
        return self._last

    def _kept(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if response.status == NOT_MODIFIED:  # it has no body: what it means is kept already
            return response
        stored = self._archive.keep(self._run_id, response.body if response.file is None else response.file)
        redact = self._redactor.redact
        self._new.append(
            Body(
                exchange=next(self._number), method=request.method, url=response.url, status=response.status, whole=response.whole,
                headers={name: redact(value) for name, value in response.headers.items()}, request=self._request(request),
                sha256=stored.sha256, size=stored.size, packed=stored.packed, at=datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z",
            )
        )
        return response

    def _request(self, request: HttpRequest) -> dict[str, Any]:
        """The request's headers and body, redacted; credentials are not among them yet."""
        found: dict[str, Any] = {"headers": {name.lower(): self._redactor.redact(value) for name, value in request.headers}}
        if request.body is not None:
            body = self._redactor.redact(request.body.decode("utf-8", "replace"))
            found |= {"body": body[:MAX_REQUEST_BYTES], "sha256": hashlib.sha256(body.encode()).hexdigest()}
        return found


def kept_bodies(worked: Worked) -> tuple[Body, ...]:
    """The answers that a batch came from, each with its window and the rows it gave. Of answers that are parsed again, those of which
    something lands or is refused."""
    found, refused = [], {refusal.p for refusal in worked.refusals}
    for staged in worked.stage.payloads:
        unit, stats = worked.stage.units[staged.unit], worked.stats.get(staged.p, PageStats())
        count = worked.counts.get(staged.p, {})
        landing = count.get("new", 0) + count.get("revised", 0)
        for item in staged.payload.kept:
            body = cast("Body", item)
            if body.origin and not landing and staged.p not in refused:
                continue
            found.append(
                msgspec.structs.replace(
                    body, partition=unit.partition.key, window_start=unit.window.start, window_end=unit.window.end, page=staged.payload.page,
                    first_row=stats.first_row if landing else None, last_row=stats.last_row if landing else None,
                )
            )
    return tuple(found)
