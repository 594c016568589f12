"""An installation: `nexus.yaml`, `apis.d/`, `sinks.d/`, `.env`, one environment chosen. Loading never raises for what a user
wrote: every problem is data, and what is sound is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from nexus_engine.contract.policy import Policy
from nexus_engine.contract.registry import Registry
from nexus_engine.project.files import load_apis, load_project_file, load_sinks, stems
from nexus_engine.project.secrets import Secrets, read_env_file
from nexus_engine.spec.files import ApiFile, Limits, ProjectFile, Settings, SinkFile
from nexus_engine.spec.loader import shown_path
from nexus_engine.spec.problems import Problem
from nexus_engine.spec.report import SECRET_MISSING
from nexus_engine.spec.spelling import nearest

DEFAULT_SINK = "clickhouse"
ENV_VARIABLE = "NEXUS_ENV"


@dataclass(frozen=True)
class Project:
    """What is true of the installation. ``env`` is the chosen environment's name, "" for none.

    ``apis`` and ``sinks`` hold the files that are sound; ``problems`` are those of nexus.yaml, apis.d and sinks.d.
    ``concurrency``: feeds side by side. ``defaults``: the policy for what a feed and its API leave open.
    """

    root: Path
    env: str = ""
    data_dir: Path = Path("data")
    sink: str = DEFAULT_SINK
    vars: Mapping[str, str] = field(default_factory=dict)
    base_urls: Mapping[str, str] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=lambda: Secrets({}))
    apis: Mapping[str, ApiFile] = field(default_factory=dict)
    sinks: Mapping[str, SinkFile] = field(default_factory=dict)
    defaults: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 4
    problems: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()  # files (`apis.d/fred`) that are there and wrong

    @classmethod
    def load(cls, root: Path, env: str | None = None, *, registry: Registry | None = None) -> Project:
        """Read a project's folder.

        Args:
            env: the environment; None: NEXUS_ENV, and none when that is not set.
            registry: what is installed; None: found now. Options of apis and sinks are checked against it.
        """
        if registry is None:
            from nexus_engine.contract.registry import build_registry

            registry = build_registry()
        root = root.absolute()
        name = os.environ.get(ENV_VARIABLE, "") if env is None else env
        file, problems = load_project_file(root)
        settings, more = _chosen(file, name, shown_path(root / "nexus.yaml"))
        bare = _bare(cls, root, name if not more else "", settings)
        apis, api_problems = load_apis(root, registry, bare)
        sinks, sink_problems = load_sinks(root, registry, bare)
        found = [*problems, *more, *api_problems, *sink_problems]
        broken = frozenset(f"apis.d/{name}" for name in stems(root / "apis.d") - apis.keys()) | frozenset(
            f"sinks.d/{name}" for name in stems(root / "sinks.d") - sinks.keys()
        )
        if f"sinks.d/{DEFAULT_SINK}" not in broken:
            sinks.setdefault(DEFAULT_SINK, SinkFile(name=DEFAULT_SINK, options={"driver": "embedded"}))
        if bare.sink not in sinks and f"sinks.d/{bare.sink}" not in broken and not problems:
            found.append(_no_such(root, "sink", bare.sink, sinks, "no such sink in sinks.d/"))
        return replace(bare, apis=apis, sinks=sinks, problems=tuple(found), broken=broken)

    def feeds(self) -> list[Path]:
        """The feed files, by name. `<feed>.test.yaml` are tests, not feeds."""
        folder = self.root / "sources.d"
        paths = sorted(folder.glob("*.yaml")) + sorted(folder.glob("*.yml"))
        return [path for path in paths if not path.name.startswith((".", "#")) and not path.stem.endswith(".test")]

    def for_replay(self) -> Project:
        """The same project, with placeholders for secrets that are not set: that they are not is no problem then."""
        problems = tuple(problem for problem in self.problems if problem.code != SECRET_MISSING)
        return replace(self, secrets=self.secrets.for_replay(), problems=problems)


def _bare(cls: type[Project], root: Path, env: str, settings: Settings) -> Project:
    limits = settings.limits or Limits()
    return cls(
        root=root,
        env=env,
        data_dir=root / (settings.data_dir or "data"),
        sink=settings.sink or DEFAULT_SINK,
        vars=settings.vars,
        base_urls=settings.base_urls,
        secrets=Secrets(read_env_file(root / ".env")),
        defaults=Policy(retry=settings.retry, timeout=settings.timeout, max_body=limits.max_body),
        limits=limits,
        concurrency=settings.concurrency or 4,
    )


def _chosen(file: ProjectFile, env: str, shown: str) -> tuple[Settings, list[Problem]]:
    """The file's settings with those of the environment over them: vars and base URLs key by key, the rest whole."""
    if not env:
        return file, []
    over = file.environments.get(env)
    if over is None:
        near = nearest(env, file.environments)
        known = ", ".join(sorted(file.environments)) or "none"
        hint = f"did you mean `{near}`?" if near else f"known: {known}"
        message = "the chosen environment (`--env` or NEXUS_ENV) is not there"
        return file, [Problem(file=shown, line=1, col=1, path="environments", code="unknown-name", message=message, suggestion=hint)]
    changes = {
        name: value
        for name in Settings.__struct_fields__
        if (value := getattr(over, name)) not in (None, {}) and name not in ("vars", "base_urls")
    }
    merged = msgspec.structs.replace(
        file, **changes, vars={**file.vars, **over.vars}, base_urls={**file.base_urls, **over.base_urls}
    )
    return merged, []


def _no_such(root: Path, path: str, name: str, known: Mapping[str, object], message: str) -> Problem:
    near = nearest(name, known)
    hint = f"did you mean `{near}`?" if near else "known: " + ", ".join(sorted(known))
    shown = shown_path(root / "nexus.yaml")
    return Problem(file=shown, line=1, col=1, path=path, code="unknown-name", message=message, suggestion=hint)
