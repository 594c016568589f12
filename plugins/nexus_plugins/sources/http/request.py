"""The request of a page: URL, query, headers, cookies and body, with what paging adds to them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import UNSET

from nexus_engine.contract.host import HttpRequest
from nexus_plugins.sources.http.options import HttpOptions, Param

_JSON: Final = ("content-type", "application/json")
_FORM: Final = ("content-type", "application/x-www-form-urlencoded")

Pairs = Iterable[tuple[str, str]]


def build(options: HttpOptions, paging: Pairs, into: str, *, link: str = "", below: str = "") -> HttpRequest:
    """One page's request.

    Args:
        paging: what asks for the page; replaces parameters of the same name.
        into: where that stands: query, json or form.
        link: the page's own URL, out of an answer before it.
        below: path under the feed's own URL.

    Raises:
        ValueError: neither `endpoint` nor `base_url`.
    """
    added: dict[str, Param] = dict(paging)
    body, headers = _body(options, added, into)
    idempotent = options.method == "GET" if options.idempotent is None else options.idempotent
    if link:
        asked = pairs(added) if into == "query" else ()
        return HttpRequest(options.method, link, tuple(asked), headers, body, idempotent, base=options.url)
    params = (options.params | added) if into == "query" else options.params
    return HttpRequest(options.method, _below(options.url, below), tuple(pairs(params)), headers, body, idempotent)


def pairs(values: Mapping[str, Param]) -> list[tuple[str, str]]:
    """Names and values in order: a list repeats its name, null leaves it out."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is not None:
            found.extend((name, item) for item in ((value,) if isinstance(value, str) else value))
    return found


def form(values: Pairs) -> bytes:
    """An `application/x-www-form-urlencoded` body."""
    return "&".join(f"{_plus(name)}={_plus(value)}" for name, value in values).encode()


def segment(text: str) -> str:
    """``text`` as one segment of a path: a slash in it does not begin another."""
    return quote(text, safe=":,@")


def _plus(text: str) -> str:
    return quote(text, safe="*-._ ").replace(" ", "+")


def _body(options: HttpOptions, paging: dict[str, Param], into: str) -> tuple[bytes | None, tuple[tuple[str, str], ...]]:
    headers = tuple(options.headers.items())
    if options.cookies:
        headers = (*headers, ("cookie", "; ".join(f"{name}={value}" for name, value in options.cookies.items())))
    if into == "json" or options.json is not UNSET:
        content = {} if options.json is UNSET else options.json
        if into == "json":
            content = content | {name: _number(name, value, options) for name, value in paging.items()}
        return msgspec.json.encode(content), (_JSON, *headers)
    if into == "form" or options.form:
        content = options.form | paging if into == "form" else options.form
        return form(pairs(content)), (_FORM, *headers)
    return None, headers


def _number(name: str, value: Param, options: HttpOptions) -> Param | int:
    """Offsets, page numbers and sizes are JSON numbers; tokens stay texts."""
    words = options.paginate
    counted = words is not None and name in {words.offset, words.page, words.limit.param if words.limit else ""}
    return int(str(value)) if counted else value


def _below(url: str, path: str) -> str:
    if not path:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{path}", parts.query, ""))
