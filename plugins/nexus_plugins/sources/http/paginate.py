"""How pages follow each other: from one page to the next request, or to the end of the window. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.contract.records import parse_path
from nexus_engine.host.urls import resolve
from nexus_plugins.sources.http.envelope import Found
from nexus_plugins.sources.http.options import HttpOptions


class WrongPage(Exception):
    """A page that cannot be followed; ``incomplete``: the window ended before all its records came."""

    def __init__(self, what: str, *, incomplete: bool = False) -> None:
        super().__init__(what)
        self.incomplete = incomplete


@dataclass(frozen=True)
class Step:
    """One page to ask for.

    Args:
        page: its number in the window, from 1.
        seen: records that came before it.
        at: its offset or page number; None with next-URL paging and without paging.
        url: the link that leads to it; "" for the spec's own URL.
    """

    page: int = 1
    seen: int = 0
    at: int | None = None
    url: str = ""


class Pager:
    """The paging of one window."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._words = options.paginate
        self._visited: set[bytes] = set()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths in the body that :meth:`after` needs."""
        words = self._words
        return (words.next, words.total, words.pages) if words else ()

    def first(self) -> Step:
        words = self._words
        return Step(at=words.first if words and not words.next else None)

    def request(self, step: Step) -> HttpRequest:
        """Raises:
        ValueError: neither `endpoint` nor `base_url`.
        """
        options = self._options
        headers = tuple(options.headers.items())
        body = None
        if options.json is not UNSET:
            body = msgspec.json.encode(options.json)
            headers = (("content-type", "application/json"), *headers)
        idempotent = options.method == "GET" if options.idempotent is None else options.idempotent
        if step.url:
            return HttpRequest(options.method, step.url, (), headers, body, idempotent, base=options.url)
        return HttpRequest(options.method, options.url, self._params(step), headers, body, idempotent)

    def _params(self, step: Step) -> tuple[tuple[str, str], ...]:
        params = {name: value for name, value in self._options.params.items() if value is not None}
        words = self._words
        if words is not None and step.at is not None:
            params[words.offset or words.page] = str(step.at)
        if words is not None and words.limit is not None:
            params[words.limit.param] = str(words.limit.size)
        pairs: list[tuple[str, str]] = []
        for name, value in params.items():
            pairs.extend((name, item) for item in ((value,) if isinstance(value, str) else value))
        return tuple(pairs)

    def after(self, step: Step, found: Found, response: HttpResponse) -> Step | None:
        """The next page to ask for; None at the end of the window.

        Raises:
            WrongPage: what paging needs is absent or wrong, pages go in circles, or the window ended too early.
        """
        words = self._words
        if words is None:
            return None
        following = self._link(step, found, response) if words.next else self._counted(step, found)
        if following is None:
            total = self.total(found)
            if total is not None and step.seen + found.count < total:
                raise WrongPage(f"the window ended after {step.seen + found.count:,} of {total:,} records", incomplete=True)
        elif following.page > words.max_pages:
            raise WrongPage(f"the window has more than {words.max_pages:,} pages (`paginate.max_pages`)", incomplete=True)
        return following

    def total(self, found: Found) -> int | None:
        """The number of records that the source says the window has."""
        return _number(found, self._words.total) if self._words else None

    def _link(self, step: Step, found: Found, response: HttpResponse) -> Step | None:
        assert self._words is not None
        link = found.values.get(parse_path(self._words.next), UNSET)
        if link is UNSET or link is None or link == "" or link is False:
            return None
        if not isinstance(link, str):
            raise WrongPage(f"`paginate.next: {self._words.next}` is no text")
        url = resolve(response.location, link)
        self._visited.add(_hash(response.location.encode()))
        if _hash(url.encode()) in self._visited:
            raise WrongPage("the next-link leads to a page that was read before")
        return Step(step.page + 1, step.seen + found.count, None, url)

    def _counted(self, step: Step, found: Found) -> Step | None:
        words = self._words
        assert words is not None
        assert step.at is not None
        seen = step.seen + found.count
        pages, total = _number(found, words.pages), self.total(found)
        number = step.at - words.first + 1
        if found.count == 0:
            if pages is not None and number < pages:
                raise WrongPage(f"page {number} of {pages} is empty", incomplete=True)
            return None
        if (pages is not None and number >= pages) or (pages is None and total is not None and seen >= total):
            return None
        return Step(step.page + 1, seen, step.at + (1 if words.page else found.count))


def _number(found: Found, path: str) -> int | None:
    """A count in the body. Absent is allowed on a page without records only.

    Raises:
        WrongPage
    """
    if not path:
        return None
    value = found.values.get(parse_path(path), UNSET)
    if value is UNSET or value is None:
        if found.count == 0:
            return None
        raise WrongPage(f"`{path}`, which paging needs, is absent from the body")
    if isinstance(value, str) and value.strip().isdigit():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WrongPage(f"`{path}`, which paging needs, is not a count")
    return value


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def guard(found: Found, total: int | None) -> dict[str, Any]:
    """What a page looked like, to notice after a restart that the pages have shifted."""
    return {"total": total, "first": _hash(found.first).hex()}
