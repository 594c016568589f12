"""The contract of an auth method: it adds credentials to a request, and may renew them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from nexus_engine.contract.host import Http, HttpRequest
from nexus_engine.contract.options import Options


class Kept(Protocol):
    """One text that outlives the process, held by nobody else meanwhile: a refresh token that the server replaced."""

    def read(self) -> str | None: ...

    def write(self, text: str) -> None:
        """Returns once the text is on disk."""
        ...


class AuthHttp(Http, Protocol):
    """What an auth method is given: HTTP that applies no auth itself and records nothing, and what tokens need besides."""

    @property
    def replaying(self) -> bool:
        """True when recorded answers stand in for the API: any credentials do, and none are to be fetched."""
        ...

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    def hide(self, secret: str, name: str) -> None:
        """Hide a secret that an answer gave, from now on and everywhere. Call it before anything else is done with it."""
        ...

    def kept(self, name: str) -> AbstractContextManager[Kept]:
        """The text kept under that name, for this holder alone until the end of the ``with``."""
        ...


class Auth(Protocol):
    """One instance per API and credential, shared by feeds and threads."""

    options: ClassVar[type[Options]]

    def __init__(self, options: Any) -> None: ...

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        """The request with credentials. ``http`` sends token requests.

        Raises:
            StopFeed, RetryLater: there are none to be had, now or at all.
        """
        ...

    def refresh(self, http: AuthHttp) -> bool:
        """Called once after a 401, in the thread that called ``apply``. True when new credentials are there and the request
        may be sent again."""
        ...
