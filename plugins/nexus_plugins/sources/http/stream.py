"""One answer of any size, read in pieces. Each piece is a payload with a position of its own inside the body.

The whole body is in a file before its first piece is read. A position is the number of pieces that are safe, their bytes and the CRC-32 of
them (a third of the time of SHA-256, over every body; what has changed between two runs is no forgery): after a restart the body is
asked for again, and when it begins as it did, what follows is read; else the window starts again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

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
    if safe and not _begins(request, response, position):
        request.host.log("the body has changed since the last run; the window starts again")
        safe = 0
    response.file.seek(0)
    yield from _behind(request, response, safe, ending)


def _begins(request: ReadRequest, response: HttpResponse, position: Mapping[str, Any]) -> bool:
    """Whether the body begins with the pieces of the position."""
    return next((at == position for at, _ in _pieces(request, response) if at["piece"] == position["piece"]), False)


def _behind(request: ReadRequest, response: HttpResponse, safe: int, ending: Payload) -> Iterator[Payload]:
    """Each payload is held back until it is known whether it is the last."""
    held: Payload | None = None
    for at, piece in _pieces(request, response):
        if at["piece"] <= safe:
            continue
        if held is not None:
            yield held
            if request.host.stopping():
                return
        held = Payload(piece.text, at, page=at["piece"], url=response.url, line=piece.line, records=piece.records)
    if held is None:
        yield ending
    else:
        yield replace(ending, body=held.body, page=held.page, line=held.line, records=held.records)


def _pieces(request: ReadRequest, response: HttpResponse) -> Iterator[tuple[dict[str, int], Piece]]:
    """Each piece with the position behind it."""
    size = crc = 0
    try:
        for number, piece in enumerate(request.host.stream(response, want=request.want), 1):
            came = piece.came or piece.text
            size, crc = size + len(came), zlib.crc32(came, crc)
            yield {"piece": number, "bytes": size, "crc32": crc}, piece
    except LookupError as error:
        if "absent" not in request.records.empty:
            raise WrongShape(str(error.args[0] if error.args else error)) from None
    except ValueError as error:
        raise WrongShape(str(error)) from None
