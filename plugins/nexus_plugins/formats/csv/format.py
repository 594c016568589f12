"""CSV and TSV: rows become flat objects of texts, by the names of the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
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
                raise ValueError(f"line {line}: {len(row)} fields; the header has {len(names)}")
            chosen = every if len(records) < first else picks
            records.append({name: None if at is None else row[at].strip() if trim else row[at] for name, at in chosen})
            waiting += sum(map(len, row))
            if waiting >= size:
                yield Piece(msgspec.json.encode(records), len(records))
                records, waiting = [], 0
        if records:
            yield Piece(msgspec.json.encode(records), len(records))

    def _rows(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        """Each row with the number of its last line in the body."""
        options = self._options
        lines = _Lines(text, options.comment, options.until)
        lines.leave_out(options.skip, options.header)
        csv.field_size_limit(_FIELD_BYTES)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE
        rows = csv.reader(
            lines.table(), delimiter=options.delimiter, quotechar=options.quote or None, escapechar=options.escape or None, quoting=quoting,
            skipinitialspace=options.trim, strict=True,
        )  # fmt: skip
        try:
            for row in rows:
                lines.between_rows = True
                if row:
                    yield lines.before + rows.line_num, row
        except csv.Error as error:
            raise ValueError(f"line {lines.before + rows.line_num}: {error}") from None

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


class _Lines:
    """The lines of a table. A line that begins inside a quoted field is part of it, whatever it begins with: as the reader of rows takes
    a line only when it needs one, it says in ``between_rows`` whether the next one begins a row.

    ``before``: how many lines of the body the reader of rows has not seen, of those so far.
    """

    def __init__(self, text: TextIO, comment: str, until: str) -> None:
        self._text = text
        self._comment = comment
        self._until = until
        self._first: tuple[str, ...] = ()
        self.before = 0
        self.between_rows = True

    def leave_out(self, count: int, header: str) -> None:
        """Leave out so many lines, and what stands above the line that begins with ``header``.

        Raises:
            LookupError: no line does.
        """
        self.before = count
        for _ in range(count):
            self._text.readline()
        if not header:
            return
        for line in self._text:
            if line.startswith(header):
                self._first, self.between_rows = (line,), False
                return
            self.before += 1
        raise LookupError(f"no line begins with {header!r}: the header is absent")

    def table(self) -> Iterable[str]:
        """The lines that are rows, or parts of them."""
        return chain(self._first, self._judged() if self._comment or self._until else self._text)

    def _judged(self) -> Iterator[str]:
        comment, until = self._comment, self._until
        for line in self._text:
            if self.between_rows:
                if until and line.startswith(until):
                    return
                if comment and line.startswith(comment):
                    self.before += 1
                    continue
                self.between_rows = False
            yield line


def _others(names: list[str], want: Want) -> list[tuple[str, int | None]]:
    """The columns that no leaf names.

    Raises:
        ValueError: two have one name, and all are to be kept.
    """
    twice = {name for name in names if names.count(name) > 1}
    if twice and want.others == "all":
        raise ValueError(f"the header has the column {min(twice)!r} more than once: `new_fields: capture` cannot keep both")
    return [(name, at) for at, name in enumerate(names) if name not in want.leaves and name not in twice]
