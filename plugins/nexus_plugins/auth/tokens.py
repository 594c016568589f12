"""Credentials that are asked for: a token by OAuth2, or what a login answers. One token per API and credential, shared by its
feeds; a new one is fetched shortly before the old one expires, and once after a 401."""

from __future__ import annotations

import base64
import hashlib
import threading
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import UNSET, Meta

from nexus_engine.contract.auth import AuthHttp
from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.contract.options import Duration, Options, Url
from nexus_engine.contract.records import lookup, parse_path
from nexus_engine.errors import BudgetSpent, RetryLater, StopFeed

_EARLY_S: Final = 60.0  # a token is renewed so long before it expires, or a tenth of its life
_KEPT: Final = "nothing was asked; the position is kept"
_FORM: Final = ("content-type", "application/x-www-form-urlencoded")
_ABSENT: Final = frozenset({404, 405, 410})
_REFUSALS: Final = frozenset({400, 401, 403, 422}) | _ABSENT  # answers that say something of the address or the credentials

Grant = Literal["client_credentials", "refresh_token", "password"]
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "client_credentials": ("client_id",),
    "refresh_token": ("refresh_token",),
    "password": ("username", "password"),
}


class OAuth2Options(Options, frozen=True):
    """`auth: {oauth2: {token_url: ..., grant: ..., client_id: ..., client_secret: ...}}`"""

    token_url: Annotated[Url, Meta(description="URL that gives tokens")]
    grant: Annotated[Grant, Meta(description="what is shown for a token")] = "client_credentials"
    client_id: Annotated[str, Meta(description="the application's id")] = ""
    client_secret: Annotated[str, Meta(description="the application's secret")] = ""
    refresh_token: Annotated[
        str, Meta(description="with `grant: refresh_token`: the first one; where the server replaces it, the new one is kept in `data/`")
    ] = ""
    username: Annotated[str, Meta(description="with `grant: password`")] = ""
    password: Annotated[str, Meta(description="with `grant: password`")] = ""
    scope: Annotated[str, Meta(description="scopes, parted by spaces")] = ""
    params: Annotated[dict[str, str], Meta(description="further fields of the token request, like `audience`")] = {}
    headers: Annotated[dict[str, str], Meta(description="headers of the token request")] = {}
    client: Annotated[Literal["basic", "body"], Meta(description="where id and secret stand: an `Authorization` header, or the body")] = "basic"
    token: Annotated[str, Meta(description="path of the token in the answer")] = "access_token"  # noqa: S105  a name
    header: Annotated[str, Meta(description="request header that takes the token")] = "Authorization"
    prefix: Annotated[str, Meta(description="what stands before the token in it")] = "Bearer"

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        grant = options.get("grant", "client_credentials")
        for name in _NEEDS.get(str(grant), ()):
            if not options.get(name):
                yield name, f"`grant: {grant}` needs `{name}`"
        yield from _no_path(options)

    def __post_init__(self) -> None:
        for _, message in _no_path({"token": self.token}):
            raise ValueError(message)


class LoginOptions(Options, frozen=True):
    """`auth: {login: {url: ..., json: {...}, token: data.token}}`"""

    url: Annotated[Url, Meta(description="URL of the login")]
    method: Annotated[Literal["POST", "GET"], Meta(description="HTTP method")] = "POST"
    json: Annotated[dict[str, Any] | None, Meta(description="JSON body")] = None
    form: Annotated[dict[str, str], Meta(description="form body")] = {}
    headers: Annotated[dict[str, str], Meta(description="headers of the login")] = {}
    token: Annotated[str, Meta(description="path of the token in the answer")] = ""
    cookies: Annotated[tuple[str, ...], Meta(description="or: names of the cookies that the answer sets")] = ()
    header: Annotated[str, Meta(description="request header that takes the token")] = "Authorization"
    prefix: Annotated[str, Meta(description="what stands before the token in it")] = "Bearer"
    lasts: Annotated[Duration | None, Meta(description="how long it is good for; until a 401 unless given")] = None

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if bool(options.get("token")) == bool(options.get("cookies")):
            yield "", "needs exactly one of `token` and `cookies`"
        if options.get("json") and options.get("form"):
            yield "form", "`json` and `form` are two bodies"
        yield from _no_path(options)

    def __post_init__(self) -> None:
        for _, message in _no_path({"token": self.token}):
            raise ValueError(message)


