"""What every command has: the options all of them share, and the project, registry and plans behind them, read when asked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nexus_engine.cli.output import Output
from nexus_engine.errors import ConfigError

if TYPE_CHECKING:
    from nexus_engine.compile.feeds import LoadedFeeds
    from nexus_engine.compile.plan import Plan
    from nexus_engine.contract.registry import Registry
    from nexus_engine.project.project import Project
    from nexus_engine.state.store import Store

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Context:
    """One call of one command."""

    out: Output
    folder: Path | None = None
    env: str | None = None
    replaying: bool = False  # secrets that are not set have placeholders

    @cached_property
    def root(self) -> Path:
        """The project's folder: the one given, or the nearest upwards with a nexus.yaml or a sources.d.

        Raises:
            ConfigError: there is none.
        """
        start = (self.folder or Path.cwd()).resolve()
        places = [start] if self.folder else [start, *start.parents]
        for place in places:
            if (place / "nexus.yaml").is_file() or (place / "sources.d").is_dir():
                return place
        raise ConfigError(
            "this is no project: there is neither nexus.yaml nor sources.d/",
            where=str(start),
            did="nothing ran",
            do="go to a project, name one with --project, or make one: nexus-engine init my-feeds",
        )

    @cached_property
    def project(self) -> Project:
        """nexus.yaml, apis.d/, sinks.d/ and the secrets; from here on, output is redacted.

        Raises:
            ConfigError: nexus.yaml, or the environment asked for, is wrong.
        """
        return self.read_project()

    def read_project(self) -> Project:
        """The same, read again."""
        from nexus_engine.cli.failures import invalid
        from nexus_engine.cli.logs import install
        from nexus_engine.host.redact import Redactor
        from nexus_engine.project.project import Project

        project = Project.load(self.root, self.env, registry=self.registry)
        if self.replaying:
            project = project.for_replay()
        redactor = Redactor()

        def known() -> Redactor:
            for secret in project.secrets.known():
                redactor.add(secret.reveal(), secret.name)
            return redactor

        self.out.redact = lambda text: known().redact(text)
        self.out.mask = lambda text: known().redact_bytes(text.encode()).decode()
        install(self.out)
        wrong = [problem for problem in project.problems if Path(problem.file).name == "nexus.yaml"]
        if wrong:  # where the data folder is cannot be known
            raise invalid(wrong)
        return project

    @cached_property
    def registry(self) -> Registry:
        from nexus_engine.contract.registry import build_registry

        return build_registry()

    @cached_property
    def loaded(self) -> LoadedFeeds:
        return self.load()

    def load(self) -> LoadedFeeds:
        """Every feed file: plans and problems."""
        from nexus_engine.compile.feeds import load_feeds

        return load_feeds(self.project, self.registry)

    def accept(self, names: Iterable[str] | None = None) -> None:
        """Have the embedded engine describe the queries of these feeds, or of all: what it does not accept leaves ``loaded``, as
        what `validate-config` rejects has no plan."""
        from nexus_engine.compile.accepting import accepted

        self.loaded = accepted(self.loaded, None if names is None else list(names))

    def plans(self, names: Iterable[str]) -> list[Plan]:
        """The plans of these feeds.

        Raises:
            ConfigError: a feed is unknown, its file has problems, or ClickHouse does not accept its query; other feeds' problems
                do not matter.
        """
        wanted = list(names)
        if wanted:
            self.accept(wanted)
        return pick(self.loaded, wanted, self.root)

    def store(self) -> Store:
        """The state, for reading; it needs no owner."""
        from nexus_engine.state.store import Store

        return Store.open(self.project.data_dir / "state.db", read_only=True)


def pick(loaded: LoadedFeeds, names: list[str], root: Path) -> list[Plan]:
    """As :meth:`Context.plans`."""
    from nexus_engine.cli.failures import invalid
    from nexus_engine.spec.spelling import nearest

    missing = [name for name in names if name not in loaded.plans]
    if missing and (problems := loaded.of(missing)):
        raise invalid(problems)
    if missing and loaded.problems and any((root / "sources.d" / f"{name}.yaml").exists() for name in missing):
        raise invalid(list(loaded.problems))
    if missing:
        near = nearest(missing[0], loaded.plans)
        raise ConfigError(
            f"there is no feed called {missing[0]!r}",
            where=str(root / "sources.d"),
            did="nothing ran",
            do=f"did you mean {near}?" if near else "see nexus-engine validate-config",
        )
    return [loaded.plans[name] for name in names]


def verb(function: F) -> F:
    """Give a command the options that every command has, and its :class:`Context` as first argument."""

    @functools.wraps(function)
    def call(*args: Any, project: str | None, env: str | None, as_json: bool, debug: bool, **words: Any) -> Any:
        out = click.get_current_context().find_object(Output) or Output()
        out.as_json, out.debug = as_json, debug
        return function(Context(out, Path(project) if project else None, env), *args, **words)

    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs."),
        click.option("--env", metavar="NAME", envvar="NEXUS_ENV", help="Environment of nexus.yaml."),
        click.option("--project", metavar="DIR", envvar="NEXUS_PROJECT", type=click.Path(file_okay=False), help="The project's folder."),
    ):
        call = option(call)
    return call  # type: ignore[return-value]
