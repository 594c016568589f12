"""The blocks a plugin owns: is the plugin installed, are its options known and of the right form, which format and auth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec

from nexus_engine.contract.options import misfit
from nexus_engine.contract.registry import Registered, Registry
from nexus_engine.spec.checking import check_options, check_value
from nexus_engine.spec.convert import any_options, convert, literal
from nexus_engine.spec.model import CursorSpec, TargetSpec
from nexus_engine.spec.places import TemplateCheck, secret_options
from nexus_engine.spec.report import Report
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.templates import asks
from nexus_engine.spec.tree import Mapping as MappingNode
from nexus_engine.spec.tree import Path, Scalar, find, plain
from nexus_engine.spec.typeschema import fields_of, required_of

_WORDS = {"sources": "source", "sinks": "sink", "transformers": "transformer", "formats": "format", "auth": "auth method"}
_MERGED = ("params", "headers")


def plugin_of(report: Report, path: Path, name: str, registry: Registry, kind: str) -> Registered | None:
    """The registered plugin of that name, or None after one problem at ``path``."""
    known: Mapping[str, Registered] = getattr(registry, kind)
    if name in known:
        return known[name]
    word = _WORDS[kind]
    for failure in registry.failures:
        if failure.plugin.rsplit(".", 1)[-1] == name or failure.plugin.split(":")[0].rsplit(".", 1)[-1] == name:
            report.add(path, "plugin-failed", f"the {word} `{name[:60]}` did not load: {failure.reason}", "see nexus-engine plugins")
            return None
    near = nearest(name, known)
    hint = f"did you mean `{near}`?" if near else ("installed: " + ", ".join(sorted(known)) if known else "none is installed")
    report.add(path, "unknown-name", f"no {word} of this name is installed", hint)
    return None


@lru_cache(maxsize=256)
def _key_names(kind: type) -> frozenset[str]:
    return frozenset(field.encode_name for field in fields_of(kind))


def option_nodes(node: MappingNode, engine_keys: type) -> dict[str, Any]:
    """The entries of a block that are its plugin's."""
    own = _key_names(engine_keys)
    return {key: entry for key, entry in node.entries.items() if key not in own}


def options_data(node: MappingNode, engine_keys: type, options: type | None) -> dict[str, Any]:
    """A block's options as plain data: texts, and JSON where the option may be anything."""
    free = any_options(options) if options else frozenset()
    entries = option_nodes(node, engine_keys)
    return {key: literal(entry.value) if key in free else plain(entry.value) for key, entry in entries.items()}


def merge_options(api: Mapping[str, Any], feed: Mapping[str, Any], base_url: str, options: type) -> dict[str, Any]:
    """The API's options under the feed's: params and headers key by key, everything else whole; the API's ``base_url`` fills the
    option of that name, where the plugin has one."""
    merged = {**api, **feed}
    for key in _MERGED:
        if isinstance(api.get(key), Mapping) and isinstance(feed.get(key), Mapping):
            merged[key] = {**api[key], **feed[key]}
    if base_url and any(name.encode_name == "base_url" for name in fields_of(options)):
        merged.setdefault("base_url", base_url)
    return merged


def check_keys(report: Report, path: Path, node: MappingNode, engine_keys: type, plugin: Registered) -> None:
    """The options in a block: known keys, values of the right form."""
    options: type = plugin.cls.options  # type: ignore[attr-defined]
    check_options(report, path, plain(node), options, engine_keys)


def check_templates(
    report: Report, path: Path, node: MappingNode, engine_keys: type, plugin: Registered, templates: TemplateCheck,
    roots: frozenset[str],
) -> None:
    """The templates in a block's options."""
    may_hold_secrets = secret_options(plugin.cls.options)  # type: ignore[attr-defined]
    for key, entry in option_nodes(node, engine_keys).items():
        if not report.is_bad((*path, key)):
            templates.check((*path, key), entry.value, roots, secrets=key in may_hold_secrets)


def check_auth(report: Report, path: Path, node: MappingNode, registry: Registry) -> None:
    """`auth: {<method>: ...}`: one key, which names an auth plugin."""
    if report.clean(*path):
        check_method(report, path, node.entries, registry)


def check_method(report: Report, path: Path, entries: Mapping[str, Any], registry: Registry) -> None:
    """The one entry at ``path`` that names an auth method."""
    if len(entries) != 1:
        report.add(path, "wrong-value", "expected one key that names the auth method", "installed: " + ", ".join(sorted(registry.auth)))
        return
    name, entry = next(iter(entries.items()))
    plugin = plugin_of(report, (*path, name), name, registry, "auth")
    if plugin is not None:
        kind: Any = plugin.cls.options  # type: ignore[attr-defined]
        given = plain(entry.value)
        check_value(report, (*path, name), given, kind)
        if report.clean(*path, name) and isinstance(given, Mapping) and hasattr(kind, "problems"):
            for key, message in kind.problems(given):
                report.add((*path, name, *_steps(key)), "plugin-option", message)


def check_format(report: Report, path: Path, node: Any, registry: Registry) -> None:
    """`format: json`, or `format: {csv: {delimiter: ";"}}`."""
    if not report.clean(*path):
        return
    if isinstance(node, Scalar):
        if not node.null and (plugin := plugin_of(report, path, node.text, registry, "formats")) is not None:
            check_whole(report, path, {}, plugin.cls.options)  # type: ignore[attr-defined]
    elif isinstance(node, MappingNode):
        if len(node.entries) != 1:
            report.add(path, "wrong-value", "expected one key that names the format", "installed: " + ", ".join(sorted(registry.formats)))
            return
        name, entry = next(iter(node.entries.items()))
        plugin = plugin_of(report, (*path, name), name, registry, "formats")
        if plugin is not None and isinstance(entry.value, MappingNode):
            options: type = plugin.cls.options  # type: ignore[attr-defined]
            given = plain(entry.value)
            check_options(report, (*path, name), given, options, None)
            check_values(report, (*path, name), given, options)
            check_whole(report, (*path, name), given, options)


