"""The narrowest ClickHouse type that holds what a spec reads of a JSON body, every leaf Nullable(String), and the SQL that reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.compile.sqltext import path_text
from nexus_engine.contract.paths import FieldPath, Pick

LEAF = "Nullable(String)"


@dataclass
class Node:
    """A place in the JSON. ``leaf_type`` is set where its text (or its list of texts, for `zip`) is wanted; ``strict`` lists have
    one type per position (`[meta, rows]`), others one type for all. ``mixed``: a map with entries of other kinds among them."""

    children: dict[str | int | Pick, Node] = field(default_factory=dict)
    leaf_type: str = ""
    array_of: Node | None = None
    map_of: Node | None = None
    mixed: bool = False
    strict: bool = False

    def at(self, path: FieldPath, *, strict: bool) -> Node:
        """The node at ``path``, made on the way.

        Raises:
            ValueError: an empty name, or a place used both as a list and as an object.
        """
        node = self
        for step in path:
            if step == "":
                raise ValueError("an empty name cannot be read")
            if any(isinstance(known, str) != isinstance(step, str) for known in node.children):
                raise ValueError(f"{_shown(step)} makes a list of what another path uses as an object")
            node = node.children.setdefault(step, Node())
            node.strict = strict
            if isinstance(step, Pick):
                node.at((step.member,), strict=strict).leaf_type = LEAF
        return node

    @property
    def positions(self) -> bool:
        return self.strict and any(isinstance(step, int) and step > 0 for step in self.children)

    def merged(self) -> Node:
        """One element of a list whose elements are alike: what any index wants."""
        element: Node | None = None
        for child in self.children.values():
            element = union(element, child)
        return element or Node()

    def type(self) -> str:
        if self.array_of is not None:
            return f"Array({self.array_of.type()})"
        if self.map_of is not None:
            return f"Map(String, {self.value_type()})"
        if self.leaf_type or not self.children:
            return self.leaf_type or LEAF
        if isinstance(next(iter(self.children)), str):
            return f"Tuple({', '.join(f'{ident(str(name))} {child.type()}' for name, child in self.children.items())})"
        if not self.positions:
            return f"Array({self.merged().type()})"
        if any(isinstance(step, Pick) for step in self.children):
            raise ValueError("a list is read by position and by [member=text]; use one of them")
        last = max(step for step in self.children if isinstance(step, int))
        return f"Tuple({', '.join(self.children.get(i, Node()).type() for i in range(last + 1))})"

    def value_type(self) -> str:
        """The type of a map's values: a mixed one's are kept as text where they are no entries."""
        assert self.map_of is not None
        kind = self.map_of.type()
        return f"Variant({kind}, String)" if self.mixed and kind != LEAF else kind

    def read(self, base: str, path: FieldPath) -> str:
        """SQL of what is at ``path`` below ``base``, the SQL of this node."""
        if not path:
            return base
        if self.leaf_type:
            return path_text(base, path)
        step, rest = path[0], path[1:]
        if isinstance(step, Pick):
            element = self.merged()
            found = f"arrayFirst(e -> ifNull({element.read('e', (step.member,))} = {literal(step.text)}, 0), {base})"
            return element.read(found, rest)
        if isinstance(step, int) and not self.positions:
            return self.merged().read(f"arrayElement({base}, {step + 1})", rest)
        position = step + 1 if isinstance(step, int) else list(self.children).index(step) + 1
        return self.children[step].read(f"tupleElement({base}, {position})", rest)


def union(one: Node | None, other: Node) -> Node:
    """What both want of one place."""
    if one is None:
        return other
    both = Node(
        {**one.children},
        one.leaf_type or other.leaf_type,
        one.array_of or other.array_of,
        one.map_of or other.map_of,
        one.mixed or other.mixed,
        one.strict,
    )
    for step, child in other.children.items():
        both.children[step] = union(both.children.get(step), child)
    return both


def _shown(step: str | int | Pick) -> str:
    return f"[{step.member}={step.text}]" if isinstance(step, Pick) else repr(step)
