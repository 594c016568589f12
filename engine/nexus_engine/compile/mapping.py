"""Fields: where each value comes from, as text, and its guard. One Field per column, before transforms and rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import CHType
from nexus_engine.compile.guards import Guard, guard, scalar
from nexus_engine.compile.sqltext import constant_text
from nexus_engine.compile.structure import Path, Structure
from nexus_engine.contract.paths import parse_field_path
from nexus_engine.spec.model import FieldSpec
from nexus_engine.spec.spelling import nearest

RUN = {"run.started_at": "run_started_at", "run.id": "run_id", "feed.name": "feed"}
WINDOW = {"window.start": "window_start", "window.end": "window_end"}
RUN_DEPENDENT = ("run.", "window.")
_PLACE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_TERM = re.compile(r"([a-z]+)\.([A-Za-z_][A-Za-z0-9_]*)((?:\s*\|\s*[a-z]+)*)")
_MARK = re.compile(r"\0(path|body) (\d+)\0")
_FILTERS = {"lower": "lowerUTF8", "upper": "upperUTF8"}


def marker(name: str) -> str:
    """Where a value of the run goes; replaced by a literal when the statement is made."""
    return f"\0{name}\0"


@dataclass
class Field:
    """A column on its way: ``text`` is the SQL of its source text; ``sql`` takes its place for `sql:` fields."""

    name: str
    kind: CHType
    spec: FieldSpec
    text: str = ""
    sql: str = ""
    depends_on_run: bool = False

    @property
    def text_name(self) -> str:
        return f"_nexus_t_{self.name}"

    @property
    def shared_name(self) -> str:
        return f"_nexus_g_{self.name}"

    def guard(self) -> Guard:
        """Value and fault over the row of texts (`_nexus_t_<name>`), by the names they are selected under."""
        return guard(
            self.kind, ident(self.text_name), epoch=self.spec.epoch, format=self.spec.format,
            name=ident(self.name), shared_name=ident(self.shared_name),
        )  # fmt: skip


@dataclass
class Scope:
    """What texts may refer to: the feed's `each` names and, once a run starts, its values."""

    structure: Structure
    each: Iterable[str]
    vars: dict[str, str] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)

    def resolved(self, text: str) -> str:
        """The text once all paths are known."""
        structure = self.structure
        return _MARK.sub(
            lambda m: (
                structure.text(self.paths[int(m[2])])
                if m[1] == "path"
                else structure.body_text(structure.body_paths[int(m[2])])
            ),
            text,
        )

    def text(self, name: str) -> str:
        """SQL text of a `from:`: a reserved root, the `by` name, or a path in the record.

        Raises:
            ValueError: nothing has this name; says what there is.
        """
        if name.startswith(("each.", "run.", "window.", "feed.")):
            return self.reserved(name)
        if name.startswith("body."):
            return self._body(parse_field_path(name[5:]))
        if self.structure.way.is_parent(name):
            level, path = self.structure.way.parent(name)
            return f"_nexus_u{self.structure.want_parent(level, path)}" if level else self._body(path)
        return self.path(self.structure.parse(name))

    def _body(self, path: Path) -> str:
        self.structure.want_body(path)
        return f"\0body {self.structure.body_paths.index(path)}\0"

    def path(self, path: Path) -> str:
        """SQL text of a path in the record, or of the key of an object on the way to it."""
        if len(path) == 1 and path[0] in self.structure.way.names:
            return self.structure.entry_text(str(path[0]))
        self.structure.want(path)
        if path not in self.paths:
            self.paths.append(path)
        return f"\0path {self.paths.index(path)}\0"

    def reserved(self, name: str) -> str:
        root, _, rest = name.partition(".")
        if name in RUN:
            return f"toNullable({marker(RUN[name])})"
        if name in WINDOW:
            self.structure.want_key(WINDOW[name])
            return self.structure.key_text(WINDOW[name])
        if root == "each" and rest in self.each:
            self.structure.want_key(f"each_{rest}")
            return self.structure.key_text(f"each_{rest}")
        if root == "vars" and rest in self.vars:
            return constant_text(self.vars[rest])
        known = [*(f"each.{each}" for each in self.each), *RUN, *WINDOW, *(f"vars.{var}" for var in self.vars)]
        near = nearest(name, [other for other in known if other.startswith(f"{root}.")])
        raise ValueError(f"there is no `{name}` here" + (f", did you mean {near}?" if near else f"; there are {', '.join(known)}"))

    def template(self, written: str) -> str:
        """SQL text of a `value:`: a constant, or pieces and names joined.

        Raises:
            ValueError: a name or filter that cannot be worked out per row.
        """
        pieces: list[str] = []
        at = 0
        for place in _PLACE.finditer(written):
            if place.start() > at:
                pieces.append(literal(written[at : place.start()]))
            term = _TERM.fullmatch(place[1])
            if not term:
                raise ValueError(f"`{place[1]}` is more than a name here: use `from:` or `sql:`")
            text = self.reserved(f"{term[1]}.{term[2]}")
            for name in filter(None, (part.strip() for part in term[3].split("|"))):
                if name not in _FILTERS:
                    raise ValueError(f"the filter `{name}` does not work in a field; there are {', '.join(_FILTERS)}: use `sql:`")
                text = f"{_FILTERS[name]}({text})"
            pieces.append(text)
            at = place.end()
        if at == 0:
            return constant_text(written)
        pieces += [literal(written[at:])] if at < len(written) else []
        return pieces[0] if len(pieces) == 1 else f"concat({', '.join(pieces)})"


def source_text(spec: FieldSpec, name: str, scope: Scope) -> str:
    """SQL of a field's text over the record, with `missing` and `default` applied. Paths are left as markers until every path
    is known (:meth:`Scope.resolved`). Without `from` it is the record's value of exactly this name."""
    read = scope.text(spec.from_) if spec.from_ else None
    text = scope.template(spec.value) if spec.value is not None else read or scope.path((name,))
    if spec.missing:
        text = f"if({text} IN ({', '.join(map(literal, spec.missing))}), NULL, {text})"
    return text if spec.default is None else f"toNullable(ifNull({text}, {literal(spec.default)}))"


def cast_sql(kind: CHType, expression: str) -> str:
    """A computed value (`sql:`, transforms) as the field's type, exact or NULL: texts go through the type's guard, dates and times
    through ClickHouse's checked cast."""
    bare = kind.bare
    if bare.container:
        return f"CAST({expression}, {literal(str(kind))})"
    by_text = scalar(bare, f"toNullable(toString({expression}))")
    if bare.name not in ("Date", "Date32", "DateTime", "DateTime64"):
        return by_text
    checked = f"accurateCastOrNull({expression}, {literal(str(bare))})"
    return f"if(toTypeName({expression}) LIKE '%String%', {by_text}, CAST({checked}, {literal(f'Nullable({bare})')}))"
