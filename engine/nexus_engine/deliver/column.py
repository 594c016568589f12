"""`each: {name: {from: database.table.column}}`: the values of a landed table's column, read through its sink."""

from __future__ import annotations

from collections.abc import Callable

from nexus_engine.clickhouse.ddl import NEWEST_FIRST, merges
from nexus_engine.clickhouse.engine import Engine, EngineError
from nexus_engine.clickhouse.quoting import ident
from nexus_engine.compile.plan import EachPlan, Plan
from nexus_engine.contract.sink import Sink
from nexus_engine.errors import ConfigError
from nexus_engine.project.values import Row


def column_values(
    plan: Plan, name: str, each: EachPlan, engine: Engine, open_sink: Callable[[str], Sink] | None, max_rows: int
) -> tuple[list[Row], str]:
    """The different values in the order of the column, and a note about rows without one. Of rows with the same key the newest
    counts; of rows with the same value the newest gives what `with` names.

    Raises:
        ConfigError: the table cannot be read, or has too many values.
    """
    where = f"feed {plan.feed}, {plan.spec_file}"
    if each.target is None or open_sink is None:
        raise ConfigError(
            f"the values of each.{name} are in the table {each.table}, which is not open here", where=where, did="nothing was asked",
            do=f"say the values: --each {name}=...",
        )
    relation = open_sink(each.target.sink).current(each.target)
    if relation is None:
        return [], ""
    columns = [each.column, *each.beside.values()]
    wanted = ", ".join(dict.fromkeys(map(ident, columns)))
    rows = f"SELECT {wanted}, _nexus_batch, _nexus_row FROM {relation}"
    if each.target.key:
        final = " FINAL" if merges(each.target) else ""
        keys = ", ".join(map(ident, each.target.key))
        rows = f"SELECT {wanted}, _nexus_batch, _nexus_row FROM {relation}{final} ORDER BY {NEWEST_FIRST} LIMIT 1 BY {keys}"
    texts = ", ".join(f"toString({ident(column)}) AS v{number}" for number, column in enumerate(columns))
    value = ident(each.column)
    has = f"isNotNull({value}) AND trimBoth(ifNull(toString({value}), '')) != ''"
    try:
        [counts] = engine.rows(f"SELECT countIf(NOT ({has})) AS without FROM ({rows})")
        found = engine.rows(
            f"SELECT {texts} FROM (SELECT * FROM ({rows}) WHERE {has} ORDER BY {value}, {NEWEST_FIRST} LIMIT 1 BY {value}) "
            f"ORDER BY {value} LIMIT {max_rows + 1}"
        )
    except EngineError as error:
        raise ConfigError(
            f"the values of each.{name} cannot be read from {each.table}: {error.message.splitlines()[0][:300]}", where=where,
            did="nothing was asked; the position is kept", do="compare the table with its feed: nexus-engine ddl --diff",
        ) from None
    without = int(counts["without"])
    note = f"{without} row{'s' if without != 1 else ''} of {each.table} without a value of `{each.column}` left out of each.{name}" if without else ""
    return [(row["v0"], {other: row[f"v{n}"] for n, other in enumerate(each.beside, 1)}) for row in found], note
