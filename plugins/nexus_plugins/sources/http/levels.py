"""The records of an answer when lists and objects lead to them: counted, and every level on the way checked.

An inner list that is empty gives no records. One that is absent or null is an error unless `empty` says so: it would be lost without
a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from nexus_engine.contract.options import misfit, misfit_place
from nexus_engine.contract.paths import Each, Entry
from nexus_engine.contract.records import Level, Records, Way


class WrongShape(Exception):
    """The records are not where or what the spec says."""


class Levels:
    """The levels of one feed.

    A typed decode steps over everything else in the body; where a body does not fit the type, the decoder's own words say where.
    """

    def __init__(self, records: Records, way: Way) -> None:
        self._records, self._way = records, way
        self._place = f"`records: {records.path}`"
        self._decoders: dict[int, msgspec.json.Decoder[Any]] = {0: msgspec.json.Decoder(self._container(0))}
        self.keys: dict[str, str] = {}  # of the objects that lead to the last record

    def records(self, text: Raw) -> list[Raw]:
        """The text of every record.

        Raises:
            WrongShape: a level is absent, null or another container.
        """
        self.keys = {}
        return self._collect(self._decoded(0, text), 0)

    def _decoded(self, number: int, text: Raw) -> Any:
        if number not in self._decoders:
            self._decoders[number] = msgspec.json.Decoder(self._container(number))
        try:
            return self._decoders[number].decode(text)
        except msgspec.ValidationError as error:
            at = f" at `{place}`" if (place := misfit_place(error)) else ""
            hint = "; a key that is no entry goes under `except`" if "*" in at else ""
            raise WrongShape(f"{self._place} does not lead to records here: {misfit(error, json=True)}{at}{hint}") from None

    def _container(self, number: int) -> Any:
        """The msgspec type of a level's list or object."""
        level = self._way.levels[number]
        last = number + 1 == len(self._way.levels)
        inner: Any = Raw if last else self._container(number + 1)
        element = Raw if isinstance(level.over, Entry) and self._records.except_ else self._element(number, inner)
        return list[element] if isinstance(level.over, Each) else dict[str, element]  # type: ignore[valid-type]

    def _element(self, number: int, inner: Any) -> Any:
        then = self._way.levels[number].then
        if any(isinstance(step, int) for step in then):
            return Raw
        for depth, step in enumerate(reversed(then)):
            kind = inner | None | UnsetType if inner is not Raw or depth else Raw | UnsetType
            inner = msgspec.defstruct("Level", [("at", kind, msgspec.field(default=UNSET, name=str(step)))], gc=False)
        return inner

    def _collect(self, container: Any, number: int) -> list[Raw]:
        level, levels = self._way.levels[number], self._way.levels
        over, then, last = level.over, level.then, number + 1 == len(levels)
        names: Sequence[str | int] = range(len(container))
        items: Sequence[Any] = container
        if isinstance(over, Entry):
            names = [key for key in container if key not in self._records.except_]
            items = [container[key] for key in names]
        if last and not then:
            if names and isinstance(over, Entry):
                self.keys[over.name] = str(names[-1])
            return list(items)
        plain = not last and levels[number + 1] == Level(Each()) and number + 2 == len(levels)
        found: list[Raw] = []
        for name, item in zip(names, items, strict=True):
            inner = self._walked(item, then) if isinstance(item, Raw) else item
            while isinstance(inner, msgspec.Struct):
                inner = inner.at  # type: ignore[attr-defined]
            if not (plain and type(inner) is list):  # a list of records needs no further look: the decoder has checked it
                inner = self._inner(inner, number, name)
                if inner is None:
                    continue
                inner = [inner] if last else self._collect(inner, number + 1)
            if inner and isinstance(over, Entry):
                self.keys[over.name] = str(name)
            found += inner
        return found

    def _inner(self, item: Any, number: int, name: str | int) -> Any:
        """What the level's further steps lead to in one element, decoded; None when that is declared to be no records."""
        then, last = self._way.levels[number].then, number + 1 == len(self._way.levels)
        if not last and isinstance(item, Raw):
            item = None if bytes(item) == b"null" else self._decoded(number + 1, item)
        if last and not self._records.zip and isinstance(item, Raw):
            return item
        word = "absent" if item is UNSET else "null" if item is None or (isinstance(item, Raw) and bytes(item) == b"null") else ""
        if not word:
            return item
        if word in self._records.empty and (not last or self._records.zip):
            return None
        shown = ".".join(map(str, then)) or "it"
        where = f"in `{name}`" if isinstance(name, str) else f"in item {name}"
        said = '["null"]' if word == "null" else "[absent]"
        hint = f"; when that means no records, say `empty: {said}`" if not last or self._records.zip else ""
        raise WrongShape(f"{self._place}: {shown} is {word} {where}{hint}")

    def _walked(self, item: Raw, then: tuple[str | int, ...]) -> Any:
        value: Any = item
        for step in then:
            start = bytes(value)[:1]
            if isinstance(step, int):
                items = msgspec.json.decode(value, type=list[Raw]) if start == b"[" else []
                value = items[step] if step < len(items) else UNSET
            else:
                value = msgspec.json.decode(value, type=dict[str, Raw]).get(step, UNSET) if start == b"{" else UNSET
            if value is UNSET:
                return UNSET
        return value
