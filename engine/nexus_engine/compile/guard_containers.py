"""Guards of Array, Map and Tuple: the leaf holds the value's own JSON text; numbers are quoted before ClickHouse parses it, so
that each element meets its type's guard as the text the source wrote."""

from __future__ import annotations

from nexus_engine.clickhouse.quoting import literal
from nexus_engine.clickhouse.types import CHType
from nexus_engine.compile.sqltext import json_text, let, quoted_json


def container(kind: CHType, text: str) -> str:
    """SQL of ``Tuple(UInt8 bad, value)`` for a container type over ``text`` (a String, not Nullable)."""
    opening = literal("{" if kind.name == "Map" or kind.names else "[")

    def parsed(q: str) -> str:
        sound = f"(isValidJSON({q}) AND startsWith({q}, {opening}))"
        return _PARTS[kind.name](kind, q, sound)

    return let(quoted_json(text), parsed)


def _element(kind: CHType, raw: str) -> str:
    """``Tuple(bad, value)`` of one raw JSON element. A null is bad where the type cannot hold it; a container is no scalar."""
    bare = kind.bare
    if bare.container:
        return container(bare, raw)
    from nexus_engine.compile.guards import scalar

    def checked(t: str) -> str:
        value = scalar(bare, t)
        missing = f"isNotNull({t}) AND isNull({value})" if kind.nullable else f"isNull({value})"
        kept = value if kind.nullable else f"assumeNotNull({value})"
        return f"tuple(toUInt8({missing} OR substring({raw}, 1, 1) IN ('[', '{{')), {kept})"

    return let(json_text(raw), checked)


def _array(kind: CHType, q: str, sound: str) -> str:
    elements = f"arrayMap(e -> {_element(kind.args[0], 'e')}, JSONExtractArrayRaw({q}))"
    return let(
        elements,
        lambda found: (
            f"tuple(toUInt8(NOT {sound} OR arrayExists(t -> tupleElement(t, 1), {found})), "
            f"CAST(arrayMap(t -> tupleElement(t, 2), {found}), {literal(str(kind))}))"
        ),
    )


def _map(kind: CHType, q: str, sound: str) -> str:
    key = _element(kind.args[0], "concat('\"', tupleElement(e, 1), '\"')") if kind.args[0].bare.name != "String" else None
    key = key or "tuple(toUInt8(0), tupleElement(e, 1))"
    pair = f"tuple({key}, {_element(kind.args[1], 'tupleElement(e, 2)')})"

    def built(found: str) -> str:
        keys = f"arrayMap(t -> tupleElement(tupleElement(t, 1), 2), {found})"
        bad = f"arrayExists(t -> tupleElement(tupleElement(t, 1), 1) OR tupleElement(tupleElement(t, 2), 1), {found})"
        values = f"arrayMap(t -> tupleElement(tupleElement(t, 2), 2), {found})"
        return (
            f"tuple(toUInt8(NOT {sound} OR {bad} OR length(arrayDistinct({keys})) != length({keys})), "
            f"CAST(mapFromArrays({keys}, {values}), {literal(str(kind))}))"
        )

    return let(f"arrayMap(e -> {pair}, JSONExtractKeysAndValuesRaw({q}))", built)


def _tuple(kind: CHType, q: str, sound: str) -> str:
    steps = [literal(name) for name in kind.names] or [str(i + 1) for i in range(len(kind.args))]
    found = [_element(arg, f"JSONExtractRaw({q}, {step})") for arg, step in zip(kind.args, steps, strict=True)]
    if not kind.names:
        sound = f"({sound} AND JSONLength({q}) = {len(steps)})"
    return let(
        f"tuple({', '.join(found)})",
        lambda t: (
            f"tuple(toUInt8(NOT {sound} OR {' OR '.join(f'{t}.{i + 1}.1' for i in range(len(found)))}), "
            f"CAST(tuple({', '.join(f'{t}.{i + 1}.2' for i in range(len(found)))}), {literal(str(kind))}))"
        ),
    )


_PARTS = {"Array": _array, "Map": _map, "Tuple": _tuple}
