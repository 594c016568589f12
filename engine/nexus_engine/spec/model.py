"""The Spec: what a feed file says, typed. The structs below are the spec language: schema, docs and parsing derive from them.

Scalars reach these types as their own text (spec.loader): `NO` fills a ``str`` as "NO" and `0001318605` keeps its zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nexus_engine.contract.options import ByteSize, Duration, Span
from nexus_engine.contract.records import Records
from nexus_engine.contract.sink import Mode

Severity = Literal["warn", "quarantine", "fail"]


class Block(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, omit_defaults=True):
    """A mapping of the spec language: unknown keys are errors."""


class Zip(Block, frozen=True, kw_only=True):
    """`compression: {zip: ...}`."""

    zip: Annotated[str, Meta(description="which members are read, one after the other by name: a pattern like `*.csv`", min_length=1)]


class EachSource(Block, frozen=True, kw_only=True):
    """A value of `each:` that is no list: where the values come from when a run starts. Exactly one of ``file``, ``from_`` and
    ``request`` is given. ``request`` holds options of the feed's source, as text."""

    file: Annotated[str, Meta(description="a file of the project: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.yaml`, `.yml`")] = ""
    from_: Annotated[
        str, Meta(description="`database.table.column` that another feed lands: its different values, of the latest rows")
    ] = msgspec.field(default="", name="from")
    request: Annotated[
        dict[str, Any] | None,
        Meta(description="parent -> child: a listing that is asked first; options of the source, over the API's and the feed's"),
    ] = None
    column: Annotated[str, Meta(description="which column of the file, or path in a record of the listing, is the value")] = ""
    with_: Annotated[
        dict[str, str], Meta(description="more names under `each.`: other columns of the same row, fields of the same record")
    ] = msgspec.field(default={}, name="with")
    records: Annotated[Records | str, Meta(description="with `request`: where the listing's records are and what shape they have")] = "."
    format: Annotated[
        str | dict[str, dict[str, Any]], Meta(description="with `request`: format of the listing; the feed's unless given")
    ] = ""


Values = tuple[str, ...] | EachSource


def each_names(each: Mapping[str, Values]) -> tuple[str, ...]:
    """Everything that `each.<name>` can read: the names of the fan-out, then those of `with`."""
    return (*each, *(name for values in each.values() if isinstance(values, EachSource) for name in values.with_))


class SourceSpec(Block, frozen=True, kw_only=True):
    """`source:`. The keys below are the engine's; every other key is an option of the plugin and kept in ``options``
    as text (scalars unread), because an option may hold a template and is typed after rendering."""

    plugin: Annotated[str, Meta(description="the kind of source; `http` unless named")] = "http"
    api: Annotated[str, Meta(description="a file of `apis.d/`, whose options this feed takes over")] = ""
    each: Annotated[
        dict[str, Values],
        Meta(description="fan-out: one partition per combination of these values: lists, or where they come from"),
    ] = {}
    records: Annotated[Records | str, Meta(description="where the records are and what shape they have")] = "."
    format: Annotated[
        str | dict[str, dict[str, Any]],
        Meta(description="format of the body: a name, or `{name: {options}}`; `json` unless named"),
    ] = "json"
    compression: Annotated[
        Literal["", "gzip", "bz2", "zstd", "zip"] | Zip,
        Meta(description="the body is a compressed file: `gzip`, `bz2`, `zstd`, `zip` or `{zip: <members>}`; a Content-Encoding is undone anyway"),
    ] = ""
    options: dict[str, Any] = {}


