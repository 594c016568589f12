"""How pages follow each other: from one page to the next request, or to the end of the window. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.contract.records import parse_path
from nexus_engine.host.urls import at_home, resolve
from nexus_plugins.sources.http import request, stopping
from nexus_plugins.sources.http.envelope import Found, Path
from nexus_plugins.sources.http.links import linked
from nexus_plugins.sources.http.options import HttpOptions


class WrongPage(Exception):
    """A page that cannot be followed."""


class OtherCount(Exception):
    """The window ended with another number of ``counted`` (records, pages) than the answers say."""

    def __init__(self, what: str, total: int, arrived: int, counted: str = "records") -> None:
        super().__init__(what)
        self.total = total
        self.arrived = arrived
        self.counted = counted


@dataclass(frozen=True)
class Step:
    """One page to ask for.

    Args:
        page: its number in the window, from 1.
        seen: records that came before it.
        at: its offset or page number; None with every other paging and without paging.
        url: the link that leads to it; "" for the spec's own URL.
        token: what asks for it: a cursor, or the key it begins at; "" for the first page.
        size: records per page, when the server wanted fewer than the spec; 0 as in the spec.
    """

    page: int = 1
    seen: int = 0
    at: int | None = None
    url: str = ""
    token: str = ""
    size: int = 0


class Pager:
    """The paging of one window.

    Args:
        flat: records are flat objects whose keys are whole paths.
        start: the window's start, for `stop_when: seen`.
    """

    def __init__(self, options: HttpOptions, *, flat: bool = False, start: str | None = None) -> None:
        self._options = options
        self._words = options.paginate
        self._flat = flat
        self._start = start
        self._visited: set[bytes] = set()
        self._told: int | None = None  # the total, by the last page that had records

    def begin(self) -> None:
        """Forget the pages: the window is asked for from its start."""
        self._visited.clear()
        self._told = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths in the body that :meth:`after` needs."""
        words = self._words
        return (words.next, words.cursor, words.total, words.pages, words.more) if words else ()

    @property
    def overlaps(self) -> bool:
        """True when the last page may repeat the one before: a key that the bound includes."""
        return self._words is not None and self._words.keyset is not None

    @property
    def lasting(self) -> bool:
        """True when what asks for a page is made of records, and cannot expire."""
        return self._words is not None and self._words.keyset is not None

    @property
    def numbered(self) -> bool:
        """True when pages are asked for by their number."""
        return self._words is not None and bool(self._words.page)

    def first(self) -> Step:
        words = self._words
        return Step(at=words.first if words and (words.offset or words.page) else None)

    def request(self, step: Step) -> HttpRequest:
        """Raises:
        ValueError: neither `endpoint` nor `base_url`.
        """
        words, below = self._words, ""
        own: list[tuple[str, str]] = []
        if words is not None and step.at is not None:
            own.append((words.offset or words.page, str(step.at)))
        if words is not None and step.token:
            if words.keyset is not None and words.keyset.path:
                below = f"{words.keyset.path.strip('/')}/{request.segment(step.token)}"
            else:
                own.append((words.keyset.param if words.keyset else words.param, step.token))
        if words is not None and words.limit is not None and (step.size or not step.url):
            own.append((words.limit.param, str(step.size or words.limit.size)))
        return request.build(self._options, own, words.into if words else "query", link=step.url, below=below)

    def smaller(self, step: Step) -> Step | None:
        """The same records asked for with half the page size; None when that cannot be."""
        words = self._words
        if words is None or words.limit is None:
            return None
        size = step.size or words.limit.size
        if size % 2 and words.page:  # page numbers would not meet
            return None
        if size == 1:
            return None
        at = step.at
        if words.page and at is not None:
            at = words.first + (at - words.first) * 2
        return replace(step, size=size // 2, at=at)

    def after(self, step: Step, found: Found, response: HttpResponse, *, declared: bool = False) -> Step | None:
        """The next page to ask for; None at the end of the window.

        Args:
            declared: one of the feed's `errors` made this page the last: what the answers said of a total is not judged.

        Raises:
            WrongPage: what paging needs is absent or wrong, or pages go in circles.
            OtherCount: the window ended, and the answers say that it has more, or less.
        """
        words = self._words
        if words is None:
            if self._options.page_size is not None and found.count >= self._options.page_size:
                raise WrongPage(
                    f"the answer is full ({found.count:,} records, `page_size: {self._options.page_size}`): there may be more, "
                    "and no `paginate` says how to ask for them"
                )
            return None
        following = self._next(step, found, response)
        if following is None:
            if not declared:
                self._compare(step.seen + found.count, self._due(found))
        elif following.page > words.max_pages:
            raise WrongPage(f"the window has more than {words.max_pages:,} pages (`paginate.max_pages`)")
        elif "seen" in words.stop_when and stopping.reached(found.of_last(self._record_path(words.seen)), self._start):
            return None  # older than what was read before: not incomplete, whatever the total says
        self._due(found)
        return following

    def _due(self, found: Found) -> int | None:
        """The total as it is known by now. A page without records beyond the last one often says 0, or nothing."""
        total = self.total(found)
        if found.count == 0:
            return total or self._told
        self._told = total
        return total

    def _compare(self, arrived: int, total: int | None) -> None:
        """Where pages overlap, more than there are may come.

        Raises:
            OtherCount
        """
        if total is None or arrived == total or (arrived > total and self.overlaps):
            return
        if arrived < total:
            raise OtherCount(f"the window ended after {arrived:,} of {total:,} records", total, arrived)
        raise OtherCount(f"{arrived:,} records came, and the answer says that there are {total:,}", total, arrived)

    def _next(self, step: Step, found: Found, response: HttpResponse) -> Step | None:
        words = self._words
        assert words is not None
        if words.more and not stopping.is_true(found.values.get(parse_path(words.more), UNSET)):
            return None
        if "empty_page" in words.stop_when and found.count == 0:
            return None
        if "short_page" in words.stop_when and words.limit is not None and found.count < (step.size or words.limit.size):
            return None
        if words.next or words.link:
            return self._link(step, found, response)
        if words.cursor or words.header:
            return self._token(step, found, response)
        return self._behind(step, found) if words.keyset else self._counted(step, found)

    def total(self, found: Found) -> int | None:
        """The number of records that the source says the window has."""
        return _number(found, self._words.total) if self._words else None

    def _link(self, step: Step, found: Found, response: HttpResponse) -> Step | None:
        words = self._words
        assert words is not None
        link: Any
        if words.link:
            link = linked(response.headers.get("link", ""), words.link)
        else:
            link = found.values.get(parse_path(words.next), UNSET)
        if link is UNSET or link is None or link == "" or link is False:
            return None
        if not isinstance(link, str):
            raise WrongPage(f"`paginate.next: {words.next}` is no text")
        url = resolve(response.location, link)
        if words.next_link == "rewrite_to_base" and not url.startswith(_server(response.location)):
            url = at_home(url, self._options.url)
        self._visited.add(_hash(response.location.encode()))
        if _hash(url.encode()) in self._visited:
            raise WrongPage("the next-link leads to a page that was read before")
        return Step(step.page + 1, step.seen + found.count, None, url, size=step.size)

    def _token(self, step: Step, found: Found, response: HttpResponse) -> Step | None:
        words = self._words
        assert words is not None
        value: Any
        if words.cursor:
            value = found.values.get(parse_path(words.cursor), UNSET)
        else:
            value = response.headers.get(words.header.lower(), UNSET)
        if value is UNSET or value is None or value is False or value == "":
            return None
        if isinstance(value, (dict, list)):
            raise WrongPage(f"`paginate.cursor: {words.cursor}` is no text or number")
        token = str(value)
        if token in words.end:
            return None
        self._visited.add(_hash(step.token.encode()))
        if _hash(token.encode()) in self._visited:
            raise WrongPage("the token leads to a page that was read before")
        return Step(step.page + 1, step.seen + found.count, None, "", token, step.size)

    def _record_path(self, text: str) -> Path:
        return (text,) if self._flat else parse_path(text)

    def _behind(self, step: Step, found: Found) -> Step | None:
        """From the last record on. A bound that includes that record gives it again: the window ends when nothing else comes."""
        words = self._words
        assert words is not None
        assert words.keyset is not None
        if found.count == 0:
            return None
        value = found.of_last(self._record_path(words.keyset.from_))
        if value is UNSET or value is None or value == "" or isinstance(value, (dict, list, bool)):
            raise WrongPage(f"`paginate.keyset.from: {words.keyset.from_}` is absent from the page's last record, or is no key")
        token = str(value)
        if token == step.token:
            if words.limit is not None and found.count >= (step.size or words.limit.size):
                raise WrongPage(f"a whole page of {found.count:,} records has the key it was asked from; what follows cannot be reached")
            return None
        self._visited.add(_hash(step.token.encode()))
        if _hash(token.encode()) in self._visited:
            raise WrongPage("the last record's key leads back to a page that was read before")
        return Step(step.page + 1, step.seen + found.count, None, "", token, step.size)

    def _counted(self, step: Step, found: Found) -> Step | None:
        words = self._words
        assert words is not None
        assert step.at is not None
        seen = step.seen + found.count
        pages, total = _number(found, words.pages), self.total(found)
        number = step.at - words.first + 1
        if found.count == 0:
            if pages is not None and number < pages:
                raise OtherCount(f"page {number} of {pages} is empty", pages, number - 1, "pages")
            return None
        if (pages is not None and number >= pages) or (pages is None and total is not None and seen >= total):
            return None
        return Step(step.page + 1, seen, step.at + (1 if words.page else found.count), size=step.size)

    def known(self, step: Step, found: Found) -> Iterator[Step]:
        """``step`` and those behind it, as far as the page before it says how many records or pages there are, when all are as
        long as that one; nothing when it does not say, or when the records themselves decide where the window ends."""
        words = self._words
        if words is None or step.at is None or "seen" in words.stop_when:
            return
        pages, total = _number(found, words.pages), self.total(found)
        while step.at is not None and step.page <= words.max_pages:
            number = step.at - words.first + 1
            if (number > pages) if pages is not None else (total is None or step.seen >= total):
                return
            yield step
            step = replace(step, page=step.page + 1, seen=step.seen + found.count, at=step.at + (1 if words.page else found.count))


def _server(url: str) -> str:
    """The beginning of a URL that names its server."""
    return url[: url.find("/", 8) + 1] or url


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
