"""The contract of a sink: write a batch, say what is there, settle. Delivery calls these; a sink keeps no state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from nexus_engine.contract.options import Options

if TYPE_CHECKING:
    import pyarrow as pa

Mode = Literal["append", "versioned"]  # upsert and replace come when a sink keeps their promise


class Column(msgspec.Struct, frozen=True):
    """A column of the target table: ``type`` is ClickHouse type text; ``run`` marks values that depend on the run
    (`run.*`), which the compare step leaves out."""

    name: str
    type: str
    run: bool = False
    default: str = ""
    codec: str = ""
    comment: str = ""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows go: frozen into the batch record, so recovery needs no spec. Plain data, JSON both ways."""

    sink: str
    database: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    mode: Mode = "append"
    engine: str = "MergeTree"
    order_by: tuple[str, ...] = ()
    partition_by: str = ""
    indexes: tuple[str, ...] = ()  # "idx_date date TYPE minmax GRANULARITY 3"
    ttl: str = ""
    settings: Mapping[str, str] = {}
    comment: str = ""

    @property
    def name(self) -> str:
        return f"{self.database}.{self.table}"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that are ours: spooled, recorded, and to be delivered exactly once. Immutable.

    ``id`` is a UUIDv7, monotone in this data folder; ``path`` the Arrow IPC file, which holds the target's columns, `_nexus_row`
    (UInt32, unique in the batch), and perhaps others: where there is a column `_ok` (UInt8), rows with 0 in it are not of the
    batch. ``rows``: how many are; ``advances`` the positions it moves: ``{partition key: [from, to]}``. ``sha256`` of the file; empty
    when there is none, because the rows are in a side table (:class:`Sides`).
    """

    id: str
    seq: int
    feed: str
    run_id: str
    target: Target
    path: str
    rows: int
    sha256: str
    advances: dict[str, tuple[Any, Any]] = {}

    @property
    def side(self) -> bool:
        """The rows are in a side table of the sink's, not in a file."""
        return not self.sha256

    def table(self) -> pa.Table:
        """The rows of the file to land as an Arrow table (memory-mapped where all of the file is): the target's columns, then `_nexus_row`."""
        import pyarrow as pa

        with pa.memory_map(self.path) as source:
            table = pa.ipc.open_file(source).read_all()
        if "_ok" in table.column_names:
            table = table.filter(table.column("_ok").cast(pa.bool_()))
        return table.select([*(column.name for column in self.target.columns), "_nexus_row"])


class Rejects(msgspec.Struct, frozen=True):
    """Rows that the destination refused for good: ``{_nexus_row: reason}``. They go to quarantine; the rest landed."""

    rows: Mapping[int, str]


class SinkContext(Protocol):
    """What a sink gets from the host when it is opened."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def engine(self) -> Any:
        """The one embedded ClickHouse session of this process (``nexus_engine.clickhouse.engine.Engine``)."""
        ...


class Sink(Protocol):
    """A kind of destination. One instance per sink name and process; methods may be called from several threads, but never
    twice at once for the same table."""

    options: ClassVar[type[Options]]
    readable: ClassVar[bool]  # `landed` works: the exactly-once promise can be kept
    promise: ClassVar[str]  # printed by `plan`

    def __init__(self, options: Any, context: SinkContext) -> None: ...

    def prepare(self, target: Target, *, apply: bool) -> Sequence[str]:
        """The DDL statements that are missing; run when ``apply``. [] when the table fits.

        Raises:
            TableDiffers: the live table differs in a way that is not mended; carries the diff.
        """
        ...

    def current(self, target: Target) -> str | None:
        """A SQL relation, readable by the embedded engine, of the table's rows with `_nexus_batch` and `_nexus_row`; None when
        the destination cannot be read."""
        ...

    def write(self, batch: Batch, rows: Sequence[int] | None = None) -> Rejects | None:
        """Insert the batch as one block (``rows``: only those `_nexus_row`). Returning means landed; any exception means
        unknown: the caller fences and reads back, never re-sends blind."""
        ...

    def landed(self, batch: Batch) -> Sequence[int]:
        """The `_nexus_row` values of this batch that the destination holds, repeats included."""
        ...

    def settle(self, batch: Batch) -> None:
        """Return once no attempt of this batch can still change the table (the fence)."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Removes(Protocol):
    """A sink that can remove rows; one without this method cannot replace a range."""

    def remove(self, target: Target, where: str) -> None:
        """Remove the rows for which ``where`` holds: a ClickHouse expression over the target's columns, `_nexus_batch` and
        `_nexus_row`. Returns once no reader sees them any more; may be repeated after any failure. Called under the table's lock."""
        ...


@runtime_checkable
class Sides(Protocol):
    """A sink whose tables the embedded engine writes itself. Rows of a large batch are mapped straight into a *side table*, as they will
    lie in the target; :meth:`Sink.write` of the whole batch then takes them in without reading them. The methods may be called while a
    batch of the same target is written."""

    def side_table(self, target: Target, batch_id: str, staged: Collection[str]) -> str | None:
        """A new, empty side table for a batch, as SQL; None where the target's table cannot take rows in like that.

        Args:
            staged: ids of the batches whose side tables are needed. Others that an earlier process left are removed at the first call.
        """
        ...

    def side_rows(self, batch: Batch) -> Sequence[int]:
        """The `_nexus_row` values in the batch's side table; none when it is not there."""
        ...

    def drop_side(self, target: Target, batch_id: str) -> None:
        """Remove the side table of a batch, if it is there."""
        ...
