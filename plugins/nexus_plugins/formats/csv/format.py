"""CSV and TSV: rows become flat objects of texts, by the names of the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, BinaryIO, ClassVar, Literal, TextIO

import msgspec
from msgspec import Meta

from nexus_engine.contract.format import Piece
from nexus_engine.contract.options import Options
from nexus_engine.contract.records import SOME_RECORDS, Want
from nexus_engine.host.charset import charset, reader, undecodable

_FIELD_BYTES = 8_000_000  # the longest record allowed


class CsvOptions(Options, frozen=True):
    """Options of the `csv` format."""

    delimiter: Annotated[str, Meta(description="what stands between fields", min_length=1, max_length=1)] = ","
    quote: Annotated[str, Meta(description='what encloses fields, doubled inside; `""` for none', max_length=1)] = '"'
    escape: Annotated[str, Meta(description="what makes the next character plain", max_length=1)] = ""
    trim: Annotated[bool, Meta(description="blanks around a field are left out")] = False
    comment: Annotated[str, Meta(description="lines that begin with this are left out")] = ""
    skip: Annotated[int, Meta(ge=0, description="lines before the header")] = 0
    header: Annotated[str, Meta(description="the header is the first line that begins with this; what stands above it is left out")] = ""
    until: Annotated[str, Meta(description="the first line that begins with this ends the table: totals, notes")] = ""
    columns: Annotated[
        tuple[str, ...], Meta(description="names of the columns, when the body has no header row")
    ] = ()
    optional: Annotated[tuple[str, ...], Meta(description="columns that may be absent; their fields are null then")] = ()
    encoding: Annotated[str, Meta(description="charset, when the server names none or the wrong one")] = ""

    def __post_init__(self) -> None:
        if self.header and self.columns:
            raise ValueError("`columns` is for a body without the header line that `header` looks for")
        charset(b"", "", self.encoding)


class CsvFormat:
    """An empty field is the empty text; a row that is too short or too long is an error; blank lines are left out."""

    options: ClassVar[type[CsvOptions]] = CsvOptions
    flat: ClassVar[bool] = True
    notices_cuts: ClassVar[bool] = False
    gives_others: ClassVar[bool] = True

    def __init__(self, options: CsvOptions) -> None:
        self._options = options

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """One list of the whole body. Raises as :meth:`stream`."""
        found = list(self.stream(io.BytesIO(body), content_type=content_type, want=want, size=2 * len(body) + 1))
        yield found[0].text if found else b"[]"

    def stream(self, body: BinaryIO, *, content_type: str, want: Want, size: int) -> Iterator[Piece]:
        """Raises:
        ValueError: not this CSV; names the line.
        LookupError: the body is empty, or without the header, where one was due.
        """
        try:
            yield from self._read(self._rows(reader(body, content_type, self._options.encoding)), want, size)
        except UnicodeDecodeError as error:
            raise undecodable(error) from None

    def _read(self, rows: Iterator[tuple[int, list[str]]], want: Want, size: int) -> Iterator[Piece]:
        names = list(self._options.columns) or next(rows, (0, None))[1]
        if names is None:
            raise LookupError("the body is empty: not even a header row came")
        names = [name.strip() for name in names]
        picks = self._picks(names, want)
        every = picks if want.others == "none" else [*picks, *_others(names, want)]
        first = SOME_RECORDS if want.others == "some" else 0
        picks = every if want.others == "all" else picks
        records: list[dict[str, str | None]] = []
        waiting, trim = 0, self._options.trim
        for line, row in rows:
            if len(row) != len(names):
                raise ValueError(f"line {line} has {len(row)} fields; the header has {len(names)}")
            chosen = every if len(records) < first else picks
            records.append({name: None if at is None else row[at].strip() if trim else row[at] for name, at in chosen})
            waiting += sum(map(len, row))
            if waiting >= size:
                yield Piece(msgspec.json.encode(records), len(records))
                records, waiting = [], 0
        if records:
            yield Piece(msgspec.json.encode(records), len(records))

    def _rows(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        options = self._options
        before = options.skip
        for _ in range(options.skip):
            text.readline()
        lines = self._lines(text)
        if options.header:
            start = next(((n, line) for n, line in enumerate(lines) if line.startswith(options.header)), None)
            if start is None:
                raise LookupError(f"no line begins with {options.header!r}: the header is absent")
            before, lines = before + start[0], chain((start[1],), lines)
        csv.field_size_limit(_FIELD_BYTES)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE
        rows = csv.reader(
            lines, delimiter=options.delimiter, quotechar=options.quote or None, escapechar=options.escape or None, quoting=quoting,
            skipinitialspace=options.trim, strict=True,
        )  # fmt: skip
        try:
            for row in rows:
                if row:
                    yield before + rows.line_num, row
        except csv.Error as error:
            raise ValueError(f"line {before + rows.line_num}: {error}") from None

    def _lines(self, text: TextIO) -> Iterator[str]:
        options = self._options
        for line in text:
            if options.until and line.startswith(options.until):
                return
            if not (options.comment and line.startswith(options.comment)):
                yield line

    def _picks(self, names: list[str], want: Want) -> list[tuple[str, int | None]]:
        """(leaf, index of its column) in the order of the leaves."""
        twice = {name for name in names if names.count(name) > 1}
        picks: list[tuple[str, int | None]] = []
        for leaf in want.leaves:
            if leaf in twice:
                raise ValueError(f"the header has the column {leaf!r} more than once")
            if leaf not in names and leaf not in self._options.optional:
                shown = ", ".join(names[:12])[:120]
                raise ValueError(f"the header has no column {leaf!r}; it has: {shown}")
            picks.append((leaf, names.index(leaf) if leaf in names else None))
        return picks


def _others(names: list[str], want: Want) -> list[tuple[str, int | None]]:
    """The columns that no leaf names.

    Raises:
        ValueError: two have one name, and all are to be kept.
    """
    twice = {name for name in names if names.count(name) > 1}
    if twice and want.others == "all":
        raise ValueError(f"the header has the column {min(twice)!r} more than once: `new_fields: capture` cannot keep both")
    return [(name, at) for at, name in enumerate(names) if name not in want.leaves and name not in twice]
