"""Credentials that do not change: a key in a header, the query or a cookie, a bearer token, user and password."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from nexus_engine.contract.auth import AuthHttp
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.options import Options


class BasicOptions(Options, frozen=True):
    """`auth: {basic: {username: ..., password: ...}}`"""

    username: Annotated[str, Meta(description="user name; some APIs take the key here")]
    password: Annotated[str, Meta(description="password; may be empty")] = ""


class _Static:
    """Nothing can be renewed."""

    def refresh(self, http: AuthHttp) -> bool:
        return False


class HeaderAuth(_Static):
    """`auth: {header: {X-Api-Key: ...}}`"""

    options: ClassVar[Any] = dict[str, str]

    def __init__(self, options: dict[str, str]) -> None:
        self._pairs = tuple(options.items())

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        return request.with_headers(*self._pairs)


class QueryAuth(_Static):
    """`auth: {query: {api_key: ...}}`"""

    options: ClassVar[Any] = dict[str, str]

    def __init__(self, options: dict[str, str]) -> None:
        self._pairs = tuple(options.items())

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        return request.with_params(*self._pairs)


class CookieAuth(_Static):
    """`auth: {cookie: {session: ...}}`"""

    options: ClassVar[Any] = dict[str, str]

    def __init__(self, options: dict[str, str]) -> None:
        self._pairs = options

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        return request.with_cookies(self._pairs)


class BearerAuth(_Static):
    """`auth: {bearer: ...}`"""

    options: ClassVar[Any] = str

    def __init__(self, options: str) -> None:
        self._value = f"Bearer {options}"

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        return request.with_headers(("Authorization", self._value))


class BasicAuth(_Static):
    """`auth: {basic: {username: ..., password: ...}}`"""

    options: ClassVar[type[BasicOptions]] = BasicOptions

    def __init__(self, options: BasicOptions) -> None:
        text = f"{options.username}:{options.password}".encode()
        self._value = f"Basic {base64.b64encode(text).decode()}"

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        return request.with_headers(("Authorization", self._value))
