"""Option types -> JSON Schema (draft 2020-12), branched by node kind.

One schema serves editors, which see YAML's own numbers and booleans, and the loader, where every scalar is its own text: a
scalar is described by a ``pattern``, which speaks of texts only; ``properties`` speak of mappings only, ``items`` of lists only.
So no ``anyOf`` is needed for `text or mapping`, and one mistake violates one keyword.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import inspect

from nexus_engine.contract.options import FORMS, ByteSize, Duration, Quota, Rate, Span
from nexus_engine.contract.policy import CostOptions
from nexus_engine.spec.model import FieldSpec

Schema = dict[str, Any]

SCALARS: Final = ["string", "number", "boolean"]
TEMPLATE: Final = r"\{\{"
SHORT_FORMS: Final[Mapping[type, str]] = {FieldSpec: "type", CostOptions: "credits"}
"""A scalar where such a mapping is due fills this one key."""

_UNITS: Final[Mapping[type, tuple[str, str]]] = {
    Duration: (r"^\s*(\d+(\.\d+)?(ms|s|min|m|h|d|w)|\d+(mo|y))\s*$", "a duration like 30s, 15m, 2h, 30d, 1mo or 1y"),
    Span: (r"^\s*(\d+(\.\d+)?(ms|s|min|m|h|d|w)|\d+(mo|y)|\d+)\s*$", "a duration like 30d or 1mo, or a whole number"),
    ByteSize: (r"^\s*\d+\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)\s*$", "a size like 64kB, 5MB or 2GiB"),
    Quota: (r"^\s*0*[1-9]\d*/(hour|day|month)\s*$", "a quota like 1000/day or 100000/month"),
    Rate: (r"^\s*0*[1-9]\d*/\d*(ms|s|min|m|h|d)\s*$", "a rate like 120/min, 10/s or 5/2s"),
}


def schema_of(kind: Any, *, templates: bool = False) -> Schema:
    """The schema of a type. With ``templates`` every scalar may be a template instead. The result is shared: copy before a change."""
    return _schema_of(kind, templates)


@lru_cache(maxsize=512)
def _schema_of(kind: Any, templates: bool) -> Schema:
    return _schema(inspect.type_info(kind), templates)


def properties_of(struct: type, *, templates: bool = False) -> dict[str, Schema]:
    """The schema of each key of a Struct, without its open `options`."""
    found: dict[str, Schema] = {}
    for field in fields_of(struct):
        schema = dict(_schema(field.type, templates))
        if isinstance(field.default, (str, int, float)) and field.default != "":
            schema.setdefault("default", field.default if isinstance(field.default, (bool, str)) else _number(field.default))
        found[field.encode_name] = schema
    return found


@lru_cache(maxsize=512)
def fields_of(struct: type) -> tuple[inspect.Field, ...]:
    """The keys of a Struct as the file has them; `options: dict[str, Any]` is where unnamed keys go, not a key."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return tuple(field for field in info.fields if not is_open(struct) or field.encode_name != "options")


@lru_cache(maxsize=512)
def is_open(struct: type) -> bool:
    """Whether keys that are not the engine's are kept in ``options``."""
    annotations = getattr(struct, "__annotations__", {})
    return annotations.get("options") in ("dict[str, Any]", dict[str, Any])


@lru_cache(maxsize=512)
def required_of(struct: type) -> list[str]:
    return [field.encode_name for field in fields_of(struct) if field.required]


def _number(value: float) -> Any:
    if isinstance(value, Duration):
        return value.text
    return int(value) if isinstance(value, ByteSize) else value


def _schema(info: inspect.Type, templates: bool) -> Schema:
    if isinstance(info, inspect.Metadata):
        schema = {**_schema(info.type, templates), **(info.extra_json_schema or {})}
        return {key: value for key, value in schema.items() if value is not None}
    if isinstance(info, inspect.UnionType):
        return _union([_schema(part, templates) for part in info.types])
    if isinstance(info, inspect.StructType):
        return _struct(info.cls, templates)
    if isinstance(info, inspect.DictType):
        return _mapping_of(info, templates)
    if isinstance(info, (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)):
        return _list_of(_schema(info.item_type, templates), info)
    if isinstance(info, inspect.TupleType):
        return _list_of({}, info)
    return _scalar(info, templates)


