"""From the paths that a spec uses: the structure of a staged line, and the SQL that gives one row per record, whatever lists and
objects lead to it. A leaf that holds a container has the container's own JSON text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.compile.layout import LINES
from nexus_engine.compile.nodes import LEAF, Node, union
from nexus_engine.compile.sqltext import path_text
from nexus_engine.contract.paths import Each, Entry, FieldPath, Pick, parse_field_path, parse_record_path, written
from nexus_engine.contract.records import Level, Records, Way, way_of

Path = FieldPath

_MEMBER = re.compile(r"tupleElement\(_nexus_o, ([0-9]+)\)")


class Structure:
    """Collects paths first (:meth:`want`, :meth:`want_body`, :meth:`want_parent`, :meth:`want_key`), then gives SQL.

    Raises (from the collecting methods):
        ValueError: a path that cannot be read.
    """

    def __init__(self, records: Records, *, flat: bool) -> None:
        self.records = records
        self.flat = flat
        self.way = Way((), (Level(Each()),)) if flat else way_of(records)
        self.body = Node(strict=True)
        self.elements = [Node() for _ in self.way.levels]  # what parents read of each level's element
        self.record = Node()
        self.keys: list[str] = []
        self.body_paths: list[Path] = []
        self.whole = False  # the record's own text is wanted too, as `_nexus_w`
        self.parents: list[tuple[int, Path]] = []  # level counted from 1, path from its element

    def parse(self, text: str) -> Path:
        """A record path as written in the spec; a flat format's leaves are named by the text itself."""
        return (text,) if self.flat else parse_field_path(text)

    def want(self, path: Path) -> None:
        """A path in the record."""
        names = self.records.columns
        if names and not self.flat:
            if not path or path[0] not in names:
                raise ValueError(f"the columns are {', '.join(names)}")
            return
        if self._zip and any(isinstance(step, Pick) for step in path):
            raise ValueError("one of the parallel arrays cannot be picked by [member=text]; name it by its position")
        self.record.at(path, strict=False).leaf_type = f"Array({LEAF})" if self._zip else LEAF

    def want_body(self, path: Path) -> None:
        """A path from the top of the body (`body.<path>`)."""
        if self.flat:
            raise ValueError("this format's body has no paths of its own")
        start = self.way.start
        if path[: len(start)] == start and not (self._zip and not self.way.levels and len(path) > len(start)):
            raise ValueError("this path leads into the records")
        self.body.at(path, strict=True).leaf_type = LEAF
        if path not in self.body_paths:
            self.body_paths.append(path)

    def want_parent(self, level: int, path: Path) -> int:
        """A path from an element of a level (from 1) on; its number."""
        self.elements[level - 1].at(path, strict=True).leaf_type = LEAF
        if (level, path) not in self.parents:
            self.parents.append((level, path))
        return self.parents.index((level, path))

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

    def entry_text(self, name: str) -> str:
        """SQL of the key of the object that the way goes over under this name."""
        return f"toNullable(_nexus_key{self.way.names.index(name)})"

    def key_text(self, name: str) -> str:
        return f"tupleElement(k, {self.keys.index(name) + 1})"

    def leaves(self, paths: Sequence[Path]) -> tuple[str, ...]:
        """What fields read of a record and of what encloses it, as a spec would write it (``Want.leaves``)."""
        own = [written(path) for path in paths]
        if self.way.nested:  # a record's own `parent` is quoted where the word has a meaning
            own = [f'"parent"{text[6:]}' if text.startswith("parent.") else text for text in own]
        return (*own, *(self.way.parent_text(level, path) for level, path in self.parents))

    def structure(self) -> str:
        """The third argument of `file()`."""
        keys = ", ".join(f"{ident(name)} {LEAF}" for name in self.keys)
        return f"p UInt32, {f'k Tuple({keys}), ' if keys else ''}b {self._root().type()}"

    def _root(self) -> Node:
        """The body with the levels and the record in their place."""
        place = self.body.at(self.way.start, strict=True)
        for level, element in zip(self.way.levels, self.elements, strict=True):
            if isinstance(level.over, Each):
                place.array_of = element
            else:
                place.map_of, place.mixed = element, bool(self.records.except_)
            place = element.at(level.then, strict=True)
        if self.records.columns and not self.flat:
            place.leaf_type = f"Array({LEAF})"
        else:  # beside the record there may be values that parents and `body.` read
            whole = union(self.record, place)
            place.children, place.leaf_type = whole.children, whole.leaf_type
        return self.body

    def rows(self, relation: Callable[[str], str]) -> str:
        """SELECT of one row per record: `_p`, `_i` (from 0), `k`, `_nexus_o` (the record; with `zip` `_nexus_z<n>`), `_nexus_b<n>`,
        `_nexus_u<n>` (parents), `_nexus_key<n>`, and `_nexus_w` where it is wanted.

        Args:
            relation: SQL of the stage file under a structure.
        """
        raw = relation(self.structure())
        if not self.whole:
            return self._rows(raw, [])
        if len(self.way.levels) <= 1 and not any(level.then for level in self.way.levels) and not self.records.except_:
            return self._rows(self._with_texts(raw, relation), ["_nexus_w"])
        texts = Structure(self.records, flat=self.flat)
        texts.want(())
        both = f"({texts.rows(relation)}) AS _nexus_t"
        return f"SELECT * FROM ({self._rows(raw, [])}) AS _nexus_l ANY LEFT JOIN (SELECT _p, _i, _nexus_o AS _nexus_w FROM {both}) AS _nexus_t USING (_p, _i)"

    def line_rows(self, *, numbered: bool = False) -> str:
        """The same SELECT over a file of lines, a record on each, its members in the place of `_nexus_o`; "" where a record needs more than the members of its line.

        Args:
            numbered: `_p` is 0, `_i` the number of the line in the file.

        Markers: `lines` the relation of :meth:`line_members`; `k<n>` values of ``keys``, `firsts` and `numbers` of payloads (``Query.map_lines_sql``).
        """
        members = self.record.children
        around = self.whole or self.body_paths or self.parents or self.records.columns or self.way.start or not self.way.levels
        # A name that begins so may be one of the engine's own for a file; one with a dot leads into a list there.
        named = members and all(isinstance(name, str) and name[0] != "_" and "." not in name for name in members)
        if around or self.flat or self._zip or self.record.leaf_type or not named:
            return ""
        firsts, numbers = (f"CAST(\0{name}\0, 'Array(Int64)')" for name in ("firsts", "numbers"))
        keys = ", ".join(f"CAST(\0k{n}\0, '{LEAF}')" for n in range(len(self.keys)))
        place = (
            "toUInt32(0) AS _p, toUInt32(assumeNotNull(_row_number)) AS _i" if numbered else
            f"toUInt32(transform(roundDown(assumeNotNull(_row_number), {firsts}) AS _nexus_first, {firsts}, {numbers}, -1)) AS _p, "
            "toUInt32(assumeNotNull(_row_number) - _nexus_first) AS _i"
        )  # fmt: skip
        return (
            f"SELECT {place}, {f'tuple({keys}) AS k, ' if keys else ''}"
            f"{', '.join(ident(str(name)) for name in members)}\n  FROM {LINES}"
        )

    def line_members(self) -> tuple[tuple[str, str], ...]:
        """Names and types of the members that :meth:`line_rows` reads."""
        return tuple((str(name), child.type()) for name, child in self.record.children.items())

    def line_text(self, text: str) -> str:
        """SQL over a row of :meth:`rows` as SQL over one of :meth:`line_rows`, where the record's members are columns."""
        return _MEMBER.sub(lambda found: ident(str(list(self.record.children)[int(found[1]) - 1])), text)

    def _with_texts(self, raw: str, relation: Callable[[str], str]) -> str:
        """The stage file read once more, the records as their texts: joined to the lines, then (in :meth:`_rows`) to the records."""
        body = Node(strict=True)
        place = body.at(self.way.start, strict=True)
        over = self.way.levels[0].over if self.way.levels else None
        if isinstance(over, Each):
            place.array_of = Node()
        elif over is not None:
            place.map_of = Node()
        else:
            place.leaf_type = LEAF
        base = body.read("b", self.way.start)
        texts = f"SELECT p, {f'mapValues({base})' if isinstance(over, Entry) else base} AS _nexus_w FROM {relation(f'p UInt32, b {body.type()}')}"
        return f"(SELECT * FROM {raw} AS _nexus_l ANY LEFT JOIN ({texts}) AS _nexus_t USING (p))"

    def _rows(self, raw: str, beside: list[str]) -> str:
        """Each level but the last is a subquery of its own. ``beside``: columns of ``raw`` that hold one item for each record."""
        root, zipped = self._root(), self._zip
        relation, base, before = raw, root.read("b", self.way.start), ""  # before: SQL of how many records precede the container
        carried = ["k"] if self.keys else []
        fresh = {f"_nexus_b{n}": root.read("b", path) for n, path in enumerate(self.body_paths)}
        for number, level in enumerate(self.way.levels, 1):
            last = number == len(self.way.levels) and not zipped
            element = "_nexus_o" if last and not level.then else f"_nexus_e{number}"
            values = self._values(number, base)
            joined = {element: values}
            if isinstance(level.over, Entry):
                key = f"_nexus_key{self.way.names.index(level.over.name)}"
                joined[key], fresh[key] = self._entry_keys(base), key
            node = self.elements[number - 1]
            fresh |= {f"_nexus_u{u}": node.read(element, path) for u, (of, path) in enumerate(self.parents) if of == number}
            if last:
                joined["_nexus_n"], fresh["_nexus_o"] = f"arrayEnumerate({values})", node.read(element, level.then)
                joined |= {name: name for name in beside}
                return _select([*_ids(before), *carried, *beside], fresh, relation, joined)
            joined[f"_nexus_f{number}"] = self._offsets(number, values)
            steps = {f"_nexus_at{number}": f"{before}_nexus_f{number}", f"_nexus_c{number}": node.read(element, level.then)}
            relation = f"(\n  {_select(['p', *carried], fresh | steps, relation, joined)}\n  )"
            carried, fresh = [*carried, *fresh], {}
            base, before = f"_nexus_c{number}", f"_nexus_at{number} + "
        if not zipped:
            return _select([*_ids(before), *carried, *beside], fresh | {"_nexus_o": base}, relation, {"_nexus_n": "[1]"})
        arrays = self._zipped(base)
        count = f"range(1, toUInt64({self._longest(base)} + 1))"
        return _select([*_ids(before), *carried], fresh | {name: name for name in arrays}, relation, arrays | {"_nexus_n": count})

    def _values(self, number: int, base: str) -> str:
        """SQL of the elements of a level's container. Of a mixed object only the entries: one of another kind fails the query
        (code 395), and the run then looks for the guilty record."""
        if isinstance(self.way.levels[number - 1].over, Each):
            return base
        if not self.records.except_:
            return f"mapValues({base})"
        kind = self.elements[number - 1].type()
        wanted, values = self._is_entry("x"), f"mapValues({base})"
        if kind != LEAF:
            kept = f"throwIf({wanted} AND toString(variantType(v)) = 'String', 'an entry of another kind') = 0 AND {wanted}"
            found = f"arrayFilter((v, x) -> {kept}, {values}, mapKeys({base}))"
            return f"arrayMap(v -> variantElement(v, {literal(kind)}), {found})"
        return f"arrayFilter((v, x) -> {wanted}, {values}, mapKeys({base}))"

    def _entry_keys(self, base: str) -> str:
        return f"arrayFilter(x -> {self._is_entry('x')}, mapKeys({base}))" if self.records.except_ else f"mapKeys({base})"

    def _is_entry(self, key: str) -> str:
        return f"{key} NOT IN ({', '.join(map(literal, self.records.except_))})"

    def _offsets(self, number: int, values: str) -> str:
        """SQL of how many records come before each of the elements."""
        counts = f"arrayMap(e -> {self._count(number, 'e')}, {values})"
        return f"arrayMap((c, s) -> s - c, {counts}, arrayCumSum({counts}))"

    def _count(self, number: int, element: str) -> str:
        """SQL of the number of records in an element of a level."""
        inner = self.elements[number - 1].read(element, self.way.levels[number - 1].then)
        if number == len(self.way.levels):
            return self._longest(inner)
        values = self._values(number + 1, inner)
        if number + 1 == len(self.way.levels) and not self._zip:
            return f"length({values})"
        return f"arraySum({element}e -> {self._count(number + 1, f'{element}e')}, {values})"

    def _longest(self, base: str) -> str:
        """SQL of the length of the parallel arrays."""
        arrays = [self.record.read(base, path) for path in self._leaf_paths(self.record, ())]
        return f"arrayMax([{', '.join(f'length({array})' for array in arrays)}])"

    def _zipped(self, base: str) -> dict[str, str]:
        """Parallel arrays joined together. One that is absent or empty reads as nulls when it is `optional`; any other difference
        in length fails the query (code 190), and the run then looks for the guilty payload."""
        optional = set(map(parse_field_path, self.records.optional))
        longest = self._longest(base)
        joined = {}
        for n, path in enumerate(self._leaf_paths(self.record, ())):
            array = self.record.read(base, path)
            joined[f"_nexus_z{n}"] = f"if(empty({array}), arrayResize({array}, {longest}), {array})" if path in optional else array
        return joined

    def _leaf_paths(self, node: Node, path: Path) -> list[Path]:
        if node.leaf_type or not node.children:
            return [path]
        return [leaf for step, child in node.children.items() for leaf in self._leaf_paths(child, (*path, step))]


