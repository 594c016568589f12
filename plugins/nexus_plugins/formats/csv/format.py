"""CSV and TSV: rows become flat objects of texts, by the names of the header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from nexus_engine.contract.options import Options
from nexus_engine.contract.records import Want

_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_FIELD_BYTES = 8_000_000  # the longest record allowed


class CsvOptions(Options, frozen=True):
    """Options of the `csv` format."""

    delimiter: Annotated[str, Meta(description="what stands between fields", min_length=1, max_length=1)] = ","
    quote: Annotated[str, Meta(description='what encloses fields, doubled inside; `""` for none', max_length=1)] = '"'
    comment: Annotated[str, Meta(description="lines that begin with this are left out")] = ""
    skip: Annotated[int, Meta(ge=0, description="lines before the header")] = 0
    columns: Annotated[
        tuple[str, ...], Meta(description="names of the columns, when the body has no header row")
    ] = ()
    optional: Annotated[tuple[str, ...], Meta(description="columns that may be absent; their fields are null then")] = ()
    encoding: Annotated[str, Meta(description="charset, when the server names none or the wrong one")] = ""


class CsvFormat:
    """An empty field is the empty text; a row that is too short or too long is an error; blank lines are left out."""

    options: ClassVar[type[CsvOptions]] = CsvOptions
    flat: ClassVar[bool] = True
    notices_cuts: ClassVar[bool] = False

    def __init__(self, options: CsvOptions) -> None:
        self._options = options

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """Raises:
        ValueError: not this CSV; names the line.
        LookupError: the body is empty where a header was due.
        """
        rows = self._rows(self._text(body, content_type))
        names = list(self._options.columns) or next(rows, (0, None))[1]
        if names is None:
            raise LookupError("the body is empty: not even a header row came")
        picks = self._picks([name.strip() for name in names], want)
        records = []
        for line, row in rows:
            if len(row) != len(names):
                raise ValueError(f"line {line} has {len(row)} fields; the header has {len(names)}")
            records.append({name: None if at is None else row[at] for name, at in picks})
        yield msgspec.json.encode(records)

    def _text(self, body: bytes, content_type: str) -> str:
        match = _CHARSET.search(content_type)
        encoding = self._options.encoding or (match[1] if match else "utf-8")
        if body[:3] == b"\xef\xbb\xbf":
            body, encoding = body[3:], "utf-8"
        try:
            return body.decode(encoding)
        except LookupError:
            raise ValueError(f"the encoding {encoding[:40]!r} is not known") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"the body is not {encoding}: byte {error.start} (option `encoding` names another)") from None

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        options = self._options
        lines = io.StringIO(text, newline="")
        for _ in range(options.skip):
            lines.readline()
        kept = (line for line in lines if not (options.comment and line.startswith(options.comment)))
        csv.field_size_limit(_FIELD_BYTES)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE
        reader = csv.reader(kept, delimiter=options.delimiter, quotechar=options.quote or None, quoting=quoting, strict=True)
        try:
            for row in reader:
                if row:
                    yield options.skip + reader.line_num, row
        except csv.Error as error:
            raise ValueError(f"line {options.skip + reader.line_num}: {error}") from None

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
