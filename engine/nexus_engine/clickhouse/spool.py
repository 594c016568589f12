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


def spool_type(kind: CHType) -> CHType:
    """The type in the file: LowCardinality taken off at every depth."""
    if kind.name == "LowCardinality":
        return spool_type(kind.args[0])
    return msgspec.structs.replace(kind, args=tuple(map(spool_type, kind.args))) if kind.args else kind


def structure(columns: Iterable[Column]) -> str:
    """What a spool file holds, for the third argument of `file()`: the columns in order, then `_nexus_row UInt32`."""
    parts = [f"{ident(column.name)} {spool_type(parse_type(column.type))}" for column in columns]
    return ", ".join([*parts, f"{ident(ROW)} UInt32"])


def relation(path: Path | str, columns: Iterable[Column]) -> str:
    """`file(...)` of a spool file, types stated."""
    return f"file({literal(str(path))}, 'Arrow', {literal(structure(columns))})"


def read_expression(column: Column) -> str:
    """The SELECT item that gives the column in its target type, from :func:`relation`."""
    kind = parse_type(column.type)
    name = ident(column.name)
    return name if spool_type(kind) == kind else f"CAST({name}, {literal(str(kind))})"