@lru_cache(maxsize=256)
def _types(options: type) -> dict[str, Any]:
    """The type of each option, by the name it has in a file."""
    hints = get_type_hints(options, include_extras=True)
    return {field.encode_name: hints[field.name] for field in fields_of(options)}


def check_values(report: Report, path: Path, own: Mapping[str, Any], options: type) -> None:
    """Each option of this file that holds no template, or each item of one, is read as its type: what a schema cannot say is found here."""
    types = _types(options)
    for key, value in own.items():
        for first, part in _whole_parts(value) if key in types and report.clean(*path, key) else ():
            try:
                convert(part, types[key])
            except msgspec.ValidationError as error:
                report.add(_error_path(report, (*path, key), error, first), "wrong-value", misfit(error))


def _whole_parts(value: Any) -> list[tuple[int, Any]]:
    """The value, where no template is in it; else the items without one, each as a list, and its number."""
    if not _templated(value):
        return [(0, value)]
    return [(number, [item]) for number, item in enumerate(value) if not _templated(item)] if isinstance(value, list) else []


def check_whole(report: Report, path: Path, merged: Mapping[str, Any], options: type) -> None:
    """Options with everything merged in: what must be there is, and the plugin has no objection."""
    if not report.clean(*path):
        return
    for name in required_of(options):
        if name not in merged:
            report.add((*path, name), "missing-key", f"`{name}` is missing")
    for key, message in options.problems(merged):  # type: ignore[attr-defined]
        if isinstance(key, str) or _stands(report, (*path, *key)):
            report.add((*path, *_steps(key)), "plugin-option", message)
    if report.clean(*path) and not _templated(merged):
        try:
            convert(dict(merged), options)
        except msgspec.ValidationError as error:
            report.add(_error_path(report, path, error), "wrong-value", misfit(error))


def _steps(key: str | Path) -> Path:
    """What a plugin says of the place of a problem, as a path."""
    return key if isinstance(key, tuple) else (key,) if key else ()


def _stands(report: Report, path: Path) -> bool:
    """Whether this file has something there: an option may come from the API's file."""
    assert report.root is not None
    return find(report.root, path)[0] is not find(report.root, path[:-1])[0]


def check_windowed(report: Report, source: MappingNode, merged: Mapping[str, Any], options: type, *, window: bool | None) -> None:
    """What compares with the window, in a feed of this file that has none (``window`` is None where that is not known). An API's
    file speaks for all its feeds, with a window or without."""
    if window is not False or not hasattr(options, "windowed"):
        return
    for path in options.windowed(merged):
        if path[0] in source.entries:
            report.add(("source", *path), "plugin-option", f"there is no window: this feed has no `cursor`, which `{path[-1]}` needs")


def asks_window(options: Mapping[str, Any], kind: type) -> bool:
    """Whether what is asked for depends on the window.

    Args:
        options: of a source, as written; ``kind`` is their type.
    """
    bounded = kind.bounded(options) if hasattr(kind, "bounded") else True
    return bounded or asks(options, "start") or asks(options, "end")


def check_cursor(report: Report, cursor: CursorSpec, target: TargetSpec | None, merged: Mapping[str, Any], options: type) -> None:
    """A cursor that no request uses: every window asks for the same, and without a key it lands each time. With a key and without
    `step` it only asks too much; `plan` says so."""
    if not (cursor.field and report.clean("source") and report.clean("cursor")) or asks_window(merged, options):
        return
    what = "no request uses the cursor: nothing under `source` has `{{ window.start }}` or `{{ window.end }}`"
    hint = 'say where the API takes it, `params: {since: "{{ window.start }}"}`, or leave `cursor` away'
    if cursor.step is not None:
        report.add(("cursor", "step"), "cursor", f"{what}, so every window asks for the same", hint)
    elif target is not None and not target.key:
        report.add(("cursor", "field"), "cursor", f"{what}, so each run reads everything, and without a `key` it lands again", hint)


def _templated(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, Mapping):
        return any(_templated(item) for item in value.values())
    return isinstance(value, list) and any(_templated(item) for item in value)


def _error_path(report: Report, path: Path, error: msgspec.ValidationError, first: int = 0) -> Path:
    """The place a msgspec error names, as far as this file has it (an option may come from the API's file); of a list that begins
    with item ``first``."""
    steps = error_steps(error)
    full = (*path, steps[0] + first, *steps[1:]) if steps and isinstance(steps[0], int) else (*path, *steps)
    assert report.root is not None
    while len(full) > len(path) and find(report.root, full)[0] is find(report.root, full[:-1])[0]:
        full = full[:-1]
    return full


def error_steps(error: msgspec.ValidationError) -> Path:
    """`... - at `$.a[0].b`` -> ("a", 0, "b"); stops at a step that msgspec writes as `[...]`."""
    import re

    match = re.search(r" - at `(?:key in )?\$([^`]*)`$", str(error))
    steps: list[str | int] = []
    for name, number in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", match[1] if match else ""):
        if number == "...":
            break
        steps.append(int(number) if number else name)
    return tuple(steps)
