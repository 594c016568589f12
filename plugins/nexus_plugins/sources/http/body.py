"""What the first look at a body says, whatever its format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nexus_engine.contract.format import Cut
from nexus_engine.contract.host import HttpResponse
from nexus_plugins.sources.http.levels import WrongShape

_SHOWN: Final = 1000
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")


@contextmanager
def misfits() -> Iterator[None]:
    """Raises:
    Cut: the body is not whole.
    WrongShape: it is not of the feed's format.
    """
    try:
        yield
    except Cut:
        raise
    except ValueError as error:
        raise WrongShape(str(error)) from None


def last_byte(response: HttpResponse) -> bytes:
    """Empty where the body is."""
    if response.file is None:
        return response.body[-1:]
    response.file.seek(max(0, response.size - 1))
    last = response.file.read(1)
    response.file.seek(0)
    return last


def refuse_html(body: bytes) -> None:
    """Raises:
    WrongShape: it is a page for people.
    """
    if body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise WrongShape("HTML came where data was due")


def shown(body: bytes) -> str:
    """How a body begins, for messages; "" where that is no text."""
    start = body[:_SHOWN]
    text = start.decode("utf-8", "replace")
    packed = start.startswith(b"PK\x03\x04") or ("\ufffd" in text and _CONTROL.search(start))
    return "" if packed else text
