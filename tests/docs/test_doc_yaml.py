"""Every YAML block of the docs is read by the loader that reads it for a user, by the kind its fence names:

    feed, api, sink, nexus, test      a whole file
    part, source, fields              top-level keys of a feed: the rest is filled in

A block `csv file <path>` is a file of the project beside them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, Block, all_blocks, blocks

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.project.files import load_typed
from nexus_engine.project.project import Project
from nexus_engine.spec.files import TestFile
from nexus_engine.spec.problems import render

FOLDERS = {"feed": "sources.d", "api": "apis.d", "sink": "sinks.d"}
PARTS = ("part", "source", "fields")
REST = {
    "name": "name: {name}\n",
    "source": 'source: {{endpoint: "https://api.example.com/rows", records: data, each: {{series: [A, B]}}}}\n',
    "fields": "fields:\n  date: Date\n  value: Nullable(Float64)\n",
    "target": "target: {{table: docs.{name}}}\n",
}
REGISTRY = build_registry()


def completed(block: Block, name: str) -> str:
    """A whole feed around a block that holds only some of its keys."""
    keys = set(re.findall(r"^([a-z_]+):", block.text, re.MULTILINE))
    rest = {key: text for key, text in REST.items() if key not in keys}
    return "".join(text.format(name=name) for text in rest.values()) + block.text


def write(block: Block, root: Path) -> None:
    """Put the block where a user would."""
    if block.kind == "nexus":
        (root / "nexus.yaml").write_text(block.text)
    elif block.kind in PARTS:
        name = f"part_{block.page.stem.replace('-', '_').lower()}_{block.line}"
        (root / "sources.d" / f"{name}.yaml").write_text(completed(block, name))
    elif block.kind in FOLDERS:
        name = re.search(r"^name: (\w+)", block.text, re.MULTILINE)[1]
        (root / FOLDERS[block.kind] / f"{name}.yaml").write_text(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_yaml_block_is_read(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"secrets\.(\w+)", page.read_text()):
        monkeypatch.setenv(name, "a-secret-for-the-test")
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
    for block in blocks(page):
        if block.language == "yaml":
            write(block, tmp_path)
        elif block.kind == "file":
            (tmp_path / block.place_in_project).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.place_in_project).write_text(block.text)
    project = Project.load(tmp_path, "", registry=REGISTRY)
    loaded = load_feeds(project, REGISTRY)
    assert not loaded.problems, render(loaded.problems)
    assert len(loaded.plans) == len(list((tmp_path / "sources.d").iterdir()))


def test_every_test_block_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.test.yaml"
    for block in all_blocks("yaml"):
        if block.kind == "test":
            file.write_text(block.text)
            _, problems = load_typed(file, TestFile)
            assert not problems, f"{block.place}\n{render(problems)}"


def test_every_yaml_block_says_what_it_is() -> None:
    kinds = {*FOLDERS, *PARTS, "nexus", "test", "plugin"}  # plugin: read by test_doc_plugins.py
    assert [block.place for block in all_blocks("yaml") if block.kind not in kinds] == []
