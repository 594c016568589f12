"""The `Link` header of RFC 8288. No I/O."""

from __future__ import annotations

import re
from typing import Final

_LINK: Final = re.compile(r"\s*<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;,]*))?)*)\s*(?:,|$)")
_PARAMETER: Final = re.compile(r";\s*([^\s=;,]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,]*))")


def linked(header: str, relation: str) -> str | None:
    """The target of the first link with that relation; None when there is none.

    >>> linked('<https://a.example/?page=2>; rel="next", </?page=9>; rel=last', "next")
    'https://a.example/?page=2'
    """
    for target, parameters in _LINK.findall(header):
        for name, quoted, plain in _PARAMETER.findall(parameters):
            if name.lower() == "rel" and relation.lower() in (quoted or plain).lower().split():
                return str(target)
    return None
