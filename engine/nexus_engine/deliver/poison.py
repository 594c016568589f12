"""A record that breaks the query is found by halving, and taken out alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_engine.compile.plan import Plan
from nexus_engine.compile.raw import rebuild, records_of
from nexus_engine.deliver.stage import Stage, Staged
from nexus_engine.errors import PageError

# ClickHouse error codes that a value in the data can cause (clickhouse/src/Common/ErrorCodes.cpp): parsing, containers of the wrong
# kind, sizes of arrays, duplicate keys, numbers out of range.
DATA_ERRORS = frozenset({6, 20, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 130, 131, 190, 321, 349, 395, 407, 418, 441, 467, 673, 674})

_PLACE = re.compile(r"nested key (.*?)\)")  # the innermost comes first
_NO_OBJECT = re.compile(r"expected '\{' before: '(.)", re.DOTALL)
_KINDS = {"[": "a list", '"': "a text"}

Try = Callable[[Path], str | None]


@dataclass(frozen=True)
class Guilty:
    """A record the engine cannot read: ``record`` is its number in the payload, ``raw`` its text."""

    p: int
    record: int
    raw: str
    reason: str


def isolate(stage: Stage, plan: Plan, attempt: Try, scratch: Callable[[str], Path]) -> tuple[Stage, list[Guilty]]:
    """The stage without the records that break the query, and those records.

    Args:
        attempt: runs the query over a raw file; the complaint, or None.
        scratch: names a file that is removed after the batch.
    """
    guilty: list[Guilty] = []
    kept = Stage(scratch(f"{stage.path.stem}.kept.jsonl"))
    breaking = _breaking(stage, attempt, scratch)
    for staged in stage.payloads:
        if staged.p not in breaking:
            kept.keep(stage, staged)
            continue
        good, bad = _split(stage, staged, plan, attempt, scratch(f"{stage.path.stem}.part.jsonl"))
        guilty += bad
        kept.keep(stage, staged, body=good)
    kept.close()
    return kept, guilty


def structure(complaint: str) -> str:
    """ClickHouse's complaint about a record in the words of specs: the same for all records that are wrong in the same way."""
    place = ".".join(reversed(_PLACE.findall(complaint)))
    at = f" at `{place}`" if place else ""
    if found := _NO_OBJECT.search(complaint):
        kind = _KINDS.get(found[1], "a single value")
        return f"{kind} stands{at} where an object was due" + ("; `[]` behind a path goes over the items of a list" if kind == "a list" else "")
    if "does not start with '['" in complaint:
        return f"no list stands{at} where one was due"
    return complaint


def _breaking(stage: Stage, attempt: Try, scratch: Callable[[str], Path]) -> set[int]:
    """Payloads over which the query does not run, by halving."""
    part = scratch(f"{stage.path.stem}.half.jsonl")
    found: set[int] = set()

    def search(group: list[int]) -> None:
        stage.extract(group, part)
        if attempt(part) is None:
            return
        if len(group) == 1:
            found.add(group[0])
            return
        half = len(group) // 2
        search(group[:half])
        search(group[half:])

    search([staged.p for staged in stage.payloads if staged.length])
    return found


def _split(stage: Stage, staged: Staged, plan: Plan, attempt: Try, part: Path) -> tuple[bytes, list[Guilty]]:
    """The body without its guilty records, and those."""
    body, source = stage.body(staged), plan.source
    try:
        records = records_of(body, source.records, source.flat, source.want.leaves)
    except (ValueError, LookupError) as error:
        raise PageError(
            f"the body cannot be read as records: {error}", url=staged.payload.url, page=staged.payload.page,
            body=body[:200].decode("utf-8", "replace"), where=f"feed {plan.feed}", did="nothing of this batch landed; the position is kept",
            do="compare `records:` with what the API sends now (nexus-engine preview)",
        ) from None
    guilty: list[Guilty] = []
    good: list[bytes] = []

    def search(first: int, last: int) -> None:
        group = records[first:last]
        part.write_bytes(stage.line(staged, rebuild(body, group, source.records, source.flat, source.want.leaves)))
        complaint = attempt(part)
        if complaint is None:
            good.extend(group)
        elif last - first == 1:
            guilty.append(Guilty(staged.p, first, group[0].decode("utf-8", "replace"), structure(complaint)))
        else:
            half = (first + last) // 2
            search(first, half)
            search(half, last)

    if records:
        search(0, len(records))
    return rebuild(body, good, source.records, source.flat, source.want.leaves), guilty
