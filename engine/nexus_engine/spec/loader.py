"""A file's text -> typed Spec and every problem in it, with positions.

::

    bytes -> bounded YAML events -> positioned tree -> JSON Schema over the whole tree -> types, block by block -> meaning
             (spec.tree)                               (spec.checking)                    (convert)               (plugins, meaning)

A user's mistake is never an exception; each later step judges only what the earlier ones left sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, get_type_hints

import msgspec

from nexus_engine.contract.options import misfit
from nexus_engine.contract.records import Records
from nexus_engine.contract.registry import Registered, Registry
from nexus_engine.spec.checking import check_file
from nexus_engine.spec.convert import convert
from nexus_engine.spec.credentials import check_choice, check_credentials, resolved
from nexus_engine.spec.files import ApiFile
from nexus_engine.spec.listings import check_listing, listing_options
from nexus_engine.spec.meaning import Blocks, check_meaning
from nexus_engine.spec.model import (
    ArchiveSpec,
    CursorSpec,
    EachSource,
    FieldSpec,
    RuleSpec,
    ScheduleSpec,
    SourceSpec,
    Spec,
    StepSpec,
    TargetSpec,
    Values,
    each_names,
)
from nexus_engine.spec.places import FEED_ROOTS, VALUE_ROOTS, Surroundings, TemplateCheck, scalars
from nexus_engine.spec.plugins import (
    check_auth,
    check_cursor,
    check_format,
    check_keys,
    check_templates,
    check_values,
    check_whole,
    check_windowed,
    error_steps,
    merge_options,
    options_data,
    plugin_of,
)
from nexus_engine.spec.problems import Problem
from nexus_engine.spec.report import Report
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.tree import MAX_BYTES, Listing, Node, Path, find, parse, plain
from nexus_engine.spec.tree import Mapping as MappingNode
from nexus_engine.spec.typeschema import required_of

_TOP_SCALARS = {name: get_type_hints(Spec, include_extras=True)[name] for name in ("name", "enabled", "max_refused")}
_FREE_TEXT = frozenset({"description", "missing", "default", "values", "regex"})


@dataclass
class Loaded:
    """A feed file, read. ``spec`` is None when the file is wrong; ``report`` knows the place of everything in it."""

    file: str
    report: Report
    spec: Spec | None = None

    @property
    def problems(self) -> list[Problem]:
        return self.report.problems


def read_text(path: FilePath, shown: str) -> tuple[str, list[Problem]]:
    """The text of a file, or one problem."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return "", [Problem(file=shown, line=1, col=1, path="", code="unreadable", message=f"cannot be read: {error.strerror}")]
    if len(data) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES} bytes"
        return "", [Problem(file=shown, line=1, col=1, path="", code="yaml-too-big", message=message)]
    return decode(data, shown)


def decode(data: bytes, shown: str) -> tuple[str, list[Problem]]:
    """UTF-8, or one problem at the first byte that is not."""
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        line, col = before.count("\n") + 1, len(before) - before.rfind("\n")
        return "", [Problem(file=shown, line=line, col=col, path="", code="yaml-encoding", message="this is not UTF-8 text")]


def load_tree(text: str, file: str, kind: type) -> tuple[Report, MappingNode | None]:
    """The first three steps, for a file of any kind; None when there is no mapping to go on with."""
    report = Report(file, text)
    root, found = parse(text, file)
    report.root = root
    report.adopt(found)
    if root is None:
        return report, None
    if not isinstance(root, MappingNode):
        report.add((), "wrong-type", "expected a mapping: `key: value` lines")
        return report, None
    check_file(report, plain(root), kind)
    return report, root


def load_spec(
    path: FilePath, *, registry: Registry, project: Surroundings | None = None
) -> tuple[Spec | None, list[Problem]]:
    """A feed file. The Spec is None when the file is wrong; missing secrets are problems but leave the Spec."""
    shown = shown_path(path)
    text, problems = read_text(path, shown)
    if problems:
        return None, problems
    loaded = load_text(text, file=shown, stem=path.stem, registry=registry, project=project)
    return loaded.spec, loaded.problems


