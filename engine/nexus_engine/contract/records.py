"""Where the records of an answer are, and what shape they have: shared by spec, compiler and sources."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nexus_engine.contract.paths import (
    Each,
    Entry,
    FieldPath,
    Plain,
    lookup,
    parse_field_path,
    parse_path,
    parse_record_path,
    written,
)

__all__ = [
    "EmptyWord", "Level", "Records", "Want", "Way", "lookup", "parse_field_path", "parse_path", "parse_record_path", "way_of", "written",
]  # fmt: skip

EmptyWord = Literal["null", "absent"]
Others = Literal["none", "some", "all"]
SOME_RECORDS = 10


class Records(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`records:` of a spec. The short form is a path alone.

    A path is written ``a.b[0].c``; a name with other characters is quoted: ``a."b c"``. The empty path
    (written ``.``) is the whole body. ``[]`` goes over a list, ``{name}`` over an object. Exactly one of ``zip``, ``columns``,
    ``by``, ``one`` may be set; none of them, and no ``[]`` or ``{name}``: a list of objects. What all of it means is one
    :class:`Way` (:func:`way_of`).
    """

    path: Annotated[
        str,
        Meta(
            description="where the records are, `a.b[0].c`; `.` is the whole body. `[]` goes over a list and `{name}` over an object, whose "
            "keys fields find under `name`: `data[].points[]`, `facts.{concept}.units.{unit}[]`"
        ),
    ] = "."
    zip: Annotated[bool, Meta(description="the value is an object of parallel arrays; fields name the arrays")] = False
    optional: Annotated[
        tuple[str, ...], Meta(description="with `zip`: arrays that may be absent or empty, as fields name them; they read as null then")
    ] = ()
    columns: Annotated[
        tuple[str, ...], Meta(description="the value is a list of lists `[[ts, v], ...]`; names of their items in order")
    ] = ()
    by: Annotated[
        str, Meta(description="the value is an object keyed by id or date; the name under which fields find the key")
    ] = ""
    one: Annotated[bool, Meta(description="the value itself is the one record")] = False
    except_: Annotated[
        tuple[str, ...], Meta(description="keys of the object that `{name}` or `by` goes over which are no entries, and are left out")
    ] = msgspec.field(name="except", default=())
    empty: Annotated[
        tuple[EmptyWord, ...],
        Meta(description="what counts as zero rows besides an empty list: `null`, `absent`. Anything else is an error"),
    ] = ()


class Want(msgspec.Struct, frozen=True):
    """What a format must give: for formats without a record structure of their own (XML, CSV, fixed width).

    ``records`` is the record path as written in the spec; ``leaves`` are the field paths, as written, relative to
    the record (in JSON, `parent.` at their beginning leads out of it). The decoder yields records that are flat objects ``{leaf path: text or null}``. ``others`` says which records also
    have what no leaf names, each text under its own name: none, the first :data:`SOME_RECORDS` of each JSON text (where a new
    name is noticed), or all. A format that can give them says ``gives_others = True``. ``lines``: a piece of a large body may be JSON lines
    (``Piece.line``).
    """

    records: str
    leaves: tuple[str, ...]
    others: Others = "none"
    lines: bool = False


class Level(msgspec.Struct, frozen=True):
    """One ``[]`` or ``{name}`` of a way, and the steps from its element on."""

    over: Each | Entry
    then: Plain = ()


class Way(msgspec.Struct, frozen=True):
    """How one comes from the body to the records: the steps to the first container, then level by level into its elements. No
    level: the value at ``start`` is the record, or with ``zip`` holds the parallel arrays.

    ``nested``: the spec wrote the levels itself, so ``parent.`` means what encloses a record.
    """

    start: Plain
    levels: tuple[Level, ...] = ()
    nested: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What fields call the keys of the objects on the way, from the outside."""
        return tuple(level.over.name for level in self.levels if isinstance(level.over, Entry))

    def is_parent(self, text: str) -> bool:
        return self.nested and text.startswith("parent.")

    def parent(self, text: str) -> tuple[int, FieldPath]:
        """``parent.label`` -> (0, path from the top of the body) or (n, path from an element of level n, counted from 1).

        ``parent.`` is the nearest value from which a named step leads on to the record; each further one the next further out.

        Raises:
            ValueError: it is no path, leads into the records, or nothing is that far out.
        """
        rest, out = text, 0
        while rest.startswith("parent."):
            rest, out = rest.removeprefix("parent."), out + 1
        path, places = parse_field_path(rest), self._enclosing()
        if out > len(places):
            raise ValueError(f"{len(places) or 'no'} named steps lead to a record, so there is no `{'parent.' * out}`; `body.` is the top")
        level, before, onward = places[-out]
        if not path or path[0] == onward:
            raise ValueError("this path leads into the records")
        return level, (*before, *path)

    def parent_text(self, level: int, path: FieldPath) -> str:
        """The shortest `parent.` that :meth:`parent` reads as this."""
        for out, (number, before, _) in enumerate(reversed(self._enclosing()), 1):
            if number == level and path[: len(before)] == before:
                return "parent." * out + written(path[len(before) :])
        raise ValueError(f"nothing encloses a record at level {level}")

    def _enclosing(self) -> list[tuple[int, Plain, str]]:
        """The values from which a named step leads on, from the outside: level, steps from its element, that name."""
        return [
            (number, steps[:i], step)
            for number, steps in enumerate((self.start, *(level.then for level in self.levels)))
            for i, step in enumerate(steps)
            if isinstance(step, str)
        ]


def way_of(records: Records) -> Way:
    """The one meaning of a `records:`, whichever form it is written in.

    Raises:
        ValueError: the path is none; says at which character.
    """
    steps = parse_record_path(records.path)
    nested = any(isinstance(step, (Each, Entry)) for step in steps)
    if records.by:
        steps = (*steps, Entry(records.by))
    elif not (nested or records.zip or records.one):
        steps = (*steps, Each())
    start: list[str | int] = []
    levels: list[tuple[Each | Entry, list[str | int]]] = []
    for step in steps:
        if isinstance(step, (Each, Entry)):
            levels.append((step, []))
        else:
            (levels[-1][1] if levels else start).append(step)
    return Way(tuple(start), tuple(Level(over, tuple(then)) for over, then in levels), nested)
