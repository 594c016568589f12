"""What the engine is asked before anything runs: does it accept each expression over columns of these types?

One question per expression, over typed columns without rows. What stands around it in the feed's query is the same for every
feed and held by tests; describing the whole would cost the engine 20 times as long, and could not say which key is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.compile.guards import guard
from nexus_engine.compile.mapping import Field, cast_sql
from nexus_engine.compile.problems import CompileProblem
from nexus_engine.compile.query import Check

if TYPE_CHECKING:
    from nexus_engine.compile.plan import Plan
    from nexus_engine.compile.select import Layers


def checks(layers: Layers) -> tuple[Check, ...]:
    """In the order in which the engine meets them. Equal guards of different feeds give equal texts: they are asked once."""
    found = [Check(f"fields.{field.name}.type", _guarded(field)) for field in layers.fields if not field.sql]
    for field in layers.fields:
        if field.sql:
            given = _columns((other for other in layers.fields if ident(other.name) in field.sql), layers.extra or {})
            found.append(Check(f"fields.{field.name}.sql", f"SELECT {cast_sql(field.kind, field.sql)} AS _nexus_c FROM {given}"))
    if layers.steps:
        names = ", ".join(ident(field.name) for field in layers.fields)
        inner = f"SELECT 0 AS _p, 0 AS _i, toUInt8(0) AS _nexus_bad, toUInt8(0) AS _nexus_filtered, {names} FROM {_columns(layers.fields)}"
        found.append(Check("transform", layers.stepped(inner, "_nexus_bad")))
    kinds = {field.name: field for field in layers.columns}
    for rule in layers.rules:
        if rule.name == "sql":
            found.append(Check("validate", f"SELECT {rule.check} AS _nexus_c FROM {_columns(layers.columns)}"))
        else:
            check = rule.check.replace(ident(rule.field), "v")
            found.append(Check("validate", f"SELECT {check} AS _nexus_c FROM null({literal(f'v {_type(kinds[rule.field])}')})"))
    return tuple(found)


def _guarded(field: Field) -> str:
    """The field's guard under names that are the same for every field."""
    parts = guard(field.kind, "t", epoch=field.spec.epoch, format=field.spec.format, name="v", shared_name="s")
    shared = f"{parts.shared} AS s, " if parts.shared else ""
    return f"SELECT {shared}{parts.value} AS v, {parts.bad} AS bad FROM null('t Nullable(String)')"


def _columns(fields: Iterable[Field], texts: Iterable[str] = ()) -> str:
    """A relation without rows: fields as their guards give them, and the texts that `sql:` fields read."""
    typed = [f"{ident(field.name)} {_type(field)}" for field in fields]
    return f"null({literal(', '.join([*typed, *(f'{ident(name)} Nullable(String)' for name in texts)]) or '_nexus_n UInt8')})"


def _type(field: Field) -> str:
    kind = field.kind.bare
    return str(kind) if kind.container else f"Nullable({kind})"


def check_with_engine(plan: Plan, engine: Any) -> list[CompileProblem]:
    """Ask the embedded engine to describe the query: wrong types and arguments in `sql:` are found before anything runs.

    Args:
        engine: a ``clickhouse.engine.Engine``; nothing is read or written.
    """
    from pathlib import Path

    from nexus_engine.clickhouse.engine import EngineError
    from nexus_engine.compile.query import filled

    run = {"run_started_at": "2020-01-01 00:00:00", "run_id": "check", "feed": plan.feed}
    problems: list[CompileProblem] = []
    for check in plan.query.checks:
        if problems and not check.path.startswith("fields."):
            break
        try:
            engine.rows(f"DESCRIBE ({filled(check.select, Path('nothing.jsonl'), run)})")
        except EngineError as error:
            message = _first_sentence(error.message)
            problems.append(CompileProblem(check.path, "bad-sql", *_null_container(message) or (message, "")))
    return problems


def _null_container(message: str) -> tuple[str, str] | None:
    """What to write where a function that gives a list is given a text that may be null, as every text of a record may be."""
    match = re.match(r"Nested type (\w+)(\(.*\)) cannot be inside Nullable type", message)
    if match is None:
        return None
    kind = "".join(match.groups())
    like = "JSONExtractArrayRaw(ifNull(x, '[]'))" if match[1] == "Array" else f"JSONExtract(ifNull(x, '{{}}'), '{kind}')"
    what = f"the expression gives {kind} of a value that may be null, and {match[1]} cannot be null"
    return what, f"for that value x write ifNull, as in {like}, or assumeNotNull(x)"


def _first_sentence(message: str) -> str:
    """ClickHouse's message without the query it repeats."""
    return re.split(r": In scope |: while executing |\n", message, maxsplit=1)[0][:300]
