"""What error rules find in a body that is not JSON: by what came, whatever format the feed has. No I/O.

An error is small and stands at the beginning, so no more than the beginning is looked at: this costs the same for every body.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from xml.parsers import expat

from nexus_engine.contract.records import parse_path

LOOKED_AT: Final = 65_536  # bytes of a body that rules see
_DEPTH: Final = 64
_DELIMITERS: Final = ",;\t|"
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def found(body: bytes, paths: Iterable[str]) -> Mapping[str, str]:
    """The texts at those of the paths that stand in the body.

    XML: `Error/Code`, from the root element or below it, `error/@message`; a name matches in any namespace, one with a prefix as
    the document writes it. An element without text of its own gives that of what is in it, or else its attributes. Lines:
    the first row's cell in the column of that name. JSON: nothing, it has its own paths.
    """
    wanted = tuple(dict.fromkeys(paths))
    start = body[:64].lstrip()
    if not wanted or not start or start[:1] in b"{[":
        return {}
    if start[:1] == b"<" or (start.startswith(_MARKS[1:]) and b"<" in start[2:6]) or start.startswith(_MARKS[0] + b"<"):
        return _in_xml(body[:LOOKED_AT], wanted)
    return _in_lines(body[:LOOKED_AT], wanted)


@dataclass
class _Open:
    """An element that is open, and what it has so far."""

    name: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)


def _in_xml(body: bytes, wanted: tuple[str, ...]) -> dict[str, str]:
    steps = {path: [step for step in path.split("/") if step] for path in wanted}
    texts: dict[str, str] = {}
    opened: list[_Open] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        opened.append(_Open(name, attributes))
        if len(opened) > _DEPTH:
            raise _Enough
        for path, parts in steps.items():
            if parts and parts[-1].startswith("@") and path not in texts and _at(parts[:-1], opened):
                value = next((value for key, value in attributes.items() if _fits(parts[-1][1:], key)), None)
                if value is not None:
                    texts[path] = value

    def end(_: str) -> None:
        closed = opened[-1]
        text = " ".join(" ".join(closed.texts).split())
        for path, parts in steps.items():
            if parts and path not in texts and _at(parts, opened):
                texts[path] = text or " ".join(closed.attributes.values())
        opened.pop()
        if opened and text:
            opened[-1].texts.append(text)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda data: opened[-1].texts.append(data) if opened else None
    parser.EntityDeclHandler = _refuse
    with suppress(expat.ExpatError, _Enough, LookupError, ValueError):  # what stood before it was found
        parser.Parse(body, False)
    return texts


class _Enough(Exception):
    """Nothing behind this is looked at."""


def _refuse(*_: object) -> None:
    raise _Enough


def _at(steps: list[str], opened: list[_Open]) -> bool:
    """Whether the innermost open element is at these steps, from the root element or below it; without steps: the root element."""
    names = [item.name for item in opened]
    if not steps:
        return len(names) == 1
    return any(len(below) == len(steps) and all(map(_fits, steps, below)) for below in (names, names[1:]))


def _fits(step: str, name: str) -> bool:
    return step in (name, name.rpartition(":")[2])


def _in_lines(body: bytes, wanted: tuple[str, ...]) -> dict[str, str]:
    lines = [line for line in body.decode("utf-8-sig", "replace").splitlines() if line.strip()][:3]
    if len(lines) < 2:
        return {}
    delimiter = max(_DELIMITERS, key=lines[0].count)
    try:
        names, cells = islice(csv.reader(lines, delimiter=delimiter), 2)
    except (csv.Error, ValueError):
        return {}
    row = dict(zip((name.strip() for name in names), cells, strict=False))
    columns = {path: column[0] for path in wanted if len(column := parse_path(path)) == 1}
    return {path: row[str(column)] for path, column in columns.items() if column in row}
