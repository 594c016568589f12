"""The `http` source: asks for one page after the other and hands each body on as it came.

::

    position -> step -> request -> send (the host: retries, budgets) -> judge the page -> payload -> next step
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from nexus_engine.contract.host import HttpResponse
from nexus_engine.contract.options import JSON
from nexus_engine.contract.records import Records
from nexus_engine.contract.source import Payload, ReadRequest
from nexus_engine.errors import PageError, RetryLater, StopFeed
from nexus_plugins.sources.http import rules
from nexus_plugins.sources.http.envelope import BadBody, Envelope, Found, WrongShape
from nexus_plugins.sources.http.options import ErrorRule, HttpOptions
from nexus_plugins.sources.http.paginate import Pager, Step, WrongPage, guard

_BOM = b"\xef\xbb\xbf"
_KEPT = "the pages before are kept; the position stays before this page"


@dataclass(frozen=True)
class Page:
    """A page that was judged. ``pieces`` are JSON texts; none when the page has no records."""

    pieces: tuple[bytes, ...]
    found: Found
    response: HttpResponse


class HttpSource:
    """Pages over HTTP. After a restart inside a window the last safe page is asked again: when it changed, the pages have
    shifted and the window is read from its start."""

    options: ClassVar[type[HttpOptions]] = HttpOptions
    replayable: ClassVar[bool] = True

    def read(self, request: ReadRequest) -> Iterator[Payload]:
        return _Reading(request).payloads()


class _Reading:
    """One unit of work."""

    def __init__(self, request: ReadRequest) -> None:
        options: HttpOptions = request.options
        self._request = request
        self._options = options
        self._host = request.host
        self._pager = Pager(options)
        self._accept = rules.statuses(options.errors)
        flat = self._host.flat
        wanted = (*self._pager.paths, *rules.paths(options.errors))
        leaves = request.want.leaves if not flat else ()
        self._envelope = Envelope(Records(path=".") if flat else request.records, wanted, leaves)
        self._incomplete = False  # a page that broke off was asked again already
        self._page: Page | None = None
        self._fetched: Step | None = None

    def payloads(self) -> Iterator[Payload]:
        try:
            step, before = self._start()
        except ValueError as error:
            raise StopFeed(f"the request was not sent: {error}", where=self._request.run.feed, did=_KEPT) from None
        while True:
            page = self._fetch(step)
            following = self._follow(step, page, before)
            yield from self._payload(step, following, page)
            if following is None or self._host.stopping():
                return
            step, before = following, page.found

    def _start(self) -> tuple[Step, Found | None]:
        """Where to begin: at the window's start, or behind the position when its page is still as it was."""
        first = self._pager.first()
        position = self._request.position
        if not position:
            self._pager.request(first)
            return first, None
        step = Step(position["page"] + 1, position["seen"], position["at"], self._host.http.unseal(position["next"]))
        if step.at is None:
            return self._resume_link(step, first), None
        last = Step(position["page"], 0, position["guard"]["at"])
        page = self._fetch(last)
        now = {"at": last.at, **guard(page.found, self._total(page, last))}
        if now == position["guard"]:
            return step, page.found
        self._host.log("the pages have shifted since the last run; the window starts again", page=last.page)
        return first, None

    def _resume_link(self, step: Step, first: Step) -> Step:
        """A next-link may have expired; then the window starts again."""
        try:
            self._fetch(step)
        except StopFeed:
            if self._host.stopping():
                raise
            self._host.log("the next-link has expired; the window starts again", page=step.page)
            return first
        return step

    def _fetch(self, step: Step) -> Page:
        """The page, judged. The host's retries cover what ``judge`` finds wrong for a while only."""

        def judge(response: HttpResponse) -> None:
            self._page = self._judge(step, response)

        if self._page is not None and self._fetched == step:  # fetched to see whether its link still works
            return self._page
        self._page, self._incomplete = None, False
        self._host.http.send(self._pager.request(step), accept=self._accept, check=judge)
        assert self._page is not None
        self._fetched = step
        return self._page

    def _judge(self, step: Step, response: HttpResponse) -> Page:
        """Raises:
        PageError: the answer is not the page the spec promised.
        RetryLater: it may be when asked again.
        """
        body = response.body.removeprefix(_BOM)
        try:
            if not 200 <= response.status < 300:
                return self._judge_status(step, response, body)
            if not (response.whole or self._host.notices_cuts or body.endswith((b"\n", b"\r"))):
                raise BadBody("the server closed the connection in the middle of a line", incomplete=True)
            pieces = tuple(self._pieces(response, body))
            at, values = self._envelope.values(pieces[0] if pieces else body)
            rule = rules.first(self._options.errors, response.status, values)
            if rule is not None:
                return self._declared(rule, values, step, response)
            found = self._envelope.records(at, values)
            if len(pieces) > 1:
                found = Found(found.count + sum(self._count(piece) for piece in pieces[1:]), values, found.texts)
            return Page(pieces if found.count else (), found, response)
        except BadBody as error:
            if error.incomplete and not self._incomplete:
                self._incomplete = True
                raise RetryLater(str(error)) from None
            raise self._wrong(str(error), step, response) from None
        except WrongShape as error:
            raise self._wrong(str(error), step, response) from None

    def _judge_status(self, step: Step, response: HttpResponse, body: bytes) -> Page:
        """An answer with a status that a rule names."""
        values = {} if self._host.flat else self._envelope.peek(body)
        rule = rules.first(self._options.errors, response.status, values)
        if rule is None:
            raise self._wrong(f"the answer is HTTP {response.status} and no rule of `errors:` holds", step, response)
        return self._declared(rule, values, step, response)

    def _declared(self, rule: ErrorRule, values: dict[Any, Any], step: Step, response: HttpResponse) -> Page:
        """Do what the spec says about this error."""
        says = self._host.http.redact(rules.text(rule, response.status, values))
        if rule.then == "empty":
            return Page((), Found(0, {}), response)
        if rule.then == "retry":
            raise RetryLater(f"the answer says: {says}")
        if rule.then == "not_yet":
            raise StopFeed(f"not there yet: {says}", where=response.url, did=_KEPT, do="the next run asks again")
        if rule.then == "stop":
            raise StopFeed(f"the answer says: {says}", where=response.url, did=_KEPT, do="the spec stops the feed here")
        raise self._wrong(f"the answer is an error: {says}", step, response)

    def _pieces(self, response: HttpResponse, body: bytes) -> Iterator[bytes]:
        """The format's JSON texts. An error page in HTML is named for what it is, whatever the format."""
        start = body[:200].lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html")):
            raise WrongShape("HTML came where data was due")
        try:
            yield from self._host.pieces(body, content_type=response.headers.get("content-type", ""), want=self._request.want)
        except LookupError as error:
            if "absent" not in self._request.records.empty:
                raise WrongShape(str(error.args[0] if error.args else error)) from None
            yield b"[]"
        except ValueError as error:
            raise WrongShape(str(error)) from None

    def _count(self, piece: bytes) -> int:
        at, values = self._envelope.values(piece)
        return self._envelope.records(at, values).count

    def _total(self, page: Page, step: Step) -> int | None:
        try:
            return self._pager.total(page.found)
        except WrongPage as error:
            raise self._wrong(str(error), step, page.response) from None

    def _follow(self, step: Step, page: Page, before: Found | None) -> Step | None:
        if before is not None and page.found.repeats(before):
            raise self._wrong("the page has the same records as the page before", step, page.response)
        try:
            return self._pager.after(step, page.found, page.response)
        except WrongPage as error:
            raise self._wrong(str(error), step, page.response) from None

    def _payload(self, step: Step, following: Step | None, page: Page) -> Iterator[Payload]:
        """One payload per piece; the position moves with the last one."""
        total = self._total(page, step) if page.found.count else None
        position: JSON = {}
        if following is not None:
            position = {
                "page": step.page, "seen": following.seen, "at": following.at, "next": self._host.http.seal(following.url),
                "guard": {"at": step.at, **guard(page.found, total)},
            }
        url = page.response.url
        pieces = page.pieces or (b"",)
        if len(pieces) > 1:  # one payload: a position inside a page does not exist
            pieces = (b"[" + b",".join(piece.strip()[1:-1] for piece in pieces if piece.strip() != b"[]") + b"]",)
        yield Payload(pieces[0], position, last=following is None, page=step.page, url=url, total=total)

    def _wrong(self, what: str, step: Step, response: HttpResponse) -> PageError:
        start = response.body[:1000].decode("utf-8", "replace")
        redact = self._host.http.redact
        return PageError(
            redact(what), url=response.url, page=step.page, body=redact(start), where=self._request.run.feed, did=_KEPT,
            do="compare the answer with the spec's `records`, `errors` and `paginate`",
        )
