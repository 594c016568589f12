"""From the paths that a spec uses: the narrowest structure of a staged line, every leaf Nullable(String), and the SQL that gives
one row per record. A leaf that holds a container has the container's own JSON text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from nexus_engine.clickhouse.quoting import ident
from nexus_engine.compile.sqltext import path_text
from nexus_engine.contract.records import Records, parse_path

Path = tuple[str | int, ...]
LEAF = "Nullable(String)"


def written(path: Path) -> str:
    """A path as a spec writes it (a name with a double quote in it cannot be written)."""
    text = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if re.fullmatch(r'[^.\["]+', step) else f'."{step}"' for step in path
    )
    return text.removeprefix(".") or "."


@dataclass
class Node:
    """A place in the JSON. ``leaf_type`` is set where its text (or its list of texts, for `zip`) is wanted; ``strict`` lists have
    one type per position (`[meta, rows]`), others one type for all."""

    children: dict[str | int, Node] = field(default_factory=dict)
    leaf_type: str = ""
    array_of: Node | None = None
    map_of: Node | None = None
    strict: bool = False

    def at(self, path: Path, *, strict: bool) -> Node:
        """The node at ``path``, made on the way.

        Raises:
            ValueError: an empty name, or a place used both as a list and as an object.
        """
        node = self
        for step in path:
            if step == "":
                raise ValueError("an empty name cannot be read")
            if any(isinstance(known, int) != isinstance(step, int) for known in node.children):
                raise ValueError(f"{step!r} makes a list of what another path uses as an object")
            node = node.children.setdefault(step, Node())
            node.strict = strict
        return node

    @property
    def positions(self) -> bool:
        return self.strict and any(isinstance(step, int) and step > 0 for step in self.children)

    def merged(self) -> Node:
        """One element of a list whose elements are alike: what any index wants."""
        element: Node | None = None
        for child in self.children.values():
            element = _union(element, child)
        return element or Node()

    def type(self) -> str:
        if self.array_of is not None:
            return f"Array({self.array_of.type()})"
        if self.map_of is not None:
            return f"Map(String, {self.map_of.type()})"
        if self.leaf_type or not self.children:
            return self.leaf_type or LEAF
        if not isinstance(next(iter(self.children)), int):
            return f"Tuple({', '.join(f'{ident(str(name))} {child.type()}' for name, child in self.children.items())})"
        if not self.positions:
            return f"Array({self.merged().type()})"
        last = max(step for step in self.children if isinstance(step, int))
        return f"Tuple({', '.join(self.children.get(i, Node()).type() for i in range(last + 1))})"

    def read(self, base: str, path: Path) -> str:
        """SQL of what is at ``path`` below ``base``, the SQL of this node."""
        if not path:
            return base
        if self.leaf_type:
            return path_text(base, path)
        step, rest = path[0], path[1:]
        if isinstance(step, int) and not self.positions:
            return self.merged().read(f"arrayElement({base}, {step + 1})", rest)
        position = step + 1 if isinstance(step, int) else list(self.children).index(step) + 1
        return self.children[step].read(f"tupleElement({base}, {position})", rest)


def _union(one: Node | None, other: Node) -> Node:
    if one is None:
        return other
    both = Node(
        {**one.children},
        one.leaf_type or other.leaf_type,
        one.array_of or other.array_of,
        one.map_of or other.map_of,
        one.strict,
    )
    for step, child in other.children.items():
        both.children[step] = _union(both.children.get(step), child)
    return both


class Structure:
    """Collects paths first (:meth:`want`, :meth:`want_body`, :meth:`want_key`), then gives SQL.

    Raises (from the collecting methods):
        ValueError: a path that cannot be read.
    """

    def __init__(self, records: Records, *, flat: bool) -> None:
        self.records = records
        self.flat = flat
        self.body = Node(strict=True)
        self.record = Node()
        self.keys: list[str] = []
        self.body_paths: list[Path] = []
        self.whole = False  # the record's own text is wanted too, as `_nexus_w`
        self._path: Path = () if flat else parse_path(records.path)

    def parse(self, written: str) -> Path:
        """A record path as written in the spec; a flat format's leaves are named by the text itself."""
        return (written,) if self.flat else parse_path(written)

    def want(self, path: Path) -> None:
        """A path in the record."""
        names = self.records.columns
        if names and not self.flat:
            if not path or path[0] not in names:
                raise ValueError(f"the columns are {', '.join(names)}")
            return
        self.record.at(path, strict=False).leaf_type = f"Array({LEAF})" if self._zip else LEAF

    def want_body(self, path: Path) -> None:
        """A path from the top of the body (`body.<path>`)."""
        if self.flat:
            raise ValueError("this format's body has no paths of its own")
        if path[: len(self._path)] == self._path and not (self._zip and len(path) > len(self._path)):
            raise ValueError("this path leads into the records")
        self.body.at(path, strict=True).leaf_type = LEAF
        if path not in self.body_paths:
            self.body_paths.append(path)

    def want_key(self, name: str) -> None:
        """A name of the stage line's `k`: `each_<name>`, `window_start`, `window_end`."""
        if name not in self.keys:
            self.keys.append(name)

    @property
    def _zip(self) -> bool:
        return self.records.zip and not self.flat

    def text(self, path: Path) -> str:
        """SQL of a record's leaf over one row of :meth:`rows`."""
        if self.records.columns and not self.flat:
            cell = f"arrayElement(_nexus_o, {self.records.columns.index(str(path[0])) + 1})"
            return path_text(cell, path[1:]) if len(path) > 1 else cell
        if not self._zip:
            return self.record.read("_nexus_o", path)
        return f"_nexus_z{self._leaf_paths(self.record, ()).index(path)}"

    def body_text(self, path: Path) -> str:
        return f"_nexus_b{self.body_paths.index(path)}"

    def key_text(self, name: str) -> str:
        return f"tupleElement(k, {self.keys.index(name) + 1})"

    def structure(self) -> str:
        """The third argument of `file()`."""
        keys = ", ".join(f"{ident(name)} {LEAF}" for name in self.keys)
        return f"p UInt32, {f'k Tuple({keys}), ' if keys else ''}b {self._root().type()}"

    def _root(self) -> Node:
        """The body with the records in their place."""
        shape = self.records
        place = self.body.at(self._path, strict=True)
        if self.flat:
            place.array_of = self.record
        elif shape.columns:
            place.array_of = Node(leaf_type=f"Array({LEAF})")
        elif shape.by:
            place.map_of = self.record
        elif shape.zip or shape.one:
            whole = _union(self.record, place)  # beside parallel arrays there may be values that all rows share (`body.`)
            place.children, place.leaf_type = whole.children, whole.leaf_type
        else:
            place.array_of = self.record
        return self.body

    def rows(self, relation: Callable[[str], str]) -> str:
        """SELECT of one row per record: `_p`, `_i` (from 0), `k`, `_nexus_o` (the record), `_nexus_b<n>`, `_nexus_key`, and
        `_nexus_w` where it is wanted.

        Args:
            relation: SQL of the stage file under a structure.
        """
        root = self._root()
        base = root.read("b", self._path)
        shape = self.records
        items = ["p AS _p", "toUInt32(_nexus_n - 1) AS _i", *(["k"] if self.keys else [])]
        items += [f"{root.read('b', path)} AS _nexus_b{n}" for n, path in enumerate(self.body_paths)]
        if shape.by and not self.flat:
            join = f"mapKeys({base}) AS _nexus_key, mapValues({base}) AS _nexus_o, arrayEnumerate(mapKeys({base})) AS _nexus_n"
            items += ["_nexus_key", "_nexus_o"]
        elif self._zip:
            join = self._zipped(base)
            items += [f"_nexus_z{n}" for n in range(len(self._leaf_paths(self.record, ())))]
        elif shape.one and not self.flat:
            join = "[1] AS _nexus_n"
            items += [f"{base} AS _nexus_o"]
        else:
            join = f"{base} AS _nexus_o, arrayEnumerate({base}) AS _nexus_n"
            items += ["_nexus_o"]
        raw = relation(self.structure())
        if self.whole:
            raw, join = self._with_texts(raw, relation, join)
            items += ["_nexus_w"]
        return f"SELECT {', '.join(items)}\n  FROM {raw} ARRAY JOIN {join}"

    def _with_texts(self, raw: str, relation: Callable[[str], str], join: str) -> tuple[str, str]:
        """The stage file read once more, the records as their texts: joined to the lines, then to the records."""
        shape, body = self.records, Node(strict=True)
        place = body.at(self._path, strict=True)
        listed = self.flat or not (shape.by or shape.one)
        if listed:
            place.array_of = Node()
        elif shape.by:
            place.map_of = Node()
        else:
            place.leaf_type = LEAF
        base = body.read("b", self._path)
        texts = f"SELECT p, {base if listed or shape.one else f'mapValues({base})'} AS _nexus_w FROM {relation(f'p UInt32, b {body.type()}')}"
        both = f"(SELECT * FROM {raw} AS _nexus_l ANY LEFT JOIN ({texts}) AS _nexus_t USING (p))"
        return both, join if shape.one and not self.flat else f"{join}, _nexus_w"

    def _zipped(self, base: str) -> str:
        """Parallel arrays joined together. One that is absent or empty reads as nulls when it is `optional`; any other difference
        in length fails the query (code 190), and the run then looks for the guilty payload."""
        optional = set(map(parse_path, self.records.optional))
        paths = self._leaf_paths(self.record, ())
        arrays = [self.record.read(base, path) for path in paths]
        longest = f"arrayMax([{', '.join(f'length({array})' for array in arrays)}])"
        joined = [
            f"{f'if(empty({array}), arrayResize({array}, {longest}), {array})' if path in optional else array} AS _nexus_z{n}"
            for n, (path, array) in enumerate(zip(paths, arrays, strict=True))
        ]
        return ", ".join([*joined, f"range(1, toUInt64({longest} + 1)) AS _nexus_n"])

    def _leaf_paths(self, node: Node, path: Path) -> list[Path]:
        if node.leaf_type or not node.children:
            return [path]
        return [leaf for step, child in node.children.items() for leaf in self._leaf_paths(child, (*path, step))]
