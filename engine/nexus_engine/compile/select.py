"""The layers of the one SELECT: rows of a record each, their texts, their values, transforms, rules.

Each layer is a subquery that ClickHouse merges into one expression; the same text is worked out once. Names of the layers begin with
`_nexus_`, which no field may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nexus_engine.clickhouse.quoting import ident
from nexus_engine.compile.mapping import Field, cast_sql
from nexus_engine.compile.reasons import MISSING, Reasons

# Good dates that a type cannot hold surprise people: the reason says what it holds.
_RANGES = {
    "Date": " (1970-01-01 to 2149-06-06; Date32 holds 1900 to 2299)",
    "DateTime": " (1970-01-01 to 2106-02-07; DateTime64 holds 1900 to 2299)",
}


@dataclass
class Step:
    """One transform: ``items`` are its outputs by name, SQL over the columns before it; ``where`` a condition or "";
    ``explode`` pairs (name, SQL of an array)."""

    items: dict[str, str]
    where: str = ""
    explode: tuple[tuple[str, str], ...] = ()


@dataclass
class RowRule:
    """``check``: SQL of 1 when the row passes, over the columns; ``name``: `between`; ``field``: what its reason begins with."""

    name: str
    field: str
    check: str


@dataclass
class Layers:
    """Everything between the stage file and the mapped columns."""

    fields: Sequence[Field]
    texts: dict[str, str]  # SQL over a row of Structure.rows, by field name
    rows: str
    columns: Sequence[Field]  # what comes out, in order
    steps: Sequence[Step] = ()
    rules: Sequence[RowRule] = ()
    extra: dict[str, str] | None = None  # texts that `sql:` fields read, by internal name

    def over(self, rows: str, text: Callable[[str], str]) -> Layers:
        """The same over other rows; ``text`` gives the SQL of a text over them."""
        texts, extra = ({name: text(sql) for name, sql in found.items()} for found in (self.texts, self.extra or {}))
        return replace(self, rows=rows, texts=texts, extra=extra)

    def select(self) -> str:
        """The mapped columns of all records."""
        bad = f"toUInt8({self._any_bad()}) AS _nexus_bad"
        inner = self._values(bad) if self._any_bad() == "0" else self._flagged(bad)
        return (
            f"SELECT _p, _i, toUInt32(rowNumberInAllBlocks()) AS _nexus_row, toUInt8({self._ok()} AND NOT _nexus_filtered) AS _ok, "
            f"toUInt8(_nexus_filtered AND NOT _nexus_bad) AS _filtered,\n  {self._columns()}\n"
            f"FROM (\n{self.stepped(inner, '_nexus_bad')}\n)"
        )

    def reasons(self) -> str:
        """What `compile.reasons` needs of all records. (A WHERE here would double the time to analyse the query.)"""
        own = self._cast_fields()
        casts, texts = (", ".join(items) for items in (map(self._cast_told, own), (ident(field.text_name) for field in own)))
        flag = f"{_array(casts, 'UInt8')} AS _nexus_casts, {_array(texts, 'Nullable(String)')} AS _nexus_texts"
        nulls = ", ".join(f"isNull({ident(field.name)})" for field in self.columns if _must(field))
        broken = ", ".join(map(self._broken, self.rules))
        values = ", ".join(f"toString({ident(rule.field)})" if rule.field else "'does not hold'" for rule in self.rules)
        return (
            f"SELECT _p, _i, _nexus_filtered AS filtered, _nexus_casts AS casts, _nexus_texts AS texts, {_array(nulls, 'UInt8')} AS nulls, "
            f"{_array(broken, 'UInt8')} AS broken, {_array(values, 'Nullable(String)')} AS values\n"
            f"FROM (\n{self.stepped(self._flagged(flag), '_nexus_casts, _nexus_texts')}\n)"
        )

    def named(self) -> Reasons:
        """What the arrays of :meth:`reasons` are about."""
        return Reasons(
            casts=tuple((field.name, f"{field.kind.bare}{_RANGES.get(field.kind.bare.name, '')}") for field in self._cast_fields()),
            nulls=tuple(field.name for field in self.columns if _must(field)),
            rules=tuple((rule.field, rule.name) for rule in self.rules),
        )

    def _cast_fields(self) -> list[Field]:
        return [field for field in self.fields if not field.sql]

    def _texts(self) -> str:
        texts = {f"_nexus_t_{name}": sql for name, sql in self.texts.items()}
        items = [f"{sql} AS {ident(name)}" for name, sql in {**texts, **(self.extra or {})}.items()]
        return f"SELECT _p, _i{''.join(f',{chr(10)}    {item}' for item in items)}\n  FROM (\n  {self.rows}\n  )"

    def _values(self, flag: str) -> str:
        items = []
        for field in self.fields:
            if field.sql:
                items.append(f"{cast_sql(field.kind, field.sql)} AS {ident(field.name)}")
                continue
            guard = field.guard()
            items += [f"{guard.shared} AS {ident(field.shared_name)}"] if guard.shared else []
            items.append(f"{guard.value} AS {ident(field.name)}")
        return f"SELECT _p, _i, {flag}, toUInt8(0) AS _nexus_filtered,\n    {f',{chr(10)}    '.join(items)}\n  FROM (\n  {self._texts()}\n  )"

    def _flagged(self, flag: str) -> str:
        """The values with ``flag``, which sees them and their texts: a guard's text stands in the query once, because the
        engine takes milliseconds to analyse it."""
        own = [field for field in self.fields if not field.sql]
        texts = ", ".join(ident(field.text_name) for field in own)
        names = ", ".join(ident(field.name) for field in self.fields)
        return f"SELECT _p, _i, {flag}, _nexus_filtered,\n    {names}\n  FROM (\n{self._values(texts or '0 AS _nexus_bad')}\n  )"

    def stepped(self, inner: str, carried: str) -> str:
        """The transforms around ``inner``: WHERE marks rows instead of dropping them, an empty array keeps its row as filtered."""
        for step in self.steps:
            names = [f"{sql} AS {ident(name)}" for name, sql in step.items.items()]
            gone = ["_nexus_filtered"]
            join = ""
            if step.where:
                gone.append(f"NOT ifNull(toBool({step.where}), 0)")
            if step.explode:
                arrays = ", ".join(f"{sql} AS {ident(name)}" for name, sql in step.explode)
                inner = f"SELECT *, empty({step.explode[0][1]}) AS _nexus_empty FROM (\n{inner}\n)"
                join = f"\n  LEFT ARRAY JOIN {arrays}"
                gone.append("_nexus_empty")
            inner = (
                f"SELECT _p, _i, {carried}, toUInt8({' OR '.join(gone)}) AS _nexus_filtered,\n    {', '.join(names)}\n"
                f"  FROM (\n{inner}\n  ){join}"
            )
        if not self.steps:
            return inner
        cast = ", ".join(f"{cast_sql(field.kind, ident(field.name))} AS {ident(field.name)}" for field in self.columns)
        return f"SELECT _p, _i, {carried}, _nexus_filtered, {cast} FROM (\n{inner}\n)"

    def _columns(self) -> str:
        return ", ".join(ident(field.name) for field in self.columns)

    def _any_bad(self) -> str:
        """A text that cannot be its type. Where the column cannot be null, the last layer's test finds a scalar's failed cast."""
        flags = [
            bad
            for field in self.fields
            if not field.sql and (bad := field.guard().bad) != "0" and (field.kind.nullable or field.kind.bare.container or self.steps)
        ]
        flags += [f"({_missing(field)})" for field in self.fields if field.kind.container and not field.sql and not self.steps]
        return " OR ".join(flags) or "0"

    def _ok(self) -> str:
        needed = [f"isNotNull({ident(field.name)})" for field in self.columns if _must(field)]
        return " AND ".join(["NOT _nexus_bad", *needed, *(rule.check for rule in self.rules)])

    def _broken(self, rule: RowRule) -> str:
        """An expression of the user's may fail on what is no value: it is asked where all values are there, as in :meth:`_ok`."""
        if rule.name != "sql":
            return f"if({rule.check}, 0, 1)"
        there = ["arraySum(_nexus_casts) = 0", *(f"isNotNull({ident(field.name)})" for field in self.columns if _must(field))]
        return f"({' AND '.join(there)} AND NOT {rule.check})"

    def _cast_told(self, field: Field) -> str:
        bad = field.guard().bad
        return f"if({_missing(field)}, {MISSING}, {bad})" if field.kind.container and not self.steps else bad


def _must(field: Field) -> bool:
    return not field.kind.nullable and not field.kind.container


def _missing(field: Field) -> str:
    return f"isNull({ident(field.text_name)})"



def _array(items: str, kind: str) -> str:
    return f"[{items}]" if items else f"CAST([], 'Array({kind})')"
