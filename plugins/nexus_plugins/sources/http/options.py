"""What a spec or an `apis.d` file may say about a source of pages over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nexus_engine.contract.options import Options
from nexus_engine.contract.policy import Policy

Param = str | tuple[str, ...] | None


class Limit(Options, frozen=True):
    """`limit:` of a paging: the parameter that says how many records a page has."""

    param: Annotated[str, Meta(description="name of the parameter")]
    size: Annotated[int, Meta(ge=1, description="records asked for per page")]


class Paginate(Options, frozen=True):
    """`paginate:`. Exactly one of `offset`, `page` and `next`.

    Offset and page-number paging end where `total` or `pages` says, else at the first page without records. A page that
    is short does not end it: servers cap page sizes.
    """

    offset: Annotated[str, Meta(description="parameter that takes the number of records to skip")] = ""
    page: Annotated[str, Meta(description="parameter that takes the page's number")] = ""
    next: Annotated[
        str, Meta(description="path of the next page's URL (absolute, relative, or `&page=2`); null, empty or absent at the end")
    ] = ""
    start: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="first offset (0) or page number (1)")] = None
    limit: Annotated[Limit | None, Meta(description="page size")] = None
    total: Annotated[str, Meta(description="path of the number of records; what arrives is compared with it")] = ""
    pages: Annotated[str, Meta(description="path of the number of pages")] = ""
    max_pages: Annotated[int, Meta(ge=1, description="more pages in one window are an error")] = 10_000

    def __post_init__(self) -> None:
        if sum(map(bool, (self.offset, self.page, self.next))) != 1:
            raise ValueError("needs exactly one of `offset`, `page` and `next`")
        if self.pages and not self.page:
            raise ValueError("`pages` goes with `page`")

    @property
    def first(self) -> int:
        """The first offset or page number."""
        if self.start is not None:
            return self.start
        return 1 if self.page else 0


Then = Literal["fail", "retry", "empty", "stop", "not_yet"]


class ErrorRule(Options, frozen=True):
    """One entry of `errors:`: an error inside an answer, and what to do. All conditions given must hold."""

    status: Annotated[Annotated[int, Meta(ge=100, le=599)] | None, Meta(description="HTTP status")] = None
    path: Annotated[str, Meta(description="path in the JSON body; an error when something stands there that is not null, false or empty, unless `equals` or `matches` says more")] = ""
    equals: Annotated[str | None, Meta(description="the value at `path`, as text")] = None
    matches: Annotated[str, Meta(description="regular expression found in the value at `path`")] = ""
    message: Annotated[str, Meta(description="path of the text to show")] = ""
    then: Annotated[
        Then,
        Meta(
            description="`fail` the feed, `retry`, treat as `empty` (no records, the window ends), `stop` the feed, "
            "`not_yet` (the feed stops here and asks again at its next run)"
        ),
    ] = "fail"

    def __post_init__(self) -> None:
        if self.status is None and not self.path:
            raise ValueError("needs `status` or `path`")
        if (self.equals is not None or self.matches) and not self.path:
            raise ValueError("`equals` and `matches` need `path`")
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"`matches` is no regular expression: {error}") from None


class HttpOptions(Policy, frozen=True):
    """Options of the `http` source. In an `apis.d` file: `base_url` and whatever holds for every feed of the API."""

    endpoint: Annotated[str, Meta(description="the whole URL; not with `api`")] = ""
    base_url: Annotated[str, Meta(description="URL that `path` is appended to; in an `apis.d` file")] = ""
    path: Annotated[str, Meta(description="path below the API's `base_url`")] = ""
    method: Annotated[Literal["GET", "POST"], Meta(description="HTTP method")] = "GET"
    params: Annotated[dict[str, Param], Meta(description="query parameters; a list repeats one, null leaves it out")] = {}
    headers: Annotated[dict[str, str], Meta(description="request headers; never sent to another origin")] = {}
    json: Annotated[Any, Meta(description="JSON body")] = msgspec.UNSET
    idempotent: Annotated[bool | None, Meta(description="may be sent again after a failure; true for GET, else false")] = None
    paginate: Annotated[Paginate | None, Meta(description="how pages follow each other")] = None
    errors: Annotated[tuple[ErrorRule, ...], Meta(description="errors inside answers; the first that holds decides")] = ()

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if not options.get("endpoint") and not options.get("base_url"):
            yield "", "needs `endpoint`, or an `api` with a `base_url`"

    def __post_init__(self) -> None:
        if not (self.endpoint or self.base_url or self.path):
            return  # an api file or a feed alone may leave it open; the source needs one
        if self.endpoint and self.path:
            raise ValueError("`endpoint` is a whole URL; `path` goes with an API's `base_url`")

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
