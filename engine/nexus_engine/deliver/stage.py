"""The stage: each payload becomes one line of ``raw/<batch>.jsonl``. Nothing is parsed for it.

A line is ``{"p": 12, "k": {"each_series": "DGS10", "window_start": ...}, "b": <body>}``. Lines of a large body (``Payload.line``) stand
as they came in a file of their own, a record on each; which payload a record is of follows from its number. The file is not
durable: until the intent is recorded a crash fetches again from the old position.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from nexus_engine.compile.raw import plain_keys
from nexus_engine.contract.lines import picked_lines
from nexus_engine.contract.source import Partition, Payload, Window

_LINES_BUFFER_BYTES: Final = 1 << 13  # pieces of lines are large: in a larger buffer each would be copied once more

_FIRST_BYTES: Final = 1 << 12
_MARGIN_BYTES: Final = 1 << 14

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Staged:
    """Where a payload is: its line number ``p``, its place in the file, and what it belongs to."""

    p: int
    unit: int  # index into Stage.units
    payload: Payload  # with an empty body: the text is in the file
    offset: int  # of the body, in bytes
    length: int
    first: int = 0  # number of its first record in a file of lines


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
    lines: bool = False  # records as they came, of one unit
    rows: int = 0  # how many, if they are lines that hold a value each
    _unit: int = 0  # of the lines
    _file: BinaryIO | None = None
    _keys: list[bytes] = field(default_factory=list)
    _index: dict[tuple[int, ...], int] = field(default_factory=dict)

    def unit(self, partition: Partition, window: Window, ticket: object) -> int:
        """The index of this window in the batch, made on first use. ``ticket`` is known by identity; a tuple, by its parts'."""
        handle = _handle(ticket)
        if handle not in self._index:
            self._index[handle] = len(self.units)
            self.units.append(StagedUnit(partition, window, ticket))
            self._keys.append(line_keys(partition, window))
        return self._index[handle]

    def takes(self, ticket: object, payload: Payload) -> bool:
        """Whether a payload of this window can stand in this file: lines are of one window, and nothing else is among them."""
        if not (self.has_lines and payload.body and (self.lines or payload.line)):
            return True
        return bool(self.lines and payload.line) and self._index.get(_handle(ticket)) == self._unit

    def add(self, unit: int, payload: Payload) -> None:
        """Append a payload that the file takes; one without records keeps its place in the order and writes no line."""
        bare, body = replace(payload, body=b""), payload.body
        if body and payload.line:
            assert isinstance(body, bytes)
            self.lines = True
            self._write_lines(len(self.payloads), unit, bare, body)
        else:
            self._write(len(self.payloads), unit, bare, body_bytes(body) if body else b"")

    def _write(self, p: int, unit: int, bare: Payload, body: bytes) -> None:
        offset = self.size_bytes
        if body:
            head = b'{"p":%d,"k":%s,"b":' % (p, self._keys[unit])
            file = self._opened()
            file.write(head)
            file.write(body)
            file.write(b"}\n")
            offset += len(head)
            self.size_bytes = offset + len(body) + 2
        self.payloads.append(Staged(p, unit, bare, offset, len(body)))

    def _write_lines(self, p: int, unit: int, bare: Payload, body: bytes) -> None:
        if not body.endswith(b"\n"):
            body += b"\n"
        self._opened(_LINES_BUFFER_BYTES).write(body)
        self._unit = unit
        self.payloads.append(Staged(p, unit, bare, self.size_bytes, len(body), self.rows))
        self.size_bytes += len(body)
        self.rows += bare.records

    def _opened(self, buffer_bytes: int = 1 << 20) -> BinaryIO:
        if self._file is None:
            self._file = self.path.open("wb", buffering=buffer_bytes)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def has_lines(self) -> bool:
        return self.size_bytes > 0

    @property
    def firsts(self) -> dict[int, int]:
        """By payload that has lines, the number of its first record in the file."""
        return {staged.p: staged.first for staged in self.payloads if staged.length}

    def places(self, lines: Iterable[int]) -> dict[int, list[int]]:
        """Ascending numbers of lines in the file as numbers of records, by payload."""
        numbers, firsts = list(self.firsts), list(self.firsts.values())
        found: dict[int, list[int]] = {}
        for line in lines:
            at = bisect_right(firsts, line) - 1
            found.setdefault(numbers[at], []).append(line - firsts[at])
        return found

    @property
    def line_keys(self) -> dict[str, str | None]:
        """What fields may take from the partition and the window of the lines."""
        keys: dict[str, str | None] = msgspec.json.decode(self._keys[self._unit])
        return keys

    def first_line(self) -> bytes:
        """The first line of the file, with its end; of a longer one so much that it is seen to be long."""
        with self.path.open("rb") as file:
            return file.readline(_FIRST_BYTES)

    def text(self, staged: Staged) -> bytes:
        """The body of one payload, read back as it stands there."""
        with self.path.open("rb") as file:
            file.seek(staged.offset)
            return file.read(staged.length)

    def records(self, staged: Staged, numbers: list[int]) -> list[bytes]:
        """Some of the lines of one payload, by their ascending numbers; only as much is read as lines of the same length would take.

        Raises:
            IndexError: there is no such line.
        """
        share = (numbers[-1] + 2) / max(1, staged.payload.records)
        size = min(staged.length, int(staged.length * share) + _MARGIN_BYTES)
        with self.path.open("rb") as file:
            file.seek(staged.offset)
            text = file.read(size)
            try:
                return picked_lines(text[: text.rfind(b"\n") + 1], numbers)
            except IndexError:
                return picked_lines(text + file.read(staged.length - size), numbers)

    def body(self, staged: Staged) -> bytes:
        """The body of one payload, read back; lines as a list, which is JSON if each of them is."""
        text = self.text(staged)
        return b"[" + text.removesuffix(b"\n").replace(b"\n", b",") + b"]" if self.lines and text else text

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
            body = other.text(staged) if staged.length else b""
            self.lines = self.lines or (other.lines and bool(body))
        if body and self.lines:
            self._write_lines(staged.p, staged.unit, staged.payload, body)
        else:
            self._write(staged.p, staged.unit, staged.payload, body)


def _handle(ticket: object) -> tuple[int, ...]:
    return tuple(map(id, ticket)) if isinstance(ticket, tuple) else (id(ticket),)
