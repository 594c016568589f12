r"""JSON lines that are all laid out alike: the same members in the same order, and nothing else beside their values.

ClickHouse reads JSON value by value. Out of lines whose layout is known its functions over whole columns cut the same values in half
the time. Nothing is taken for granted: each line is compared with what the layout makes of the values that were cut out of it, and
one that differs, if only by a blank, fails the query; its file is then read as JSON.

Why that is enough. A line without a backslash equals `{"a":"<x>","b":<y>}`, where `<x>`, cut off at the first quote, holds none, and
`<y>` is a number, `true`, `false` or `null`. Then it is an object of just these members, whatever the values are; and JSON gives the
same texts for them.

A row that lands was always compared. ClickHouse may leave that out for one that is filtered away because its values are refused; why it
is refused is then asked of its JSON (`deliver.batch.explain`), and if that is good, the file is read as JSON, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from nexus_engine.clickhouse.quoting import ident, literal

LINES: Final = "\0lines\0"  # marks in SQL where the relation goes that holds the members of each line

_MEMBERS: Final = 8  # more, or longer lines: each value is looked for from the beginning of its line, which then costs more than JSON
_LINE_BYTES: Final = 160
_BARE: Final = r"^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)$"
_members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Layout(msgspec.Struct, frozen=True):
    """The members of each line in their order: name, and whether the value is quoted."""

    members: tuple[tuple[str, bool], ...]

    def relation(self, names: Sequence[str]) -> str:
        """SQL of the lines of the file `raw` (a marker, see `compile.query`): `_row_number` and for each of ``names`` its text, Nullable where it may
        be null. The query fails on a line of another layout."""
        cut = ", ".join(
            f"simpleJSONExtract{'String' if quoted else 'Raw'}(_nexus_line, {literal(name)}) AS _nexus_m{n}"
            for n, (name, quoted) in enumerate(self.members)
        )
        places = {name: n for n, (name, _) in enumerate(self.members)}
        texts = [self._text(places.get(name)) + f" AS {ident(name)}" for name in names]
        return (
            f"(SELECT _row_number + throwIf(NOT ({' AND '.join(self._checks())}), 'laid out otherwise') AS _row_number, {', '.join(texts)}\n"
            f"  FROM (SELECT _row_number, _nexus_line, {cut}\n  FROM file(\0raw\0, 'LineAsString', '_nexus_line String')))"
        )

    def _text(self, place: int | None) -> str:
        if place is None:
            return "materialize(CAST(NULL, 'Nullable(String)'))"  # of a constant it may follow that no line need be read
        return f"_nexus_m{place}" if self.members[place][1] else f"nullIf(_nexus_m{place}, 'null')"

    def _checks(self) -> Iterator[str]:
        parts, before = [], "{"
        for n, (name, quoted) in enumerate(self.members):
            quote = '"' if quoted else ""
            parts += [literal(f'{before}"{name}":{quote}'), f"_nexus_m{n}"]
            before = f"{quote},"
            if not quoted:  # mostly whole numbers, which are told without the expression
                yield f"(_nexus_m{n} = toString(toUInt64OrZero(_nexus_m{n})) OR match(_nexus_m{n}, {literal(_BARE)}))"
        parts.append(literal(f"{before[:-1]}}}"))
        yield f"_nexus_line = concat({', '.join(parts)})"
        yield r"position(_nexus_line, '\\') = 0"


def layout_of(line: bytes) -> Layout | None:
    """That of the lines, as far as their first one tells (without its end); None where it is not worth looking for, or none that is known."""
    if len(line) > _LINE_BYTES or b"\\" in line:
        return None
    try:
        members = {name: bytes(value) for name, value in _members_of(line).items()}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    written = b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items())
    nested = any(value.startswith((b"{", b"[")) for value in members.values())
    if not members or len(members) > _MEMBERS or "" in members or nested or b"{%s}" % written != line:
        return None
    return Layout(tuple((name, value.startswith(b'"')) for name, value in members.items()))