def _scalar(info: inspect.Type, templates: bool) -> Schema:
    if isinstance(info, inspect.AnyType):
        return {}
    if isinstance(info, inspect.NoneType):
        return {"type": ["null"]}
    if isinstance(info, inspect.BoolType):
        return _patterned(["boolean", "string"], "^(true|false)$", "true or false", templates)
    if isinstance(info, inspect.IntType):
        return _patterned(["integer", "string"], r"^[+-]?\d{1,18}$", "a whole number", templates) | _bounds(info)
    if isinstance(info, inspect.FloatType):
        number = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
        return _patterned(["number", "string"], number, "a number", templates) | _bounds(info)
    if isinstance(info, inspect.LiteralType):
        return _choice([str(value) for value in info.values], templates)
    if isinstance(info, inspect.EnumType):
        return _choice([str(item.value) for item in info.cls], templates)
    if isinstance(info, inspect.CustomType) and info.cls in _UNITS:
        types = ["string", "integer"] if info.cls is Span else ["string"]
        return _patterned(types, *_UNITS[info.cls], templates)
    if isinstance(info, inspect.StrType):
        schema: Schema = {"type": list(SCALARS)}
        if info.pattern is not None:
            words = FORMS.get(info.pattern)
            schema |= _patterned(list(SCALARS), info.pattern, words or f"text of the form {info.pattern}", templates and words is None)
        if info.min_length is not None:
            schema["minLength"] = info.min_length
        return schema
    return {}


def _patterned(types: list[str], pattern: str, expected: str, templates: bool) -> Schema:
    return {"type": types, "pattern": f"{pattern}|{TEMPLATE}" if templates else pattern, "patternErrorMessage": f"expected {expected}"}


def _choice(values: list[str], templates: bool) -> Schema:
    """Fixed words. `examples` carries them for completion and for the nearest-name suggestion."""
    words = [value for value in values if value]
    types = ["string", "null"] if "null" in words else ["string"]  # an unquoted `null` is read as that word
    schema = _patterned(types, f"^({'|'.join(map(re.escape, values))})$", "one of " + ", ".join(words), templates)
    return schema | {"examples": words}


def _bounds(info: inspect.IntType | inspect.FloatType) -> Schema:
    pairs = {"minimum": info.ge, "maximum": info.le, "exclusiveMinimum": info.gt, "exclusiveMaximum": info.lt}
    return {key: value for key, value in pairs.items() if value is not None}


def _struct(cls: type, templates: bool) -> Schema:
    schema: Schema = {
        "type": ["object"],
        "properties": properties_of(cls, templates=templates),
        "additionalProperties": is_open(cls),
    }
    if required := required_of(cls):
        schema["required"] = required
    short = SHORT_FORMS.get(cls)
    if short:
        alone = schema["properties"][short]
        schema = _union([schema, {key: alone[key] for key in ("type", "pattern", "patternErrorMessage", "minimum") if key in alone}])
    return schema


def _mapping_of(info: inspect.DictType, templates: bool) -> Schema:
    schema: Schema = {"type": ["object"]}
    value = _schema(info.value_type, templates)
    if value:
        schema["additionalProperties"] = value
    if info.min_length:
        schema["minProperties"] = info.min_length
    return schema


def _list_of(item: Schema, info: Any) -> Schema:
    """A list, or, where items are scalars, one of them alone."""
    schema: Schema = {"type": ["array"]}
    if item:
        schema["items"] = item
        alone = [kind for kind in item.get("type", []) if kind in (*SCALARS, "integer")]
        if alone:
            schema["type"] += alone
            schema |= {key: item[key] for key in ("pattern", "patternErrorMessage", "examples") if key in item}
    if getattr(info, "min_length", None):
        schema["minItems"] = info.min_length
    return schema


def _union(parts: list[Schema]) -> Schema:
    """One schema for several kinds of node. Texts of several patterns may match any; a text without a pattern matches all."""
    if any(not part for part in parts):
        return {}
    merged: Schema = {}
    types: list[str] = []
    patterns: list[str | None] = []
    for part in parts:
        types += [kind for kind in part["type"] if kind not in types]
        if "string" in part["type"]:
            patterns.append(part.get("pattern"))
        for key, value in part.items():
            if key == "required" and key in merged:
                merged[key] = [name for name in merged[key] if name in value]
            elif key == "properties" and key in merged:
                merged[key] = {**value, **merged[key]}
            elif key == "examples":
                merged[key] = [*merged.get(key, []), *value]
            elif key not in ("type", "pattern"):
                merged.setdefault(key, value)
    if len([part for part in parts if "object" in part["type"]]) > 1:
        merged.pop("required", None)
    merged["type"] = types
    if patterns and all(patterns):
        merged["pattern"] = patterns[0] if len(patterns) == 1 else "|".join(f"({pattern})" for pattern in patterns)
    elif len(patterns) > 0:
        merged.pop("patternErrorMessage", None)
        merged.pop("examples", None)
    return merged


def expected(schema: Schema) -> str:
    """What a schema expects, in words: "a mapping", "text or a list"."""
    types = schema.get("type", [])
    words: list[str] = []
    if "pattern" in schema:
        words.append(schema.get("patternErrorMessage", "text").removeprefix("expected "))
    elif "string" in types:
        words.append("text")
    if "object" in types:
        words.append("a mapping")
    if "array" in types:
        words.append("a list")
    return " or ".join(words) or "nothing"


