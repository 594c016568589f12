"""The contract of an auth method: it adds credentials to a request, and says which of its parts are secret."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from nexus_engine.contract.host import Http, HttpRequest
from nexus_engine.contract.options import Options


class Auth(Protocol):
    """One instance per API and credential, shared by feeds and threads."""

    options: ClassVar[type[Options]]

    def __init__(self, options: Any) -> None: ...

    def apply(self, request: HttpRequest, http: Http) -> HttpRequest:
        """The request with credentials. ``http`` sends token requests (it applies no auth itself)."""
        ...

    def refresh(self, http: Http) -> bool:
        """Called once after a 401. True when new credentials are there and the request may be sent again."""
        ...
