"""The files of a project besides its feeds: text -> typed, every problem with its position."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nexus_engine.contract.options import misfit
from nexus_engine.contract.registry import Registry
from nexus_engine.spec.convert import convert
from nexus_engine.spec.credentials import check_choice, check_credentials
from nexus_engine.spec.files import ApiFile, ProjectFile, SinkFile
from nexus_engine.spec.loader import load_tree, read_text, shown_path
from nexus_engine.spec.meaning import check_records
from nexus_engine.spec.places import API_ROOTS, SINK_ROOTS, Surroundings, TemplateCheck
from nexus_engine.spec.plugins import (
    check_auth,
    check_format,
    check_keys,
    check_templates,
    check_values,
    check_whole,
    error_steps,
    options_data,
    plugin_of,
)
from nexus_engine.spec.problems import Problem
from nexus_engine.spec.report import Report
from nexus_engine.spec.tree import Mapping as MappingNode
from nexus_engine.spec.tree import Path as Place
from nexus_engine.spec.tree import plain

T = TypeVar("T", bound=msgspec.Struct)
Check = Callable[[Report, MappingNode], type | None]


def load_typed(path: Path, kind: type[T], check: Check | None = None) -> tuple[T | None, list[Problem]]:
    """One file as ``kind``; None when it is wrong. ``check`` judges its meaning and says what type its options have."""
    shown = shown_path(path)
    text, problems = read_text(path, shown)
    if problems:
        return None, problems
    report, root = load_tree(text, shown, kind)
    if root is None:
        return None, report.problems
    options = check(report, root) if check else None
    if report.fatal:
        return None, report.problems
    try:
        value = convert(plain(root), kind)
    except msgspec.ValidationError as error:
        report.add(error_steps(error), "wrong-value", misfit(error))
        return None, report.problems
    if hasattr(value, "options"):
        value = msgspec.structs.replace(value, options=options_data(root, kind, options))
    return value, report.problems


def load_project_file(root: Path) -> tuple[ProjectFile, list[Problem]]:
    """`nexus.yaml`; the defaults when it is absent or wrong."""
    path = root / "nexus.yaml"
    if not path.exists():
        return ProjectFile(), []
    file, problems = load_typed(path, ProjectFile, _check_project)
    return file or ProjectFile(), problems


def _check_project(report: Report, root: MappingNode) -> None:
    templates = TemplateCheck(report, None, each=None, window=None)
    for key, entry in root.entries.items():
        if key != "name":
            templates.check((key,), entry.value, frozenset(), secrets=False)


def load_apis(root: Path, registry: Registry, project: Surroundings) -> tuple[dict[str, ApiFile], list[Problem]]:
    """`apis.d/*.yaml`, by name; those that are wrong are left out."""

    def check(report: Report, node: MappingNode) -> type | None:
        options = _check_open(report, node, ApiFile, registry, project)
        for key, entry in node.entries.items():
            if key == "format":
                check_format(report, (key,), entry.value, registry)
            elif key == "auth" and isinstance(entry.value, MappingNode):
                check_auth(report, (key,), entry.value, registry)
            elif key == "credentials" and isinstance(entry.value, MappingNode):
                check_credentials(report, (key,), entry.value, registry)
            elif key == "records" and report.clean(key):
                check_records(report, (key,), _records(entry.value))
        if options is not None:
            check_choice(report, (), options_data(node, ApiFile, options), None)
        return options

    return _load_folder(root / "apis.d", ApiFile, check)


def _records(node: Any) -> Any:
    from nexus_engine.contract.records import Records

    try:
        return convert(plain(node), Records | str | None)  # type: ignore[arg-type]
    except msgspec.ValidationError:
        return None  # reported when the whole file is converted


def load_sinks(root: Path, registry: Registry, project: Surroundings) -> tuple[dict[str, SinkFile], list[Problem]]:
    """`sinks.d/*.yaml`, by name; those that are wrong are left out."""

    def check(report: Report, node: MappingNode) -> type | None:
        options = _check_open(report, node, SinkFile, registry, project)
        if options is not None:
            check_whole(report, (), options_data(node, SinkFile, options), options)
        return options

    return _load_folder(root / "sinks.d", SinkFile, check)


def _check_open(report: Report, node: MappingNode, kind: type, registry: Registry, project: Surroundings) -> type | None:
    """Plugin, its options and the templates in them; the type of the options."""
    what, default, roots = ("sources", "http", API_ROOTS) if kind is ApiFile else ("sinks", "clickhouse", SINK_ROOTS)
    entry = node.entries.get("plugin")
    name = plain(entry.value) if entry is not None else default
    if not isinstance(name, str) or not report.clean("plugin"):
        return None
    place: Place = ("plugin",) if entry is not None else ()
    plugin = plugin_of(report, place, name, registry, what)
    if plugin is None:
        return None
    templates = TemplateCheck(report, project, each=frozenset(), window=False)
    check_keys(report, (), node, kind, plugin)
    check_templates(report, (), node, kind, plugin, templates, roots)
    if "base_url" in node.entries:
        templates.check(("base_url",), node.entries["base_url"].value, roots, secrets=True)
    options: type = plugin.cls.options  # type: ignore[attr-defined]
    check_values(report, (), options_data(node, kind, options), options)
    return options


def _paths(folder: Path) -> list[Path]:
    paths = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    return [path for path in paths if not path.name.startswith((".", "#"))]


def stems(folder: Path) -> set[str]:
    """The names of the files in a folder of the project, sound or not."""
    return {path.stem for path in _paths(folder)}


def _load_folder(folder: Path, kind: type[T], check: Check) -> tuple[dict[str, T], list[Problem]]:
    found: dict[str, T] = {}
    problems: list[Problem] = []
    for path in _paths(folder):

        def named(report: Report, node: MappingNode, stem: str = path.stem) -> type | None:
            options = check(report, node)
            entry = node.entries.get("name")
            name = plain(entry.value) if entry is not None else None
            if isinstance(name, str) and name != stem and report.clean("name"):
                report.add(("name",), "file-name", "the name in the file and the file's name differ", f"the file is {stem[:80]}.yaml")
            return options

        value, its_problems = load_typed(path, kind, named)
        problems.extend(its_problems)
        if value is not None:
            found[path.stem] = value
    return found, problems
