"""ClickHouse type text -> tree -> canonical text. An allow-list: what is not here never reaches SQL."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from zoneinfo import available_timezones

import msgspec

from nexus_engine.clickhouse.quoting import ident, literal

INTEGER_BITS = {f"{sign}Int{bits}": bits for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)}
_PLAIN = {*INTEGER_BITS, "Float32", "Float64", "Bool", "String", "Date", "Date32", "UUID", "IPv4", "IPv6"}
_WITH_ARGUMENTS = {
    "Decimal", "Decimal32", "Decimal64", "Decimal128", "Decimal256", "FixedString", "DateTime", "DateTime64",
    "Enum8", "Enum16", "Enum", "LowCardinality", "Nullable", "Array", "Map", "Tuple",
}  # fmt: skip
_KNOWN = sorted(_PLAIN | _WITH_ARGUMENTS)
_DECIMAL_DIGITS = {"Decimal32": 9, "Decimal64": 18, "Decimal128": 38, "Decimal256": 76}
_ENUM_LIMITS = {"Enum8": (-128, 127), "Enum16": (-32768, 32767)}
_CONTAINERS = {"Array", "Map", "Tuple"}
_MAX_DEPTH = 32
_TOKEN = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|(-?\d+)|('(?:[^'\\]|\\.)*')|(`(?:[^`\\]|\\.)+`)|([(),=]))")
_UNESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "f": "\f"}


class CHType(msgspec.Struct, frozen=True):
    """A ClickHouse type. ``numbers`` are the arguments of Decimal, FixedString, DateTime64 and the values of an Enum;
    ``names`` the names of a Tuple's elements or of an Enum's values; ``args`` the types inside."""

    name: str
    numbers: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    args: tuple[CHType, ...] = ()
    timezone: str = ""

    def __str__(self) -> str:
        inside: list[str] = []
        if self.name.startswith("Enum"):
            inside = [f"{literal(name)} = {value}" for name, value in zip(self.names, self.numbers, strict=True)]
        elif self.name == "Tuple" and self.names:
            pairs = zip(self.names, self.args, strict=True)
            inside = [f"{_plain_or_quoted(name)} {arg}" for name, arg in pairs]
        else:
            inside = [*map(str, self.numbers), *map(str, self.args)]
            if self.timezone:
                inside.append(literal(self.timezone))
        return f"{self.name}({', '.join(inside)})" if inside else self.name

    @property
    def nullable(self) -> bool:
        """The column can hold NULL."""
        return self.name == "Nullable" or (self.name == "LowCardinality" and self.args[0].name == "Nullable")

    @property
    def bare(self) -> CHType:
        """Without LowCardinality and Nullable around it."""
        return self.args[0].bare if self.name in ("LowCardinality", "Nullable") else self

    @property
    def container(self) -> bool:
        """Array, Map or Tuple: it cannot stand inside Nullable."""
        return self.name in _CONTAINERS


@lru_cache(maxsize=4096)
def parse_type(text: str) -> CHType:
    """The tree of a type text.

    Raises:
        ValueError: not a type this engine lands; the message ends with the character it found at fault.
    """
    parser = _Parser(text)
    kind = parser.type(0)
    parser.end()
    return kind


def _plain_or_quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else ident(name)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _UNESCAPES.get(m[1], m[1]), text[1:-1], flags=re.DOTALL)


class _Parser:
    """Recursive descent over the tokens; ``at`` is where the token in hand begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.at = 0

    def fail(self, what: str, at: int | None = None) -> ValueError:
        return ValueError(f"{what} at character {(self.at if at is None else at) + 1}")

    def peek(self) -> tuple[str, str]:
        """(kind, text) of the next token; kind is word | number | string | quoted | mark | end."""
        match = _TOKEN.match(self.text, self.position)
        rest = self.text[self.position :]
        self.at = self.position + len(rest) - len(rest.lstrip())
        if match is None:
            if rest.strip():
                raise self.fail(f"{rest.strip()[0]!r} is not understood")
            return "end", ""
        kinds = ("word", "number", "string", "quoted", "mark")
        return next((kind, found) for kind, found in zip(kinds, match.groups(), strict=True) if found is not None)

    def take(self) -> tuple[str, str]:
        kind, found = self.peek()
        self.position = self.at + len(found)
        return kind, found

    def mark(self, wanted: str) -> None:
        kind, found = self.take()
        if (kind, found) != ("mark", wanted):
            raise self.fail(f"{wanted!r} is missing")

    def end(self) -> None:
        if self.peek()[0] != "end":
            raise self.fail("the type ends before this")

    def more(self) -> bool:
        """After an item: True at a comma (taken), False at the closing bracket (taken)."""
        if self.peek() == ("mark", ","):
            self.take()
            return True
        self.mark(")")
        return False

    def number(self, low: int, high: int, what: str) -> int:
        kind, found = self.take()
        if kind != "number" or not low <= int(found) <= high:
            raise self.fail(f"{what} must be a number from {low} to {high}")
        return int(found)

    def type(self, depth: int) -> CHType:
        kind, name = self.take()
        at = self.at
        if depth > _MAX_DEPTH:
            raise self.fail(f"types are nested deeper than {_MAX_DEPTH}")
        if kind != "word":
            raise self.fail("a type is missing")
        if name not in _PLAIN and name not in _WITH_ARGUMENTS:
            near = difflib.get_close_matches(name, _KNOWN, 1, 0.6)
            known = {known.lower(): known for known in _KNOWN}.get(name.lower()) or (near[0] if near else "")
            raise self.fail(f"unknown type {name!r}" + (f", did you mean {known}?" if known else ""))
        if name in _PLAIN:
            return CHType(name)
        if name == "DateTime" and self.peek() != ("mark", "("):
            return CHType(name)
        self.mark("(")
        return self.arguments(name, at, depth)

    def arguments(self, name: str, at: int, depth: int) -> CHType:
        if name in _DECIMAL_DIGITS:
            digits = _DECIMAL_DIGITS[name]
            return self.closed(CHType("Decimal", (digits, self.number(0, digits, "the scale"))))
        if name == "Decimal":
            precision = self.number(1, 76, "the precision")
            if not self.more():
                return CHType(name, (precision, 0))
            return self.closed(CHType(name, (precision, self.number(0, precision, "the scale"))))
        if name == "FixedString":
            return self.closed(CHType(name, (self.number(1, 65536, "the length"),)))
        if name == "DateTime":
            return CHType(name, timezone=self.zone())
        if name == "DateTime64":
            precision = self.number(0, 9, "the precision")
            return CHType(name, (precision,), timezone=self.zone() if self.more() else "")
        if name.startswith("Enum"):
            return self.enum(name)
        if name == "Tuple":
            return self.tuple(depth)
        first = self.type(depth + 1)
        if name == "Map":
            return self.map(first, at, depth)
        return self.closed(self.wrapped(name, first, at))

    def closed(self, kind: CHType) -> CHType:
        self.mark(")")
        return kind

    def zone(self) -> str:
        kind, found = self.take()
        name = _unquoted(found) if kind == "string" else ""
        if name not in available_timezones():
            raise self.fail("an IANA time zone in single quotes is due")
        self.mark(")")
        return name

    def wrapped(self, name: str, inner: CHType, at: int) -> CHType:
        if name == "Nullable" and (inner.container or inner.name in ("Nullable", "LowCardinality")):
            raise self.fail(f"Nullable cannot hold {inner.name}", at)
        if name == "LowCardinality" and inner.bare.name not in ("String", "FixedString"):
            raise self.fail(f"LowCardinality pays off for String and FixedString only, not for {inner}", at)
        if name == "LowCardinality" and inner.name == "LowCardinality":
            raise self.fail("LowCardinality stands twice", at)
        return CHType(name, args=(inner,))

    def map(self, key: CHType, at: int, depth: int) -> CHType:
        if key.nullable or key.container or key.bare.name.startswith(("Float", "Decimal")):
            raise self.fail(f"the key of a Map cannot be {key}", at)
        if not self.more():
            raise self.fail("the type of the Map's values is missing")
        return self.closed(CHType("Map", args=(key, self.type(depth + 1))))

    def tuple(self, depth: int) -> CHType:
        names: list[str] = []
        args: list[CHType] = []
        while True:
            kind, found = self.peek()
            start = self.position
            self.take()
            after = self.peek()
            if kind in ("word", "quoted") and after[0] == "word":
                names.append(_unquoted(found) if kind == "quoted" else found)
            else:
                self.position = start
            args.append(self.type(depth + 1))
            if len(names) not in (0, len(args)):
                raise self.fail("name all elements of a Tuple, or none")
            if not self.more():
                break
        if len(set(names)) != len(names):
            raise self.fail("a name stands twice in the Tuple")
        return CHType("Tuple", names=tuple(names), args=tuple(args))

    def enum(self, name: str) -> CHType:
        name = "Enum8" if name == "Enum" else name
        low, high = _ENUM_LIMITS[name]
        names: list[str] = []
        values: list[int] = []
        while True:
            kind, found = self.take()
            if kind != "string":
                raise self.fail("a name in single quotes is due")
            if _unquoted(found) in names:
                raise self.fail(f"{found} stands twice")
            names.append(_unquoted(found))
            if self.peek() == ("mark", "="):
                self.take()
                value = self.number(low, high, "the value")
            else:
                value = values[-1] + 1 if values else 1
            if value in values or not low <= value <= high:
                raise self.fail(f"the value {value} stands twice or is out of range")
            values.append(value)
            if not self.more():
                break
        order = sorted(range(len(values)), key=values.__getitem__)
        return CHType(name, tuple(values[i] for i in order), tuple(names[i] for i in order))
