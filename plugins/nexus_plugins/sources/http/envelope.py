"""The envelope of a page: of all the JSON in a body, only what paging, `records` and error rules need.

The wanted paths become a msgspec type; one scan of the body decodes them and steps over the rest. A body that does not fit
that type (an error answer of another shape) is decoded whole and looked at slowly: it is about to be reported anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from nexus_engine.contract.paths import Each, Entry, parse_path
from nexus_engine.contract.records import Level, Records, way_of
from nexus_plugins.sources.http.levels import Levels, WrongShape

Path = tuple[str | int, ...]


_SURROGATE = re.compile(rb"\\(?:\\|u[dD][89a-fA-F][0-9a-fA-F]{2})")


def _replaced(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0] == b"\\\\" else b"\\ufffd"


class BadBody(Exception):
    """The body cannot be read; ``incomplete``: it ends too early, and may be whole when asked for again."""

    def __init__(self, what: str, *, incomplete: bool = False) -> None:
        super().__init__(what)
        self.incomplete = incomplete


@dataclass
class _Node:
    children: dict[str | int, _Node] = field(default_factory=dict)
    type: Any = None  # of the leaf at this node, when a path ends here


@dataclass(frozen=True)
class Found:
    """What one body held. ``values`` are decoded JSON (UNSET: absent); ``texts`` are the records as they came."""

    count: int
    values: dict[Path, Any]
    texts: Sequence[Raw] = ()
    last: Raw | None = None  # the last record
    keys: Mapping[str, str] = field(default_factory=dict)  # of the objects that lead to it

    @property
    def first(self) -> bytes:
        return bytes(self.texts[0]) if self.texts else b""

    def of_last(self, path: Path) -> Any:
        """The decoded value at ``path`` in the last record, or the key on the way to it; UNSET when it is absent."""
        if len(path) == 1 and path[0] in self.keys:
            return self.keys[str(path[0])]
        return UNSET if self.last is None else _decoded(_walk(self.last, path))

    def repeats(self, before: Found) -> bool:
        """True when the records are those of the page before."""
        if self.count == 0 or self.count != before.count or len(self.texts) != len(before.texts):
            return False
        return all(bytes(mine) == bytes(theirs) for mine, theirs in zip(self.texts, before.texts, strict=True))


class Envelope:
    """Reads the envelope of bodies of one feed.

    Args:
        values: the paths wanted besides the records.
        leaves: the fields' paths in a record: with ``zip`` they name the arrays.
    """

    def __init__(self, records: Records, values: Iterable[str] = (), leaves: Sequence[str] = ()) -> None:
        self._records = records
        way = way_of(records)
        self._path = way.start
        self._values = tuple(dict.fromkeys(parse_path(text) for text in values if text))
        self._leaves = tuple(path for path in (_leaf_path(leaf) for leaf in leaves if not way.is_parent(leaf)) if path)
        self._listed = way.levels == (Level(Each()),) and not records.zip
        self._levels = Levels(records, way) if way.levels and not self._listed else None
        self._over = way.levels[0].over if way.levels else None
        root = _Node()
        _insert(root, self._path, list[Raw] | None if self._listed else Raw)
        for path in self._values:
            _insert(root, path, Raw)
        self._decoder = msgspec.json.Decoder(_type_of(root))

    def peek(self, body: bytes) -> dict[Path, Any]:
        """The wanted values of a body whose records do not matter (an error answer); absent where it is no JSON."""
        try:
            return self.values(body)[1]
        except BadBody:
            return dict.fromkeys(self._values, UNSET)

    def values(self, body: bytes) -> tuple[Any, dict[Path, Any]]:
        """(what stands at the records' path, the wanted values). The first is given to :meth:`records`.

        Raises:
            BadBody
        """
        try:
            tree = self._tree(body)
            found = {path: _decoded(_walk(tree, path)) for path in self._values}
            return _walk(tree, self._path), found
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = f"the body is not JSON: {error}" if body.strip() else "the body is empty"
            raise BadBody(what, incomplete="truncated" in str(error)) from None
        except RecursionError:
            raise BadBody("the body is not JSON: nested too deeply") from None

    def _tree(self, body: bytes) -> Any:
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError:
            return msgspec.json.decode(body, type=Raw)
        except msgspec.DecodeError:
            plain = _SURROGATE.sub(_replaced, body)  # half a surrogate pair in a text: bad, but the record's own affair
            if plain == body:
                raise
            return self._tree(plain)

    def records(self, at: Any, values: dict[Path, Any]) -> Found:
        """Count the records and check their container.

        Raises:
            WrongShape: the path is absent, or the wrong container stands there.
        """
        place = f"`records: {self._records.path}`"
        if at is UNSET:
            if "absent" in self._records.empty:
                return Found(0, values)
            raise WrongShape(f"{place} is absent from the body")
        if isinstance(at, Raw) and bytes(at) == b"null":
            at = None
        if at is None:
            if "null" in self._records.empty:
                return Found(0, values)
            raise WrongShape(f'{place} is null; when that means no records, say `empty: ["null"]`')
        if self._listed:
            return self._list(at, values, place)
        return self._single(at, values, place) if self._levels is None else self._nested(at, values, place, self._levels)

    def _list(self, at: Any, values: dict[Path, Any], place: str) -> Found:
        if isinstance(at, Raw):
            if bytes(at)[:1] != b"[":
                raise WrongShape(f"{place} is {_kind(at)}, not a list")
            at = msgspec.json.decode(at, type=list[Raw])
        wanted = b"[" if self._records.columns else b"{"
        if at and all(bytes(item)[:1] != wanted for item in (at[0], at[-1])):  # one odd record is the query's business
            due = "lists" if self._records.columns else "objects"
            raise WrongShape(f"{place} is not a list of {due}: its first item is {_kind(at[0])}")
        return Found(len(at), values, at, at[-1] if at else None)

    def _nested(self, at: Raw, values: dict[Path, Any], place: str, levels: Levels) -> Found:
        due, kind = (b"{", "an object") if isinstance(self._over, Entry) else (b"[", "a list")
        if bytes(at)[:1] != due:
            raise WrongShape(f"{place} is {_kind(at)}, not {kind}")
        records = levels.records(at)
        if self._records.zip:
            return Found(sum(self._zipped(item, place) for item in records), values, (at,))
        if self._records.columns and records and all(bytes(item)[:1] != b"[" for item in (records[0], records[-1])):
            raise WrongShape(f"{place} does not lead to lists: the first record is {_kind(records[0])}")
        return Found(len(records), values, (at,) if records else (), records[-1] if records else None, levels.keys)

    def _single(self, at: Raw, values: dict[Path, Any], place: str) -> Found:
        if self._records.one:
            return Found(1, values, (at,))
        count = self._zipped(at, place)
        return Found(count, values, (at,) if count else ())

    def _zipped(self, at: Raw, place: str) -> int:
        """The common length of the parallel arrays that the fields name."""
        if bytes(at)[:1] != b"{":
            raise WrongShape(f"{place} is {_kind(at)}, not an object")
        content = msgspec.json.decode(at, type=dict[str, Raw])
        if self._leaves:
            arrays = {path: _walk(at, path) for path in self._leaves}
        else:
            arrays = {(name,): raw for name, raw in content.items()}
        lengths = {
            path: len(msgspec.json.decode(raw, type=list[Raw]))
            for path, raw in arrays.items()
            if isinstance(raw, Raw) and bytes(raw)[:1] == b"["
        }
        if not lengths:
            if "absent" in self._records.empty:
                return 0
            raise WrongShape(f"{place} holds none of the arrays that the fields name")
        optional = set(map(_leaf_path, self._records.optional))
        missing = [path for path in self._leaves if path not in lengths and path not in optional]
        if missing and any(lengths.values()):
            shown = ", ".join(".".join(map(str, path)) for path in missing)
            raise WrongShape(f"{place} lacks the array {shown}; when it may be absent, name it under `optional`")
        lengths = {path: length for path, length in lengths.items() if length or path not in optional} or lengths
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{'.'.join(map(str, path))} has {length}" for path, length in lengths.items())
            raise WrongShape(f"the arrays in {place} differ in length: {shown}")
        return next(iter(lengths.values()))


def _leaf_path(text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError:
        return ()


def _insert(root: _Node, path: Path, leaf: Any) -> None:
    node = root
    for step in path:
        node = node.children.setdefault(step, _Node())
    if node.type is None or leaf is not Raw:
        node.type = leaf


def _type_of(node: _Node) -> Any:
    """The msgspec type for a node: a Struct for names, a list for numbers, the leaf's type where a path ends, and the
    text itself where paths disagree."""
    names = [step for step in node.children if isinstance(step, str)]
    if not node.children:
        return node.type
    if node.type is not None or (names and len(names) < len(node.children)):
        return Raw
    if not names:
        return list[Raw] | None
    fields = []
    for index, (step, child) in enumerate(node.children.items()):
        kind = _type_of(child)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = kind | None
        fields.append((f"f{index}", kind, msgspec.field(default=UNSET, name=str(step))))
    return msgspec.defstruct("Envelope", fields)


def _walk(value: Any, path: Path) -> Any:
    """The text at ``path``: through structs and lists as far as the decoder went, then through texts step by step. UNSET
    when a step is absent, None or a text for null."""
    for step in path:
        if isinstance(value, Raw):
            value = _below(value, step)
        elif isinstance(value, msgspec.Struct):
            value = getattr(value, value.__struct_fields__[value.__struct_encode_fields__.index(str(step))])
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else UNSET
        else:
            return UNSET
    return value


def _below(text: Raw, step: str | int) -> Any:
    start = bytes(text)[:1]
    if isinstance(step, int):
        items = msgspec.json.decode(text, type=list[Raw]) if start == b"[" else []
        return items[step] if step < len(items) else UNSET
    return msgspec.json.decode(text, type=dict[str, Raw]).get(step, UNSET) if start == b"{" else UNSET


def _decoded(value: Any) -> Any:
    """A wanted value as Python data; a value that also is the records' list comes as texts."""
    if isinstance(value, Raw):
        return msgspec.json.decode(value)
    return [msgspec.json.decode(item) for item in value] if isinstance(value, list) else value


def _kind(text: Raw) -> str:
    start = bytes(text)[:1]
    kinds = {b"{": "an object", b"[": "a list", b'"': "a text", b"t": "true", b"f": "false", b"n": "null", b"": "empty"}
    return kinds.get(start, "a number")
