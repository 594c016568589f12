"""The tree against the JSON Schema: structure, names of keys, forms of scalars. jsonschema's own messages quote values and
are never used; each violation becomes one problem in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from nexus_engine.spec.report import Report
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.tree import Path
from nexus_engine.spec.typeschema import Schema, expected, fields_of, properties_of, schema_of

_KIND = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}


def _fits(schema: Schema, value: Any) -> bool:
    """Whether a text plainly fits: the common case, decided without a descent into the schema."""
    if type(value) is not str or "string" not in schema.get("type", ()) or "minLength" in schema:
        return False
    return "pattern" not in schema or re.search(schema["pattern"], value) is not None


def _properties(validator: Any, properties: Schema, instance: Any, schema: Schema) -> Iterator[Any]:
    """The keyword `properties`, with a short way for texts that fit."""
    if type(instance) is dict:
        for name, value in instance.items():
            below = properties.get(name)
            if below is not None and not _fits(below, value):
                yield from validator.descend(value, below, path=name, schema_path=name)


def _items(validator: Any, items: Any, instance: Any, schema: Schema) -> Iterator[Any]:
    """The keyword `items`, with the same short way."""
    if type(instance) is list:
        for i, value in enumerate(instance):
            if not _fits(items, value):
                yield from validator.descend(value, items, path=i)


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    import jsonschema

    extend: Any = jsonschema.validators.extend  # untyped
    return extend(
        jsonschema.Draft202012Validator,
        {"properties": _properties, "items": _items},
        type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
            {  # the tree holds only these kinds
                "object": lambda _, value: type(value) is dict,
                "array": lambda _, value: type(value) is list,
                "string": lambda _, value: type(value) is str,
                "null": lambda _, value: value is None,
            }
        ),
    )


@lru_cache(maxsize=256)
def _validator(kind: type) -> Any:
    return _validator_class()(schema_of(kind))


@lru_cache(maxsize=256)
def _value_validator(kind: Any) -> Any:
    return _validator_class()(schema_of(kind, templates=True))


@lru_cache(maxsize=256)
def _options_validator(kind: type) -> Any:
    schema: Schema = {"type": ["object"], "properties": properties_of(kind, templates=True), "additionalProperties": False}
    return _validator_class()(schema)


def check_file(report: Report, data: Any, kind: type) -> None:
    """Every violation of ``kind``'s schema in ``data`` (the tree as plain data)."""
    _explain_all(report, _validator(kind).iter_errors(data), ())


def check_value(report: Report, at: Path, data: Any, kind: Any) -> None:
    """Every violation in the value at ``at``, which a plugin reads as ``kind``; templates fit everywhere."""
    _explain_all(report, _value_validator(kind).iter_errors(data), at)


def check_options(report: Report, at: Path, data: Mapping[str, Any], options: type, engine_keys: type | None) -> None:
    """Every violation in the keys at ``at`` that are a plugin's options.

    Args:
        engine_keys: the Struct whose keys stand in the same mapping (`source:`) and are offered for misspelt ones.
    """
    own = {field.encode_name for field in fields_of(engine_keys)} if engine_keys else set()
    given = {key: value for key, value in data.items() if key not in own}
    if given:
        _explain_all(report, _options_validator(options).iter_errors(given), at, own - set(data))


def _explain_all(report: Report, errors: Any, at: Path, more_known: set[str] | None = None) -> None:
    """Unknown keys first: the key that one of them was meant to be is then not also reported as missing."""
    missing = []
    for error in errors:
        path = (*at, *error.absolute_path)
        if error.validator == "additionalProperties":
            _unknown_keys(report, path, error, more_known if not error.absolute_path else None)
        elif error.validator == "required":
            missing.append((path, error))
        else:
            _wrong_value(report, path, error)
    for path, error in missing:
        for name in error.validator_value:
            if name not in error.instance and not report.is_bad((*path, name)):
                message = f"`{name}` is missing; expected {expected(error.schema['properties'][name])}"
                report.add((*path, name), "missing-key", message)


def _unknown_keys(report: Report, path: Path, error: Any, more_known: set[str] | None) -> None:
    known = [*error.schema["properties"], *(more_known or ())]
    free = [name for name in known if name not in error.instance]
    for key in error.instance:
        if key not in error.schema["properties"]:
            near = nearest(key, free)
            if near:
                free.remove(near)
                suggestion = f"did you mean `{near}`?"
            else:
                suggestion = "known here: " + ", ".join(sorted(known))
            shown = key if len(key) <= 60 else key[:60] + "…"
            report.add((*path, key), "unknown-key", f"`{shown}` is not known here", suggestion, at_key=True, near=near)


def _wrong_value(report: Report, path: Path, error: Any) -> None:
    schema, value = error.schema, error.instance
    words = expected(schema)
    if error.validator == "type":
        if value is None and "null" in schema.get("examples", ()):
            return
        hint = 'an empty value is not text; write "" for the empty text' if value is None and "text" in words else ""
        report.add(path, "wrong-type", f"expected {words}, found {_KIND.get(type(value), 'something else')}", hint)
    elif error.validator == "pattern":
        near = nearest(value, schema.get("examples", ()))
        report.add(path, "wrong-value", f"expected {words}", f"did you mean `{near}`?" if near else "")
    elif error.validator in ("minProperties", "minItems", "minLength"):
        report.add(path, "wrong-value", "expected at least one entry" if value in ({}, []) else f"expected {words}, not empty")
    else:
        report.add(path, "wrong-value", f"expected {words}")