def shown_path(path: FilePath) -> str:
    """A path as messages show it: from the current folder where it is inside."""
    path = path.absolute()
    here = FilePath.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def load_text(
    text: str, *, file: str, registry: Registry, project: Surroundings | None = None, stem: str | None = None
) -> Loaded:
    """A feed's text. ``stem`` is the file's name, which must be the feed's."""
    report, root = load_tree(text, file, Spec)
    if root is None:
        return Loaded(file, report)
    feed = _Feed(report, root, registry, project)
    feed.read()
    feed.check(stem)
    return Loaded(file, report, feed.spec() if feed.whole and not report.fatal else None)


@dataclass
class _Feed:
    """One feed on its way from tree to Spec."""

    report: Report
    root: MappingNode
    registry: Registry
    project: Surroundings | None
    data: dict[str, Any] = field(default_factory=dict)
    blocks: Blocks = field(init=False)
    api: ApiFile | None = None
    whole: bool = True  # False: a file this feed needs is broken, so there can be no Spec

    def read(self) -> None:
        """Types: each block, field, rule and step that is sound so far."""
        self.data = plain(self.root)
        self.blocks = blocks = Blocks(self.root)
        source = self.data.get("source")
        if isinstance(source, dict):
            blocks.each = self._typed(("source", "each"), dict[str, Values], {})
            blocks.records = self._typed(("source", "records"), Records | str, ".")
        blocks.schedule = self._typed(("schedule",), ScheduleSpec | str | None, None)
        blocks.cursor = self._typed(("cursor",), CursorSpec | None, None)
        blocks.target = self._typed(("target",), TargetSpec, None)
        blocks.archive = self._typed(("archive",), bool | ArchiveSpec, False)
        fields = {name: self._typed(("fields", name), FieldSpec, None) for name in self._keys("fields")}
        blocks.fields = {name: found for name, found in fields.items() if found is not None}
        rules = {i: self._typed(("validate", i), RuleSpec, None) for i in range(self._length("validate"))}
        blocks.rules = {i: found for i, found in rules.items() if found is not None}
        steps = [self._typed(("transform", i), StepSpec, None) for i in range(self._length("transform"))]
        blocks.transform = tuple(step for step in steps if step) if self.report.clean("transform") and None not in steps else None
        for name, kind in _TOP_SCALARS.items():
            self._typed((name,), kind, None)

    def _keys(self, name: str) -> list[str]:
        value = self.data.get(name)
        return list(value) if isinstance(value, dict) else []

    def _length(self, name: str) -> int:
        value = self.data.get(name)
        return len(value) if isinstance(value, list) else 0

    def _typed(self, path: Path, kind: Any, absent: Any) -> Any:
        """The block at ``path`` as ``kind``; ``absent`` when it is not given, None when it is not sound. Of a block with bad
        keys the others are kept, so that what they say is judged too."""
        value: Any = self.data
        for step in path:
            if isinstance(value, dict) and step not in value:
                return absent
            value = value[step]
        whole = self.report.clean(*path)
        if not whole:
            if not isinstance(value, dict) or not self.report.clean_down_to(path):
                return None
            value = {key: below for key, below in value.items() if self.report.clean(*path, key)}
            value = {**dict.fromkeys(required_of(kind) if isinstance(kind, type) else (), ""), **value}
        try:
            return convert(value, kind)
        except msgspec.ValidationError as error:
            if whole:
                self.report.add((*path, *error_steps(error)), "wrong-value", misfit(error))
            return None

    def check(self, stem: str | None) -> None:
        """Meaning: plugins, templates, and what the blocks say about each other."""
        report = self.report
        plugins = self._structure()
        each = self.blocks.each
        window = None if not report.clean("cursor") else self.blocks.cursor is not None
        names = None if each is None or not report.clean("source", "each") else frozenset(each_names(each))
        initial = self.blocks.cursor is None or bool(self.blocks.cursor.initial)
        templates = TemplateCheck(report, self.project, each=names, window=window, initial=initial)
        for path, node, plugin in plugins:
            if path == ("source",):
                self._check_source(node, plugin, templates)
            else:
                check_templates(report, path, node, StepSpec, plugin, templates, VALUE_ROOTS)
        self._check_places(templates)
        sinks = None
        if self.project is not None:
            sinks = {*self.project.sinks, *(name.removeprefix("sinks.d/") for name in self.project.broken)}
        check_meaning(report, self.blocks, templates, sinks)
        name = self.data.get("name")
        if stem is not None and isinstance(name, str) and name != stem and report.clean("name"):
            hint = f"the file of this feed is `<name>.yaml`; it is {stem[:80]}.yaml"
            report.add(("name",), "file-name", "the feed's name and the file's name differ", hint)

    def _structure(self) -> list[tuple[Path, MappingNode, Registered]]:
        """The blocks that a plugin owns, with the plugin; their keys and forms are judged here."""
        found: list[tuple[Path, MappingNode, Registered]] = []
        source = find(self.root, ("source",))[0]
        if "source" in self.data and isinstance(source, MappingNode) and self.report.clean("source", "plugin"):
            self.api = self._api(source)
            name = _text(source, "plugin") or (self.api.plugin if self.api is not None else "http")
            at: Path = ("source", "plugin") if "plugin" in source.entries else ("source",)
            plugin = plugin_of(self.report, at, name, self.registry, "sources")
            if plugin is not None:
                check_keys(self.report, ("source",), source, SourceSpec, plugin)
                found.append((("source",), source, plugin))
        steps = find(self.root, ("transform",))[0]
        for i, node in enumerate(steps.items if isinstance(steps, Listing) else ()):
            step: Path = ("transform", i)
            if isinstance(node, MappingNode) and self.report.clean(*step):
                plugin = self._step(step, node)
                if plugin is not None:
                    found.append((step, node, plugin))
        return found

    def _step(self, path: Path, node: MappingNode) -> Registered | None:
        """The plugin of a step; a step of SQL has no other keys."""
        name = _text(node, "plugin")
        if name:
            plugin = plugin_of(self.report, (*path, "plugin"), name, self.registry, "transformers")
            if plugin is not None:
                check_keys(self.report, path, node, StepSpec, plugin)
            return plugin
        for key in node.entries:
            near = nearest(key, ("sql", "plugin"))
            if key not in ("sql", "plugin") and ("sql" in node.entries or near):
                hint = f"did you mean `{near}`?" if near else "a step is `sql`, or `plugin` and its options"
                self.report.add((*path, key), "unknown-key", f"`{key[:60]}` is not known here", hint, at_key=True, near=near)
        return None

    def _check_source(self, source: MappingNode, plugin: Registered, templates: TemplateCheck) -> None:
        report, registry, entries = self.report, self.registry, source.entries
        cursor = self.blocks.cursor
        if cursor is not None and cursor.from_.startswith("header.") and not getattr(plugin.cls, "headers", False):
            report.add(("cursor", "from"), "plugin-option", "this kind of source has no response headers")
        check_templates(report, ("source",), source, SourceSpec, plugin, templates, FEED_ROOTS)
        if "auth" in entries and isinstance(entries["auth"].value, MappingNode):
            check_auth(report, ("source", "auth"), entries["auth"].value, registry)
        if "credentials" in entries and isinstance(entries["credentials"].value, MappingNode):
            check_credentials(report, ("source", "credentials"), entries["credentials"].value, registry)
        if "format" in entries:
            check_format(report, ("source", "format"), entries["format"].value, registry)
        elif self.api is None or self.api.format is None:
            plugin_of(report, ("source",), "json", registry, "formats")
        options: type = plugin.cls.options  # type: ignore[attr-defined]
        check_values(report, ("source",), options_data(source, SourceSpec, options), options)
        each = self.blocks.each or {}
        for name, values in each.items():
            if isinstance(values, EachSource) and values.request is not None:
                before = each_names({earlier: each[earlier] for earlier in list(each)[: list(each).index(name)]})
                check_listing(report, source, name, values, plugin, registry, templates.knowing(before), self.api)
        if self.api is not None or not _text(source, "api"):
            check_choice(report, ("source",), options_data(source, SourceSpec, options), self.api.options if self.api else {})
            merged = self._merged_options(source, options)
            check_whole(report, ("source",), merged, options)
            check_windowed(report, source, merged, options, window=templates.window)
            if cursor is not None:
                check_cursor(report, cursor, self.blocks.target, merged, options)

    def _api(self, source: MappingNode) -> ApiFile | None:
        """The API file this feed names; None when it names none, or one that is not there (then that is a problem)."""
        name = _text(source, "api")
        if not name or self.project is None or not self.report.clean("source", "api"):
            return None
        api: ApiFile | None = self.project.apis.get(name)
        if api is None and f"apis.d/{name}" in self.project.broken:
            self.whole = False
        elif api is None:
            near = nearest(name, self.project.apis)
            hint = f"did you mean `{near}`?" if near else "known: " + ", ".join(sorted(self.project.apis))
            self.report.add(("source", "api"), "unknown-name", "no such file in apis.d/", hint)
        return api

    def _merged_options(self, source: MappingNode, options: type) -> dict[str, Any]:
        own = options_data(source, SourceSpec, options)
        merged = own if self.api is None else merge_options(self.api.options, own, self.api.base_url, options)
        return resolved(merged, own)

    def _check_places(self, templates: TemplateCheck) -> None:
        """Templates outside the plugins' options: allowed in `fields.*.value`, free in texts for people, refused elsewhere."""
        for path, scalar in scalars(self.root):
            if "{{" not in scalar.text or not self.report.clean(*path):
                continue
            if path[0] == "fields" and path[-1] == "value" and len(path) == 3:
                templates.check(path, scalar, VALUE_ROOTS, secrets=False)
            elif path[0] == "source" and len(path) > 1 and (path[1] not in _ENGINE_KEYS or path[3:4] == ("request",)):
                continue
            elif _last_key(path) not in _FREE_TEXT and (path[0] != "transform" or path[-1] == "sql"):
                self.report.add(path, "template-place", "templates are not read in this place", "they stand in source options and in `value`")

    def spec(self) -> Spec:
        """The Spec, the API's options merged under the feed's, the project's default sink filled in."""
        source = find(self.root, ("source",))[0]
        assert isinstance(source, MappingNode)
        spec, api = convert(self.data, Spec), self.api
        plugin = _text(source, "plugin") or (api.plugin if api is not None else "http")
        options: type = self.registry.sources[plugin].cls.options  # type: ignore[attr-defined]
        changes: dict[str, Any] = {"plugin": plugin, "options": self._merged_options(source, options)}
        for key in ("records", "format"):
            given = getattr(api, key, None)
            if key not in source.entries and given is not None:
                changes[key] = given
        changes["each"] = {
            name: msgspec.structs.replace(values, request=listing_options(source, name, options, api))
            if isinstance(values, EachSource) and values.request is not None
            else values
            for name, values in spec.source.each.items()
        }
        sink = spec.target.sink or getattr(self.project, "sink", "clickhouse")
        return msgspec.structs.replace(
            spec,
            source=msgspec.structs.replace(spec.source, **changes),
            target=msgspec.structs.replace(spec.target, sink=sink),
        )


_ENGINE_KEYS = frozenset({"plugin", "api", "each", "records", "format", "compression"})


def _last_key(path: Path) -> str:
    """The key a place belongs to, list items left out."""
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _text(node: Node, key: str) -> str:
    """The text of a scalar in a mapping; "" when it is absent, null or no scalar."""
    entry = node.entries.get(key) if isinstance(node, MappingNode) else None
    value = plain(entry.value) if entry is not None else None
    return value if isinstance(value, str) else ""
