"""JSON Schemas for editors, generated from the option types of what is installed: `schemas/*.schema.json`.

They describe the same language as the loader's checks (both come from ``typeschema``), with each plugin's options under a
condition on `plugin`. ``write`` puts them into a folder, ``stale`` names the ones there that are not what they should be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nexus_engine.contract.registry import Registered, Registry
from nexus_engine.spec.credentials import OWN
from nexus_engine.spec.files import ApiFile, ProjectFile, SinkFile, TestFile
from nexus_engine.spec.model import SourceSpec, Spec, StepSpec
from nexus_engine.spec.rules import known_names
from nexus_engine.spec.typeschema import Schema, fields_of, properties_of, required_of, schema_of

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def generate(registry: Registry) -> dict[str, Schema]:
    """File name -> schema, for the plugins of ``registry``."""
    return {
        "source.schema.json": _file("A feed: sources.d/<name>.yaml", _source(registry)),
        "api.schema.json": _file("An API: apis.d/<name>.yaml", _open(ApiFile, registry.sources, "http", registry)),
        "sink.schema.json": _file("A destination: sinks.d/<name>.yaml", _open(SinkFile, registry.sinks, "clickhouse", registry)),
        "project.schema.json": _file("An installation: nexus.yaml", dict(schema_of(ProjectFile))),
        "test.schema.json": _file("A feed's test: sources.d/<feed>.test.yaml", dict(schema_of(TestFile))),
    }


def texts(registry: Registry) -> dict[str, str]:
    """The same as the text of each file."""
    return {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in generate(registry).items()}


def write(folder: Path, registry: Registry) -> list[Path]:
    """Write every schema that differs from what is there; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in stale(folder, registry):
        path = folder / name
        path.write_text(texts(registry)[name], encoding="utf-8")
        written.append(path)
    return written


def stale(folder: Path, registry: Registry) -> list[str]:
    """The names of the schemas in ``folder`` that are missing or differ from the installed types."""
    return [name for name, text in texts(registry).items() if _read(folder / name) != text]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _file(title: str, schema: Schema) -> Schema:
    return {"$schema": DRAFT, "title": title, **schema}


def _source(registry: Registry) -> Schema:
    schema = dict(schema_of(Spec))
    properties = dict(schema["properties"])
    properties["source"] = _open(SourceSpec, registry.sources, "http", registry) | {"description": "where the data comes from"}
    step = _open(StepSpec, registry.transformers, "", registry)
    properties["transform"] = {**properties["transform"], "items": step}
    properties["validate"] = _rules(properties["validate"])
    return {**schema, "properties": properties}


def _rules(schema: Schema) -> Schema:
    item = dict(schema["items"])
    expect = {**item["properties"]["expect"], "examples": list(known_names())}
    return {**schema, "items": {**item, "properties": {**item["properties"], "expect": expect}}}


def _open(kind: type, plugins: Mapping[str, Registered], default: str, registry: Registry) -> Schema:
    """A mapping of the engine's keys and, by its `plugin`, that plugin's."""
    properties = properties_of(kind)
    plugin = {**properties["plugin"]}
    if plugins:
        plugin["enum"] = sorted(plugins)
    properties["plugin"] = plugin
    if "format" in properties:
        properties["format"] = _format(properties["format"], registry)
    schema: Schema = {"type": ["object"], "properties": properties}
    if required := required_of(kind):
        schema["required"] = required
    if len(plugins) == 1 and default in plugins:
        schema["properties"] = {**properties, **_options(plugins[default], registry)}
        return schema | {"additionalProperties": False}
    branches = [
        {"if": _is_plugin(name, default), "then": {"properties": _options(item, registry)}} for name, item in sorted(plugins.items())
    ]
    return (schema | {"allOf": branches} if branches else schema) | {"unevaluatedProperties": False}


def _is_plugin(name: str, default: str) -> Schema:
    condition: Schema = {"properties": {"plugin": {"const": name}}}
    return condition if name == default else condition | {"required": ["plugin"]}


def _options(item: Registered, registry: Registry) -> dict[str, Any]:
    properties = properties_of(item.cls.options, templates=True)  # type: ignore[attr-defined]
    if "auth" in properties and registry.auth:
        auth = {key: value for key, value in properties["auth"].items() if key != "additionalProperties"}
        methods: dict[str, Schema] = {
            name: schema_of(method.cls.options, templates=True)  # type: ignore[attr-defined]
            for name, method in sorted(registry.auth.items())
        }
        properties["auth"] = auth | {"properties": methods, "additionalProperties": False, "maxProperties": 1}
        if "credentials" in properties:
            own = {key: properties[key] for key in OWN if key in properties}
            one = {"type": ["object"], "properties": methods | own, "additionalProperties": False}
            properties["credentials"] = properties["credentials"] | {"additionalProperties": one}
    return properties


def _format(schema: Schema, registry: Registry) -> Schema:
    """A format's name, or a mapping of its name to its options."""
    formats = {
        name: {"type": ["object", "null"], "properties": properties_of(item.cls.options), "additionalProperties": False}  # type: ignore[attr-defined]
        for name, item in sorted(registry.formats.items())
    }
    return schema | {"properties": formats, "additionalProperties": False, "maxProperties": 1, "examples": sorted(formats)}


def source_keys(registry: Registry, plugin: str = "http") -> list[tuple[str, ...]]:
    """Every key of a feed file as a path, `*` for names and list items: what the tests of broken specs walk over."""
    found: list[tuple[str, ...]] = []

    def walk(schema: Schema, path: tuple[str, ...]) -> None:
        for name, below in schema.get("properties", {}).items():
            found.append((*path, name))
            walk(below, (*path, name))
        for keyword in ("additionalProperties", "items"):
            if isinstance(schema.get(keyword), dict):
                walk(schema[keyword], (*path, "*"))

    schema = dict(schema_of(Spec))
    options = properties_of(registry.sources[plugin].cls.options, templates=True)  # type: ignore[attr-defined]
    source = {"properties": {**properties_of(SourceSpec), **options}}
    walk({**schema, "properties": {**schema["properties"], "source": source}}, ())
    return found


def option_rows(options: type) -> list[tuple[str, str, str, str]]:
    """(key, what is expected, default, description) of each option of a plugin, for README tables and `plugins show`."""
    from nexus_engine.spec.typeschema import expected

    rows = []
    schemas = properties_of(options)
    for field in fields_of(options):
        schema = schemas[field.encode_name]
        default = "required" if field.required else str(schema.get("default", ""))
        rows.append((field.encode_name, expected(schema) if schema else "anything", default, schema.get("description", "")))
    return rows
