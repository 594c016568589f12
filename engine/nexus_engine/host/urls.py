"""URLs: building, origins, next-links, and the map that puts another server in the place of an API's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote_plus, urljoin, urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}
_QUERY_SAFE = "-._~:,/"


def origin(url: str) -> str:
    """``scheme://host:port`` in lower case, the port always written.

    Raises:
        ValueError: not an http(s) URL with a host.
    """
    end = min((at for at in (url.find(sign, 8) for sign in "/?#") if at > 0), default=len(url))
    return _origin(url[:end])


@lru_cache(maxsize=1024)
def _origin(url: str) -> str:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https URL")
    return f"{scheme}://{parts.hostname.rstrip('.')}:{parts.port or _PORTS[scheme]}"


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe=_QUERY_SAFE)}={quote(value, safe=_QUERY_SAFE)}" for name, value in pairs)


def query_pairs(query: str) -> list[tuple[str, str, str]]:
    """(name, value, text as written) of each part of a query."""
    found = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((unquote_plus(name), unquote_plus(value), part))
    return found


def with_params(url: str, params: Iterable[tuple[str, str]]) -> str:
    """``url`` with ``params``, which replace those of the same name in its query; the rest stays as written."""
    params = tuple(params)
    parts = urlsplit(url)
    query = parts.query
    if params:
        names = {name for name, _ in params}
        kept = [text for name, _, text in query_pairs(query) if name not in names]
        query = "&".join([*kept, encode_query(params)])
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))


def resolve(base: str, link: str) -> str:
    """A link of an answer as a whole URL. ``&page=2`` and ``?page=2`` without a path change the query of ``base``
    (fiscaldata sends such); anything else resolves as a browser would."""
    if link.startswith("&"):
        return with_params(base, [(name, value) for name, value, _ in query_pairs(link)])
    return urljoin(base, link)


def at_home(link: str, base: str) -> str:
    """The path and query of a link on the origin of ``base``.

    >>> at_home("http://10.0.0.7:8080/v1/rows?page=2", "https://api.example.com/v1/rows")
    'https://api.example.com/v1/rows?page=2'
    """
    there, here = urlsplit(link), urlsplit(base)
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))


@dataclass(frozen=True)
class BaseUrls:
    """Which server answers in the place of an API's.

    Args:
        prefixes: URL prefix of the API -> URL prefix of the server.
        everything: a server that answers for every origin (replay). Then the request keeps the API's Host header.
    """

    prefixes: Mapping[str, str] = field(default_factory=dict)
    everything: str = ""

    def target(self, url: str) -> str:
        """The URL to connect to; ``url`` itself where nothing is mapped."""
        if self.everything:
            parts = urlsplit(url)
            return self.everything.rstrip("/") + urlunsplit(("", "", parts.path or "/", parts.query, ""))
        prefix = self.prefix(url)
        return url if prefix is None else self.prefixes[prefix].rstrip("/") + url[len(prefix.rstrip("/")) :]

    def prefix(self, url: str) -> str | None:
        """The one of the prefixes that is the beginning of the URL; None where nothing is mapped."""
        return next((prefix for prefix in self.prefixes if _below(url, prefix) is not None), None)

    def logical(self, url: str) -> str:
        """The API's own URL for one that a mapped server gave (a redirect to itself, a next-link)."""
        for prefix, place in self.prefixes.items():
            if (rest := _below(url, place)) is not None:
                return prefix.rstrip("/") + rest
        return url


def _below(url: str, prefix: str) -> str | None:
    prefix = prefix.rstrip("/")
    rest = url[len(prefix) :]
    return rest if url.startswith(prefix) and (not rest or rest[0] in "/?") else None
