"""Names that a feed asks for and no record has: in a ``Nullable`` column they would be nulls without a word.

A renamed or misspelt name is not an error (an API may leave a key out of every record of a page), so it is a warning of the run,
with the nearest name that the records do have. Looked for in a few records of a batch, not in all.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nexus_engine.compile.plan import Plan
from nexus_engine.compile.raw import records_of
from nexus_engine.contract.records import lookup, parse_field_path, way_of
from nexus_engine.deliver.stage import Stage
from nexus_engine.spec.spelling import nearest

PAYLOADS = 3  # whose records are looked at: the first, the last and one between
RECORDS = 50  # of each


def unseen_names(stage: Stage, plan: Plan) -> list[str]:
    """One sentence for each name that stands in none of the records looked at; [] for formats that leave empty names out."""
    source = plan.source
    if source.flat or source.records.columns or not source.want.leaves:
        return []
    records = [record for body in _some_bodies(stage) for record in _objects(body, plan)]
    if not records:
        return []
    names = {name for record in records for name in record}
    way = way_of(source.records)
    found = []
    for leaf in source.want.leaves:
        path = () if way.is_parent(leaf) else parse_field_path(leaf)
        first = path[0] if path and isinstance(path[0], (str, int)) else None
        if first is not None and first not in way.names and not any(lookup(record, (first,)) is not msgspec.UNSET for record in records):
            near = nearest(str(first), names)
            hint = f"; did you mean `{near}`?" if near else ""
            found.append(f"`{leaf}` stands in none of the records looked at, so its field is null{hint}")
    return found


def _some_bodies(stage: Stage) -> Iterable[bytes]:
    full = [staged for staged in stage.payloads if staged.length]
    picked = {0, len(full) // 2, len(full) - 1} if full else set()
    for index in sorted(picked)[:PAYLOADS]:
        yield stage.body(full[index])


def _objects(body: bytes, plan: Plan) -> list[dict[str, object]]:
    """The first records of a body that are objects; what cannot be read is not this room's affair."""
    source = plan.source
    try:
        texts = records_of(body, source.records, source.flat, source.want.leaves, bare=True, most=RECORDS)
        values = [msgspec.json.decode(text) for text in texts]
    except (ValueError, LookupError):
        return []
    return [value for value in values if isinstance(value, dict)]
