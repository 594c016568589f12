""":class:`nexus_engine.contract.auth.AuthHttp`: HTTP for the auth methods' own requests. No auth is applied to them, and they
are not recorded: what they carry and bring is secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from nexus_engine.contract.auth import Kept
from nexus_engine.contract.host import Check, HttpRequest, HttpResponse, MapCheck

if TYPE_CHECKING:
    from nexus_engine.host.feed_http import FeedHttp
    from nexus_engine.host.http import HttpHost


class BareHttp:
    """The other door of a feed's HTTP."""

    def __init__(self, http: FeedHttp, host: HttpHost) -> None:
        self._http = http
        self._host = host

    def send(self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None) -> HttpResponse:
        with self._host.unrecorded():
            return self._http.send_bare(request, accept, check)

    def map(
        self, requests: Iterable[HttpRequest], *, accept: frozenset[int] = frozenset(), check: MapCheck | None = None
    ) -> Iterator[HttpResponse]:
        for request in requests:
            yield self.send(request, accept=accept, check=None if check is None else partial(check, request))

    def redact(self, text: str) -> str:
        return self._http.redact(text)

    def seal(self, text: str) -> str:
        return self._http.seal(text)

    def unseal(self, text: str) -> str:
        return self._http.unseal(text)

    @property
    def replaying(self) -> bool:
        return self._host.replaying

    def now(self) -> float:
        return self._host.clock.time()

    def hide(self, secret: str, name: str) -> None:
        self._host.redactor.add(secret, name)

    def kept(self, name: str) -> AbstractContextManager[Kept]:
        return self._host.tokens.slot(name)
