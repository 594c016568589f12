"""Plugin folders: what each must hold, and its samples and cases through the production code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.project.project import Project
from nexus_engine.spec.problems import render
from nexus_engine.testing.cases import run_cases

PLUGINS = Path(__file__).parents[2] / "plugins/nexus_plugins"
REGISTRY = build_registry()
FOLDERS = sorted({PLUGINS.parent.joinpath(*item.plugin.split(".")) for item in REGISTRY.all() if item.plugin.startswith("nexus_plugins.")})
SAMPLES = sorted([*PLUGINS.rglob("sample.yaml"), *PLUGINS.glob("*/samples/*.yaml")])
CASES = sorted(path for path in PLUGINS.rglob("cases/*") if path.is_dir())
CASSETTE_LIMIT_BYTES = 3000


def place(path: Path) -> str:
    return str(path.relative_to(PLUGINS))


def project(root: Path) -> Project:
    return Project.load(root, "", registry=REGISTRY).for_replay()


@pytest.mark.parametrize("folder", FOLDERS, ids=place)
def test_a_folder_is_whole(folder: Path) -> None:
    assert (folder / "README.md").is_file()
    assert (folder / "sample.yaml").is_file() or any((folder / "samples").glob("*.yaml"))
    assert len([line for line in (folder / "__init__.py").read_text().splitlines() if line]) <= 15


def test_every_auth_method_has_a_sample() -> None:
    assert {path.stem for path in (PLUGINS / "auth/samples").glob("*.yaml")} == set(REGISTRY.auth)


@pytest.mark.parametrize("kind", ["formats", "sources", "sinks"])
def test_every_plugin_of_a_kind_has_a_case(kind: str) -> None:
    having = {case.parents[1] for case in CASES}
    assert [place(folder) for folder in FOLDERS if folder.parent.name == kind and folder not in having] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=place)
def test_a_sample_is_valid(sample: Path, tmp_path: Path) -> None:
    """As `validate-config` reads it, where a user would put it. Secrets need not be set."""
    content = yaml.safe_load(sample.read_text())
    kind = "sources.d" if "target" in content else "sinks.d" if "plugin" in content else "apis.d"
    (tmp_path / kind).mkdir()
    shutil.copy(sample, tmp_path / kind / f"{content['name']}.yaml")
    loaded = load_feeds(project(tmp_path), REGISTRY)
    assert loaded.invalid == [], render(loaded.invalid)
    assert kind != "sources.d" or set(loaded.plans) == {content["name"]}


@pytest.mark.parametrize("case", CASES, ids=place)
def test_a_case(case: Path, tmp_path: Path) -> None:
    """The folder stands where a project keeps its feeds: `feed` is its one feed."""
    (tmp_path / "sources.d").symlink_to(case)
    [result] = run_cases(project(tmp_path), REGISTRY, [tmp_path / "sources.d/feed.test.yaml"])
    assert result.failures == []
    assert [path for path in case.rglob("recording/*.yaml") if path.stat().st_size > CASSETTE_LIMIT_BYTES] == []
