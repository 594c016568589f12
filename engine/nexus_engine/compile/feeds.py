"""Every feed of a project: files -> Specs -> Plans, and all problems with their places. A broken file takes only itself away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nexus_engine.compile.compiler import compile_feed
from nexus_engine.compile.plan import Plan
from nexus_engine.compile.problems import CompileError
from nexus_engine.compile.values import link_values
from nexus_engine.contract.records import parse_path
from nexus_engine.contract.registry import Registry
from nexus_engine.project.project import Project
from nexus_engine.spec.loader import Loaded, load_text, read_text, shown_path
from nexus_engine.spec.model import EachSource, Spec
from nexus_engine.spec.places import unset_words
from nexus_engine.spec.problems import Problem
from nexus_engine.spec.report import SECRET_MISSING, Report
from nexus_engine.spec.templates import Template


@dataclass
class LoadedFeeds:
    """What the feed files of a project come to. A feed with a mistake has no plan. ``unset`` names, by feed, the secrets that
    are not set: its plan is there (`plan` and `ddl` need none), its runs would fail, and the problems say so."""

    plans: dict[str, Plan] = field(default_factory=dict)
    specs: dict[str, Spec] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unset: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def invalid(self) -> list[Problem]:
        """The problems that are mistakes in files (a secret that is not set is none)."""
        return [problem for problem in self.problems if problem.code != SECRET_MISSING]

    def of(self, names: Iterable[str]) -> list[Problem]:
        """The problems of these feeds: in their own files, in their APIs' and in their sinks'. Of an API's secrets that are not set,
        only those that the feeds use."""
        wanted: set[tuple[str, str]] = set()
        secrets: set[str] = set()
        for name in names:
            wanted.add(("sources.d", name))
            secrets |= {unset_words(secret) for secret in self.unset.get(name, ())}
            if spec := self.specs.get(name):
                wanted |= {("apis.d", spec.source.api), ("sinks.d", spec.target.sink)}
        return [
            problem for problem in self.problems
            if (place := _place_of(problem)) in wanted
            and (place[0] != "apis.d" or problem.code != SECRET_MISSING or problem.message in secrets)
        ]  # fmt: skip


def _place_of(problem: Problem) -> tuple[str, str]:
    """The folder and the name of the file."""
    path = Path(problem.file).absolute()
    return path.parent.name, path.stem


def load_feeds(project: Project, registry: Registry) -> LoadedFeeds:
    """All feeds of the project; its own problems (nexus.yaml, apis.d, sinks.d) come first."""
    found = LoadedFeeds(problems=list(project.problems))
    formats = {name: item.cls for name, item in registry.formats.items()}
    files: dict[str, str] = {}  # feed -> the file that took its name first
    reports: dict[str, Report] = {}
    others: list[Problem] = []
    for path in project.feeds():
        loaded, plan = _load_one(path, project, registry, formats)
        spec = loaded.spec
        if spec is not None and spec.name in files:
            loaded.report.add(("name",), "duplicate-feed", f"a feed of this name is in {files[spec.name]} already")
            spec = plan = None
        if spec is None:
            others.extend(loaded.problems)
            continue
        reports[spec.name] = loaded.report
        files[spec.name] = loaded.file
        found.specs[spec.name] = spec
        if plan is not None and f"sinks.d/{plan.target.sink}" not in project.broken:
            found.plans[spec.name] = plan
            if unset := unset_secrets(spec, project):
                found.unset[spec.name] = unset
    sound = found.plans
    found.plans = {name: linked for name, plan in sound.items() if (linked := link_values(plan, reports[name], project, sound)) is not None}
    found.unset = {name: unset for name, unset in found.unset.items() if name in found.plans}
    told = [*others, *(problem for report in reports.values() for problem in report.problems)]
    found.problems.extend(sorted(told, key=lambda problem: problem.file))
    return found


def _load_one(
    path: Path, project: Project, registry: Registry, formats: Mapping[str, type]
) -> tuple[Loaded, Plan | None]:
    file = shown_path(path)
    text, problems = read_text(path, file)
    if problems:
        report = Report(file, text)
        report.adopt(((), problem) for problem in problems)
        return Loaded(file, report), None
    loaded = load_text(text, file=file, stem=path.stem, registry=registry, project=project)
    if path.suffix != ".yaml" and loaded.report.root is not None:
        loaded.report.add((), "file-name", "a feed's file ends in .yaml", f"rename it to {path.stem[:80]}.yaml")
        loaded.spec = None
    transformers = {name: item.cls for name, item in registry.transformers.items()}
    return loaded, compile_loaded(loaded, formats, transformers, project.vars)


def compile_loaded(
    loaded: Loaded, formats: Mapping[str, type], transformers: Mapping[str, type] | None = None, vars: Mapping[str, str] | None = None
) -> Plan | None:
    """The plan of a feed that was read; None when its file is wrong, or after problems were added to its report."""
    if loaded.spec is None:
        return None
    try:
        plan = compile_feed(loaded.spec, formats=formats, transformers=transformers, vars=vars)
    except CompileError as error:
        for problem in error.problems:
            loaded.report.add(place(problem.path), problem.code, problem.message, _hint(problem.suggestion))
        return None
    except RecursionError:  # the SQL reader has no bound of its own: operators may nest without parentheses
        loaded.report.add((), "too-deep", "an SQL expression of this feed is nested too deep", "write it simpler")
        return None
    return msgspec.structs.replace(plan, spec_file=loaded.file)


def place(path: str) -> tuple[str | int, ...]:
    """A spec path in text (`validate[0].field`) as steps; () when it is not one."""
    try:
        return parse_path(path)
    except ValueError:
        return ()


def _hint(suggestion: str) -> str:
    """A bare name is something that was probably meant; a sentence is shown as it is."""
    return f"did you mean `{suggestion}`?" if suggestion and " " not in suggestion else suggestion


def unset_secrets(spec: Spec, project: Project) -> tuple[str, ...]:
    """The secrets that the options of the source and of its listings name and that are not set."""
    wanted: set[str] = set()
    pending: list[object] = [spec.source.options, *(each.request for each in spec.source.each.values() if isinstance(each, EachSource))]
    while pending:
        value = pending.pop()
        if isinstance(value, str) and "{{" in value:
            wanted |= {name for root, name in Template.parse(value).names if root == "secrets"}
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
    return tuple(sorted(name for name in wanted if name not in project.secrets))
