"""Write the generated blocks of README.md, docs/ and the plugins' READMEs from the code; ``--check``: only say which are stale."""

# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

from nexus_engine import errors
from nexus_engine.cli.main import COMMANDS
from nexus_engine.clickhouse import types
from nexus_engine.contract.records import Records
from nexus_engine.contract.registry import Registry, build_registry
from nexus_engine.deliver import crash
from nexus_engine.spec import files, model
from nexus_engine.spec.filters import FILTERS
from nexus_engine.spec.rules import RULES
from nexus_engine.testing.reference import Maker, keys_table, keys_with_parts, options_makers, write_or_check

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import limits  # noqa: E402  beside this script
import proof  # noqa: E402
import rivals  # noqa: E402

ROOMS = (
    "errors", "events", "contract", "clickhouse", "spec", "project", "compile", "state", "host", "deliver", "service", "testing", "cli",
)  # fmt: skip


def pages() -> list[Path]:
    """Every page that may hold a generated block."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "plugins").rglob("README.md"))]


def makers(registry: Registry) -> dict[str, Maker]:
    """Block name -> what makes its text."""
    tables: dict[str, Callable[[], str]] = {
        "spec": lambda: keys_table(model.Spec),
        "spec.source": lambda: keys_table(model.SourceSpec, leave_out=["options"]),
        "spec.each": lambda: keys_table(model.EachSource),
        "spec.records": lambda: keys_table(Records),
        "spec.cursor": lambda: keys_table(model.CursorSpec),
        "spec.schedule": lambda: keys_table(model.ScheduleSpec),
        "spec.fields": lambda: keys_table(model.FieldSpec),
        "spec.transform": lambda: keys_table(model.StepSpec, leave_out=["options"]),
        "spec.validate": lambda: keys_table(model.RuleSpec),
        "spec.target": lambda: keys_table(model.TargetSpec),
        "spec.archive": lambda: keys_table(model.ArchiveSpec),
        "spec.drift": lambda: keys_table(model.DriftSpec),
        "api": lambda: keys_table(files.ApiFile, leave_out=["options"]),
        "sink": lambda: keys_table(files.SinkFile, leave_out=["options"]),
        "nexus": lambda: keys_with_parts(files.ProjectFile),
        "test": lambda: keys_with_parts(files.TestFile),
        "rules": _rules,
        "types": _types,
        "filters": _filters,
        "limits": limits.table,
        "commands": _commands,
        "crash points": _crash_points,
        "errors": _errors,
        "rooms": _rooms,
        "auth methods": lambda: _auth(registry),
        "capabilities": proof.capabilities,
        "faults": proof.faults,
        "comparison": rivals.table,
        "comparison kinds": rivals.kinds_table,
    }
    return tables | options_makers(registry)


def _rules() -> str:
    lines = ["| rule | the full name | judges | needs |", "| --- | --- | --- | --- |"]
    for name, form in RULES.items():
        needs = [f"`{key}`" for key in form.needs] + ([" or ".join(f"`{key}`" for key in form.one_of)] if form.one_of else [])
        full = f"`{form.full}`" if form.full else ""
        lines.append(f"| `{name}` | {full} | {'each row' if form.per == 'row' else 'the batch'} | {', '.join(needs)} |")
    return "\n".join(lines)


def _types() -> str:
    plain = sorted(types._PLAIN, key=_by_number)  # noqa: SLF001  the list is the parser's own
    with_arguments = sorted(types._WITH_ARGUMENTS, key=_by_number)  # noqa: SLF001
    return ", ".join(f"`{name}`" for name in plain) + "; and with arguments " + ", ".join(f"`{name}(...)`" for name in with_arguments) + "."


def _by_number(name: str) -> tuple[str, int]:
    word = name.rstrip("0123456789")
    return word, int(name[len(word) :] or 0)


def _filters() -> str:
    lines = ["| filter | gives |", "| --- | --- |"]
    said = {"float": "A number.", "int": "A whole number.", "lower": "Lower case.", "upper": "Upper case.", "trim": "Without space at both ends."}
    for name, function in sorted(FILTERS.items()):
        first = said.get(name) or (function.__doc__ or "").split("\n")[0].replace("``", "`")
        lines.append(f"| `{name}` | {first} |")
    lines.append("| `default` | Another value where there is none: `{{ vars.x \\| default('1') }}`. |")
    return "\n".join(lines)


def _commands() -> str:
    lines = ["| command | |", "| --- | --- |"]
    return "\n".join(lines + [f"| `nexus-engine {name}` | {line} |" for name, (_, line) in COMMANDS.items()])


def _crash_points() -> str:
    """The table in crash.py, then the names."""
    rule = re.search(r"^=+ +=+\n(.*?)^=+ +=+\n", crash.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert rule, "crash.py has lost its table"
    lines = ["| killed at | what holds afterwards |", "| --- | --- |"]
    for line in rule[1].splitlines():
        points, _, holds = line.partition("  ")
        lines.append(f"| `{points.strip()}` | {holds.strip()} |")
    return "\n".join(lines) + "\n\nThe points: " + ", ".join(f"`{name}`" for name in crash.POINTS) + "."


def _errors() -> str:
    tree = (errors.__doc__ or "").split("::\n\n", 1)[1].split("\n\n", 1)[0]
    return "```text\n" + "\n".join(line.removeprefix("    ") for line in tree.splitlines()) + "\n```"


def _rooms() -> str:
    lines = ["| room | what it is |", "| --- | --- |"]
    core = ROOT / "engine/nexus_engine"
    for room in ROOMS:
        path = core / f"{room}.py" if (core / f"{room}.py").exists() else core / room / "__init__.py"
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        lines.append(f"| `{room}` | {' '.join(first.split())} |")
    return "\n".join(lines)


def _auth(registry: Registry) -> str:
    lines = ["| method | is written |", "| --- | --- |"]
    for name, item in registry.auth.items():
        lines.append(f"| `{name}` | {(item.cls.__doc__ or '').strip().splitlines()[0]} |")
    return "\n".join(lines)


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = write_or_check(pages(), makers(build_registry()), check=check)
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'stale; run `make docs`' if check else 'written'}")  # noqa: T201  a script's answer
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
