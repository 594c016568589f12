"""Fixed width: columns stand at the same place in every line, as in the index files of EDGAR."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, BinaryIO, ClassVar

import msgspec
from msgspec import Meta

from nexus_engine.contract.format import Piece
from nexus_engine.contract.options import Objection, Options
from nexus_engine.contract.records import SOME_RECORDS, Want
from nexus_engine.host.charset import charset, reader, undecodable

_NAME = re.compile(r"\S+(?: \S+)*")  # names in a header line stand two blanks apart


class Place(Options, frozen=True):
    """Where a column stands in a line."""

    start: Annotated[int | None, Meta(description="characters before it; where the column before it ends unless given")] = None
    width: Annotated[int | None, Meta(description="its length in characters; up to the end of the line unless given")] = None

    def __post_init__(self) -> None:
        if (self.start or 0) < 0 or (self.width is not None and self.width < 1):
            raise ValueError("`start` counts from 0, `width` from 1")


class FwfOptions(Options, frozen=True):
    """Options of the `fwf` format."""

    columns: Annotated[
        dict[str, Place], Meta(description="name -> `{start, width}`, in order; without it the header line names the columns")
    ] = {}
    after: Annotated[
        str, Meta(description="the records follow the first line that begins with this, `---`; the line above it is the header line")
    ] = ""
    skip: Annotated[int, Meta(ge=0, description="lines left out at the top")] = 0
    comment: Annotated[str, Meta(description="lines that begin with this are left out")] = ""
    optional: Annotated[tuple[str, ...], Meta(description="columns that may be absent; their fields are null then")] = ()
    encoding: Annotated[str, Meta(description="charset, when the server names none or the wrong one")] = ""

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> Iterable[Objection]:
        columns = options.get("columns")
        if not isinstance(columns, Mapping):
            return
        for name, place in list(columns.items())[:-1]:
            if isinstance(place, Mapping) and "width" not in place:
                yield "columns", f"the column `{name}` has no `width`, which only the last may leave out"
                return

    def __post_init__(self) -> None:
        for _, message in self.problems({"columns": {name: _given(place) for name, place in self.columns.items()}}):
            raise ValueError(f"`columns`: {message}")
        charset(b"", "", self.encoding)


def _given(place: Place) -> dict[str, str]:
    both = {"start": place.start, "width": place.width}
    return {key: str(number) for key, number in both.items() if number is not None}


class FwfFormat:
    """A field is its column's text without the blanks around it; a line that ends early has empty fields. Blank lines are left out."""

    options: ClassVar[type[FwfOptions]] = FwfOptions
    flat: ClassVar[bool] = True
    notices_cuts: ClassVar[bool] = False
    gives_others: ClassVar[bool] = True

    def __init__(self, options: FwfOptions) -> None:
        self._options = options

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """One list of the whole body. Raises as :meth:`stream`."""
        found = list(self.stream(io.BytesIO(body), content_type=content_type, want=want, size=2 * len(body) + 1))
        yield found[0].text if found else b"[]"

    def stream(self, body: BinaryIO, *, content_type: str, want: Want, size: int) -> Iterator[Piece]:
        """Raises:
        ValueError: no text, or a column that a field wants is not there.
        LookupError: the records' beginning, or the header line, is absent.
        """
        lines = enumerate(reader(body, content_type, self._options.encoding), 1)
        try:
            yield from self._read(((number, line.rstrip("\r\n")) for number, line in lines), want, size)
        except UnicodeDecodeError as error:
            raise undecodable(error) from None

    def _read(self, lines: Iterator[tuple[int, str]], want: Want, size: int) -> Iterator[Piece]:
        places = self._places(self._header(lines))
        picks = self._picks(places, want)
        every = [*picks, *((name, place) for name, place in places.items() if name not in want.leaves)]
        first = SOME_RECORDS if want.others == "some" else 0
        picks = every if want.others == "all" else picks
        records: list[dict[str, str | None]] = []
        waiting = 0
        for number, line in lines:
            if not line.strip() or (self._options.comment and line.startswith(self._options.comment)):
                continue
            if "\t" in line:
                raise ValueError(f"line {number} holds a tab: its columns have no fixed place")
            chosen = every if len(records) < first else picks
            records.append({leaf: None if place is None else line[place].strip() for leaf, place in chosen})
            waiting += len(line)
            if waiting >= size:
                yield Piece(msgspec.json.encode(records), len(records))
                records, waiting = [], 0
        if records:
            yield Piece(msgspec.json.encode(records), len(records))

    def _header(self, lines: Iterator[tuple[int, str]]) -> str:
        """Reads up to the first record's line; the header line, "" where there is none."""
        for _ in range(self._options.skip):
            next(lines, None)
        before = ""
        if self._options.after:
            for _, line in lines:
                if line.startswith(self._options.after):
                    return before
                before = line if line.strip() else before
            raise LookupError(f"no line begins with {self._options.after!r}: the records' beginning is absent")
        if self._options.columns:
            return ""
        return next((line for _, line in lines if line.strip()), "")

    def _places(self, header: str) -> dict[str, slice]:
        if not self._options.columns:
            found = list(_NAME.finditer(header))
            if not found:
                raise LookupError("the header line is absent")
            starts = [0, *(match.start() for match in found[1:])]
            ends = [*starts[1:], None]
            if len({match[0] for match in found}) < len(found):
                raise ValueError("the header line names a column twice; say `columns:`")
            return {match[0]: slice(start, end) for match, start, end in zip(found, starts, ends, strict=True)}
        places: dict[str, slice] = {}
        at: int = 0
        for name, place in self._options.columns.items():
            start = at if place.start is None else place.start
            end = None if place.width is None else start + place.width
            places[name] = slice(start, end)
            at = start if end is None else end
        return places

    def _picks(self, places: Mapping[str, slice], want: Want) -> list[tuple[str, slice | None]]:
        """(leaf, its place) in the order of the leaves."""
        for leaf in want.leaves:
            if leaf not in places and leaf not in self._options.optional:
                raise ValueError(f"there is no column {leaf!r}; there are: {', '.join(places)[:120]}")
        return [(leaf, places.get(leaf)) for leaf in want.leaves]
