"""The same key again: unchanged, revised, new, superseded. SQL over the mapped file and the table's current rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.spool import spool_type
from nexus_engine.clickhouse.types import parse_type

if TYPE_CHECKING:
    from nexus_engine.compile.query import OutColumn

# ClickHouse orders UUIDs by their second half first; a UUIDv7's time is in the first. As a number it is in byte order.
NEWEST = "(toUInt128(_nexus_batch), _nexus_row)"


def _typed(column: OutColumn) -> str:
    """A mapped column as it will be spooled. Only good rows get here: a NULL stands only where the type can hold it."""
    kind = spool_type(parse_type(column.type))
    name = ident(column.name)
    return name if str(kind) == column.spool else f"assumeNotNull({name})"


def _last(mapped: str, columns: Sequence[OutColumn], key: Sequence[str]) -> str:
    """Good rows, the last of each key in the order they were read, typed."""
    items = ", ".join(f"{_typed(column)} AS {ident(column.name)}" for column in columns)
    keys = ", ".join(map(ident, key))
    newest = f"SELECT argMax(_nexus_row, (_p, _i, _nexus_row)) FROM {mapped} WHERE _ok GROUP BY {keys}"
    return f"SELECT {items}, _nexus_row, _p FROM {mapped} WHERE _ok AND _nexus_row IN ({newest})"


def _latest(columns: Sequence[OutColumn], key: Sequence[str], mapped: str, current: str, *, aged: bool) -> str:
    """The table's newest row of each key of the batch: the compared columns as one tuple `_nexus_old`; with ``aged`` its batch, a number,
    as `_nexus_at`."""
    age = ", max(toUInt128(_nexus_batch)) AS _nexus_at" if aged else ""
    keys = ", ".join(map(ident, key))
    wanted = ", ".join(f"{_typed(column)}" for column in columns if column.name in key)
    order = ", ".join(ident(column.name) for column in columns if column.name in key)
    return (
        f"SELECT {keys}, argMax(tuple({', '.join(_compared(columns, key))}), {NEWEST}) AS _nexus_old, "
        f"1 AS _nexus_had{age} FROM {current}\n"
        f"    WHERE ({order}) IN (SELECT {wanted} FROM {mapped} WHERE _ok) GROUP BY {keys}"
    )


def _compared(columns: Sequence[OutColumn], key: Sequence[str]) -> list[str]:
    """Columns whose difference is a revision: neither key nor dependent on the run, in their spool types."""
    return [
        f"CAST({ident(column.name)}, {literal(str(spool_type(parse_type(column.type))))})"
        for column in columns
        if column.name not in key and not column.run
    ] or ["1"]


def _joined(mapped: str, columns: Sequence[OutColumn], key: Sequence[str], current: str, *, aged: bool) -> str:
    """The batch's rows with `_nexus_had` (the key is known) and `_nexus_same` (and nothing differs)."""
    keys = ", ".join(map(ident, key))
    return (
        f"SELECT *, _nexus_had AND isNotDistinctFrom(tuple({', '.join(_compared(columns, key))}), _nexus_old) AS _nexus_same\n"
        f"  FROM ({_last(mapped, columns, key)}) AS batch\n"
        f"  LEFT JOIN ({_latest(columns, key, mapped, current, aged=aged)}) AS latest USING ({keys})"
    )


def verdicts(mapped: str, columns: Sequence[OutColumn], key: Sequence[str], current: str | None, ages: str | None = None) -> str:
    """SELECT of `_p, _nexus_row, verdict` of the last good row of each key: 1 new, 2 revised, 3 unchanged, and with ``ages`` 4: the
    table's row came from a later answer."""
    if current is None:
        return f"SELECT _p, _nexus_row, toUInt8(1) AS verdict FROM ({_last(mapped, columns, key)})"
    joined = _joined(mapped, columns, key, current, aged=ages is not None)
    if ages is not None:
        return (
            "SELECT _p, _nexus_row, toUInt8(multiIf(_nexus_same, 3, _nexus_had AND if(_nexus_weighed, _nexus_weight, _nexus_at) > _nexus_origin, "
            f"4, _nexus_had, 2, 1)) AS verdict FROM ({joined}) AS joined\n"
            f"  LEFT JOIN (SELECT assumeNotNull(p) AS _p, toUInt128(toUUID(origin)) AS _nexus_origin FROM {ages} WHERE isNotNull(p)) AS mine USING (_p)\n"
            "  LEFT JOIN (SELECT toUInt128(toUUID(batch)) AS _nexus_at, toUInt128(toUUIDOrZero(origin)) AS _nexus_weight, 1 AS _nexus_weighed "
            f"FROM {ages} WHERE batch != '') AS theirs USING (_nexus_at)"
        )
    return f"SELECT _p, _nexus_row, toUInt8(multiIf(_nexus_same, 3, _nexus_had, 2, 1)) AS verdict FROM ({joined})"


def age_file(path: Path) -> str:
    """A file with how old answers are, as a relation. A line is `{"p": 3, "origin": <batch>}`, the batch in which the answer of a
    payload first came, or `{"batch": <id>, "origin": <batch>}`, the same for a batch of the table that was parsed again."""
    return f"file({literal(str(path))}, 'JSONEachRow', 'p Nullable(UInt32), batch String, origin String')"


def verdict_file(path: Path) -> str:
    """A file of :func:`verdicts` as a relation."""
    return f"file({literal(str(path))}, 'Arrow', '_p UInt32, _nexus_row UInt32, verdict UInt8')"


def counts(verdicts: str) -> str:
    """SELECT of one row per payload: `_p`, `new`, `revised`, `unchanged`."""
    return (
        "SELECT _p, countIf(verdict = 1) AS new, countIf(verdict = 2) AS revised, countIf(verdict = 3) AS unchanged\n"
        f"FROM {verdicts} GROUP BY _p ORDER BY _p"
    )


def rows_to_land(mapped: str, columns: Sequence[OutColumn], verdicts: str) -> str:
    """SELECT of the target's columns and `_nexus_row`, new and revised rows."""
    items = ", ".join(f"{_typed(column)} AS {ident(column.name)}" for column in columns)
    landing = f"SELECT _nexus_row FROM {verdicts} WHERE verdict < 3"
    return f"SELECT {items}, _nexus_row FROM {mapped} WHERE _ok AND _nexus_row IN ({landing})"
