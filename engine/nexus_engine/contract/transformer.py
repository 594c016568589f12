"""The contract of a transformer: SQL that is fused into the one query, or a pure function over an Arrow table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from nexus_engine.contract.options import Options

if TYPE_CHECKING:
    import pyarrow as pa


class SqlTransformer(Protocol):
    """Contributes SQL: ``sql("input")`` is a SELECT over the relation named ``input``; pure, deterministic."""

    options: ClassVar[type[Options]]

    def __init__(self, options: Any) -> None: ...

    def sql(self, input: str) -> str: ...


class TableTransformer(Protocol):
    """A pure function over the mapped rows; columns whose names begin with `_` must be passed through."""

    options: ClassVar[type[Options]]

    def __init__(self, options: Any) -> None: ...

    def apply(self, table: pa.Table) -> pa.Table: ...
