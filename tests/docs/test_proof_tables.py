"""The tables of docs/capabilities.md and docs/faults.md: every clause and every fault has a test, every line shown is read by the schema."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import click
import msgspec
import pytest
from doc_pages import ROOT, tables

from nexus_engine.cli.main import COMMANDS
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.project.project import Project
from nexus_engine.spec import files, model
from nexus_engine.spec.problems import render

sys.path.insert(0, str(ROOT / "docs"))

import proof  # noqa: E402

REGISTRY = build_registry()
MARKS = proof.marks()
ROWS = [*proof.capability_rows(MARKS), *proof.fault_rows(MARKS)]
TOP = {field.encode_name for field in msgspec.structs.fields(model.Spec)}
NEXUS = {field.encode_name for field in msgspec.structs.fields(files.ProjectFile)} - {"concurrency", "retry", "timeout", "name", "sink"}
FIELDS = "{date: Date, value: Nullable(Float64), block: UInt64, id: UInt64, at: DateTime, adjclose: Nullable(Float64)}"
COMPANIES = """\
name: sec_companies
source: {endpoint: https://api.example.com/companies}
fields: {cik: String, ticker: String}
target: {table: market.sec_companies, key: [cik]}
"""  # for lines that read what another feed lands
SNIPPETS = sorted({mark.said for mark in MARKS if mark.kind == "capability"})
CONFIG = [text for text in SNIPPETS if not text.startswith("nexus-engine ")]


def test_each_clause_and_each_fault_has_a_test_or_is_named_as_not_there() -> None:
    assert {row.text for row in ROWS if not row.tests} <= proof.NOT_THERE


def test_markers_stand_on_tests() -> None:
    assert [mark for mark in MARKS if not mark.function.startswith("test_")] == []
    assert len(MARKS) > 150


@pytest.mark.parametrize(
    "text", ['mark.capability("no group", spec="x: y")', 'mark.fault("F1: x", spec="no")', 'mark.capability("Colour: x", spec="y")', "mark.fault(A, behaviour=B)"]
)
def test_a_marker_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(f"@pytest.{text}\ndef test_y(): ...\n")
    with pytest.raises(ValueError, match=r"tests/test_x\.py:1"):
        proof.marks(tmp_path)


def keys_of(text: str) -> set[str]:
    return set(re.findall(r"^([a-z_]+):", text, re.MULTILINE))


def feed_around(text: str, name: str) -> str:
    """A whole feed that holds these lines, at its top or under `source`."""
    keys = keys_of(text)
    top = keys <= TOP
    windows = "window." in text or "cursor" in keys or "seen" in text or "older_than" in text
    lines = {
        "endpoint": "endpoint: https://api.example.com/rows",
        "params": 'params: {from: "{{ window.start | default(1) }}", to: "{{ window.end }}"}' if windows else "params: {x: y}",
        "each": "each: {symbol: [A, B]}",
        "records": "" if "format" in keys else "records: data",
    }
    source = "".join(f"  {line}\n" for key, line in lines.items() if line and (top or key not in keys))
    source += "" if top else "".join(f"  {line}\n" for line in text.splitlines())
    columns = re.search(r"columns: \[([^\]]*)\]", text) if "records" in keys else None
    fields = "{" + ", ".join(f"{column}: String" for column in columns[1].split(", ")) + "}" if columns else FIELDS
    rest = {
        "source": f"source:\n{source}",
        "cursor": "cursor: {field: date, initial: 2024-01-01}\n" if windows else "",
        "fields": f"fields: {fields}\n",
        "target": f"target: {{table: proof.{name}}}\n",
    }
    return f"name: {name}\n" + "".join(part for key, part in rest.items() if not (top and key in keys)) + (f"{text}\n" if top else "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("sources.d", "apis.d", "lists"):
        (tmp_path / name).mkdir()
    (tmp_path / "lists" / "ciks.csv").write_text("cik,symbol\n0000320193,AAPL\n")
    (tmp_path / "sources.d" / "sec_companies.yaml").write_text(COMPANIES)
    for name in {name for text in CONFIG for name in re.findall(r"secrets\.(\w+)", text)}:
        monkeypatch.setenv(name, "a-secret-for-the-test")
    return tmp_path


@pytest.mark.parametrize("text", CONFIG)
def test_the_lines_shown_are_read(text: str, folder: Path) -> None:
    if keys_of(text) <= NEXUS:
        (folder / "nexus.yaml").write_text(text)
    elif "base_url" in keys_of(text):
        (folder / "apis.d" / "one.yaml").write_text(f"name: one\n{text}")
    else:
        (folder / "sources.d" / "shown.yaml").write_text(feed_around(text, "shown"))
    project = Project.load(folder, registry=REGISTRY)
    loaded = load_feeds(project, REGISTRY)
    problems = [*project.problems, *loaded.problems]
    assert not problems, render(problems)


@pytest.mark.parametrize("line", [text for text in SNIPPETS if text not in CONFIG])
def test_the_commands_shown_are_there(line: str) -> None:
    words = line.split()
    command = importlib.import_module(f"nexus_engine.cli.{COMMANDS[words[1]][0]}").command
    if isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words[2])
    options = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= options
