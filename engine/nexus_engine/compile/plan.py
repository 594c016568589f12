"""The Plan: what a feed does, as plain data. JSON both ways, so that a worker elsewhere rebuilds it from text alone."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nexus_engine.compile.query import Query
from nexus_engine.contract.records import Records, Want
from nexus_engine.contract.sink import Target

OnDrift = Literal["ignore", "warn", "fail"]
CursorKind = Literal["date", "datetime", "number", "text"]
WINDOW_END = "window.end"
HEADER = "header."


class ListingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A listing that is asked when a run starts: as a feed's source and query, its columns the value and what goes with it."""

    source: SourcePlan
    query: Query


class EachPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the values of an `each` name come from. One of ``file`` (below the project's folder), ``table`` (`database.table`,
    ``target`` is that of the feed that lands there) and ``listing``. ``beside``: more names -> their column.

    ``uses``: the names before this one that the listing's request reads; it is asked once per combination of them.
    """

    file: str = ""
    table: str = ""
    column: str = ""
    beside: dict[str, str] = {}
    target: Target | None = None
    listing: ListingPlan | None = None
    uses: tuple[str, ...] = ()


class SourcePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the source is asked for. ``options`` are the plugin's, as written: scalars are text, templates unrendered.

    ``records`` and ``want`` say where the records are; for a ``flat`` format the staged body is a list of flat objects.
    """

    plugin: str
    api: str = ""
    options: dict[str, Any] = {}
    each: dict[str, tuple[str, ...] | EachPlan] = {}
    from_data: tuple[str, ...] = ()  # names under `each.` whose values nobody wrote: a table's, a listing's
    each_columns: dict[str, str] = {}  # name of `each` -> the column that has its value as it is
    format: str = "json"
    format_options: dict[str, Any] = {}
    flat: bool = False
    compression: str = ""
    members: str = "*"  # of a zip
    records: Records = Records()
    beside: tuple[str, ...] = ()  # paths of the body that fields read beside the record (`body.<path>`)
    want: Want = Want(records=".", leaves=())


class CursorPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partition has come is the greatest value of ``field``, or what ``source`` names: the end of the window that was
    asked (`window.end`), or a header of its last answer (`header.<name>`). Lengths of time are seconds, or calendar months
    when the spec's unit is `mo` or `y` (then the ``_s`` twin is 0). For a number cursor the ``_s`` ones are plain numbers."""

    field: str = ""
    source: str = ""
    kind: CursorKind
    initial: str = ""
    lookback_s: float = 0
    lookback_months: int = 0
    step_s: float = 0
    step_months: int = 0
    delay_s: float = 0
    end: str = ""
    bounds: str = "[)"  # which bounds of a window the source includes

    @property
    def name(self) -> str:
        """What it is taken from, for messages."""
        return self.field or self.source

    @property
    def header(self) -> str:
        """The response header it is taken from; "" for none."""
        return self.source.removeprefix(HEADER) if self.source.startswith(HEADER) else ""


class SchedulePlan(msgspec.Struct, frozen=True, kw_only=True):
    """When it runs: ``cron`` in ``timezone``, or ``every_s`` seconds, or ``stream``."""

    cron: str = ""
    timezone: str = "UTC"
    every_s: float = 0
    stream: bool = False


class ArchivePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Answers are kept for ``keep_s`` seconds, and no more than ``max_bytes`` of them, compressed."""

    keep_s: float
    max_bytes: int


class DriftPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens when the source's fields differ from what they were."""

    new: OnDrift = "warn"
    missing: OnDrift = "warn"
    retyped: OnDrift = "warn"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One feed, compiled. ``spec_hash`` is over the whole spec; ``position_hash`` only over what gives a stored position
    its meaning. ``spec_file`` is for messages; ``max_refused`` a share from 0 to 1."""

    feed: str
    spec_file: str
    spec_hash: str
    position_hash: str
    source: SourcePlan
    query: Query
    target: Target
    cursor: CursorPlan | None = None
    schedule: SchedulePlan | None = None
    archive: ArchivePlan | None = None
    ddl: Literal["auto", "check"] = "auto"
    max_refused: float = 0.5
    enabled: bool = True
    drift: DriftPlan = DriftPlan()
