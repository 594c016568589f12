"""The words of the spec that the host obeys for every source that speaks HTTP: a source's options inherit them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from nexus_engine.contract.options import ByteSize, Duration, Objection, Options, Quota, Rate
from nexus_engine.contract.records import parse_path

_NONE = re.compile(r"0+(?:\.0*)?[A-Za-z]*")  # a size or a length of time as written


class RetryOptions(Options, frozen=True):
    """`retry:` of a feed, an API or the project."""

    attempts: Annotated[int, Meta(ge=1, le=100, description="how often one request is sent at most")] = 5
    base: Annotated[Duration, Meta(description="the first wait is a random time up to this; it doubles each time")] = Duration("1s")
    max_wait: Annotated[
        Duration, Meta(description="the longest wait between two attempts; an API that asks for more ends the run")
    ] = Duration("120s")


class BudgetOptions(Options, frozen=True):
    """`budget:` of an API: the headers in which its answers say what is left."""

    dialect: Annotated[
        Literal["x", "reddit", "glassnode", "github", "ietf"] | None,
        Meta(description="headers that are known by a name; instead of the keys below"),
    ] = None
    remaining: Annotated[str, Meta(description="header: requests left")] = ""
    reset: Annotated[str, Meta(description="header: when the count begins again")] = ""
    reset_as: Annotated[Literal["epoch", "seconds"], Meta(description="`reset` is in seconds since 1970, or in seconds from now")] = "seconds"
    per: Annotated[Literal["api", "feed"], Meta(description="what is left is shared by the feeds of the API, or each has its own (a limit per endpoint)")] = "api"

    def __post_init__(self) -> None:
        if bool(self.dialect) == bool(self.remaining or self.reset):
            raise ValueError("needs `dialect`, or `remaining` and `reset`")
        if not self.dialect and not (self.remaining and self.reset):
            raise ValueError("`remaining` and `reset` go together")


class CostOptions(Options, frozen=True):
    """`cost:` of a feed or an API: the credits that a request takes from the quotas. The short form is a number."""

    credits: Annotated[int, Meta(ge=0, description="credits of one request; with `header` or `path`, until its answer says it")] = 1
    header: Annotated[str, Meta(description="response header: what the request cost")] = ""
    path: Annotated[str, Meta(description="or: path in the JSON body of what it cost, `meta.result_count`")] = ""
    left_header: Annotated[str, Meta(description="response header: credits left of the longest quota")] = ""
    left_path: Annotated[str, Meta(description="or: path in the JSON body of what is left")] = ""

    def __post_init__(self) -> None:
        if (self.header and self.path) or (self.left_header and self.left_path):
            raise ValueError("a header and a path are two places: give one of them")
        for text in (self.path, self.left_path):
            try:
                parse_path(text)
            except ValueError as error:
                raise ValueError(f"`{text}` is {error}") from None


class Policy(Options, frozen=True):
    """How requests of a feed are sent. What is not given comes from `nexus.yaml`, then from the engine's defaults."""

    auth: Annotated[
        dict[str, Any], Meta(description="credentials: one key that names the method, like `header`, `bearer` or `oauth2`")
    ] = {}
    credentials: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="several credentials by name, each what `auth` takes, and perhaps a `rate`, `quota` or `concurrency` of its own; in an `apis.d` file"),
    ] = {}
    credential: Annotated[str, Meta(description="which of the API's `credentials` is used; its rate, quotas and tokens are its own")] = ""
    rate: Annotated[
        Rate | None, Meta(description="at most so many requests in any such time, `120/min`, shared by all feeds of the API and credential")
    ] = None
    budget: Annotated[BudgetOptions | None, Meta(description="headers of answers that say how many requests are left, and until when")] = None
    quota: Annotated[
        tuple[Quota, ...], Meta(description="at most so many requests (with `cost`: credits) in a calendar hour, day or month (UTC), `1000/day`, shared by all feeds of the API and credential; used up, the feed stops and goes on when it renews")
    ] = ()
    cost: Annotated[
        CostOptions | None, Meta(description="credits that one request takes from each `quota`, which then counts credits; 1 unless given")
    ] = None
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None,
        Meta(description="requests of the API in flight at once; above 1, pages whose number is known are fetched side by side"),
    ] = None
    timeout: Annotated[Duration | None, Meta(description="the longest one request may take, from its host's name to its last byte; 60s unless given")] = None
    retry: Annotated[RetryOptions | None, Meta(description="attempts and waits")] = None
    hosts: Annotated[
        tuple[str, ...], Meta(description="other hosts that redirects and next-links may lead to; credentials are never sent there")
    ] = ()
    max_body: Annotated[ByteSize | None, Meta(description="the largest body read, as sent; 256MB. Decompressed: twice that")] = None

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> Iterable[Objection]:
        for key in ("timeout", "max_body"):
            if _NONE.fullmatch(str(options.get(key))):
                yield key, "with 0 no answer is ever read; leave it out for the default"
        cost, quotas = options.get("cost"), options.get("quota")
        if cost is None:
            return
        if not quotas:
            yield "cost", "`cost` counts against a `quota`, and there is none"
            return
        each = str(cost.get("credits", 1) if isinstance(cost, Mapping) else cost)
        for text in [quotas] if isinstance(quotas, str) else quotas:
            count = str(text).strip().partition("/")[0]
            if each.isdecimal() and count.isdecimal() and int(each) > int(count):
                yield "cost", f"one request costs {each}, more than the whole quota of {text}"
