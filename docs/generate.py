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
from nexus_engine.contract.policy import Policy, RetryOptions
from nexus_engine.contract.records import Records
from nexus_engine.contract.registry import Registry, build_registry
from nexus_engine.deliver import crash
from nexus_engine.spec import files, model
from nexus_engine.spec.filters import FILTERS
from nexus_engine.spec.rules import RULES
from nexus_engine.testing.reference import Maker, keys_table, keys_with_parts, options_makers, write_or_check
from nexus_plugins.sources.http.options import Paginate as PaginateOptions

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import proof  # noqa: E402  beside this script
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
        "limits": _limits,
        "commands": _commands,
        "crash points": _crash_points,
        "errors": _errors,
        "rooms": _rooms,
        "auth methods": lambda: _auth(registry),
        "capabilities": proof.capabilities,
        "faults": proof.faults,
        "comparison": rivals.table,
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


def _limits() -> str:
    """One table of every bound: those that options set, with their defaults, then those that are fixed."""
    lines = ["| limit | default | | where it is set |", "| --- | --- | --- | --- |"]
    rows = [(files.Limits, None, "`limits:` in `nexus.yaml`"), (RetryOptions, None, "`retry:` in a feed, an API or `nexus.yaml`"),
            (Policy, ("timeout",), "a feed, an API or `nexus.yaml`"), (PaginateOptions, ("max_pages",), "`paginate:` in a feed or an API"),
            (model.Spec, ("max_refused",), "a feed")]
    for struct, only, where in rows:
        for line in keys_table(struct).splitlines()[2:]:
            name, _, default, description = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:5]]
            if only is None or name.strip("`") in only:
                lines.append(f"| {name} | {default or '`60s`'} | {description} | {where} |")
    return "\n".join(lines + [f"| {name} | `{value:,}` | {said} | fixed |" for name, value, said in _fixed_limits()])


def _fixed_limits() -> list[tuple[str, int | float, str]]:
    """(name, value, what it bounds) of those that nothing sets, from the constants themselves."""
    from nexus_engine.deliver import fetch
    from nexus_engine.host import body, connection, ordered
    from nexus_engine.service import query_guard, scheduler
    from nexus_engine.spec import filters, tree
    from nexus_engine.state import history, records
    from nexus_plugins.formats.xml import format as xml

    setting = "ClickHouse setting of `nexus-engine query`"
    names = ("max_result_rows", "max_result_bytes", "max_memory_usage", "max_execution_time")
    return [
        ("bytes of a spec file", tree.MAX_BYTES, "a feed, API, sink or project file"),
        ("levels of a spec file", tree.MAX_DEPTH, "mappings and lists inside each other"),
        ("values of a spec file", tree.MAX_NODES, "mappings, lists and scalars"),
        ("characters of a template", filters.MAX_CHARS, "what one value becomes when it is filled in"),
        ("bytes of headers", body.Limits.header_bytes, "of one answer, all together"),
        ("seconds to connect", connection.CONNECT_S, "to one address, within `timeout`"),
        ("seconds once the engine stops", connection.STOP_GRACE_S, "what a request in flight still gets"),
        ("seconds of a drain", scheduler.DRAIN_S, "what runs under way get to come to a safe point when the service is stopped"),
        ("bytes fetched ahead", ordered.AHEAD_BYTES, "answers that wait for their turn"),
        ("reconnects of a window", fetch.RECONNECTS, "how often a source may ask for a new connection"),
        ("levels of XML", xml.DEPTH, "elements inside each other"),
        ("bytes of a quarantined record", records.MAX_RAW_BYTES, "longer ones are cut, and say so"),
        ("records in quarantine", history.KEEP_QUARANTINED, "of one feed; the oldest go"),
        ("runs in the history", history.KEEP_RUNS, "of one feed; the oldest go"),
        ("runs with their requests", history.KEEP_REQUESTS_OF_RUNS, "of one feed, in the history"),
        *((f"`{name}`", query_guard.LIMITS[name], setting) for name in names),
    ]  # fmt: skip


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
