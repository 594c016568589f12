"""The contract of a source: one generator method. The host calls it; the source yields payloads, each with a position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from nexus_engine.contract.host import Host, RunInfo
from nexus_engine.contract.options import JSON, Options
from nexus_engine.contract.records import Records, Want


@dataclass(frozen=True)
class Partition:
    """One combination of `each:` values. ``key`` is its stable name in state and messages ("" for a feed without `each`), made of
    the values alone; ``values`` also has what `with` adds to them, None where that is null."""

    key: str = ""
    values: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """A range of the cursor, as text in the cursor's type: ISO date, ISO datetime (UTC), or a number. None: open."""

    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Payload:
    """What a source hands over: one page, message or piece.

    ``body`` is JSON text (bytes) or a list of dicts (encoded by the host); with ``line`` it is ``records`` lines of JSON (``Piece.line``). ``position`` is JSON and means "resume after
    this"; ``{}`` is allowed only on the last payload. ``last`` says the window ends with it. A window that has no
    records yields one payload with an empty body (b"") and ``last=True``, or nothing at all.
    ``total`` is the number of records the source says the window has. ``memo`` of a window's last payload is JSON that the next
    reading of the partition is given (``ReadRequest.memo``); it is kept in the transaction that makes the rows of the window
    safe. ``again``: the next reading sends the same records once more (its position is that of the payload before it), so they
    land only where a key tells that they have. ``cursor`` of a window's last payload is the value of the header that the request
    names (``ReadRequest.header``), as text; None leaves the position where it is. ``unchanged``: the source found that what it read last time has not changed, and sends no records.
    ``total`` is the number of records the source says the window has. ``kept`` is the host's: what its archive has of the answers
    this came from; a source leaves it empty.
    """

    body: bytes | list[dict[str, Any]]
    position: JSON
    last: bool = False
    page: int = 1
    url: str = ""  # redacted, for messages and lineage
    total: int | None = None
    memo: JSON = None
    unchanged: bool = False
    again: bool = False
    cursor: str | None = None
    line: int = 0
    records: int = 0
    kept: tuple[object, ...] = ()


@dataclass(frozen=True)
class ReadRequest:
    """One unit of work for a source: everything rendered, typed and fixed.

    ``options`` is an instance of the source's ``options`` type, templates rendered for this partition and window.
    ``position`` is None at the start of a window, else the ``position`` of the last payload that is safe:
    a retry is ``read`` again with it. ``memo`` is the ``memo`` of the window that was read last: what it speaks of has
    landed, and was read with the same spec. None when there is none. ``header`` is the response header that says where the next
    window begins (`cursor: {from: header.<name>}`); only a source whose class has ``headers = True`` is asked for one.
    """

    options: Any
    partition: Partition
    window: Window
    position: JSON
    records: Records
    want: Want
    run: RunInfo
    host: Host
    memo: JSON = None
    header: str = ""


class Source(Protocol):
    """A kind of source. One instance per unit of work, used in one thread.

    ``read`` raises only the errors of ``nexus_engine.errors``: RetryLater and Reconnect make the host call ``read``
    again from the last safe position; StopFeed stops the feed there. Anything else is PluginFailed.
    After a crash ``read`` is called with the position of the last payload that reached a durable batch; what it
    yields then must be exactly what would have followed (sources that cannot are ``replayable = False``).
    """

    options: ClassVar[type[Options]]
    replayable: ClassVar[bool]

    def read(self, request: ReadRequest) -> Iterator[Payload]: ...
