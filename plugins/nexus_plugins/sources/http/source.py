"""The `http` source: asks for one page after the other and hands each body on as it came.

::

    position -> step -> request -> send (the host: retries, budgets) -> judge the page -> payload -> next step

With `concurrency` above 1, pages whose number is known are asked for ahead; everything else stays in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar

from nexus_engine.contract.format import Cut
from nexus_engine.contract.host import HttpRequest, HttpResponse, Undecided
from nexus_engine.contract.options import JSON
from nexus_engine.contract.records import Records
from nexus_engine.contract.source import Payload, ReadRequest
from nexus_engine.errors import Incomplete, NexusError, NotYet, PageError, RetryLater, StopAll, StopFeed
from nexus_plugins.sources.http import content, rules, stream
from nexus_plugins.sources.http.ahead import Ahead
from nexus_plugins.sources.http.body import last_byte, misfits, refuse_html, shown
from nexus_plugins.sources.http.conditional import NOT_MODIFIED, Condition
from nexus_plugins.sources.http.envelope import BadBody, Envelope, Found
from nexus_plugins.sources.http.levels import WrongShape
from nexus_plugins.sources.http.options import HttpOptions
from nexus_plugins.sources.http.page import Page
from nexus_plugins.sources.http.paginate import OtherCount, Pager, Step, WrongPage
from nexus_plugins.sources.http.resume import MAY_EXPIRE, Expired, Resume

_BOM = b"\xef\xbb\xbf"
_MEND = "mend the URL, params, headers or body in the feed or its API file"
_KEPT = "the pages before are kept; the position stays before this page"
_DAMAGED = "the next run asks again; if it stays so, the file that the server has is damaged"


class _Smaller(Exception):
    """The server wants smaller pages."""


class HttpSource:
    """Pages over HTTP. A restart inside a window goes on behind the pages that are safe (see ``resume``)."""

    options: ClassVar[type[HttpOptions]] = HttpOptions
    replayable: ClassVar[bool] = True
    headers: ClassVar[bool] = True

    def read(self, request: ReadRequest) -> Iterator[Payload]:
        return _Reading(request).payloads()


class _Reading:
    """One unit of work."""

    def __init__(self, request: ReadRequest) -> None:
        options: HttpOptions = request.options
        self._request = request
        self._options = options
        self._host = request.host
        self._pager = Pager(options, flat=self._host.flat, start=request.window.start)
        self._condition: Condition | None = None
        self._accept = rules.statuses(options.errors) | ({NOT_MODIFIED} if options.conditional else frozenset())
        flat = self._host.flat
        wanted = (*self._pager.paths, *rules.paths(options.errors))
        leaves = request.want.leaves if not flat else ()
        self._envelope = Envelope(Records(path=".") if flat else request.records, wanted, leaves)
        self._window_age_s = rules.window_age_s(request.window, request.run.started_at)
        self._errors = Envelope(Records(path="."), rules.paths(options.errors))
        self._broke_off: set[Step] = set()  # their pages were asked for again already
        self._ahead = Ahead(self._host.http, self._pager.request, self._judge, self._accept)
        self._position: JSON = request.position
        self._page: Page | None = None
        self._fetched: Step | None = None
        self._resume = Resume(request, self._pager, self._fetch, self._follow, self._total)

    def payloads(self) -> Iterator[Payload]:
        if self._host.streams and self._options.paginate is None and self._options.page_size is None:
            yield from self._streamed()
            return
        try:
            step, before = self._resume.start()
        except ValueError as error:
            raise StopFeed(f"the request was not sent: {error}", where=self._request.run.feed, did=_KEPT, do=_MEND) from None
        if step is None:
            assert self._page is not None  # it was asked again
            yield self._ending(Step(self._request.position["page"]), self._page)
            return
        try:
            while True:
                step, page = self._fetch(step)
                try:
                    following = self._follow(step, page, before)
                except Incomplete:
                    yield from self._same(page, step)
                    raise
                if following is not None and not self._ahead.begun and (self._options.concurrency or 1) > 1:
                    self._ahead.begin(self._pager.known(following, page.found))
                yield from self._payload(step, following, page)
                if following is None or self._host.stopping():
                    return
                step, before = following, page.found
        finally:
            self._ahead.close()

    def _streamed(self) -> Iterator[Payload]:
        """The one answer, in pieces."""
        step = self._pager.first()
        judged: list[Page] = []

        def judge(response: HttpResponse) -> None:
            judged[:] = [self._judge(step, response, self._judge_start)]

        try:
            asked = self._asked(step)
        except ValueError as error:
            raise StopFeed(f"the request was not sent: {error}", where=self._request.run.feed, did=_KEPT, do=_MEND) from None
        live = self._request.want.lines and not self._options.conditional
        try:
            for begin in (False, True):
                response = self._host.http.stream(asked, accept=self._accept, check=judge, live=live)
                page = judged[0]
                if response.file is None:
                    yield self._ending(step, page)
                    return
                with response.file:
                    if not page.found.count:
                        yield self._ending(step, page)
                        return
                    try:
                        yield from stream.payloads(self._request, response, self._ending(step, page), begin=begin)
                        return
                    except stream.Changed:
                        self._host.warn(stream.CHANGED)
                    if response.file.seekable():  # else it was read while it came, and has to be asked for again
                        response.file.seek(0)
                        yield from stream.payloads(self._request, response, self._ending(step, page), begin=True)
                        return
        except Cut as error:  # not by a connection that broke: that was looked for
            raise self._wrong(str(error), step, response, do=_DAMAGED) from None
        except WrongShape as error:
            raise self._wrong(str(error), step, response) from None

    def _fetch(self, step: Step, *, may_expire: bool = False) -> tuple[Step, Page]:
        """The page, judged, and the step that got it: smaller where the server wanted that. The host's retries cover what
        ``judge`` finds wrong for a while only.

        Raises:
            Expired: with ``may_expire`` only.
        """

        def judge(response: HttpResponse) -> None:
            try:
                self._page = self._judge(step, response)
            except Undecided:
                if may_expire and response.status in MAY_EXPIRE:
                    raise Expired(f"HTTP {response.status}") from None
                raise

        if self._page is not None and self._fetched == step:  # fetched to see whether its link still works
            return step, self._page
        try:
            self._page = self._ahead.take(step)
            if self._page is None:
                accept = self._accept | MAY_EXPIRE if may_expire else self._accept
                self._host.http.send(self._asked(step), accept=accept, check=judge)
        except _Smaller:
            self._ahead.close()
            smaller = self._pager.smaller(step)
            assert smaller is not None  # seen to before
            return self._fetch(smaller, may_expire=may_expire)
        assert self._page is not None
        self._fetched = step
        return step, self._page

    def _asked(self, step: Step) -> HttpRequest:
        request = self._pager.request(step)
        if not self._options.conditional:
            return request
        self._condition = Condition(self._host.http, request, self._request.memo, fresh=not self._request.position)
        return self._condition.request

    def _ending(self, step: Step, page: Page) -> Payload:
        """The last payload of the window, without records."""
        memo = None if self._condition is None else self._condition.memo(page.response, ruled=page.ruled)
        return Payload(b"", {}, last=True, page=step.page, url=page.response.url, memo=memo, unchanged=page.unchanged, cursor=self._told(step, page))

    def _told(self, step: Step, page: Page) -> str | None:
        """The header that the cursor is taken from. An answer without records may lack it: the position stays then."""
        name = self._request.header
        value = page.response.headers.get(name.lower()) if name else None
        if name and value is None and page.found.count:
            raise self._wrong(f"the response header {name}, which the cursor is taken from, is absent", step, page.response)
        return value

    def _unchanged(self, step: Step, response: HttpResponse) -> bool:
        try:
            return self._condition is not None and self._condition.holds(response)
        except ValueError as error:
            raise self._wrong(str(error), step, response) from None

    def _judge(self, step: Step, response: HttpResponse, read: Callable[[Step, HttpResponse, bytes], Page] | None = None) -> Page:
        """Raises:
        PageError: the answer is not the page the spec promised.
        RetryLater: it may be when asked again.
        """
        if self._unchanged(step, response):
            return Page((), Found(0, {}), response, unchanged=True)
        body = response.body.removeprefix(_BOM)
        try:
            if not 200 <= response.status < 300:
                return self._judge_status(step, response, body)
            if not (response.whole or self._host.notices_cuts or last_byte(response) in (b"\n", b"\r")):
                raise BadBody("the server closed the connection in the middle of a line", incomplete=True)
            return (read or self._judge_body)(step, response, body)
        except Cut as error:
            raise self._cut(str(error), step, response) from None
        except BadBody as error:
            if error.incomplete and step not in self._broke_off:
                self._broke_off.add(step)
                raise self._cut(str(error), step, response) from None
            raise self._wrong(str(error), step, response) from None
        except WrongShape as error:
            raise self._wrong(str(error), step, response) from None

    def _judge_body(self, step: Step, response: HttpResponse, body: bytes) -> Page:
        """Rules see the answer first, also one that is not of its format."""
        try:
            pieces = tuple(self._pieces(response, body))
            at, values = self._envelope.values(pieces[0] if pieces else body)
        except (BadBody, WrongShape, Cut) as error:
            declared = self._obey(self._looked(response, body), step)
            half = error.incomplete if isinstance(error, BadBody) else bool(body) and isinstance(error, Cut)
            if declared is None or half:  # half an answer is not taken for none
                raise
            return declared
        declared = self._obey(self._looked(response, body) if self._host.flat else rules.Answer(response, values), step)
        if declared is not None:
            return declared
        found = self._envelope.records(at, values)
        if len(pieces) > 1:
            others = [self._records(piece) for piece in pieces[1:]]
            last = next((other.last for other in reversed(others) if other.last is not None), found.last)
            found = Found(found.count + sum(other.count for other in others), values, found.texts, last)
        return Page(pieces if found.count else (), found, response)

    def _judge_start(self, step: Step, response: HttpResponse, body: bytes) -> Page:
        """Of an answer that is read in pieces, what its beginning says. Without records when a rule says so."""
        page = self._obey(self._looked(response, body), step)
        if page is None:
            refuse_html(body)
            if not response.whole:
                with misfits():
                    self._host.require_end(response)
        return page or Page((), Found(1, {}), response)

    def _judge_status(self, step: Step, response: HttpResponse, body: bytes) -> Page:
        """An answer that is an error by its status.

        Raises:
            Undecided: no rule holds; the host judges it.
        """
        page = self._obey(self._looked(response, body), step)
        if page is None:
            raise Undecided
        return page

    def _looked(self, response: HttpResponse, body: bytes) -> rules.Answer:
        """What rules see of a body of any format: JSON, XML or lines, as it came."""
        paths = rules.paths(self._options.errors)
        if not paths:
            return rules.Answer(response, {})
        values = self._errors.peek(body) if response.size == len(response.body) else {}
        return rules.Answer(response, values, content.found(body, paths))

    def _obey(self, answer: rules.Answer, step: Step) -> Page | None:
        """Do what the first rule that holds says; None when none does."""
        answer = replace(answer, window_age_s=self._window_age_s)
        rule = rules.first(self._options.errors, answer, step.page)
        if rule is None:
            return None
        response, says = answer.response, self._host.http.redact(rules.text(rule, answer))
        if rule.then in ("empty", "end"):
            return Page((), Found(0, {}), response, ruled=True)
        if rule.then == "retry":
            raise RetryLater(f"the answer says: {says}", after_s=rules.wait_s(rule, answer))
        if rule.then == "smaller_page" and self._pager.smaller(step) is not None:
            raise _Smaller
        if rule.then == "not_yet":
            raise NotYet(f"not there yet: {says}", where=response.url, did=_KEPT, do="the next run asks again")
        if rule.then == "skip":
            raise NotYet(f"skipped: {says}", where=response.url, did=_KEPT, do="the next run asks again")
        if rule.then == "stop":
            raise StopAll(f"the answer says: {says}", where=response.url, did=_KEPT, do="the spec stops the feed here")
        raise self._wrong(f"the answer is an error: {says}", step, response)

    def _pieces(self, response: HttpResponse, body: bytes) -> Iterator[bytes]:
        """The format's JSON texts. An error page in HTML is named for what it is, whatever the format."""
        refuse_html(body)
        try:
            with misfits():
                yield from self._host.pieces(body, content_type=response.headers.get("content-type", ""), want=self._request.want)
        except LookupError as error:
            if "absent" not in self._request.records.empty:
                raise WrongShape(str(error.args[0] if error.args else error)) from None
            yield b"[]"

    def _records(self, piece: bytes) -> Found:
        return self._envelope.records(*self._envelope.values(piece))

    def _total(self, page: Page, step: Step) -> int | None:
        try:
            return self._pager.total(page.found)
        except WrongPage as error:
            raise self._wrong(str(error), step, page.response) from None

    def _follow(self, step: Step, page: Page, before: Found | None) -> Step | None:
        same = before is not None and page.found.repeats(before)
        try:
            following = self._pager.after(step, page.found, page.response, declared=page.ruled)
        except WrongPage as error:
            raise self._wrong(str(error), step, page.response) from None
        except OtherCount as error:
            raise Incomplete(
                str(error), total=error.total, arrived=error.arrived, counted=error.counted, where=page.response.url,
                did="the pages before are kept; the position stays before this page, which the next run asks again",
                do="when the API's count is of something else than the spec's `records`, leave `paginate.total` or `paginate.pages` away",
            ) from None
        if same and not (following is None and self._pager.overlaps):
            raise self._wrong("the page has the same records as the page before", step, page.response)
        if following is not None and following.url:  # a page whose next one must not be asked for is no position to go on from
            self._host.http.allow(self._pager.request(following))
        return following

    def _same(self, page: Page, step: Step) -> Iterator[Payload]:
        """The records of the page that an incomplete window ended with; they come again from the same position."""
        if page.found.count:
            for payload in self._payload(step, None, page):
                yield replace(payload, position=self._position, last=False, again=True, memo=None, cursor=None)

    def _payload(self, step: Step, following: Step | None, page: Page) -> Iterator[Payload]:
        """One payload per piece; the position moves with the last one."""
        total = self._total(page, step) if page.found.count else None
        position: JSON = {}
        if following is not None:
            position = self._position = self._resume.behind(step, following, page)
        url = page.response.url
        pieces = page.pieces or (b"",)
        if len(pieces) > 1:  # one payload: a position inside a page does not exist
            pieces = (b"[" + b",".join(piece.strip()[1:-1] for piece in pieces if piece.strip() != b"[]") + b"]",)
        if following is None:
            yield replace(self._ending(step, page), body=pieces[0], total=total)
        else:
            yield Payload(pieces[0], position, page=step.page, url=url, total=total)

    def _cut(self, what: str, step: Step, response: HttpResponse) -> NexusError:
        """An answer that ends too early; it is asked for again where that may be done."""
        return RetryLater(what) if self._pager.request(step).idempotent else self._wrong(what, step, response)

    def _wrong(self, what: str, step: Step, response: HttpResponse, do: str = "") -> PageError:
        redact, feed = self._host.http.redact, self._request.run.feed
        return PageError(
            redact(what), url=response.url, page=step.page, body=redact(shown(response.body)), where=feed, did=_KEPT,
            do=do or "compare the answer with the spec's `records`, `errors` and `paginate`; if the spec is right, the next run asks this page "
            f"again, and `nexus-engine state reset {feed}` reads everything again from the start",
        )
