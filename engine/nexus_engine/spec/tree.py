"""YAML text -> positioned tree: bounded events, every scalar with its own text, style, line and column.

Nothing is interpreted here: `NO`, `0001318605` and `1e7` stay texts; what they mean is decided by the type of the option they
fill. Aliases, anchors, merge keys and tags are refused, so the tree is never larger than the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from nexus_engine.spec.problems import Problem, path_text, printable, shown_line

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 50
MAX_NODES: Final = 20_000

Path = tuple[str | int, ...]
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar:
    """``plain``: written without quotes. ``null``: plain and empty, `~` or `null`."""

    __slots__ = ("col", "line", "null", "plain", "text")

    def __init__(self, text: str, *, plain: bool, line: int, col: int) -> None:
        self.text = text
        self.plain = plain
        self.line = line
        self.col = col
        self.null = plain and text in _NULLS


class Entry:
    """A key of a mapping and its value."""

    __slots__ = ("col", "line", "plain", "value")

    def __init__(self, value: Node, *, plain: bool, line: int, col: int) -> None:
        self.value = value
        self.plain = plain
        self.line = line
        self.col = col


class Mapping:
    __slots__ = ("col", "entries", "flow", "line")

    def __init__(self, *, flow: bool, line: int, col: int) -> None:
        self.entries: dict[str, Entry] = {}
        self.flow = flow
        self.line = line
        self.col = col


class Listing:
    __slots__ = ("col", "flow", "items", "line")

    def __init__(self, *, flow: bool, line: int, col: int) -> None:
        self.items: list[Node] = []
        self.flow = flow
        self.line = line
        self.col = col


Node = Scalar | Mapping | Listing


class _Refused(Exception):
    """Reading ends here with one problem."""

    def __init__(self, code: str, message: str, line: int, col: int, suggestion: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.line, self.col, self.suggestion = code, message, line, col, suggestion


_QUOTE_HINT = 'put it in quotes, or write this block in block style (one "key: value" per line)'


class _Builder:
    """Builds the tree of one text from parser events; duplicates and broken flow style are noted, the rest ends it."""

    def __init__(self, text: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.nodes = 0
        self.noted: list[tuple[Path, _Refused]] = []

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._refusal(event, "yaml-documents", "one file holds one document; a second one starts here")
                root = self._node(next(self.events), (), 0)
        return root

    def _node(self, event: Any, path: Path, depth: int) -> Node:
        self.nodes += 1
        line, col = event.start_mark.line + 1, event.start_mark.column + 1
        if depth > MAX_DEPTH:
            raise _Refused("yaml-too-deep", f"nested deeper than {MAX_DEPTH} levels", line, col)
        if self.nodes > MAX_NODES:
            raise _Refused("yaml-too-big", f"more than {MAX_NODES} values in one file", line, col)
        if isinstance(event, yaml.AliasEvent):
            raise _Refused("yaml-alias", "aliases (`*name`) are not read here", line, col, "write the value out")
        if event.anchor is not None:
            raise _Refused("yaml-alias", "anchors (`&name`) are not read here", line, col, "remove the anchor")
        if event.tag is not None:
            message = "tags (`!name`) are not read here: the key decides the type"
            raise _Refused("yaml-tag", message, line, col, "remove the tag")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, plain=not event.style, line=line, col=col)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(Listing(flow=bool(event.flow_style), line=line, col=col), path, depth)
        return self._mapping(Mapping(flow=bool(event.flow_style), line=line, col=col), path, depth)

    def _sequence(self, node: Listing, path: Path, depth: int) -> Listing:
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            node.items.append(self._node(event, (*path, len(node.items)), depth + 1))
        if node.flow:
            self._mend_sequence(node, path)
        return node

    def _mapping(self, node: Mapping, path: Path, depth: int) -> Mapping:
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line, col = event.start_mark.line + 1, event.start_mark.column + 1
            key = self._key(event, line, col)
            value = self._node(next(self.events), (*path, key), depth + 1)
            first = node.entries.get(key)
            if first is not None:
                message = f"`{key[:60]}` is given twice; the first is on line {first.line}"
                self.noted.append(((*path, key), _Refused("yaml-duplicate", message, line, col, "remove one of them")))
                continue
            node.entries[key] = Entry(value, plain=not event.style, line=line, col=col)
        if node.flow:
            self._mend_mapping(node, path)
        return node

    def _key(self, event: Any, line: int, col: int) -> str:
        self.nodes += 1
        if isinstance(event, yaml.MappingStartEvent) and event.flow_style:
            message = "`{` begins a mapping where a key was due: an unquoted template?"
            raise _Refused("flow-quote", message, line, col, 'write templates in quotes: "{{ ... }}"')
        if not isinstance(event, yaml.ScalarEvent):
            raise _Refused("yaml-key", "a key must be text", line, col)
        if event.tag is not None or event.anchor is not None:
            raise _Refused("yaml-tag", "tags and anchors are not read here", line, col, "remove it")
        if not event.style and event.value == "<<":
            raise _Refused("yaml-alias", "merge keys (`<<`) are not read here", line, col, "write the keys out")
        if not event.style and event.value == "":
            raise _Refused("yaml-key", "a key is missing before this colon", line, col)
        return str(event.value)

    def _mend_mapping(self, node: Mapping, path: Path) -> None:
        """`{type: Decimal(38,10)}` reads as type: "Decimal(38" and a key "10)": say so once and join it again."""
        names = list(node.entries)
        i = 0
        while i < len(names):
            entry = node.entries[names[i]]
            value, start = entry.value, i
            while isinstance(value, Scalar) and value.plain and _open(value.text) and i + 1 < len(names):
                lost = node.entries[names[i + 1]]
                if not (lost.plain and isinstance(lost.value, Scalar) and lost.value.null):
                    break
                i += 1
                del node.entries[names[i]]
                value = Scalar(f"{value.text},{names[i]}", plain=True, line=value.line, col=value.col)
            if i > start and isinstance(value, Scalar):
                entry.value = value
                self._note_broken((*path, names[start]), value)
            i += 1

    def _mend_sequence(self, node: Listing, path: Path) -> None:
        items: list[Node] = []
        for item in node.items:
            last = items[-1] if items else None
            if (
                isinstance(last, Scalar) and last.plain and _open(last.text)
                and isinstance(item, Scalar) and item.plain and ")" in item.text
            ):  # fmt: skip
                joined = Scalar(f"{last.text},{item.text}", plain=True, line=last.line, col=last.col)
                items[-1] = joined
                if not _open(joined.text):
                    self._note_broken((*path, len(items) - 1), joined)
            else:
                items.append(item)
        node.items = items

    def _note_broken(self, path: Path, at: Scalar) -> None:
        message = "the comma ends this value, because it stands unquoted inside `{ }` or `[ ]`"
        self.noted.append((path, _Refused("flow-quote", message, at.line, at.col, _QUOTE_HINT)))

    def _refusal(self, event: Any, code: str, message: str) -> _Refused:
        return _Refused(code, message, event.start_mark.line + 1, event.start_mark.column + 1)


def _open(text: str) -> bool:
    """Whether a parenthesis is left open."""
    return text.count("(") > text.count(")")


def _translate(error: Exception, text: str) -> _Refused:
    """Whatever the parser raised, as one problem. Its own message is not used where it could quote the file."""
    if isinstance(error, _Refused):
        return error
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position].decode(errors="ignore") if error.encoding == "?" else text[: error.position]
        col = len(before) - (before.rfind("\n") + 1) + 1
        return _Refused("yaml-syntax", "a control character stands here", before.count("\n") + 1, col, "remove it")
    if mark is None:
        return _Refused("yaml-syntax", "this is not YAML", 1, 1)
    line, col = mark.line + 1, mark.column + 1
    context, problem = getattr(error, "context", "") or "", getattr(error, "problem", "") or ""
    if "flow" in context and mark.index < len(text) and _breaks_flow(text, error):
        message = "this value stands unquoted inside `{ }` or `[ ]`, where [ ] { } , ' and : have a meaning of their own"
        return _Refused("flow-quote", message, line, col, _QUOTE_HINT)
    if "nesting depth" in problem:  # newer versions of libyaml have a bound of their own, which is met in front of ours
        return _Refused("yaml-too-deep", f"nested deeper than {MAX_DEPTH} levels", line, col)
    if "mapping values are not allowed" in problem:
        return _Refused("yaml-syntax", "a second `: ` in one line", line, col, "quote the value, or indent a new block")
    if "cannot start any token" in problem:
        return _Refused("yaml-syntax", "this character cannot begin a value", line, col, "put the value in quotes")
    hint = "close the bracket or quote that was opened above" if "flow" in context or "quoted" in context else "check the indentation"
    return _Refused("yaml-syntax", f"not YAML: {context + ', ' if context else ''}{problem}", line, col, hint)


def _breaks_flow(text: str, error: Exception) -> bool:
    """Whether the parser stopped at a bracket or quote that follows plain text on the same line (`data[0]`, `'a'=1`)."""
    mark = error.problem_mark  # type: ignore[attr-defined]
    lines = text.split("\n", mark.line + 1)
    line = lines[mark.line] if mark.line < len(lines) else ""
    before, at = line[: mark.column].rstrip(), line[mark.column : mark.column + 1]
    return bool(before) and before[-1] not in "[{,:" and (at in "[{" or at not in " \t,]}:#")


def parse(text: str, file: str) -> tuple[Node | None, list[tuple[Path, Problem]]]:
    """The tree of ``text`` and its problems, each with its path. None when it cannot be read: then there is exactly one problem."""
    builder = None
    try:
        if len(text) > MAX_BYTES:
            raise _Refused("yaml-too-big", f"the file is larger than {MAX_BYTES} bytes", 1, 1)
        builder = _Builder(text)
        root = builder.document()
        if root is None:
            raise _Refused("yaml-empty", "the file is empty", 1, 1)
    except Exception as error:  # noqa: BLE001  PyYAML raises more than YAMLError (ValueError, AttributeError, RecursionError)
        return None, [((), _problem(_translate(error, text), (), text, file))]
    return root, [(path, _problem(refused, path, text, file)) for path, refused in builder.noted]


def _problem(refused: _Refused, path: Path, text: str, file: str) -> Problem:
    return Problem(
        file=file, line=refused.line, col=refused.col, path=path_text(path), code=refused.code, message=printable(refused.message),
        suggestion=refused.suggestion, source_line=shown_line(text, refused.line),
    )  # fmt: skip


def plain(node: Node) -> Any:
    """The tree as plain data: texts, None, lists, dicts."""
    if isinstance(node, Scalar):
        return None if node.null else node.text
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    return [plain(item) for item in node.items]


def find(root: Node, path: Sequence[str | int]) -> tuple[Node, int, int]:
    """The node at ``path``, or the nearest one above it, and where to point: at a scalar on its key's line, else at the key."""
    node, line, col = root, root.line, root.col
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node, line, col = entry.value, entry.line, entry.col
            if node.line == line and isinstance(node, Scalar) and not node.null:
                col = node.col
        elif isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            line, col = node.line, node.col
        else:
            break
    return node, line, col
