"""What a spec or an `apis.d` file may say about a source of pages over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from nexus_engine.contract.options import Duration, Objection, Options, Url
from nexus_engine.contract.policy import Policy
from nexus_engine.contract.records import parse_path

Param = str | tuple[str, ...] | None


class Limit(Options, frozen=True):
    """`limit:` of a paging: the parameter that says how many records a page has."""

    param: Annotated[str, Meta(description="name of the parameter")]
    size: Annotated[int, Meta(ge=1, description="records asked for per page")]


class Keyset(Options, frozen=True):
    """`keyset:` of a paging: the next page begins at, or behind, the last record of this one."""

    from_: Annotated[str, Meta(description="path in a record of what the next request asks from")] = msgspec.field(name="from")
    param: Annotated[str, Meta(description="parameter that takes it")] = ""
    path: Annotated[str, Meta(description="or: it is a segment of the URL, behind this path below the feed's own")] = ""

    def __post_init__(self) -> None:
        if bool(self.param) == bool(self.path):
            raise ValueError("needs exactly one of `param` and `path`")
        _check_path(self.from_)


KINDS = ("offset", "page", "next", "cursor", "header", "link", "keyset")
Place = Literal["query", "json", "form"]
StopWord = Literal["empty_page", "short_page", "seen"]


class Paginate(Options, frozen=True):
    """`paginate:`. Exactly one of `offset`, `page`, `next`, `cursor`, `header`, `link` and `keyset`.

    Offset and page-number paging end where `total` or `pages` says, else at the first page without records. A page that
    is short does not end it unless `stop_when` says so: servers cap page sizes.
    """

    offset: Annotated[str, Meta(description="parameter that takes the number of records to skip")] = ""
    page: Annotated[str, Meta(description="parameter that takes the page's number")] = ""
    next: Annotated[
        str, Meta(description="path of the next page's URL (absolute, relative, or `&page=2`); null, empty or absent at the end")
    ] = ""
    cursor: Annotated[
        str, Meta(description="path of a token that asks for the next page, sent as `param`; null, empty or absent at the end")
    ] = ""
    header: Annotated[str, Meta(description="response header with such a token, sent as `param`; absent at the end")] = ""
    link: Annotated[str, Meta(description="relation of the next page in the `Link` header (RFC 8288), `next`; absent at the end")] = ""
    next_link: Annotated[
        Literal["as_sent", "rewrite_to_base"],
        Meta(
            description="with `next` or `link`: `rewrite_to_base` asks the feed's own origin for the link's path and query, where an API's links "
            "name hosts that only it can reach"
        ),
    ] = "as_sent"
    keyset: Annotated[
        Keyset | None, Meta(description="from the last record on; ends at a page without records, or with nothing behind that record")
    ] = None
    param: Annotated[str, Meta(description="parameter that takes the token of `cursor` or `header`")] = ""
    end: Annotated[tuple[str, ...], Meta(description="tokens that mean the end, like `0-0-0`")] = ()
    into: Annotated[Place, Meta(description="where paging's parameters stand: the query, or a top-level key of the `json` or `form` body")] = "query"
    start: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="first offset (0) or page number (1)")] = None
    limit: Annotated[Limit | None, Meta(description="page size")] = None
    total: Annotated[str, Meta(description="path of the number of records, counted as `records` gives them; what arrives is compared with it")] = ""
    pages: Annotated[str, Meta(description="path of the number of pages")] = ""
    more: Annotated[str, Meta(description="path of a flag, `has_more`: false, 0, null, empty or absent ends the window")] = ""
    stop_when: Annotated[
        tuple[StopWord, ...],
        Meta(
            description="what also ends the window: `empty_page` (a token may follow it), `short_page` (fewer records than "
            "`limit.size`), `seen` (newest first: a record is at or before the window's start; needs `seen`)"
        ),
    ] = ()
    seen: Annotated[str, Meta(description="path in a record of what `stop_when: seen` compares with the window's start")] = ""
    max_pages: Annotated[int, Meta(ge=1, description="more pages in one window are an error")] = 10_000

    def __post_init__(self) -> None:
        if sum(bool(getattr(self, kind)) for kind in KINDS) != 1:
            raise ValueError("needs exactly one of " + ", ".join(f"`{kind}`" for kind in KINDS[:-1]) + f" and `{KINDS[-1]}`")
        if self.pages and not self.page:
            raise ValueError("`pages` goes with `page`")
        if bool(self.param) != bool(self.cursor or self.header):
            raise ValueError("`param` goes with `cursor` or `header`, and they with it")
        if self.next_link == "rewrite_to_base" and not (self.next or self.link):
            raise ValueError("`next_link` goes with `next` or `link`")
        if self.end and not self.param:
            raise ValueError("`end` goes with `cursor` or `header`")
        if "short_page" in self.stop_when and self.limit is None:
            raise ValueError("`stop_when: short_page` needs `limit`")
        if ("seen" in self.stop_when) != bool(self.seen):
            raise ValueError("`stop_when: seen` and `seen` go together")
        for text in (self.next, self.cursor, self.total, self.pages, self.more, self.seen):
            _check_path(text)

    @property
    def first(self) -> int:
        """The first offset or page number."""
        if self.start is not None:
            return self.start
        return 1 if self.page else 0


def _check_path(text: str) -> None:
    try:
        parse_path(text)
    except ValueError as error:
        raise ValueError(f"`{text}` is {error}") from None


Then = Literal["fail", "retry", "empty", "end", "skip", "not_yet", "smaller_page", "stop"]


class ErrorRule(Options, frozen=True):
    """One entry of `errors:`: an error inside an answer, and what to do. All conditions given must hold."""

    status: Annotated[Annotated[int, Meta(ge=100, le=599)] | None, Meta(description="HTTP status; a rule without one judges 2xx answers")] = None
    path: Annotated[str, Meta(description="path in the body, by what came: `a.b` of JSON, `Error/Code` or `error/@message` of XML, a column of the first row of CSV; an error when something stands there that is not null, false or empty, unless `equals` or `matches` says more")] = ""
    header: Annotated[str, Meta(description="response header that is there, unless `equals` or `matches` says more")] = ""
    equals: Annotated[str | None, Meta(description="the value at `path` or in `header`, as text")] = None
    matches: Annotated[
        str, Meta(description="regular expression found in the value at `path` or in `header`; without both: in the body, whatever its format")
    ] = ""
    older_than: Annotated[
        Duration | None,
        Meta(description="only where the window ended at least so long before the run began: what is not there then will not come; needs `cursor`"),
    ] = None
    message: Annotated[str, Meta(description="path of the text to show")] = ""
    then: Annotated[
        Then,
        Meta(
            description="`fail` the partition, `retry`, treat as `empty` (no records, the window ends), `end` (the pages ended before "
            "this one; on a first page the status decides), `skip` the partition or `not_yet` (no failure: a note, the position stays, "
            "the next run asks again), `smaller_page` (again with half of `paginate.limit.size`), `stop` the whole feed"
        ),
    ] = "fail"
    after: Annotated[Duration | None, Meta(description="how long `retry` waits; else `Retry-After`, or a growing random time")] = None
    after_path: Annotated[str, Meta(description="path of the seconds that `retry` waits, `estimated_time`")] = ""
    after_header: Annotated[
        str, Meta(description="response header that says when to `retry`: seconds from now, seconds since 1970, or a date")
    ] = ""

    def __post_init__(self) -> None:
        if self.status is None and not (self.path or self.header or self.matches):
            raise ValueError("needs `status`, `path`, `header` or `matches`")
        if self.path and self.header:
            raise ValueError("`path` and `header` are two rules")
        if self.equals is not None and not (self.path or self.header):
            raise ValueError("`equals` needs `path` or `header`")
        if self.status == 200 and not (self.path or self.header or self.matches):
            raise ValueError("a status 200 is no error by itself; add `path`, `header` or `matches`")
        if (self.after is not None or self.after_path or self.after_header) and self.then != "retry":
            raise ValueError("`after`, `after_path` and `after_header` go with `then: retry`")
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"`matches` is no regular expression: {error}") from None
        for text in (self.path, self.message, self.after_path):
            _check_path(text)


_NOT_PAGED = "`conditional` is for a feed without `paginate`: a first page that did not change says nothing about the others"


def _rules(options: Mapping[str, Any]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """The entries of `errors` as written, with their numbers; what is of another form is told by its type."""
    rules = options.get("errors")
    return [(number, rule) for number, rule in enumerate(rules if isinstance(rules, (list, tuple)) else ()) if isinstance(rule, Mapping)]


class HttpOptions(Policy, frozen=True):
    """Options of the `http` source. In an `apis.d` file: `base_url` and whatever holds for every feed of the API."""

    request_keys: ClassVar[frozenset[str]] = frozenset(
        {"endpoint", "path", "method", "params", "json", "form", "idempotent", "page_size", "paginate"}
    )

    endpoint: Annotated[Url, Meta(description="the whole URL; not with `api`")] = ""
    base_url: Annotated[Url, Meta(description="URL that `path` is appended to; in an `apis.d` file")] = ""
    path: Annotated[str, Meta(description="path below the API's `base_url`")] = ""
    method: Annotated[Literal["GET", "POST"], Meta(description="HTTP method")] = "GET"
    params: Annotated[dict[str, Param], Meta(description="query parameters; a list repeats one, null leaves it out")] = {}
    headers: Annotated[dict[str, str], Meta(description="request headers; never sent to another origin")] = {}
    cookies: Annotated[dict[str, str], Meta(description="cookies; never sent to another origin")] = {}
    json: Annotated[Any, Meta(description="JSON body")] = msgspec.UNSET
    form: Annotated[dict[str, Param], Meta(description="form body; a list repeats a key, null leaves it out")] = {}
    page_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="without `paginate`: the most records an answer can have; one that is full is an error, there may be more"),
    ] = None
    idempotent: Annotated[bool | None, Meta(description="may be sent again after a failure; true for GET, else false")] = None
    paginate: Annotated[Paginate | None, Meta(description="how pages follow each other")] = None
    errors: Annotated[tuple[ErrorRule, ...], Meta(description="errors inside answers; the first that holds decides")] = ()
    conditional: Annotated[
        bool,
        Meta(
            description="ask with the last answer's `ETag` and `Last-Modified`, and compare its body with that of the last run: a 304, or "
            "the same body, is not read again; not with `paginate`"
        ),
    ] = False

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> Iterable[Objection]:
        if not options.get("endpoint") and not options.get("base_url"):
            yield "", "needs `endpoint`, or an `api` with a `base_url`"
        yield from super().problems(options)
        if options.get("paginate") and str(options.get("conditional", "")).lower() == "true":
            yield "conditional", _NOT_PAGED
        paginate = options.get("paginate")
        if not (isinstance(paginate, Mapping) and paginate.get("limit")):
            for number, rule in _rules(options):
                if rule.get("then") == "smaller_page":
                    yield ("errors", number, "then"), "`smaller_page` needs `paginate.limit`, whose size it halves"

    @classmethod
    def windowed(cls, options: Mapping[str, Any]) -> Iterable[tuple[str | int, ...]]:
        for number, rule in _rules(options):
            if rule.get("older_than"):
                yield "errors", number, "older_than"

    @classmethod
    def bounded(cls, options: Mapping[str, Any]) -> bool:
        words = options.get("paginate")
        return isinstance(words, Mapping) and "seen" in (words.get("stop_when") or ())

    def __post_init__(self) -> None:
        if not (self.endpoint or self.base_url or self.path):
            return  # an api file or a feed alone may leave it open; the source needs one
        if self.endpoint and self.path:
            raise ValueError("`endpoint` is a whole URL; `path` goes with an API's `base_url`")
        if self.form and self.json is not msgspec.UNSET:
            raise ValueError("`json` and `form` are two bodies")
        words = self.paginate
        if words is not None and words.into == "json" and self.json is not msgspec.UNSET and not isinstance(self.json, dict):
            raise ValueError("`paginate.into: json` needs a mapping under `json`")
        if words is not None and self.page_size is not None:
            raise ValueError("`page_size` is for a feed without `paginate`")
        if words is not None and self.conditional:
            raise ValueError(_NOT_PAGED)

    @property
    def url(self) -> str:
        """The URL that requests go to.

        Raises:
            ValueError: neither `endpoint` nor `base_url`.
        """
        if self.endpoint:
            return self.endpoint
        if not self.base_url:
            raise ValueError("needs `endpoint`, or an API with a `base_url`")
        return f"{self.base_url.rstrip('/')}/{self.path.lstrip('/')}" if self.path else self.base_url
