"""Kept answers in the place of a source's HTTP: each request is given the next one, whatever it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from nexus_engine.contract.host import Check, HttpRequest, HttpResponse, MapCheck, SourceHttp, Undecided
from nexus_engine.contract.source import Payload
from nexus_engine.deliver.archive import BodyLost
from nexus_engine.deliver.keeping import Beside
from nexus_engine.errors import StopFeed
from nexus_engine.host.body import HEAD
from nexus_engine.state.records import Body

if TYPE_CHECKING:
    from nexus_engine.deliver.reader import Reader


class NoMore(Exception):
    """The source asks for more than was kept: here its window ends."""


class KeptAnswers(Beside):
    """See the module's text.

    Args:
        waiting: the answers of one window in one run, in order; each is taken from it.
        lost: told of a body that is missing or damaged; it is left out.
    """

    def __init__(self, inner: SourceHttp, reader: Reader, waiting: deque[Body], lost: Callable[[BodyLost], None]) -> None:
        super().__init__(inner)
        self._reader = reader
        self._waiting = waiting
        self._lost = lost

    def send(self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None) -> HttpResponse:
        while True:
            body = self._next()
            try:
                content = self._reader.archive.read(body.sha256, body.size)
            except BodyLost as error:
                self._lost(error)
                continue
            return self._judged(body, _response(body, content), accept, check)

    def stream(
        self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None, live: bool = False
    ) -> HttpResponse:
        while True:
            body, file = self._next(), self._reader.http.file()
            try:
                self._reader.archive.unpack(body.sha256, body.size, file)
            except BodyLost as error:
                file.close()
                self._lost(error)
                continue
            file.seek(0)
            start = file.read(HEAD)
            file.seek(0)
            return self._judged(body, _response(body, start, file), accept, check)

    def map(
        self, requests: Iterable[HttpRequest], *, accept: frozenset[int] = frozenset(), check: MapCheck | None = None
    ) -> Iterator[HttpResponse]:
        for request in requests:
            yield self.send(request, accept=accept, check=None if check is None else partial(check, request))

    def allow(self, request: HttpRequest) -> None:
        """Whatever it is: it is not sent."""

    def taken(self, payload: Payload) -> tuple[Body, ...]:
        if self._new:
            self._last = tuple(self._new)
            self._new.clear()
        return self._last

    def _next(self) -> Body:
        if not self._waiting:
            raise NoMore
        return self._waiting.popleft()

    def _judged(self, body: Body, response: HttpResponse, accept: frozenset[int], check: Check | None) -> HttpResponse:
        try:
            if not 200 <= response.status < 300 and response.status not in accept:
                raise Undecided
            if check is not None:
                check(response)
        except Undecided:
            raise StopFeed(
                f"a kept answer is HTTP {response.status}, of which the spec says nothing any more", where=response.url,
                did="the answers before it are parsed; the position is kept", do="say in `errors:` what this status means, and parse again",
            ) from None
        self._new.append(msgspec.structs.replace(body, origin=body.batch_id))
        return response


def _response(body: Body, content: bytes, file: BinaryIO | None = None) -> HttpResponse:
    return HttpResponse(
        status=body.status, headers=body.headers, body=content, url=body.url, elapsed_s=0.0, whole=body.whole, location=body.url, file=file,
    )
