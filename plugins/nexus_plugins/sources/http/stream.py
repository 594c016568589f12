"""One answer of any size, read in pieces. Each piece is a payload with a position of its own inside the body.

The whole body is in a file before its first piece is read. A position is the number of pieces that are safe and a digest of them: after
a restart the body is asked for again, and when it begins as it did, what follows is read; else the window starts again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from nexus_engine.contract.format import Piece
from nexus_engine.contract.host import HttpResponse
from nexus_engine.contract.source import Payload, ReadRequest
from nexus_plugins.sources.http.levels import WrongShape


def payloads(request: ReadRequest, response: HttpResponse, ending: Payload) -> Iterator[Payload]:
    """The payloads behind the request's position; ``ending`` is the last one, without its records.

    Raises:
        WrongShape: the body, or a part of it, is not of the feed's format.
    """
    assert response.file is not None
    position = request.position or {}
    safe = int(position.get("piece", 0))
    if safe and not _begins(request, response, safe, position.get("digest", "")):
        request.host.warn(
            "the body no longer begins with what had landed, so all of it is read again: with a `key` rows that are in the table already are "
            "not written again, without one they are there twice"
        )
        safe = 0
    response.file.seek(0)
    yield from _behind(request, response, safe, ending)


def _begins(request: ReadRequest, response: HttpResponse, safe: int, digest: str) -> bool:
    """Whether the first ``safe`` pieces are those of the position."""
    came = hashlib.sha256()
    for number, piece in _pieces(request, response):
        came.update(piece.came or piece.text)
        if number == safe:
            return came.hexdigest() == digest
    return False


def _behind(request: ReadRequest, response: HttpResponse, safe: int, ending: Payload) -> Iterator[Payload]:
    """Each payload is held back until it is known whether it is the last."""
    held: Payload | None = None
    came = hashlib.sha256()
    for number, piece in _pieces(request, response):
        came.update(piece.came or piece.text)
        if number <= safe:
            continue
        if held is not None:
            yield held
            if request.host.stopping():
                return
        held = Payload(piece.text, {"piece": number, "digest": came.hexdigest()}, page=number, url=response.url, line=piece.line, records=piece.records)
    if held is None:
        yield ending
    else:
        yield replace(ending, body=held.body, page=held.page, line=held.line, records=held.records)


def _pieces(request: ReadRequest, response: HttpResponse) -> Iterator[tuple[int, Piece]]:
    try:
        yield from enumerate(request.host.stream(response, want=request.want), 1)
    except LookupError as error:
        if "absent" not in request.records.empty:
            raise WrongShape(str(error.args[0] if error.args else error)) from None
    except ValueError as error:
        raise WrongShape(str(error)) from None
