"""Whether the words of `cursor:` fit the field it names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from nexus_engine.compile.plan import CursorKind
from nexus_engine.spec.model import CursorSpec

_NUMBER: Final = re.compile(r"[+-]?\d{1,38}(\.\d+)?")


def misfits(spec: CursorSpec, kind: CursorKind) -> Iterator[tuple[str, str]]:
    """(key, what is wrong): a number's distances are numbers, a time's are durations, a text has none."""
    for name, value in (("lookback", spec.lookback), ("step", spec.step)):
        if value is not None and kind == "text":
            yield name, f"`{name}` needs a date, a time or a number; `{spec.field}` is a text"
        elif value is not None and value.counted != (kind == "number"):
            due = "a whole number" if kind == "number" else "a duration like 30d"
            yield name, f"`{spec.field}` is a {kind}: `{name}` is {due}"
        elif name == "step" and value is not None and value <= 0:
            yield name, "`step` is more than nothing"
    if spec.delay is not None and kind not in ("date", "datetime"):
        yield "delay", f"`delay` needs a date or a time; `{spec.field}` is a {kind}"
    if kind == "number":
        for name, text in (("initial", spec.initial), ("end", spec.end)):
            if text and not _NUMBER.fullmatch(text):
                yield name, f"`{spec.field}` is a number: `{name}` is one, too"
        if spec.step is not None and not (spec.end and spec.initial):
            yield "step", "`step` over a number needs `initial` and `end`: numbers have no present to stop at"
    if spec.bounds != "[)" and spec.step is None:
        yield "bounds", "`bounds` needs `step`: without it no window follows another"
