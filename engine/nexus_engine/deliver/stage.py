"""The stage: each payload becomes one line of ``raw/<batch>.jsonl``. Nothing is parsed for it.

A line is ``{"p": 12, "k": {"each_series": "DGS10", "window_start": ...}, "b": <body>}``. The file is not durable: until the
intent is recorded a crash fetches again from the old position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from nexus_engine.compile.raw import plain_keys
from nexus_engine.contract.source import Partition, Payload, Window

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Staged:
    """Where a payload is: its line number ``p``, its place in the file, and what it belongs to."""

    p: int
    unit: int  # index into Stage.units
    payload: Payload  # with an empty body: the text is in the file
    offset: int  # of the body, in bytes
    length: int


@dataclass(frozen=True)
class StagedUnit:
    """The window a payload belongs to, as the loop knows it."""

    partition: Partition
    window: Window
    ticket: object  # the loop's own handle


def line_keys(partition: Partition, window: Window) -> bytes:
    """The ``k`` object of a line: what fields may take from the partition and the window."""
    keys: dict[str, str | None] = {f"each_{name}": value for name, value in partition.values.items()}
    keys["window_start"] = window.start
    keys["window_end"] = window.end
    return _encode(keys)


def body_bytes(body: bytes | list[dict[str, object]]) -> bytes:
    """One JSON text on one line. Newlines can only be white space between tokens in valid JSON."""
    if not isinstance(body, bytes):
        return _encode(body)
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    # one byte is looked for ten times faster than two
    return plain_keys(body) if b"\\" in body and b"\\u" in body else body


@dataclass
class Stage:
    """Payloads of one batch, from any number of partitions. Used in one thread."""

    path: Path
    units: list[StagedUnit] = field(default_factory=list)
    payloads: list[Staged] = field(default_factory=list)
    size_bytes: int = 0
    _file: BinaryIO | None = None
    _keys: list[bytes] = field(default_factory=list)
    _index: dict[tuple[int, ...], int] = field(default_factory=dict)

    def unit(self, partition: Partition, window: Window, ticket: object) -> int:
        """The index of this window in the batch, made on first use. ``ticket`` is known by identity; a tuple, by its parts'."""
        handle = tuple(map(id, ticket)) if isinstance(ticket, tuple) else (id(ticket),)
        if handle not in self._index:
            self._index[handle] = len(self.units)
            self.units.append(StagedUnit(partition, window, ticket))
            self._keys.append(line_keys(partition, window))
        return self._index[handle]

    def add(self, unit: int, payload: Payload) -> None:
        """Append a payload; one without records keeps its place in the order and writes no line."""
        bare = replace(payload, body=b"")
        self._write(len(self.payloads), unit, bare, body_bytes(payload.body) if payload.body else b"")

    def _write(self, p: int, unit: int, bare: Payload, body: bytes) -> None:
        offset = self.size_bytes
        if body:
            if self._file is None:
                self._file = self.path.open("wb", buffering=1 << 20)
            head = b'{"p":%d,"k":%s,"b":' % (p, self._keys[unit])
            self._file.write(head)
            self._file.write(body)
            self._file.write(b"}\n")
            offset += len(head)
            self.size_bytes = offset + len(body) + 2
        self.payloads.append(Staged(p, unit, bare, offset, len(body)))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def has_lines(self) -> bool:
        return self.size_bytes > 0

    def body(self, staged: Staged) -> bytes:
        """The body of one payload, read back."""
        with self.path.open("rb") as file:
            file.seek(staged.offset)
            return file.read(staged.length)

    def extract(self, wanted: Iterable[int], path: Path) -> None:
        """Copy the lines of some payloads, unchanged, into a raw file of their own."""
        with self.path.open("rb") as source, path.open("wb") as out:
            for p in sorted(wanted):
                staged = self.at(p)
                if staged.length:
                    source.seek(staged.offset)
                    out.write(self.line(staged, source.read(staged.length)))

    def line(self, staged: Staged, body: bytes) -> bytes:
        """The stage line of a payload with another body (a single record of it, say)."""
        return b'{"p":%d,"k":%s,"b":%s}\n' % (staged.p, self._keys[staged.unit], body)

    def at(self, p: int) -> Staged:
        """The payload numbered ``p`` (numbers have gaps in a stage that was cut)."""
        if p < len(self.payloads) and self.payloads[p].p == p:
            return self.payloads[p]
        return next(staged for staged in self.payloads if staged.p == p)

    def where(self, wanted: Callable[[Staged], bool], path: Path) -> Stage:
        """A closed copy at ``path`` of some payloads, under the same numbers and units."""
        kept = Stage(path, self.units, _keys=self._keys)
        for staged in self.payloads:
            if wanted(staged):
                kept.keep(self, staged)
        kept.close()
        return kept

    def keep(self, other: Stage, staged: Staged, body: bytes | None = None) -> None:
        """Take over a payload of another stage under the same number, with another body when one is given."""
        if not self.units:
            self.units, self._keys = other.units, other._keys
        if body is None:
            body = other.body(staged) if staged.length else b""
        self._write(staged.p, staged.unit, staged.payload, body)