def _no_path(options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The problem of a `token` that is no path."""
    text = options.get("token")
    if isinstance(text, str) and "{{" not in text:
        try:
            parse_path(text)
        except ValueError as error:
            yield "token", str(error)


@dataclass(frozen=True)
class Token:
    """``parts``: one token, or the cookies by name. ``until``: seconds since 1970 from which it is renewed; None: until a 401."""

    parts: Mapping[str, str]
    until: float | None = None


class _Renewed:
    """A token that is fetched when it is needed. Thread-safe: one thread fetches, the others wait for it."""

    def __init__(self) -> None:
        self._token: Token | None = None
        self._lock = threading.Lock()
        self._used = threading.local()

    @abstractmethod
    def _fetch(self, http: AuthHttp) -> Token:
        """Ask for a new token, hidden already."""

    @abstractmethod
    def _signed(self, request: HttpRequest, parts: Mapping[str, str]) -> HttpRequest:
        """The request with the token."""

    def apply(self, request: HttpRequest, http: AuthHttp) -> HttpRequest:
        if http.replaying:
            return request
        with self._lock:
            token = self._token
            if token is None or (token.until is not None and http.now() >= token.until):
                token = self._token = self._fetch(http)
        self._used.token = token
        return self._signed(request, token.parts)

    def refresh(self, http: AuthHttp) -> bool:
        with self._lock:
            if self._token is not None and self._token is getattr(self._used, "token", None):
                self._token = self._fetch(http)
        return True  # another thread's newer token is as good


class OAuth2Auth(_Renewed):
    """`auth: {oauth2: {token_url: ..., client_id: ..., client_secret: ...}}`"""

    options: ClassVar[type[OAuth2Options]] = OAuth2Options

    def __init__(self, options: OAuth2Options) -> None:
        super().__init__()
        self._options = options

    def _signed(self, request: HttpRequest, parts: Mapping[str, str]) -> HttpRequest:
        words = self._options
        return request.with_headers((words.header, f"{words.prefix} {parts['token']}".strip()))

    def _fetch(self, http: AuthHttp) -> Token:
        if self._options.grant != "refresh_token":
            return self._granted(self._asked(http, self._options.refresh_token), http)
        first = self._options.refresh_token
        with http.kept(self._name(first)) as kept:
            shown = kept.read() or first
            http.hide(shown, f"{self._place} refresh token")
            answer = self._asked(http, shown)
            replaced = answer.get("refresh_token")
            if isinstance(replaced, str) and replaced and replaced != shown:
                http.hide(replaced, f"{self._place} refresh token")
                kept.write(replaced)  # before the token is used: the old one may be void already
        return self._granted(answer, http)

    @property
    def _place(self) -> str:
        return urlsplit(self._options.token_url).hostname or "oauth2"

    def _name(self, first: str) -> str:
        """A new refresh token in the secrets begins anew."""
        data = msgspec.json.encode([self._options.token_url, self._options.client_id, first])
        return f"oauth2:{self._place}:{hashlib.blake2b(data, digest_size=12).hexdigest()}"

    def _asked(self, http: AuthHttp, refresh_token: str) -> dict[str, Any]:
        words = self._options
        fields = {"grant_type": words.grant, **words.params}
        if words.scope:
            fields["scope"] = words.scope
        if words.grant == "refresh_token":
            fields["refresh_token"] = refresh_token
        if words.grant == "password":
            fields |= {"username": words.username, "password": words.password}
        headers = tuple(words.headers.items())
        if words.client == "basic" and words.client_id:
            pair = base64.b64encode(f"{words.client_id}:{words.client_secret}".encode()).decode()
            headers = (*headers, ("Authorization", f"Basic {pair}"))
        elif words.client_id:
            fields["client_id"] = words.client_id
            if words.client_secret:
                fields["client_secret"] = words.client_secret
        headers = (_FORM, ("accept", "application/json"), *headers)
        request = HttpRequest("POST", words.token_url, (), headers, _form(fields))
        return _answered(http, request, "the token request")

    def _granted(self, answer: dict[str, Any], http: AuthHttp) -> Token:
        text = _found(answer, self._options.token, self._options.token_url, http)
        http.hide(text, f"{self._place} token")
        return Token({"token": text}, _until(answer.get("expires_in"), http))


class LoginAuth(_Renewed):
    """`auth: {login: {url: ..., json: {...}, token: data.token}}`"""

    options: ClassVar[type[LoginOptions]] = LoginOptions

    def __init__(self, options: LoginOptions) -> None:
        super().__init__()
        self._options = options

    def _signed(self, request: HttpRequest, parts: Mapping[str, str]) -> HttpRequest:
        words = self._options
        if words.cookies:
            return request.with_cookies(parts)
        return request.with_headers((words.header, f"{words.prefix} {parts['token']}".strip()))

    def _fetch(self, http: AuthHttp) -> Token:
        words, headers = self._options, tuple(self._options.headers.items())
        body = None
        if words.json is not None:
            body, headers = msgspec.json.encode(words.json), (("content-type", "application/json"), *headers)
        elif words.form:
            body, headers = _form(words.form), (_FORM, *headers)
        request = HttpRequest(words.method, words.url, (), headers, body)
        if words.cookies:
            parts = _cookies(_sent(http, request, "the login"), words.cookies, words.url, http)
        else:
            parts = {"token": _found(_answered(http, request, "the login"), words.token, words.url, http)}
        for name, text in parts.items():
            http.hide(text, f"{urlsplit(words.url).hostname} {name}")
        return Token(parts, _until(float(words.lasts) if words.lasts is not None else None, http))


def _form(fields: Mapping[str, str]) -> bytes:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fields.items()).encode()


def _until(lasts: Any, http: AuthHttp) -> float | None:
    """When a token that is good for so many seconds (a number, or its text) is renewed."""
    try:
        seconds = float(lasts)
    except (TypeError, ValueError):
        return None
    return http.now() + seconds - min(_EARLY_S, seconds / 10) if seconds > 0 else None


def _sent(http: AuthHttp, request: HttpRequest, what: str) -> HttpResponse:
    """The answer to a token request.

    Raises:
        BudgetSpent: the quota of the API does not allow it now: it costs what a request costs.
        StopFeed: the server refuses, or nothing can be sent.
        RetryLater: it does not answer.
    """
    try:
        response = http.send(request, accept=_REFUSALS)
    except RetryLater as error:
        raise RetryLater(f"{what} failed: {error.what}", after_s=error.after_s, where=error.where, did=_KEPT, do=error.do) from None
    except BudgetSpent as error:
        raise BudgetSpent(f"{what}: {error.what}", renews_at=error.renews_at, where=error.where, did=_KEPT, do=error.do) from None
    except StopFeed as error:  # no answer: the credentials may be right
        raise StopFeed(f"{what}: {error.what}", where=error.where, did=_KEPT, do=error.do) from None
    if response.status in _REFUSALS:
        raise _refused(http, response, what)
    return response


def _refused(http: AuthHttp, response: HttpResponse, what: str) -> StopFeed:
    text = http.redact(response.body[:4000].decode("utf-8", "replace"))[:200]
    shown = f"; the body begins: {text!r}" if text else ""
    do = "check the credentials under `auth`"
    if response.status in _ABSENT:
        do = "there is no such address: check the URL" + (" and the method" if response.status == 405 else "") + " under `auth`"
    return StopFeed(f"{what} failed: the answer is HTTP {response.status}{shown}", where=response.url, did=_KEPT, do=do)


def _answered(http: AuthHttp, request: HttpRequest, what: str) -> dict[str, Any]:
    response = _sent(http, request, what)
    try:
        return msgspec.json.decode(response.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise StopFeed(f"{what} was not answered with a JSON object", where=response.url, did=_KEPT, do="check its URL under `auth`") from None


def _found(answer: dict[str, Any], path: str, url: str, http: AuthHttp) -> str:
    """The token in an answer. Of one without a token only the words for an error are shown: the rest may be secret."""
    value = lookup(answer, parse_path(path))
    if isinstance(value, str) and value:
        return value
    told = [str(answer[name]) for name in ("error", "error_description", "message") if isinstance(answer.get(name), (str, int))]
    what = ": ".join(["the answer holds no token", *told]) if value is UNSET else "the answer's token is no text"
    raise StopFeed(http.redact(f"{what} (`{path}`)")[:500], where=http.redact(url), did=_KEPT, do="check the credentials under `auth`")


def _cookies(response: HttpResponse, names: tuple[str, ...], url: str, http: AuthHttp) -> dict[str, str]:
    """The named cookies that an answer sets; several headers stand in one, parted by commas."""
    parts: dict[str, str] = {}
    for piece in response.headers.get("set-cookie", "").split(","):
        name, equals, value = piece.strip().partition(";")[0].partition("=")
        if equals and name in names and value:
            parts[name] = value
    missing = [name for name in names if name not in parts]
    if missing:
        raise StopFeed(
            f"the login set no cookie {missing[0]!r}", where=http.redact(url), did=_KEPT, do="check the credentials under `auth`",
        )
    return parts