class CursorSpec(Block, frozen=True, kw_only=True):
    """`cursor:`: which field tells how far a partition has come, or what does where no field can."""

    field: Annotated[str, Meta(description="the field whose greatest value is the position")] = ""
    from_: Annotated[
        str,
        Meta(
            description="instead of `field`: `window.end` (the end of the window that was asked) or `header.<name>` (a response header of its "
            "last page); needs `type`"
        ),
    ] = msgspec.field(default="", name="from")
    type: Annotated[Literal["", "date", "datetime", "number", "text"], Meta(description="with `from`: what its values are")] = ""
    initial: Annotated[str, Meta(description="where the first run starts, in the type of the field, or `type`")] = ""
    lookback: Annotated[Span | None, Meta(description="how far before the position each run asks again; for a number, a whole number")] = None
    step: Annotated[
        Span | None, Meta(description="length of one window; calendar units align to the calendar; for a number, a whole number, and `end`")
    ] = None
    delay: Annotated[Duration | None, Meta(description="how long values take to be complete: windows end so long before now")] = None
    end: Annotated[str, Meta(description="the last value ever asked for")] = ""
    bounds: Annotated[
        Literal["[)", "[]", "(]", "()"],
        Meta(description="with `step`: which bounds of a window the source's answer includes; windows then neither overlap nor leave a gap"),
    ] = "[)"


class FieldSpec(Block, frozen=True, kw_only=True):
    """One entry of `fields:`. The short form is the type alone: the input has the field's own name. At most one of
    ``from``, ``value``, ``sql`` is given."""

    type: Annotated[str, Meta(description="a ClickHouse type")]
    from_: Annotated[
        str,
        Meta(description="a path in the record, or `each.x`, `run.started_at`, `window.start`, `body.<path>`, `parent.<path>`, `feed.name`"),
    ] = msgspec.field(default="", name="from")
    value: Annotated[str | None, Meta(description="a constant, or a template over each, run, window, vars")] = None
    sql: Annotated[str, Meta(description="a ClickHouse expression over the other fields and the record's own names")] = ""
    missing: Annotated[tuple[str, ...], Meta(description="texts that mean null")] = ()
    epoch: Annotated[Literal["", "s", "ms", "us", "ns"], Meta(description="the input is a count since 1970-01-01 UTC")] = ""
    format: Annotated[str, Meta(description="how the input's date or time is written, strptime style; ISO 8601 unless given")] = ""
    default: Annotated[str | None, Meta(description="what a null becomes")] = None
    codec: Annotated[str, Meta(description="ClickHouse compression codec")] = ""
    description: Annotated[str, Meta(description="becomes the column's comment")] = ""


class RuleSpec(Block, frozen=True, kw_only=True):
    """One entry of `validate:`, by Great Expectations' names (short, or the full `expect_...`)."""

    expect: Annotated[str, Meta(description="the rule's name: between, not_null, in_set, match_regex, unique, row_count, ...")]
    field: Annotated[str, Meta(description="the field it is about")] = ""
    fields: Annotated[tuple[str, ...], Meta(description="the fields it is about, for rules over several")] = ()
    min: Annotated[str | None, Meta(description="least allowed value")] = None
    max: Annotated[str | None, Meta(description="greatest allowed value")] = None
    values: Annotated[tuple[str, ...], Meta(description="the allowed values")] = ()
    regex: Annotated[str, Meta(description="an RE2 regular expression")] = ""
    sql: Annotated[str, Meta(description="a boolean ClickHouse expression over the fields")] = ""
    within: Annotated[Duration | None, Meta(description="greatest age, for `freshness`")] = None
    mostly: Annotated[float, Meta(ge=0, le=1, description="the share of rows that must pass; rows pass as a batch")] = 1.0
    severity: Annotated[Severity, Meta(description="what happens: warn, quarantine the rows, or fail the feed")] = "quarantine"


class StepSpec(Block, frozen=True, kw_only=True):
    """One entry of `transform:`: SQL, or a plugin with its options."""

    sql: Annotated[str, Meta(description="`SELECT ... FROM input`, scalar functions only")] = ""
    plugin: Annotated[str, Meta(description="a transformer")] = ""
    options: dict[str, Any] = {}


