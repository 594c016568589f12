"""Paths into JSON, as specs write them: plain ones, those of fields (which may pick from a list) and those of records (which may
go over lists and objects)."""

from __future__ import annotations

import re
from typing import Any

import msgspec


class Each(msgspec.Struct, frozen=True):
    """``[]``: every item of a list."""


class Entry(msgspec.Struct, frozen=True):
    """``{name}``: every entry of an object; fields find its key under ``name``."""

    name: str


class Pick(msgspec.Struct, frozen=True):
    """``[member=text]``: the first object of a list whose member has this text."""

    member: str
    text: str


Plain = tuple[str | int, ...]
FieldPath = tuple[str | int | Pick, ...]
RecordPath = tuple[str | int | Each | Entry, ...]

_INDEX = re.compile(r"\[([0-9]+)\]")
_EACH = re.compile(r"\[\]")
_PICK = re.compile(r'\[("[^"]+"|[^"=\[\]]+)=("[^"]*"|[^"=\[\]]*)\]')
_ENTRY = re.compile(r"\{([^{}]+)\}")


def parse_path(text: str) -> Plain:
    """``a.b[0]."c d"`` -> ``("a", "b", 0, "c d")``; ``.`` and the empty text -> ``()``.

    Raises:
        ValueError: the text is not a path; says at which character.
    """
    return tuple(_steps(text, "plain"))


def parse_field_path(text: str) -> FieldPath:
    """A plain path whose steps may also be ``[member=text]``.

    Raises:
        ValueError: as :func:`parse_path`.
    """
    return tuple(_steps(text, "field"))


def parse_record_path(text: str) -> RecordPath:
    """A plain path whose steps may also be ``[]`` and ``{name}``.

    Raises:
        ValueError: as :func:`parse_path`; or two ``{name}`` are alike.
    """
    steps: RecordPath = tuple(_steps(text, "records"))
    names = [step.name for step in steps if isinstance(step, Entry)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"not a path: {{{twice}}} stands in it twice; fields could not tell the keys apart")
    return steps


def written(path: FieldPath) -> str:
    """A path as a spec writes it (a name with a double quote in it cannot be written)."""
    return "".join(map(_written, path)).removeprefix(".") or "."


def _written(step: str | int | Pick) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if isinstance(step, Pick):
        return f'["{step.member}"="{step.text}"]'
    return f".{step}" if re.fullmatch(r'[^.\["]+', step) else f'."{step}"'


def lookup(value: Any, path: Plain) -> Any:
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


def _steps(text: str, kind: str) -> list[Any]:
    if text in (".", ""):
        return []
    steps: list[Any] = []
    i, n = 0, len(text)
    while i < n:
        if text[i] == "[":
            step, i = _bracket(text, i, kind)
        else:
            if text[i] == ".":
                if i == 0 or i + 1 == n:
                    raise ValueError(f"not a path: a name is missing beside the dot at character {i + 1}")
                i += 1
            elif steps:
                raise ValueError(f"not a path: a dot is missing at character {i + 1}")
            step, i = _name(text, i, kind)
        steps.append(step)
    return steps


def _bracket(text: str, i: int, kind: str) -> tuple[Any, int]:
    """The step in brackets at ``i``, and where it ends."""
    if found := _INDEX.match(text, i):
        return int(found[1]), found.end()
    if found := _EACH.match(text, i):
        if kind != "records":
            raise ValueError(f"not a path: only `records` goes over a list with [] (at character {i + 1}); [0] is its first item")
        return Each(), found.end()
    if found := _PICK.match(text, i):
        if kind != "field":
            raise ValueError(f"not a path: only a field can pick from a list with {found[0]} (at character {i + 1})")
        return Pick(found[1].strip('"'), found[2].strip('"')), found.end()
    due = {"plain": "a number", "field": "a number or member=text", "records": "a number or nothing"}[kind]
    raise ValueError(f"not a path: {due} and ] must follow [ at character {i + 1}")


def _name(text: str, i: int, kind: str) -> tuple[Any, int]:
    """The name at ``i``, and where it ends."""
    if text[i] == '"':
        end = text.find('"', i + 1)
        if end < 0:
            raise ValueError(f"not a path: the quote at character {i + 1} is not closed")
        return text[i + 1 : end], end + 1
    if kind == "records" and text[i] == "{":
        found = _ENTRY.match(text, i)
        if found is None:
            raise ValueError(f"not a path: a name and }} must follow {{ at character {i + 1}")
        return Entry(found[1]), found.end()
    end = i
    while end < len(text) and text[end] not in '.["':
        end += 1
    if end == i:
        raise ValueError(f"not a path: a name is missing at character {i + 1}")
    return text[i:end], end
