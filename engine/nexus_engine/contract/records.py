"""Where the records of an answer are, and what shape they have: shared by spec, compiler and sources."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

EmptyWord = Literal["null", "absent"]
Others = Literal["none", "some", "all"]
SOME_RECORDS = 10


class Records(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`records:` of a spec. The short form is a path alone.

    A path is written ``a.b[0].c``; a name with other characters is quoted: ``a."b c"``. The empty path
    (written ``.``) is the whole body. Exactly one of ``zip``, ``columns``, ``by``, ``one`` may be set; none of them: a list
    of objects.
    """

    path: Annotated[str, Meta(description="where the records are, `a.b[0].c`; `.` is the whole body")] = "."
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
    empty: Annotated[
        tuple[EmptyWord, ...],
        Meta(description="what counts as zero rows besides an empty list: `null`, `absent`. Anything else is an error"),
    ] = ()


class Want(msgspec.Struct, frozen=True):
    """What a format must give: for formats without a record structure of their own (XML, CSV, fixed width).

    ``records`` is the record path as written in the spec; ``leaves`` are the field paths, as written, relative to
    the record. The decoder yields records that are flat objects ``{leaf path: text or null}``. ``others`` says which records also
    have what no leaf names, each text under its own name: none, the first :data:`SOME_RECORDS` of each JSON text (where a new
    name is noticed), or all. A format that can give them says ``gives_others = True``.
    """

    records: str
    leaves: tuple[str, ...]
    others: Others = "none"


def parse_path(text: str) -> tuple[str | int, ...]:
    """``a.b[0]."c d"`` -> ``("a", "b", 0, "c d")``; ``.`` and the empty text -> ``()``.

    Raises:
        ValueError: the text is not a path; says at which character.
    """
    if text in (".", ""):
        return ()
    steps: list[str | int] = []
    i, n = 0, len(text)
    while i < n:
        char = text[i]
        if char == "[":
            end = text.find("]", i)
            number = text[i + 1 : end] if end > 0 else ""
            if not number.isdigit():
                raise ValueError(f"not a path: a number and ] must follow [ at character {i + 1}")
            steps.append(int(number))
            i = end + 1
        else:
            if char == ".":
                if i == 0 or i + 1 == n:
                    raise ValueError(f"not a path: a name is missing beside the dot at character {i + 1}")
                i += 1
            elif steps:
                raise ValueError(f"not a path: a dot is missing at character {i + 1}")
            if text[i] == '"':
                end = text.find('"', i + 1)
                if end < 0:
                    raise ValueError(f"not a path: the quote at character {i + 1} is not closed")
                steps.append(text[i + 1 : end])
                i = end + 1
            else:
                end = i
                while end < n and text[end] not in '.["':
                    end += 1
                if end == i:
                    raise ValueError(f"not a path: a name is missing at character {i + 1}")
                steps.append(text[i:end])
                i = end
    return tuple(steps)


def lookup(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at ``path`` in decoded JSON, or ``msgspec.UNSET`` when a step is absent."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return msgspec.UNSET
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                return msgspec.UNSET
            value = value[step]
    return value
