"""Asking only for what has changed: validators and a hash of the last answer, per request. No I/O but reading a body's file.

What is remembered of an answer is the position's memo: it moves in the transaction that makes the answer's rows safe, so
"not modified" never speaks of rows that were lost. Of each partition the last :data:`KEPT` requests are remembered, each window
being a request of its own.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from nexus_engine.contract.host import HttpRequest, HttpResponse, SourceHttp
from nexus_engine.contract.options import JSON

KEPT: Final = 32
NOT_MODIFIED: Final = 304
_LONGEST: Final = 1000  # characters of a validator; a longer one is not worth keeping


class Condition:
    """The condition of one request.

    Args:
        memo: what the last reading left.
        fresh: the window begins; inside of one the rest of the answer is needed, changed or not.
    """

    def __init__(self, http: SourceHttp, request: HttpRequest, memo: JSON, *, fresh: bool) -> None:
        self._http = http
        self._key = _hash(http, request)
        self._others = [item for item in _entries(memo) if item["request"] != self._key]
        known = next((item for item in _entries(memo) if item["request"] == self._key), None)
        self._known: dict[str, str] | None = known
        self._told = known if fresh else None
        self._hashed: tuple[HttpResponse, str] | None = None
        self.request = self._conditional(request)

    def _conditional(self, request: HttpRequest) -> HttpRequest:
        """With what the last answer said of itself. A server need not look at it for anything but a GET."""
        names = {"etag": "if-none-match", "modified": "if-modified-since"}
        if self._told is None or request.method != "GET":
            return request
        return request.with_headers(*((header, self._http.unseal(self._told[name])) for name, header in names.items() if name in self._told))

    def holds(self, response: HttpResponse) -> bool:
        """Whether the answer is the one that was read last.

        Raises:
            ValueError: it says so, and nothing was read last.
        """
        if response.status == NOT_MODIFIED:
            if self._told is None or not {"etag", "modified"} & set(self._told):
                raise ValueError("the answer is HTTP 304 (not modified) to a request without a condition")
            return True
        return 200 <= response.status < 300 and self._told is not None and self._told["body"] == self._body(response)

    def memo(self, response: HttpResponse, *, ruled: bool) -> JSON:
        """What the next reading is to be told. ``ruled``: one of the feed's `errors` decided, so the answer is not that of the
        last records."""
        if ruled:
            return self._others if self._known is None else [*self._others, self._known]
        entry = dict(self._known or {}) if response.status == NOT_MODIFIED else {"request": self._key, "body": self._body(response)}
        for name, header in (("etag", "etag"), ("modified", "last-modified")):
            value = response.headers.get(header, "")
            if value and len(value) <= _LONGEST:
                entry[name] = self._http.seal(value)
        return [*self._others, entry][-KEPT:]

    def _body(self, response: HttpResponse) -> str:
        if self._hashed is None or self._hashed[0] is not response:
            self._hashed = response, _body_hash(response)
        return self._hashed[1]


def _entries(memo: JSON) -> list[dict[str, str]]:
    found: Any = memo or []
    return list(found)


def _hash(http: SourceHttp, request: HttpRequest) -> str:
    """Of everything that is asked; a new secret is the same request."""
    asked = [request.method, request.url, request.params, request.headers, (request.body or b"").decode("utf-8", "replace")]
    return hashlib.blake2b(http.seal(msgspec.json.encode(asked).decode()).encode(), digest_size=16).hexdigest()


def _body_hash(response: HttpResponse) -> str:
    digest = hashlib.blake2b(digest_size=16)
    if response.file is None:
        digest.update(response.body)
        return digest.hexdigest()
    response.file.seek(0)
    while block := response.file.read(1 << 20):
        digest.update(block)
    response.file.seek(0)
    return digest.hexdigest()
