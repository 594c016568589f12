"""What an answer says that its request cost, and what is left: in a header, or at a path of a JSON body."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from nexus_engine.contract.host import HttpResponse
from nexus_engine.contract.records import parse_path

_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:;|$)")


def told(response: HttpResponse, header: str, path: str) -> int | None:
    """Whole credits, a part of one counted whole; None when the answer says none, or nothing that is a number."""
    if header:
        return _whole(response.headers.get(header.lower(), ""))
    return _whole(_at(response.body, path)) if path and response.file is None else None


def _whole(text: str) -> int | None:
    found = _NUMBER.match(text)
    return -int(-float(found[1]) // 1) if found else None


def _at(body: bytes, path: str) -> str:
    """The text of a scalar in a JSON body, found without decoding what is beside the path; "" when it is not there."""
    value = Raw(body.removeprefix(b"\xef\xbb\xbf"))
    try:
        for step in parse_path(path):
            if isinstance(step, int):
                items = msgspec.json.decode(value, type=list[Raw])
                value = items[step] if step < len(items) else Raw(b"null")
            else:
                value = msgspec.json.decode(value, type=dict[str, Raw]).get(step, Raw(b"null"))
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return found if isinstance(found, str) else str(found)
