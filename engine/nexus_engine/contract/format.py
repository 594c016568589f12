"""The contract of a format: bytes of one answer -> JSON texts that are staged as lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol, runtime_checkable

from nexus_engine.contract.options import Options
from nexus_engine.contract.records import Want


class Cut(ValueError):
    """What came of a body is the beginning of one, or damaged: it may be whole when it is asked for again."""


class Format(Protocol):
    """Pure. ``flat`` formats have no record structure of their own: each JSON text they give is a list of flat objects
    ``{leaf path: text or null}`` and the query's records are that list; the others (JSON) keep the body's own structure.

    A format whose records are the lines of the body says ``lines = True``: its JSON texts are lists, and `records:` has no path.

    Raises:
        Cut: the body is not whole.
        ValueError: the body is not of this format; says what and where, never more than 40 characters of the body.
        LookupError: the record path is absent from the body.
    """

    options: ClassVar[type[Options]]
    flat: ClassVar[bool]

    def __init__(self, options: Any) -> None: ...

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]: ...


class Piece(NamedTuple):
    """A part of a body: a JSON list, and how many records it has.

    ``line``: the text is no list but whole lines of the body in UTF-8, none blank, that are to be one JSON value each, which nobody
    has looked at yet; the number of the first line, from 1. A format says so only where ``Want.lines`` allows. ``came``: the part
    as it came, where the text may be either of the two; else empty.
    """

    text: bytes
    records: int
    line: int = 0
    came: bytes = b""


@runtime_checkable
class Streaming(Protocol):
    """What a format has beside :class:`Format` when it can read a body of any size: piece after piece, each of about
    ``size`` bytes, the same pieces whenever the same body is read. Raises as :class:`Format`."""

    def stream(self, body: BinaryIO, *, content_type: str, want: Want, size: int) -> Iterator[Piece]: ...
