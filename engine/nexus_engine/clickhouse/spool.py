"""How a column lives in an Arrow spool file, and how it is read back without loss.

Every type survives Arrow when the reader states it; read by inference, Int128 comes back as FixedString(16), DateTime as
UInt32, an Enum as its number, and an insert casts silently (300 into UInt8 is 44). So files are read with `structure`.
LowCardinality is spooled plain: a dictionary per record batch is slower and bigger than the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import CHType, parse_type
from nexus_engine.contract.sink import Column

ROW = "_nexus_row"
OK = "_ok"  # 0: the row stays behind; a file without this column lands whole


def spool_type(kind: CHType) -> CHType:
    """The type in the file: LowCardinality taken off at every depth."""
    if kind.name == "LowCardinality":
        return spool_type(kind.args[0])
    return msgspec.structs.replace(kind, args=tuple(map(spool_type, kind.args))) if kind.args else kind


def structure(columns: Iterable[Column]) -> str:
    """What is read of a spool file, for the third argument of `file()`: columns by name, `_nexus_row`, and `_ok` if it has that."""
    parts = [f"{ident(column.name)} {spool_type(parse_type(column.type))}" for column in columns]
    return ", ".join([*parts, f"{ident(ROW)} UInt32", f"{OK} Nullable(UInt8)"])


def relation(path: Path | str, columns: Iterable[Column]) -> str:
    """The rows of a spool file that land, types stated."""
    return f"(SELECT * FROM file({literal(str(path))}, 'Arrow', {literal(structure(columns))}) WHERE ifNull({OK}, 1))"


def read_expression(column: Column) -> str:
    """The SELECT item that gives the column in its target type, from :func:`relation`."""
    kind = parse_type(column.type)
    name = ident(column.name)
    return name if spool_type(kind) == kind else f"CAST({name}, {literal(str(kind))})"
