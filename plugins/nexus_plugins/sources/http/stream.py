"""One answer of any size, read in pieces. Each piece is a payload with a position of its own inside the body.

A large body of lines is read while it comes, any other one from a file that holds all of it. A position is the number of pieces that
are safe, their bytes and the XXH3 of them (a sixth of the time of SHA-256, over every body; what has changed between two runs is no
forgery): after a restart, or when the body broke off, it is asked for again, and when it begins as it did, what follows is read; else
the window starts again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import xxhash

from nexus_engine.contract.format import Piece
from nexus_engine.contract.host import HttpResponse
from nexus_engine.contract.source import Payload, ReadRequest
from nexus_plugins.sources.http.body import misfits
from nexus_plugins.sources.http.levels import WrongShape

CHANGED: Final = (
    "the body no longer begins with what had landed, so all of it is read again: with a `key` rows that are in the table already are "
    "not written again, without one they are there twice"
)


class Changed(Exception):
    """The body does not begin as it did."""


def payloads(request: ReadRequest, response: HttpResponse, ending: Payload, *, begin: bool) -> Iterator[Payload]:
    """The payloads behind the request's position, or all of them (``begin``); ``ending`` is the last one, without its records. Each is
    held back until it is known whether it is the last.

    Raises:
        Changed: nothing was given; the body has to be read again from its beginning.
        Cut: the body turns out to be damaged.
        WrongShape: the body, or a part of it, is not of the feed's format.
    """
    assert response.file is not None
    position = {} if begin else request.position or {}
    safe = int(position.get("piece", 0))
    held: Payload | None = None
    number = 0
    for at, piece in _pieces(request, response):
        number = at["piece"]
        if number == safe and at != position:
            raise Changed
        if number <= safe:
            continue
        if held is not None:
            yield held
            if request.host.stopping():
                return
        held = Payload(piece.text, at, page=number, url=response.url, line=piece.line, records=piece.records)
    if number < safe:
        raise Changed
    if held is None:
        yield ending
    else:
        yield replace(ending, body=held.body, page=held.page, line=held.line, records=held.records)


def _pieces(request: ReadRequest, response: HttpResponse) -> Iterator[tuple[dict[str, Any], Piece]]:
    """Each piece with the position behind it."""
    size, digest = 0, xxhash.xxh3_128()
    try:
        with misfits():
            for number, piece in enumerate(request.host.stream(response, want=request.want), 1):
                came = piece.came or piece.text
                size += len(came)
                digest.update(came)
                yield {"piece": number, "bytes": size, "xxh3": digest.hexdigest()}, piece
    except LookupError as error:
        if "absent" not in request.records.empty:
            raise WrongShape(str(error.args[0] if error.args else error)) from None
