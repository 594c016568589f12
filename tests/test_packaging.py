"""What a user of pip gets: both packages, their data, the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy, so that the tree stays clean."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("engine", "plugins"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    argv = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("nexus_engine-*.whl")))


def tracked(*suffixes: str) -> set[str]:
    """Package files of these kinds, named as they must be inside the wheel."""
    return {
        str(path.relative_to(root))
        for root in (ROOT / "engine", ROOT / "plugins")
        for path in root.rglob("*")
        if path.suffix in suffixes and "egg-info" not in str(path)
    }


def test_every_module_and_data_file_is_inside(wheel: zipfile.ZipFile) -> None:
    missing = tracked(".py", ".typed", ".yaml", ".yml", ".json", ".md", ".sql", ".xml", ".csv") - set(wheel.namelist())
    assert not missing


def test_types_are_announced(wheel: zipfile.ZipFile) -> None:
    assert {"nexus_engine/py.typed", "nexus_plugins/py.typed"} <= set(wheel.namelist())


def test_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    info = next(name for name in wheel.namelist() if name.endswith("entry_points.txt")).rsplit("/", 1)[0]
    assert "nexus-engine = nexus_engine.cli.main:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert "Apache-2.0" in wheel.read(f"{info}/METADATA").decode()
    assert any(name.endswith("LICENSE") for name in wheel.namelist())


def test_nothing_else_is_inside(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"nexus_engine", "nexus_plugins"}
