"""`each:` of a spec -> where its values come from, as plain data. A listing is compiled like a feed: its columns are the value and
what goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nexus_engine.compile.plan import EachPlan, ListingPlan
from nexus_engine.contract.sink import Target
from nexus_engine.spec.model import EachSource, FieldSpec, Spec, TargetSpec, each_names
from nexus_engine.spec.templates import names

Compile = Callable[[Spec, Mapping[str, str]], ListingPlan | None]
_TEXT = "Nullable(String)"


def each_plans(spec: Spec, compile_listing: Compile) -> dict[str, tuple[str, ...] | EachPlan]:
    """The plan of each name, in order.

    Args:
        compile_listing: the listing of a spec, and {path in it: path in the feed} for its problems.
    """
    each = spec.source.each
    found: dict[str, tuple[str, ...] | EachPlan] = {}
    for number, (name, values) in enumerate(each.items()):
        if not isinstance(values, EachSource):
            found[name] = values
            continue
        table, _, column = values.from_.rpartition(".")
        listing, uses = None, set[str]()
        if values.request is not None:
            known = each_names({earlier: each[earlier] for earlier in list(each)[:number]})
            listing = compile_listing(*_as_feed(spec, name, values, known))
            uses = _used(values.request) & set(known)
        found[name] = EachPlan(
            file=values.file, table=table, column=column or values.column, beside=dict(values.with_), listing=listing,
            uses=tuple(sorted(uses)),
        )
    return found


def from_data(each: Mapping[str, tuple[str, ...] | EachPlan]) -> tuple[str, ...]:
    """The names whose values came from a table or an answer: nobody who writes specs has seen them."""
    return tuple(
        one for name, values in each.items() if isinstance(values, EachPlan) and not values.file for one in (name, *values.beside)
    )


def beside(each: Mapping[str, tuple[str, ...] | EachPlan]) -> list[str]:
    """The names that `with` adds."""
    return [name for values in each.values() if isinstance(values, EachPlan) for name in values.beside]


def described(each: Mapping[str, tuple[str, ...] | EachPlan]) -> list[Any]:
    """What `with` adds to requests, for the hash of a position's meaning; nothing for a feed without."""
    return [[name, sorted(values.beside.items())] for name, values in sorted(each.items()) if isinstance(values, EachPlan) and values.beside]


def each_columns(spec: Spec, target: Target) -> dict[str, str]:
    """The columns that hold values of `each` as they are."""
    columns = {column.name for column in target.columns} if not spec.transform else set()
    plain = {name: field for name, field in spec.fields.items() if not (field.missing or field.default or field.epoch or field.format)}
    return {field.from_.removeprefix("each."): name for name, field in plain.items() if field.from_.startswith("each.") and name in columns}


def _as_feed(spec: Spec, name: str, values: EachSource, known: tuple[str, ...]) -> tuple[Spec, dict[str, str]]:
    at = f"source.each.{name}"
    columns = {"v0": (values.column, f"{at}.column")}
    columns |= {f"v{n}": (path, f"{at}.with.{other}") for n, (other, path) in enumerate(values.with_.items(), 1)}
    source = msgspec.structs.replace(
        spec.source, each=dict.fromkeys(known, ()), records=values.records, format=values.format or spec.source.format, compression="",
        options=values.request,
    )
    feed = msgspec.structs.replace(
        spec, source=source, cursor=None, schedule=None, transform=(), validate=(), target=TargetSpec(table="listing.of_each"),
        fields={column: FieldSpec(type=_TEXT, from_=path) for column, (path, _) in columns.items()},
    )
    places = {f"fields.{column}.from": place for column, (_, place) in columns.items()}
    return feed, places | {"source.records": f"{at}.records", "source.format": f"{at}.format"}


def _used(options: Any) -> set[str]:
    """The `each` names that options read."""
    if isinstance(options, Mapping):
        return {name for value in options.values() for name in _used(value)}
    if isinstance(options, list):
        return {name for value in options for name in _used(value)}
    return {name for root, name in names(options) if root == "each"} if isinstance(options, str) else set()
