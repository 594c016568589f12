"""Values that nobody wrote (a table's, a listing's) in the address of a request: each is one part of it, and chooses no host.

A value in a path or query is percent-encoded there, so that it can neither end its segment nor begin a query. Where values make up
the host, only hosts that the spec itself names are asked: the API's own, and those of `hosts:`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from nexus_engine.compile.plan import SourcePlan
from nexus_engine.errors import StopFeed
from nexus_engine.spec.templates import Scope, TemplateError, render_options

WHOLE: Final = ("endpoint", "base_url", "url")  # options that hold a whole address
ADDRESS: Final = (*WHOLE, "path")
_SAFE: Final = "-._~:,"


def addressed(source: SourcePlan, scope: Scope) -> Mapping[str, Any]:
    """The source's options, those that hold an address filled in where values have a say in it; the others as they are.

    Raises:
        StopFeed: a value would choose a host that the spec does not name, or leave its place in the path.
    """
    try:
        return _addressed(source, scope) if source.from_data else source.options
    except TemplateError:
        return source.options  # told by whoever fills in the others


def _addressed(source: SourcePlan, scope: Scope) -> Mapping[str, Any]:
    each = scope["each"]
    data = {name: each[name] for name in source.from_data if each.get(name) is not None}
    encoded = {**scope, "each": {**each, **{name: quote(str(value), safe=_SAFE) for name, value in data.items()}}}
    changed: dict[str, Any] = {}
    for key in ADDRESS:
        text = source.options.get(key)
        if isinstance(text, str) and "{{" in text:
            whole = key in WHOLE and text.lstrip().startswith("{{")  # the value brings the scheme itself
            changed[key] = render_options(text, scope if whole else encoded)
            _keep_in_place(changed[key], data)
            if key in WHOLE:
                _keep_host(source, text, changed[key], scope)
    return {**source.options, **changed}


def _keep_in_place(address: str, data: Mapping[str, str]) -> None:
    """A value that is `.` or `..` would climb."""
    if any(value in (".", "..") for value in data.values()) and {".", ".."} & set(urlsplit(address).path.split("/")):
        raise StopFeed(
            f"a value of `each` is {next(value for value in data.values() if value in ('.', '..'))!r} and stands alone in the path",
            where=address, did="the request was not sent; the position is kept", do="look at the listing or the table that it came from",
        )


def _keep_host(source: SourcePlan, text: str, address: str, scope: Scope) -> None:
    """The host is one that the spec names, when a value had a say in it."""
    host, blank = _origin(address), {**scope["each"], **dict.fromkeys(source.from_data, "nexus-value")}
    if host == _origin(render_options(text, {**scope, "each": blank})):
        return
    named = source.options.get("hosts") or ()
    own = source.options.get("base_url", "")
    allowed = {str(name).lower() for name in ([named] if isinstance(named, str) else named)}
    allowed |= {_origin(name) for name in allowed if "://" in name} | ({_origin(own)} if own and "{{" not in own else set())
    if host not in allowed and (urlsplit(address).hostname or "") not in allowed:
        raise StopFeed(
            f"a value of `each` leads to the host {urlsplit(address).netloc[:200]!r}, which the spec does not name", where=address,
            did="the request was not sent; the position is kept", do="if the host is right, name it under `hosts:` of the source",
        )


def _origin(address: str) -> str:
    """``scheme://host:port``, lower case; the text itself when it is no address."""
    try:
        parts = urlsplit(address)
        return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{parts.port or {'http': 80, 'https': 443}.get(parts.scheme, 0)}"
    except ValueError:
        return address
