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


@dataclass(frozen=True)
class _Wanted:
    """A path: its elements, outermost first, and perhaps an attribute of the innermost."""

    path: str
    steps: tuple[str, ...]
    attribute: str

    @property
    def depths(self) -> set[int]:
        """How many elements are open where it can be: from the root element, or below it."""
        return {len(self.steps), len(self.steps) + 1} if self.steps else {1}

    def fits(self, opened: list[str]) -> bool:
        """Whether it is the innermost open element; ``opened`` is of a fitting depth."""
        return not self.steps or all(map(_fits, self.steps, opened[len(opened) - len(self.steps) :]))


@dataclass
class _Text:
    """An element whose text is wanted, while it is open."""

    wanted: _Wanted
    depth: int
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)


def _in_xml(body: bytes, paths: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    opened: list[str] = []
    reading: list[_Text] = []
    at: dict[int, list[_Wanted]] = {}
    for wanted in map(_wanted, paths):
        for depth in wanted.depths:
            at.setdefault(depth, []).append(wanted)

    def start(name: str, attributes: dict[str, str]) -> None:
        opened.append(name)
        if len(opened) > _DEPTH:
            raise _Enough
        text(" ")
        for wanted in at.get(len(opened), ()):
            if wanted.path in found or not wanted.fits(opened):
                continue
            if not wanted.attribute:
                reading.append(_Text(wanted, len(opened), attributes))
            elif (value := next((value for key, value in attributes.items() if _fits(wanted.attribute, key)), None)) is not None:
                found[wanted.path] = value

    def end(_: str) -> None:
        while reading and reading[-1].depth == len(opened):
            whole = reading.pop()
            found.setdefault(whole.wanted.path, " ".join("".join(whole.texts).split()) or " ".join(whole.attributes.values()))
        opened.pop()
        text(" ")

    def text(data: str) -> None:
        for item in reading:
            item.texts.append(data)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = _refuse
    with suppress(expat.ExpatError, _Enough, LookupError, ValueError):  # what stood before it was found
        parser.Parse(body, False)
    return found


class _Enough(Exception):
    """Nothing behind this is looked at."""


def _refuse(*_: object) -> None:
    raise _Enough


def _wanted(path: str) -> _Wanted:
    steps = [step for step in path.split("/") if step]
    attribute = steps.pop()[1:] if steps and steps[-1].startswith("@") else ""
    return _Wanted(path, tuple(steps), attribute)


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