def record_problems(records: Records, name: str, format: Any) -> Iterator[tuple[str, str, str]]:
    """(path, code, message) of what in `records:` does not go together, with itself or with the format of that name."""
    if sum(map(bool, (records.zip, records.columns, records.by, records.one))) > 1:
        yield "source.records", "two-shapes", "at most one of `zip`, `columns`, `by` and `one` can be set"
    if records.optional and not records.zip:
        yield "source.records.optional", "two-shapes", "`optional` names arrays of `zip: true`"
    if getattr(format, "lines", False) and (records.path not in (".", "") or records.zip or records.by or records.one):
        yield "source.records", "bad-path", f"the records of `{name}` are its lines: only `columns` and `empty` can be said"
    elif getattr(format, "flat", False) and any(isinstance(step, (Each, Entry)) for step in parse_record_path(records.path)):
        yield "source.records", "bad-path", f"`[]` and `{{name}}` go over JSON; `{name}` finds its records itself"


def _ids(before: str) -> list[str]:
    return ["p AS _p", f"toUInt32({before}_nexus_n - 1) AS _i"]


def _select(names: list[str], items: dict[str, str], relation: str, joined: dict[str, str]) -> str:
    columns = [*names, *(name if sql == name else f"{sql} AS {name}" for name, sql in items.items())]
    arrays = ", ".join(name if sql == name else f"{sql} AS {name}" for name, sql in joined.items())
    return f"SELECT {', '.join(columns)}\n  FROM {relation} ARRAY JOIN {arrays}"
