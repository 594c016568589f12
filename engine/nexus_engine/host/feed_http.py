"""HTTP for one feed and run: every request under its policy.

::

    FeedHttp.send -> attempts -> authorize -> budget (rate, concurrency) -> Transport.send -> judge -> wait -> next attempt
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from nexus_engine.contract.auth import Auth
from nexus_engine.contract.host import Check, HttpRequest, HttpResponse, MapCheck, Undecided
from nexus_engine.contract.policy import Policy
from nexus_engine.errors import BudgetSpent, Reconnect, RetryLater, StopFeed
from nexus_engine.events import RequestDone, Waiting
from nexus_engine.host.allowance import Allowance, NothingLeft
from nexus_engine.host.bare import BareHttp
from nexus_engine.host.halt import Halt
from nexus_engine.host.live import LiveBody
from nexus_engine.host.ordered import in_order
from nexus_engine.host.quota import Spent
from nexus_engine.host.rate import Budget, Stopped, budget_key
from nexus_engine.host.retry import Retry, backoff, is_retried, retry_after
from nexus_engine.host.transport import Route, SendFailed, Transport
from nexus_engine.host.urls import origin, with_params

if TYPE_CHECKING:
    from nexus_engine.host.http import HttpHost

CONCURRENCY: Final = 8
UNMATCHED_HEADER: Final = "x-nexus-replay"
_KEPT: Final = "the feed stopped with its position kept"


@dataclass
class _Attempt:
    """What is known about the sending of one request so far."""

    number: int = 1
    refreshed: bool = False
    what: str = ""  # why the last attempt failed
    asked_s: float | None = None  # how long the server asked to wait


class FeedHttp:
    """:class:`nexus_engine.contract.host.Http` for one feed. Thread-safe."""

    def __init__(
        self, host: HttpHost, transport: Transport, feed: str, run_id: str, api: str, policy: Policy, stop: threading.Event
    ) -> None:
        self._host = host
        self._transport = transport
        self._feed = feed
        self._run_id = run_id
        self._api = api
        self._policy = policy
        self._stop = stop
        self._auth = host.auth(api, policy.auth, policy.credential)
        limits = host.limits
        if policy.max_body is not None and int(policy.max_body) != limits.max_body:  # the feed's or the API's own
            limits = replace(limits, max_body=int(policy.max_body), max_decompressed=2 * int(policy.max_body))
        hosts = frozenset(origin(text) if "://" in text else text.lower() for text in policy.hosts)
        timeout = float(policy.timeout) if policy.timeout is not None else Route().timeout_s
        self._route = Route(limits, timeout, hosts, stop)
        words = policy.retry
        self._retry = Retry(words.attempts, float(words.base), float(words.max_wait)) if words else Retry()

    def send(self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None) -> HttpResponse:
        return self._send(self._host.logical(request), accept, check, self._auth)

    def map(
        self, requests: Iterable[HttpRequest], *, accept: frozenset[int] = frozenset(), check: MapCheck | None = None
    ) -> Iterator[HttpResponse]:
        def send(request: HttpRequest) -> HttpResponse:
            judge = None if check is None else partial(check, request)
            return ahead.send(request, accept=accept, check=judge)

        halt = Halt(self._stop)
        ahead = copy(self)
        ahead._stop = halt  # noqa: SLF001  the same class: its requests end when the map does
        ahead._route = replace(self._route, stop=halt)  # noqa: SLF001
        return in_order(send, requests, halt, threads=self._policy.concurrency or CONCURRENCY, name=f"http-{self._feed}")

    def stream(
        self, request: HttpRequest, *, accept: frozenset[int] = frozenset(), check: Check | None = None, live: bool = False
    ) -> HttpResponse:
        large = copy(self)
        large._route = replace(self._route, file=self._host.file, live=live and request.idempotent)  # noqa: SLF001
        return large.send(request, accept=accept, check=check)

    def allow(self, request: HttpRequest) -> None:
        self._transport.allow(self._host.logical(request), self._route)

    def redact(self, text: str) -> str:
        return self._host.redactor.redact(text)

    def seal(self, text: str) -> str:
        return self._host.redactor.seal(text)

    def unseal(self, text: str) -> str:
        return self._host.redactor.unseal(text)

    def send_bare(self, request: HttpRequest, accept: frozenset[int], check: Check | None) -> HttpResponse:
        """As :meth:`send`, without credentials."""
        return self._send(request, accept, check, None)

    def _send(self, request: HttpRequest, accept: frozenset[int], check: Check | None, auth: Auth | None) -> HttpResponse:
        attempt = _Attempt()
        while True:
            response = self._once(request, attempt, auth)
            if response is not None:
                good = None
                try:
                    good = _checked(response, accept, check, attempt)
                finally:
                    if not good and response.file is not None:
                        response.file.close()
                if good:
                    return response
                if good is None:
                    self._judge(response, attempt, request)
                    if response.status == 401 and auth is not None and not attempt.refreshed:
                        attempt.refreshed = True
                        if auth.refresh(BareHttp(self, self._host)):
                            continue
                    if not is_retried(response.status):
                        raise self._refused(response)
            self._wait(request, attempt)

    def _once(self, request: HttpRequest, attempt: _Attempt, auth: Auth | None) -> HttpResponse | None:
        """One sending under the budget. None when no whole answer came: ``attempt`` says why."""
        policy = self._policy
        rate = None if self._host.replaying else policy.rate
        authorized = auth.apply(request, BareHttp(self, self._host)) if auth is not None and self._at_home(request) else request
        key = budget_key(self._api or self._origin(request), policy.credential)
        budget = self._host.budget(key)
        allowance = self._host.allowance(key, self._feed, policy, self._retry.max_wait_s)

        def again() -> float:
            began = self._host.clock.monotonic()
            allowance.take(self._stop, self._waiting)
            return slot.again() + self._host.clock.monotonic() - began

        started, response = 0.0, None
        attempt.asked_s = None
        try:
            allowance.take(self._stop, self._waiting)
            with ExitStack() as held:
                slot = held.enter_context(budget.slot(rate, policy.concurrency or CONCURRENCY, self._stop, self._waiting))
                started = time.monotonic()
                response = self._host.send(self._feed, authorized, self._route, again)
                if isinstance(response.file, LiveBody):
                    response.file.ended.append(held.pop_all().close)
        except Stopped:
            raise self._stopping(request) from None
        except (NothingLeft, Spent) as error:
            raise self._none_left(request, error) from None
        except SendFailed as error:
            self._unanswered(request, error, attempt, started)
            return None
        attempt.what = ""
        allowance.heard(response)
        if is_retried(response.status):
            attempt.asked_s = self._asked_s(response, allowance, budget)
        if isinstance(response.file, LiveBody):
            self._comes(request, response, response.file, started, attempt)
        else:
            self._done(request, response.url, response.status, response.size, started, attempt)
        return response

    def _comes(self, request: HttpRequest, response: HttpResponse, body: LiveBody, started: float, attempt: _Attempt) -> None:
        """The body still comes: what is told once it came, or broke off."""

        def broke_off(error: Exception) -> Exception:
            if self._stop.is_set():
                return self._stopping(request)
            if not isinstance(error, SendFailed):
                return error
            attempt.what = self._host.redactor.redact(str(error))
            delay = 0.0 if self._host.replaying else backoff(self._retry, 1, self._host.clock.random())
            self._waiting("retry", delay)
            if self._host.clock.wait(self._stop, delay):
                return self._stopping(request)
            return Reconnect(
                f"the body broke off: {attempt.what}", where=response.url, did="the pages before the break are kept; the position stays behind them",
                do="the next run reads on behind them; if it breaks off there again, ask who runs the server",
            )

        body.failed = broke_off
        body.ended.append(lambda: self._done(request, response.url, response.status, body.came, started, attempt))

    def _unanswered(self, request: HttpRequest, error: SendFailed, attempt: _Attempt, started: float) -> None:
        """No whole answer came: note why.

        Raises:
            StopFeed: the engine stops, or the request may not be sent twice.
        """
        attempt.what = self._host.redactor.redact(str(error))
        if self._stop.is_set():
            raise self._stopping(request) from None
        shown = self._host.redactor.redact(with_params(request.url, request.params))
        self._done(request, shown, 0, 0, started, attempt)
        if error.sent and not request.idempotent:
            raise StopFeed(
                f"{request.method} was not answered: {attempt.what}", where=shown, did="not sent again: the server may have acted on it",
                do="set `idempotent: true` when the request only reads",
            ) from None

    def _asked_s(self, response: HttpResponse, allowance: Allowance, budget: Budget) -> float | None:
        """How long a refusal asks to wait. After a 429 nobody else sends meanwhile."""
        asked_s = retry_after(response.headers.get("retry-after", ""), self._host.clock.time())
        if response.status != 429:
            return asked_s
        if asked_s is None:
            asked_s = allowance.refused_s()
        if asked_s is not None and not self._host.replaying:
            budget.pause(min(asked_s, self._retry.max_wait_s))
        return asked_s

    def _none_left(self, request: HttpRequest, error: NothingLeft | Spent) -> RetryLater | BudgetSpent:
        where = self._host.redactor.redact(with_params(request.url, request.params))
        if isinstance(error, NothingLeft):
            return RetryLater(
                f"{error} for {error.wait_s:.0f} s, longer than `retry.max_wait` ({self._retry.max_wait_s:g} s)",
                after_s=error.wait_s, where=where, did=_KEPT, do="run again later",
            )
        renews_at = f"{error.renews_at:%Y-%m-%dT%H:%M:%SZ}"
        return BudgetSpent(
            f"{error}: this request was not sent, nor any after it", renews_at=renews_at, where=where, did=_KEPT,
            do=f"the quota renews at {renews_at}; the first run after that goes on from the position",
        )

    def _origin(self, request: HttpRequest) -> str:
        try:
            return origin(request.base or request.url)
        except ValueError as error:
            raise StopFeed(
                f"the request was not sent: {error}", where=self._host.redactor.redact(request.url), did=_KEPT, do="mend the endpoint",
            ) from None

    def _at_home(self, request: HttpRequest) -> bool:
        """Credentials go to the origin of the spec's own URL only."""
        try:
            return not request.base or origin(request.base) == origin(request.url)
        except ValueError:
            return False

    def _judge(self, response: HttpResponse, attempt: _Attempt, request: HttpRequest) -> None:
        """Why an answer of this status is a failure.

        Raises:
            StopFeed: it is none that may be asked again.
        """
        attempt.what = f"the answer is HTTP {response.status}"
        if UNMATCHED_HEADER in response.headers:
            raise StopFeed(
                self._host.redactor.redact(response.body.decode("utf-8", "replace")), where=response.url, did=_KEPT,
                do="record again, or mend the request",
            )
        if is_retried(response.status) and not request.idempotent:
            raise self._refused(response)

    def _refused(self, response: HttpResponse) -> StopFeed:
        text = self._host.redactor.redact(response.body[:4000].decode("utf-8", "replace"))[:200]
        hints = {401: "check the credentials", 403: "check the credentials and what they may read", 404: "check the path"}
        shown = f"; the body begins: {text!r}" if text else ""
        return StopFeed(
            f"the answer is HTTP {response.status}{shown}", where=response.url, did=_KEPT,
            do=hints.get(response.status, "the server will answer the same again; mend the request"),
        )

    def _wait(self, request: HttpRequest, attempt: _Attempt) -> None:
        """Wait before the next attempt.

        Raises:
            RetryLater: no attempt is left, or the server asks for a longer wait than `retry.max_wait`.
        """
        shown = self._host.redactor.redact(with_params(request.url, request.params))
        asked = attempt.asked_s
        if attempt.number >= self._retry.attempts:
            raise RetryLater(
                f"{attempt.what} ({attempt.number} attempts)", after_s=asked, where=shown, did=_KEPT,
                do="run again later" + ("; if it stays so, the host or the port of the address is wrong" if attempt.what.startswith("no connection") else ""),
            )
        if asked is not None and asked > self._retry.max_wait_s:
            raise RetryLater(
                f"{attempt.what} and the server asks to wait {asked:g} s, longer than `retry.max_wait` ({self._retry.max_wait_s:g} s)",
                after_s=asked, where=shown, did=_KEPT, do="run again later",
            )
        jitter = backoff(self._retry, attempt.number, self._host.clock.random())
        delay = 0.0 if self._host.replaying else jitter if asked is None else asked
        self._waiting("retry", delay)
        if self._host.clock.wait(self._stop, delay):
            raise self._stopping(request)
        attempt.number += 1

    def _stopping(self, request: HttpRequest) -> StopFeed:
        return StopFeed("the engine stops", where=self._host.redactor.redact(request.url), did="stopped with the position kept")

    def _waiting(self, reason: str, wait_s: float) -> None:
        self._host.observers.emit(Waiting(self._feed, reason, wait_s))

    def _done(self, request: HttpRequest, url: str, status: int, size: int, started: float, attempt: _Attempt) -> None:
        elapsed_ms = (time.monotonic() - started) * 1000
        self._host.observers.emit(
            RequestDone(self._feed, self._run_id, request.method, url, status, size, elapsed_ms, attempt.number, attempt.what)
        )


def _checked(response: HttpResponse, accept: frozenset[int], check: Check | None, attempt: _Attempt) -> bool | None:
    """Whether the answer is what was asked for; False when it may be after a while, None when its status has to say."""
    if not 200 <= response.status < 300 and response.status not in accept:
        return None
    try:
        if check is not None:
            check(response)
    except Undecided:
        return None
    except RetryLater as error:
        attempt.what, attempt.asked_s = error.what, error.after_s
        return False
    return True
