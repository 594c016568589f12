"""Material for the tests of broken specs: whole feeds as data, written out one key per line, so that every key has its own line."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from nexus_engine.contract.registry import Registry, build_registry
from nexus_engine.spec.model import SourceSpec, Spec
from nexus_engine.spec.schema import source_keys
from nexus_engine.spec.typeschema import properties_of, schema_of

Path = tuple[str, ...]

FEED: dict[str, Any] = {
    "name": "everything",
    "description": "uses every key",
    "enabled": "true",
    "source": {
        "plugin": "http",
        "endpoint": "https://api.example.com/v1/series",
        "each": {"series": ["A", "B"]},
        "records": {"path": "data.rows", "empty": ["absent"]},
        "format": "json",
        "method": "GET",
        "params": {"id": "{{ each.series }}", "from": "{{ window.start }}"},
        "headers": {"Accept": "application/json"},
        "auth": {"header": {"X-Key": "constant"}},
        "paginate": {"offset": "offset", "start": "0", "limit": {"param": "limit", "size": "100"}, "total": "count"},
        "errors": [{"path": "error", "equals": "yes", "message": "detail", "then": "fail"}],
        "rate": "10/s",
        "concurrency": "2",
        "timeout": "30s",
        "retry": {"attempts": "3", "base": "1s", "max_wait": "60s"},
        "hosts": ["cdn.example.com"],
        "max_body": "5MB",
    },
    "schedule": {"cron": "0 9 * * *", "timezone": "America/New_York"},
    "cursor": {"field": "date", "initial": "2020-01-01", "lookback": "30d", "step": "1d", "end": "2030-01-01"},
    "fields": {
        "series": {"type": "String", "from": "each.series", "description": "which one"},
        "date": {"type": "Date", "format": "%Y-%m-%d", "codec": "DoubleDelta"},
        "value": {"type": "Nullable(Float64)", "missing": ["."], "default": "0"},
        "epoch_s": {"type": "DateTime", "epoch": "s"},
        "kind": {"type": "String", "value": "constant"},
        "twice": {"type": "Float64", "sql": "value * 2"},
    },
    "validate": [
        {"expect": "between", "field": "value", "min": "-100", "max": "1e7", "mostly": "0.9", "severity": "warn"},
        {"expect": "in_set", "field": "series", "values": ["A", "B"]},
        {"expect": "match_regex", "field": "series", "regex": "^[A-Z]$"},
        {"expect": "sql", "sql": "value > 0"},
        {"expect": "freshness", "field": "date", "within": "2d"},
        {"expect": "unique", "fields": ["series", "date"]},
    ],
    "target": {
        "table": "macro.everything", "sink": "clickhouse", "key": ["series", "date"], "mode": "append", "engine": "MergeTree",
        "order_by": ["series", "date"], "partition_by": "toYYYYMM(date)", "indexes": ["i date TYPE minmax GRANULARITY 1"],
        "ttl": "date + INTERVAL 1 YEAR", "settings": {"index_granularity": "8192"}, "ddl": "auto",
    },
    "new_fields": "capture",
    "archive": {"keep": "30d", "max_size": "1GB"},
    "drift": {"new": "ignore", "missing": "warn", "retyped": "fail"},
    "max_refused": "0.5",
}  # fmt: skip


def _changed(*changes: tuple[Path, Any]) -> dict[str, Any]:
    feed = copy.deepcopy(FEED)
    for path, value in changes:
        node: Any = feed
        for step in path[:-1]:
            node = node[int(step)] if isinstance(node, list) else node[step]
        if value is None:
            node.pop(path[-1])
        else:
            node[path[-1]] = value
    return feed


# Keys that cannot stand beside others, each in a feed of its own.
VARIANTS: list[dict[str, Any]] = [
    FEED,
    _changed((("source", "records"), {"path": "rows", "zip": "true"}), (("new_fields",), None)),
    _changed((("new_fields",), {"capture": "rest"})),
    _changed((("source", "records"), {"path": "rows", "columns": ["date", "value"]}), (("new_fields",), None)),
    _changed((("source", "records"), {"path": "rows", "by": "date"})),
    _changed((("source", "records"), {"path": "row", "one": "true"})),
    _changed((("schedule",), {"every": "15m"})),
    _changed((("source", "paginate"), {"page": "p", "start": "1", "pages": "meta.pages", "max_pages": "50"})),
    _changed((("source", "paginate"), {"next": "links.next"})),
    _changed((("source", "paginate"), {"cursor": "meta.next", "param": "token", "end": ["0-0-0"], "into": "query", "more": "more"})),
    _changed((("source", "paginate"), {"header": "X-Next", "param": "token", "stop_when": ["seen"], "seen": "id"})),
    _changed((("source", "paginate"), {"link": "next", "next_link": "rewrite_to_base"})),
    _changed((("source", "paginate"), {"keyset": {"from": "id", "param": "after"}})),
    _changed((("source", "paginate"), {"keyset": {"from": "id", "path": "after"}})),
    _changed((("source", "paginate"), None), (("source", "page_size"), "1000")),
    _changed((("cursor",), {"from": "window.end", "type": "date", "initial": "2020-01-01"})),
    _changed((("source", "method"), "POST"), (("source", "form"), {"q": "a"}), (("source", "cookies"), {"c": "v"})),
    _changed((("source", "errors"), [
        {"header": "x-error", "then": "retry", "after": "5s"}, {"path": "e", "then": "retry", "after_path": "wait"},
        {"status": "429", "then": "retry", "after_header": "x-reset"}])),
    _changed((("source", "budget"), {"remaining": "x-left", "reset": "x-reset", "reset_as": "epoch", "per": "feed"})),
    _changed((("source", "budget"), {"dialect": "github"})),
    _changed((("source", "quota"), ["1000/day"]), (("source", "cost"), {"credits": "5", "header": "X-Cost", "left_header": "X-Left"})),
    _changed((("source", "quota"), ["1000/day"]), (("source", "cost"), {"path": "meta.cost", "left_path": "meta.left"})),
    _changed((("source", "auth"), None), (("source", "credentials"), {"one": {"bearer": "constant"}}), (("source", "credential"), "one")),
    _changed((("source", "paginate"), None), (("source", "conditional"), "true")),
    _changed((("source", "compression"), {"zip": "*.json"})),
    _changed((("source", "records"), {"path": "rows", "zip": "true", "optional": ["volume"]}), (("new_fields",), None)),
    _changed((("source", "records"), {"path": "rows.{sym}[]", "except": ["last"]})),
    _changed((("cursor",), {"field": "date", "initial": "2020-01-01", "step": "1d", "delay": "2h", "bounds": "[]"})),
    _changed((("source", "errors"), [{"status": "403", "then": "empty", "older_than": "7d"}, {"path": "e", "matches": "^x", "then": "stop"}])),
    _changed((("source", "method"), "POST"), (("source", "json"), {"query": "{{ each.series }}"}), (("source", "idempotent"), "true")),
    _changed((("source", "endpoint"), None), (("source", "base_url"), "https://api.example.com"), (("source", "path"), "v1/series")),
    _changed((("source", "endpoint"), None), (("source", "api"), "example"), (("source", "path"), "v1/series")),
    _changed((("source", "each"), {"series": {"file": "lists/series.csv", "column": "id", "with": {"title": "name"}}})),
    _changed((("source", "each"), {"series": {"from": "macro.series.id", "with": {"title": "name"}}})),
    _changed((("source", "each"), {"series": {"request": {"endpoint": "https://api.example.com/all"}, "records": "rows", "column": "id", "format": "json"}})),
    _changed((("source", "each"), {"series": {
        "request": {"endpoint": "https://api.example.com/all"}, "records": {"path": "rows", "zip": "true", "optional": ["name"]}, "column": "id"}})),
    _changed((("source", "each"), {"series": {
        "request": {"endpoint": "https://api.example.com/all"}, "records": {"path": "rows", "columns": ["id", "name"]}, "column": "id"}})),
    _changed((("source", "each"), {"series": {
        "request": {"endpoint": "https://api.example.com/all"}, "records": {"path": "rows", "by": "id", "empty": ["absent"], "except": ["total"]}, "column": "id"}})),
    _changed((("source", "each"), {"series": {
        "request": {"endpoint": "https://api.example.com/all"}, "records": {"path": "row", "one": "true"}, "column": "id"}})),
    _changed((("transform",), [{"sql": "SELECT * FROM input"}])),
    _changed((("transform",), [{"plugin": "shout"}])),
]  # fmt: skip


def emit(value: Any, path: Path = (), depth: int = 0) -> Iterator[tuple[str, Path | None]]:
    """Lines in block style, each with the path of the key that stands on it (list items are counted)."""
    pad = "  " * depth
    if isinstance(value, dict):
        for key, below in value.items():
            name, here = key.split("\0")[0], (*path, key.split("\0")[0])
            if isinstance(below, dict | list) and below:
                yield f"{pad}{name}:", here
                yield from emit(below, here, depth + 1)
            else:
                yield f"{pad}{name}: {scalar(below)}", here
    else:
        for i, item in enumerate(value):
            here = (*path, str(i))
            if isinstance(item, dict) and item:
                lines = list(emit(item, here, depth + 1))
                first, key = lines[0]
                yield f"{pad}- {first.strip()}", key
                yield from lines[1:]
            else:
                yield f"{pad}- {scalar(item)}", here


def scalar(value: Any) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    return "'" + str(value).replace("'", "''") + "'"


def text_of(feed: dict[str, Any]) -> tuple[str, list[Path | None]]:
    lines = list(emit(feed))
    return "\n".join(line for line, _ in lines) + "\n", [path for _, path in lines]


def line_of(paths: list[Path | None], path: Path, occurrence: int = 1) -> int:
    """The line (from 1) of the n-th key at that path."""
    seen = 0
    for number, here in enumerate(paths, 1):
        if here == path:
            seen += 1
            if seen == occurrence:
                return number
    raise AssertionError(f"{path} is not in the text")


@lru_cache(maxsize=1)
def registry() -> Registry:
    return build_registry(extra=["spec_transformer"])


@lru_cache(maxsize=1)
def variants() -> list[dict[str, Any]]:
    """The variants, completed with a plain value for options that plugins may get after this was written."""
    feeds = copy.deepcopy(VARIANTS)
    for name, schema in properties_of(registry().sources["http"].cls.options).items():
        if not any(name in feed["source"] for feed in feeds):
            feeds.append(_changed((("source", name), sample(schema))))
    return feeds


def sample(schema: dict[str, Any]) -> Any:
    """Some value that fits."""
    types = schema.get("type", ["string"])
    if schema.get("examples"):
        return schema["examples"][0]
    if "object" in types:
        inside = schema.get("properties", {})
        names = schema.get("required") or list(inside)[:1]
        return {name: sample(inside[name]) for name in names} or {"a": "b"}
    if "array" in types:
        return [sample(schema.get("items", {}))]
    if "pattern" in schema:
        import re

        return next(text for text in ("true", "1", "30s", "5MB", "10/s", "1000/day", "a") if re.search(schema["pattern"], text))
    return "text"


def keys() -> list[Path]:
    """Every key of the generated source schema."""
    return source_keys(registry())


def schema_at(path: Path) -> dict[str, Any]:
    """The schema of a key (`*`: any name or item)."""
    source = {**properties_of(SourceSpec), **properties_of(registry().sources["http"].cls.options)}
    schema: dict[str, Any] = {**schema_of(Spec)}
    schema["properties"] = {**schema["properties"], "source": {"type": ["object"], "properties": source}}
    for step in path:
        schema = next(schema[word] for word in ("additionalProperties", "items") if isinstance(schema.get(word), dict)) if step == "*" else schema["properties"][step]
    return schema


def required(path: Path) -> bool:
    parent = schema_of(Spec) if len(path) == 1 else schema_at(path[:-1])
    if path[:1] == ("source",) and len(path) == 2:
        return False
    return path[-1] in parent.get("required", [])


def places(path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """(feed, real path) for one place in each variant where the key stands."""
    for feed in variants():
        yield from ((feed, real) for real in _real(feed, path, ()))


def _real(node: Any, path: Path, done: Path) -> Iterator[Path]:
    if not path:
        yield done
    elif path[0] == "*":
        items = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
        for key in items:
            yield from _real(node[key], path[1:], (*done, str(key)))
    elif isinstance(node, dict) and path[0] in node:
        yield from _real(node[path[0]], path[1:], (*done, path[0]))


def edited(feed: dict[str, Any], path: Path, change: Any) -> dict[str, Any]:
    """A copy of the feed with ``change(mapping, key)`` done to the mapping that holds the key; returns the new mapping."""
    fresh = copy.deepcopy(feed)
    parents: list[tuple[Any, Any]] = []
    node: Any = fresh
    for step in path[:-1]:
        key: Any = int(step) if isinstance(node, list) else step
        parents.append((node, key))
        node = node[key]
    new = change(node, path[-1])
    if parents:
        holder, key = parents[-1]
        holder[key] = new
        return fresh
    return new