class TargetSpec(Block, frozen=True, kw_only=True):
    """`target:`: where rows land, and what the same key again means."""

    table: Annotated[str, Meta(description="`database.table`")]
    sink: Annotated[str, Meta(description="a file of `sinks.d/`; the project's default sink unless named")] = ""
    key: Annotated[tuple[str, ...], Meta(description="fields that name a row; rows that did not change are not written again")] = ()
    mode: Annotated[Mode, Meta(description="`versioned` says that revisions are kept on purpose, and needs a key")] = "append"
    engine: Annotated[str, Meta(description="table engine, where the default is not right")] = ""
    order_by: Annotated[tuple[str, ...], Meta(description="sorting key; the key unless given")] = ()
    partition_by: Annotated[str, Meta(description="partition expression")] = ""
    indexes: Annotated[tuple[str, ...], Meta(description="data skipping indexes, `name expr TYPE type GRANULARITY n`")] = ()
    ttl: Annotated[str, Meta(description="TTL expression")] = ""
    settings: Annotated[dict[str, str], Meta(description="table settings")] = {}
    ddl: Annotated[Literal["auto", "check"], Meta(description="`auto` makes what is missing, `check` refuses")] = "auto"


class ScheduleSpec(Block, frozen=True, kw_only=True):
    """`schedule:`: cron with a time zone, or an interval. Without it a feed runs only when asked."""

    cron: Annotated[str, Meta(description="five cron fields")] = ""
    timezone: Annotated[str, Meta(description="IANA time zone of the cron fields")] = "UTC"
    every: Annotated[Duration | None, Meta(description="an interval, `15m`")] = None


CAPTURED = "extra"
OnDrift = Literal["ignore", "warn", "fail"]


class DriftSpec(Block, frozen=True, kw_only=True):
    """`drift:`, kind by kind."""

    new: Annotated[OnDrift, Meta(description="names that the records did not have")] = "warn"
    missing: Annotated[OnDrift, Meta(description="names that the records had, or that a field reads, and none has")] = "warn"
    retyped: Annotated[OnDrift, Meta(description="values of another JSON type than before; null is none")] = "warn"


class Capture(Block, frozen=True, kw_only=True):
    """`new_fields: {capture: ...}`."""

    capture: Annotated[str, Meta(description="the column's name", min_length=1, max_length=128)]


class ArchiveSpec(Block, frozen=True, kw_only=True):
    """`archive:`: every answer is kept, for `nexus-engine reparse` and `nexus-engine trace`."""

    keep: Annotated[Duration, Meta(description="how long an answer is kept")] = Duration("90d")
    max_size: Annotated[ByteSize, Meta(description="the most that a feed's answers take on disk, compressed; the oldest go first")] = ByteSize("10GB")


class Spec(Block, frozen=True, kw_only=True):
    """A feed file."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$", description="the feed's name; the file is `<name>.yaml`")]
    description: Annotated[str, Meta(description="one line for people")] = ""
    enabled: Annotated[bool, Meta(description="`false` keeps the file and stops the feed")] = True
    source: SourceSpec
    schedule: Annotated[ScheduleSpec | Literal["stream"] | None, Meta(description="when it runs")] = None
    cursor: CursorSpec | None = None
    fields: Annotated[dict[str, FieldSpec], Meta(description="the columns, in order", min_length=1)]
    new_fields: Annotated[
        Literal["", "capture"] | Capture,
        Meta(description="`capture` keeps what a record has and no field reads, as JSON in the column `extra`; `{capture: <column>}` in another"),
    ] = ""
    drift: Annotated[
        OnDrift | DriftSpec,
        Meta(description="fields of the source that are new, missing or of another type: `ignore` (record only), `warn`, `fail`; or each for itself"),
    ] = "warn"
    transform: Annotated[tuple[StepSpec, ...], Meta(description="steps between mapping and checks")] = ()
    validate: Annotated[tuple[RuleSpec, ...], Meta(description="rules each row or batch must hold")] = ()
    target: TargetSpec
    archive: Annotated[
        bool | ArchiveSpec, Meta(description="keep each answer as it came, so that it can be parsed again without asking: `true`, or `{keep, max_size}`")
    ] = False
    max_refused: Annotated[float, Meta(ge=0, le=1, description="share of refused rows of a page or batch that stops the feed")] = 0.5
