"""The shape of records: which names they have, and of which JSON types. Learned from a sample, never from all of them.

A place is written as in a spec (``quote.price``); the items of a list share one place (``legs[].price``), and so do the members of
an object that is keyed by ids or dates (``prices.*``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nexus_engine.compile.plan import Plan, SourcePlan
from nexus_engine.compile.raw import records_of
from nexus_engine.contract.lines import spread_lines
from nexus_engine.contract.paths import Pick
from nexus_engine.contract.records import SOME_RECORDS, lookup, parse_field_path, parse_path, way_of
from nexus_engine.deliver.stage import Stage, Staged

SAMPLED_RECORDS = 200  # of a batch
SAMPLED_BYTES = 2 << 20  # of a batch's bodies; one body is looked at whatever its size
MANY = 25  # times as much where drift stops the feed
DEPTH = 5  # how deep names are told apart
NAMES = 300  # an object with more names than these is keyed by something: its members are alike
ANY = "*"
SPARSE_NAMES = 20  # below a record: more names than these, each in less than half of the objects, are keys

_KINDS = {str: "text", int: "number", float: "number", bool: "boolean", dict: "object", list: "list"}
_KEYED = re.compile(r"[-+]?\d[\d\-:.,/TZ+_ ]*|0x[0-9a-fA-F]{6,}|(?=.*\d)[0-9a-fA-F]{12,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_STEP = re.compile(r'"([^"]*)"|(\[\])|(\[\d+\])|([^.\["]+)')
_SHOWN = 60  # characters of a sample


@dataclass(frozen=True, slots=True)
class Sample:
    """A value as it is shown: short and redacted; ``page`` as in its window, ``url`` redacted."""

    text: str = ""
    page: int = 0
    url: str = ""


@dataclass(slots=True)
class Shape:
    """What was seen at one place. ``seen``: how often anything stood there; ``objects``: how often an object did, which is what
    its members' ``seen`` is counted against; ``parts`` and ``held``: the same in partitions of batches; ``kinds``: JSON types, null is
    none."""

    seen: int = 0
    objects: int = 0
    parts: int = 0
    held: int = 0
    kinds: dict[str, Sample] = field(default_factory=dict)
    members: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None
    keyed: bool = False  # all members are one place

    def find(self, name: str) -> Shape | None:
        found = self.members.get(name)
        return self.members.get(ANY) if found is None and (self.keyed or _KEYED.fullmatch(name)) else found

    def member(self, name: str) -> Shape:
        """The place of that name, made when it is new."""
        found = self.find(name)
        if found is None:
            if len(self.members) >= NAMES:
                self.collapse()
            found = self.members.setdefault(ANY if self.keyed or _KEYED.fullmatch(name) else name, Shape())
        return found

    def collapse(self) -> None:
        """All members are one place from here on."""
        alike = Shape()
        for below in self.members.values():
            alike.add(below)
        self.members, self.keyed = {ANY: alike}, True

    def settle(self, depth: int = 0) -> None:
        """Collapse the objects whose names differ from record to record; a record itself stays as it is."""
        names = len(self.members)
        if depth and names > SPARSE_NAMES and 2 * sum(below.seen for below in self.members.values()) < names * self.objects:
            self.collapse()
        for below in (*self.members.values(), *([self.items] if self.items else ())):
            below.settle(depth + 1)

    def add(self, other: Shape) -> None:
        """Take over what was seen elsewhere."""
        if other.keyed and not self.keyed:
            self.collapse()
        self.count(other)
        for kind, sample in other.kinds.items():
            self.kinds.setdefault(kind, sample)
        for name, below in other.members.items():
            self.member(name).add(below)
        if other.items is not None:
            self.items = self.items or Shape()
            self.items.add(other.items)

    def count(self, other: Shape) -> None:
        """Add how often this place was seen elsewhere."""
        self.seen += other.seen
        self.objects += other.objects
        self.parts += other.parts
        self.held += other.held

    def mark(self) -> None:
        """All of this was seen in one partition of a batch."""
        self.parts, self.held = int(self.seen > 0), int(self.objects > 0)
        for below in (*self.members.values(), *([self.items] if self.items else ())):
            below.mark()

    def data(self) -> dict[str, Any]:
        """JSON, without samples."""
        found: dict[str, Any] = {"seen": self.seen, "parts": self.parts}
        if self.kinds:
            found["kinds"] = sorted(self.kinds)
        if self.objects:
            found |= {"objects": self.objects, "held": self.held}
        if self.members:
            found["members"] = {name: below.data() for name, below in self.members.items()}
        if self.items is not None:
            found["items"] = self.items.data()
        if self.keyed:
            found["keyed"] = True
        return found

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Shape:
        return cls(
            data.get("seen", 0), data.get("objects", 0), data.get("parts", 0), data.get("held", 0), {kind: Sample() for kind in data.get("kinds", ())},
            {name: cls.of(below) for name, below in data.get("members", {}).items()}, cls.of(data["items"]) if "items" in data else None,
            data.get("keyed", False),
        )  # fmt: skip


@dataclass(slots=True)
class Eye:
    """Looks at values of one page after the other and keeps what it saw in the shape that it is given."""

    redact: Callable[[str], str]
    page: int = 0
    url: str = ""

    def look(self, value: Any, at: Shape, depth: int = 0) -> None:
        at.seen += 1
        if value is None:
            return
        kind = _KINDS[type(value)]
        if kind not in at.kinds:
            at.kinds[kind] = Sample(shown(value, self.redact), self.page, self.url)
        if depth == DEPTH:
            return
        if kind == "object":
            at.objects += 1
            for name, below in list(value.items())[:4] if len(value) > NAMES and at.keyed else value.items():
                self.look(below, at.member(name), depth + 1)
        elif kind == "list" and value:
            at.items = at.items or Shape()
            for item in (value[0], value[-1]) if len(value) > 1 else value:
                self.look(item, at.items, depth + 1)


def shown(value: Any, redact: Callable[[str], str]) -> str:
    """A value on one short line, without secrets."""
    if isinstance(value, dict):
        text = "{" + ", ".join(list(value)[:8]) + "}"
    elif isinstance(value, list):
        text = f"[{len(value)} items]" if len(value) != 1 else "[1 item]"
    else:
        text = msgspec.json.encode(value[:2000] if isinstance(value, str) else value).decode()
    text = redact(text)  # before it is cut: half a secret is not known as one
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def shape_of(stage: Stage, plan: Plan, redact: Callable[[str], str]) -> Shape:
    """What a sample of a batch's records looks like."""
    eye, parts = Eye(redact), dict[str, Shape]()
    times = MANY if "fail" in (plan.drift.new, plan.drift.missing, plan.drift.retyped) else 1
    bodies = _some(stage, SAMPLED_BYTES * times)
    left = SAMPLED_RECORDS * times
    for number, staged in enumerate(bodies):
        each = -(-left // (len(bodies) - number))
        eye.page, eye.url = staged.payload.page, staged.payload.url
        shape = parts.setdefault(stage.units[staged.unit].partition.key, Shape())
        for record in _values(spread_lines(stage.text(staged), each)) if stage.lines else _records(stage.body(staged), plan, each):
            eye.look(record, shape)
            left -= 1
    whole = Shape()
    for shape in parts.values():
        shape.mark()
        whole.add(shape)
    return whole


def _some(stage: Stage, size_bytes: int) -> list[Staged]:
    """The first body, the last one, and some between, as far as they are small."""
    full = [staged for staged in stage.payloads if staged.length]
    if not full:
        return []
    last = len(full) - 1
    order = dict.fromkeys([0, last, *(last * part // pieces for pieces in (2, 4, 8, 16) for part in range(1, pieces))])
    chosen = [full[0]]
    size_bytes -= full[0].length
    for number in order:
        if number and full[number].length <= size_bytes:
            chosen.append(full[number])
            size_bytes -= full[number].length
    return chosen


def _records(body: bytes, plan: Plan, most: int) -> Iterator[Any]:
    """Some records of a body, as Python values: the first ones of a flat format (they have what no field names) and of those that
    several levels lead to (the way to each costs), else evenly spaced ones. What cannot be read is not this room's affair."""
    source = plan.source
    shape = source.records
    try:
        if shape.zip and not source.flat:
            yield _placed(body, shape.path)
            return
        first = SOME_RECORDS if source.flat else most if len(way_of(shape).levels) > 1 else None
        texts = records_of(body, shape, source.flat, source.want.leaves, bare=True, most=first)
        if len(texts) > most:
            texts = [texts[number * (len(texts) - 1) // max(1, most - 1)] for number in range(most)]
    except (ValueError, LookupError, RecursionError):
        return
    for value in _values(texts):
        if source.flat and isinstance(value, dict):
            yield {name: below for name, below in value.items() if below is not None and name}
        elif shape.columns and isinstance(value, list):
            yield dict(zip((*shape.columns, *(f"[{n}]" for n in range(len(shape.columns), len(value)))), value, strict=False))
        else:
            yield value


def _values(texts: list[bytes]) -> Iterator[Any]:
    for text in texts:
        with suppress(ValueError, RecursionError):
            yield msgspec.json.decode(text)


def _placed(body: bytes, path: str) -> Any:
    found = lookup(msgspec.json.decode(body), parse_path(path))
    return {} if found is msgspec.UNSET else found


def leaves_of(source: SourcePlan) -> list[tuple[str | int, ...]]:
    """The paths that fields read in a record, as far as they are plain; not what stands around it: its parents and its keys."""
    if source.flat:
        return [(leaf,) for leaf in source.want.leaves]
    way = way_of(source.records)
    found: list[tuple[str | int, ...]] = []
    for leaf in source.want.leaves:
        path = () if way.is_parent(leaf) else parse_field_path(leaf)
        if path and path[0] not in way.names:
            picks = next((n for n, step in enumerate(path) if isinstance(step, Pick)), len(path))
            found.append(tuple(step for step in path[:picks] if not isinstance(step, Pick)))
    return found


def joined(path: str, step: str) -> str:
    """A place below ``path``, as a spec writes it."""
    if step.startswith("["):
        return path + step
    name = step if re.fullmatch(r'[^.\["]+', step) else '"' + step.replace('"', "\\u0022") + '"'
    return f"{path}.{name}" if path else name


def steps_of(place: str) -> Iterator[str | int]:
    """The steps of a place as :func:`joined` wrote it; any item of a list is 0. A column without a name is one step, `[7]`."""
    for match in _STEP.finditer(place):
        quoted, item, column, name = match.groups()
        yield 0 if item else column or name or quoted.replace("\\u0022", '"')
