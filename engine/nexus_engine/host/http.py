"""HTTP of one session: one :class:`HttpHost`, which gives each feed and run its own :class:`nexus_engine.host.feed_http.FeedHttp`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

import msgspec

from nexus_engine.contract.auth import Auth
from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.contract.options import misfit, misfit_place
from nexus_engine.contract.policy import Policy
from nexus_engine.errors import StopFeed
from nexus_engine.events import Observers
from nexus_engine.host.allowance import Allowance
from nexus_engine.host.body import Limits
from nexus_engine.host.clock import Clock, SystemClock
from nexus_engine.host.feed_http import FeedHttp
from nexus_engine.host.quota import Meter
from nexus_engine.host.rate import Budget, StampStore
from nexus_engine.host.recorder import Recorder
from nexus_engine.host.redact import Redactor
from nexus_engine.host.tokens import TokenFile
from nexus_engine.host.told import Told
from nexus_engine.host.transport import Route, Transport
from nexus_engine.host.urls import BaseUrls
from nexus_engine.spec.convert import convert

_KEPT: Final = "the feed stopped with its position kept"


class HttpHost:
    """The HTTP of one session: pool, budgets and credentials, shared by all feeds.

    Args:
        redactor: knows the secrets; what leaves through errors, events and cassettes goes through it.
        stamps: keeps rate budgets over restarts.
        base_urls: URL prefix of an API -> what answers in its place (`base_urls:` of nexus.yaml).
        replay: base URL of a replay server that answers for every origin.
        record: folder for cassettes.
        auth: auth plugins by name.
        defaults: the project's policy, for what a feed and its API leave open.
        folder: for bodies that are not kept in memory; the system's unless given.
        tokens: keeps refresh tokens over restarts; in memory unless given.
    """

    def __init__(
        self, redactor: Redactor, *, observers: Observers | None = None, stamps: StampStore | None = None,
        base_urls: Mapping[str, str] | None = None, replay: str = "", record: Path | None = None,
        auth: Mapping[str, type] | None = None, defaults: Policy | None = None, limits: Limits | None = None,
        clock: Clock | None = None, tokens: TokenFile | None = None, folder: Path | None = None,
    ) -> None:
        self.redactor = redactor
        self.observers = observers or Observers()
        self.clock = clock or SystemClock()
        self.defaults = defaults or Policy()
        self.limits = limits or Limits()
        self.tokens = tokens or TokenFile()
        self._stamps = stamps
        self._folder = folder
        self._auth_kinds = auth or {}
        self._auths: dict[bytes, Auth] = {}
        self._budgets: dict[str, Budget] = {}
        self._told: dict[str, Told] = {}
        self._meters: dict[tuple[str, str], Meter] = {}
        self._lock = threading.Lock()
        self._bases = BaseUrls(base_urls or {}, replay)
        self.replaying = bool(replay)  # recorded answers need no waiting
        self._recorder = Recorder(record, redactor, datetime.fromtimestamp(self.clock.time(), UTC)) if record else None
        self._current = threading.local()  # the feed whose request this thread sends, for the recorder
        self._transport = Transport(redactor, self._bases, exchanged=self._exchanged if self._recorder else None)

    def for_feed(
        self, feed: str, *, run_id: str = "", api: str = "", policy: Policy | None = None, stop: threading.Event | None = None
    ) -> FeedHttp:
        """HTTP under the policy of one feed. ``stop`` ends waits at once and requests in flight soon."""
        return FeedHttp(self, self._transport, feed, run_id, api, _merged(policy or Policy(), self.defaults), stop or threading.Event())

    def file(self) -> BinaryIO:
        """A file for a body, gone when it is closed or the process ends."""
        return cast("BinaryIO", TemporaryFile(dir=self._folder if self._folder is not None and self._folder.is_dir() else None))

    def close(self) -> None:
        self._transport.close()
        for meter in self._meters.values():
            meter.close()

    def budget(self, key: str) -> Budget:
        with self._lock:
            if key not in self._budgets:
                self._budgets[key] = Budget(key, self.clock, self._stamps)
            return self._budgets[key]

    def allowance(self, key: str, feed: str, policy: Policy, longest_s: float) -> Allowance:
        """What the API's answers and the quotas leave to a feed; a replay needs none."""
        told, meters = None, []
        with self._lock:
            if policy.budget is not None and not self.replaying:
                name = key if policy.budget.per == "api" else f"{key} {feed}"
                if name not in self._told:
                    self._told[name] = Told(name, policy.budget, self.clock, self._stamps)
                told = self._told[name]
            for quota in () if self.replaying else policy.quota:
                if (key, quota.text) not in self._meters:
                    self._meters[key, quota.text] = Meter(key, quota, self.clock, self._stamps)
                meters.append(self._meters[key, quota.text])
        return Allowance(told, meters, self.clock, longest_s, policy.cost)

    def auth(self, api: str, words: Mapping[str, Any], credential: str = "") -> Auth | None:
        """The auth instance of these credentials, one per API and credential.

        Raises:
            StopFeed: not one known method, or its options are wrong.
        """
        if not words:
            return None
        key = msgspec.json.encode([api, credential, words], order="sorted")
        with self._lock:
            if key not in self._auths:
                self._auths[key] = self._new_auth(words)
            return self._auths[key]

    def _new_auth(self, words: Mapping[str, Any]) -> Auth:
        name, options = next(iter(words.items()))
        kind: Any = self._auth_kinds.get(name)
        if len(words) != 1 or kind is None:
            known = ", ".join(sorted(self._auth_kinds))
            raise StopFeed(f"`auth:` needs one of: {known}", did=_KEPT, do="name one method under `auth:`")
        try:
            typed = convert(options, kind.options)
        except msgspec.ValidationError as error:
            place = ".".join(filter(None, (name, misfit_place(error))))
            raise StopFeed(f"`auth.{place}` is not right: {self.redactor.redact(misfit(error))}", did=_KEPT, do="mend it in the feed or its API file") from None
        built: Auth = kind(typed)
        return built

    def send(self, feed: str, request: HttpRequest, route: Route, again: Callable[[], float]) -> HttpResponse:
        self._current.feed = feed
        return self._transport.send(request, route, again)

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What this thread sends inside is not recorded."""
        self._current.hidden = True
        try:
            yield
        finally:
            self._current.hidden = False

    def _exchanged(self, *exchange: Any) -> None:
        assert self._recorder is not None
        if getattr(self._current, "hidden", False):
            return
        try:
            self._recorder.exchanged(self._current.feed, *exchange)
        except FileExistsError as error:
            raise StopFeed(
                f"the recording {error.filename} exists already", did="nothing was recorded over it", do="record into another folder",
            ) from None

    def logical(self, request: HttpRequest) -> HttpRequest:
        """A next-link that a mapped server gave, as the API's own URL."""
        return replace(request, url=self._bases.logical(request.url)) if request.base else request


def _merged(policy: Policy, defaults: Policy) -> Policy:
    given = {name: value for name in Policy.__struct_fields__ if (value := getattr(policy, name)) not in (None, {}, ())}
    merged: Policy = msgspec.structs.replace(defaults, **given)
    return merged
