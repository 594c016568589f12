"""XML and Atom: one pass of expat, keeping only the leaves that the fields name. Entities cannot be declared, so a
document neither grows nor reads anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final
from xml.parsers import expat

import msgspec
from msgspec import Meta

from nexus_engine.contract.options import Options
from nexus_engine.contract.records import SOME_RECORDS, Want

DEPTH: Final = 64
_SEPARATOR: Final = "\x1f"
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*\bencoding\s*=")
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
Row = dict[str, str | None]


class XmlOptions(Options, frozen=True):
    """Options of the `xml` format."""

    namespaces: Annotated[
        dict[str, str], Meta(description="prefix used in paths -> namespace URI; a name without prefix matches in any namespace")
    ] = {}
    inside: Annotated[
        str, Meta(description="element of the record below which the fields' paths begin, `content/properties`; the record itself unless given")
    ] = ""


@dataclass
class _Node:
    """One step of the wanted leaves. ``text`` and ``attributes`` say which leaves end here."""

    children: dict[str, _Node] = field(default_factory=dict)
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class XmlFormat:
    """Paths are written with slashes: records `feed/entry` (from the root element) or `entry` (below it); leaves
    `content/m:properties/d:NEW_DATE`, `link/@href`, `.` for the record's own text. A leaf that is absent, or marked `nil` or
    `null`, is null; of several of one name the first counts; space around a text is dropped."""

    options: ClassVar[type[XmlOptions]] = XmlOptions
    flat: ClassVar[bool] = True
    gives_others: ClassVar[bool] = True

    def __init__(self, options: XmlOptions) -> None:
        self._namespaces = options.namespaces
        self._inside = options.inside

    def pieces(self, body: bytes, *, content_type: str, want: Want) -> Iterator[bytes]:
        """Raises:
        ValueError: not XML, too deep, entities declared, or a path uses a prefix that `namespaces` does not know.
        LookupError: the document has no place for the records.
        """
        reader = _Reader(want, self._namespaces, self._inside)
        reader.parse(body, "" if _DECLARED.match(body[:200]) else _charset(content_type))
        yield msgspec.json.encode(reader.rows)


def _charset(content_type: str) -> str:
    match = _CHARSET.search(content_type)
    return match[1] if match else ""


class _Reader:
    """The state of one pass. ``path`` is the elements that are open; ``nodes`` the wanted steps inside a record."""

    def __init__(self, want: Want, namespaces: Mapping[str, str], inside: str) -> None:
        self._namespaces = namespaces
        self._want = want
        self._inside = [self._name(step) for step in inside.split("/") if step not in ("", ".")]
        self._steps = [self._name(step) for step in want.records.split("/") if step not in ("", ".")]
        self._root = _Node()
        for leaf in want.leaves:
            self._plant(leaf)
        self.rows: list[Row] = []
        self._open: list[str] = []
        self._known = ""  # name of the root element
        self._from_root = False  # the records' path begins with it
        self._parents = 0  # how many steps of the records' path were seen below the root
        self._record_depth = 0
        self._nodes: list[_Node | None] = []
        self._texts: list[list[str]] = []
        self._row: Row = {}
        self._gathers = False  # what no leaf names is given too
        self._inner: list[bool] = []  # whether each open element has elements or attributes

    def _name(self, step: str) -> str:
        """A step as expat will name it; ``*`` before the separator stands for any namespace."""
        prefix, colon, name = step.rpartition(":")
        if not colon:
            return step
        if prefix not in self._namespaces:
            raise ValueError(f"the path step {step!r} has a prefix that `namespaces` does not know")
        return f"{self._namespaces[prefix]}{_SEPARATOR}{name}"

    def _plant(self, leaf: str) -> None:
        node = self._root
        for name in self._inside:
            node = node.children.setdefault(name, _Node())
        for step in leaf.split("/"):
            if step.startswith("@"):
                node.attributes[self._name(step[1:])] = leaf
                return
            if step not in ("", "."):
                node = node.children.setdefault(self._name(step), _Node())
        node.text = leaf

    def parse(self, body: bytes, charset: str) -> None:
        parser = expat.ParserCreate(charset or None, _SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = _no_entities
        try:
            parser.Parse(body, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise ValueError(f"not XML: {what}, line {error.lineno}, column {error.offset + 1}") from None
        except (LookupError, UnicodeError):
            raise ValueError(f"not XML: the encoding {charset[:40]!r} is not known") from None
        self._check()

    def _check(self) -> None:
        """Zero records are empty only where the document shows that it is the right one."""
        if self.rows:
            return
        steps, seen = self._steps, self._parents
        if len(steps) == 1:
            raise LookupError(
                f"no `{self._want.records}` under the root element <{self._known}>; write `records: {self._known}/{self._want.records}` "
                "when a document without records is right"
            )
        if seen < len(steps) - 1:
            raise LookupError(f"`records: {self._want.records}` is absent: the root element is <{self._known}>")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        if len(self._open) > DEPTH:
            raise ValueError(f"elements are nested more than {DEPTH} deep")
        if self._record_depth:
            above = self._nodes[-1]
            node = _child(above.children, name) if above else None
            self._enter(node, attributes)
        elif self._is_record(name):
            self._record_depth = len(self._open)
            self._row = dict.fromkeys(self._want.leaves)
            others = self._want.others
            self._gathers = others == "all" or (others == "some" and len(self.rows) < SOME_RECORDS)
            self._enter(self._root, attributes)

    def _is_record(self, name: str) -> bool:
        """Whether the element just opened is a record. A path may begin with the root element or below it."""
        if len(self._open) == 1:
            self._known = _local(name)
            self._from_root = bool(self._steps) and _matches(self._steps[0], name)
            if self._from_root:
                self._parents = 1
            return not self._steps or (self._from_root and len(self._steps) == 1)
        level = len(self._open) if self._from_root else len(self._open) - 1
        if level > len(self._steps):
            return False
        opened = self._open if self._from_root else self._open[1:]
        if not all(_matches(step, opened_name) for step, opened_name in zip(self._steps, opened, strict=False)):
            return False
        self._parents = max(self._parents, level)
        return level == len(self._steps)

    def _enter(self, node: _Node | None, attributes: dict[str, str]) -> None:
        self._nodes.append(node)
        self._texts.append([])
        if self._gathers:
            self._inner[-1:] = [True] if self._inner else []
            self._inner.append(bool(attributes))
            for name, value in attributes.items():
                if _is_nil(name, value) and not (node and node.text):
                    self._gather("", None)
                elif not _is_nil(name, value) and not (node and any(_matches(wanted, name) for wanted in node.attributes)):
                    self._gather(f"@{_local(name)}", value)
        if node is None:
            return
        for name, value in attributes.items():
            for wanted, leaf in node.attributes.items():
                if _matches(wanted, name) and self._row[leaf] is None:
                    self._row[leaf] = value
            if _is_nil(name, value) and node is not self._root:
                self._nodes[-1] = _NIL if node.text else None

    def _text(self, data: str) -> None:
        if self._texts:
            self._texts[-1].append(data)

    def _end(self, name: str) -> None:
        if self._record_depth:
            node, text = self._nodes.pop(), "".join(self._texts.pop()).strip()
            if node is not None and node.text and self._row[node.text] is None:
                self._row[node.text] = text
            if self._gathers:
                parent, wanted = self._inner.pop(), node is _NIL or (node is not None and bool(node.text))
                if not wanted and (text or not parent):
                    self._gather("", text)
            if len(self._open) == self._record_depth:
                self._record_depth = 0
                self.rows.append(self._row)
        self._open.pop()


    def _gather(self, attribute: str, value: str | None) -> None:
        """Keep what no leaf names under its path below `inside`, names without their namespace; the first of one path counts."""
        opened = self._open[self._record_depth :]
        depth = len(self._inside)
        if len(opened) >= depth and all(map(_matches, self._inside, opened)):
            self._row.setdefault("/".join([*map(_local, opened[depth:]), *([attribute] if attribute else [])]) or ".", value)


_NIL: Final = _Node()  # a wanted element that says it is null


def _is_nil(name: str, value: str) -> bool:
    return value == "true" and _local(name) in ("nil", "null")


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]


def _matches(wanted: str, name: str) -> bool:
    return wanted == name or (_SEPARATOR not in wanted and name.endswith(_SEPARATOR + wanted))


def _child(children: dict[str, _Node], name: str) -> _Node | None:
    node = children.get(name)
    return node if node is not None else children.get(_local(name))


def _no_entities(*_: Any) -> None:
    raise ValueError("the document declares entities, which are refused")
