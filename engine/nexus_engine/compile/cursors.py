"""`cursor:` as a plan, and whether its words fit what it is taken from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from nexus_engine.clickhouse.quoting import ident
from nexus_engine.clickhouse.types import CHType
from nexus_engine.compile.plan import HEADER, WINDOW_END, CursorKind, CursorPlan
from nexus_engine.spec.model import CursorSpec
from nexus_engine.spec.templates import asks

_NUMBER: Final = re.compile(r"[+-]?\d{1,38}(\.\d+)?")


def kind_of(column: CHType) -> CursorKind:
    """The kind of a cursor that is a column of this type."""
    name = column.bare.name
    kinds: dict[str, Literal["date", "datetime"]] = {"Date": "date", "Date32": "date", "DateTime": "datetime", "DateTime64": "datetime"}
    return kinds.get(name) or ("number" if name.startswith(("Int", "UInt", "Float", "Decimal")) else "text")


def cursor_plan(spec: CursorSpec, kind: CursorKind) -> CursorPlan:
    return CursorPlan(
        field=spec.field, source=spec.from_, kind=kind, initial=spec.initial, end=spec.end, bounds=spec.bounds, delay_s=float(spec.delay or 0),
        lookback_s=0 if spec.lookback is None or spec.lookback.months else float(spec.lookback),
        lookback_months=spec.lookback.months if spec.lookback else 0,
        step_s=0 if spec.step is None or spec.step.months else float(spec.step),
        step_months=spec.step.months if spec.step else 0,
    )  # fmt: skip


def value_sql(cursor: CursorPlan | None, fields: Mapping[str, CHType]) -> str:
    """SQL of the cursor's value, none when no field is it; a time in UTC, so that positions do not depend on a column's zone."""
    if cursor is None or not cursor.field:
        return ""
    column = ident(cursor.field)
    zone = fields[cursor.field].bare.timezone
    return f"toTimeZone({column}, 'UTC')" if zone and zone != "UTC" else column


def _is_time(text: str) -> bool:
    """Whether it is a day or a time of the calendar, ISO 8601."""
    try:
        datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return True


def misfits(spec: CursorSpec, kind: CursorKind, options: Any) -> Iterator[tuple[str, str]]:
    """(key, what is wrong): a number's distances are numbers, a time's are durations, a text has none.

    Args:
        options: of the source, as written.
    """
    name = spec.field or spec.from_
    for key, value in (("lookback", spec.lookback), ("step", spec.step)):
        if value is not None and kind == "text":
            yield key, f"`{key}` needs a date, a time or a number; `{name}` is a text"
        elif value is not None and value.counted != (kind == "number"):
            due = "a whole number" if kind == "number" else "a duration like 30d"
            yield key, f"`{name}` is a {kind}: `{key}` is {due}"
        elif key == "step" and value is not None and value <= 0:
            yield key, "`step` is more than nothing"
    if spec.delay is not None and kind not in ("date", "datetime"):
        yield "delay", f"`delay` needs a date or a time; `{name}` is a {kind}"
    if kind == "number":
        for key, text in (("initial", spec.initial), ("end", spec.end)):
            if text and not _NUMBER.fullmatch(text):
                yield key, f"`{name}` is a number: `{key}` is one, too"
    elif kind != "text":
        for key, text in (("initial", spec.initial), ("end", spec.end)):
            if text and not _is_time(text):
                yield key, f"`{name}` is a {kind}: `{key}` is a date like 2024-01-31, or a time like 2024-01-31T09:30:00Z"
    if kind == "number" and spec.step is not None and not (spec.end and spec.initial):
        yield "step", "`step` over a number needs `initial` and `end`: numbers have no present to stop at"
    if spec.bounds != "[)" and spec.step is None:
        yield "bounds", "`bounds` needs `step`: without it no window follows another"
    yield from _beside(spec, kind, options)


def _beside(spec: CursorSpec, kind: CursorKind, options: Any) -> Iterator[tuple[str, str]]:
    """What cannot be with a cursor that is not taken from the records."""
    if not spec.from_:
        return
    if not asks(options, "start"):
        yield "from", "the request does not use `window.start`, so what is remembered would never be asked with"
    if spec.from_ == WINDOW_END and kind == "text":
        yield "type", "the end of a window is a date, a time or a number"
    if spec.from_ == WINDOW_END and kind == "number" and spec.step is None:
        yield "type", "windows of numbers have an end only with `step`, `initial` and `end`"
    if spec.from_.startswith(HEADER) and spec.step is not None:
        yield "step", "`step` makes windows whose ends are the position; what a header says has no place in it"
