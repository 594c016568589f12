"""What `each:` names outside its feed: files of the project, tables that other feeds land. Checked when all feeds are read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nexus_engine.compile.plan import EachPlan, Plan
from nexus_engine.contract.sink import Target
from nexus_engine.project.project import Project
from nexus_engine.project.values import BadValues, read_values
from nexus_engine.spec.report import Report
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.tree import Path


def link_values(plan: Plan, report: Report, project: Project, plans: Mapping[str, Plan]) -> Plan | None:
    """The plan with the targets of the tables it reads values from; None after a problem in ``report``.

    Args:
        plans: every feed of the project that is sound.
    """
    each = dict(plan.source.each)
    before = len(report.problems)
    for name, values in each.items():
        at: Path = ("source", "each", name)
        if isinstance(values, EachPlan) and values.file:
            _check_file(report, at, values, project)
        elif isinstance(values, EachPlan) and values.table:
            target = _target(report, at, values, {feed: other.target for feed, other in plans.items() if feed != plan.feed}, plan.target)
            each[name] = msgspec.structs.replace(values, target=target)
    if len(report.problems) > before:
        return None
    return plan if each == plan.source.each else msgspec.structs.replace(plan, source=msgspec.structs.replace(plan.source, each=each))


def _check_file(report: Report, at: Path, values: EachPlan, project: Project) -> None:
    try:
        read_values(project.root, values.file, values.column, values.beside, project.limits.max_partitions)
    except BadValues as error:
        report.add((*at, *error.key.split(".", 1)), "bad-values", f"{values.file}: {error.message}", error.hint)


def _target(report: Report, at: Path, values: EachPlan, others: Mapping[str, Target], own: Target) -> Target | None:
    """The target of a feed that lands in the table, where it has the columns.

    Args:
        others: the targets of the other feeds. A table that the feed itself fills gives it partitions only if one of these does too.
        own: the feed's own.
    """
    targets = {target.name: target for target in others.values()}
    if values.table not in targets:
        near = nearest(values.table, targets)
        hint = _near_table(near, targets[near], values.column) if near else "known: " + ", ".join(sorted(targets)) if targets else ""
        if values.table == own.name:
            message = f"only this feed lands in `{values.table}`: it cannot read its partitions from the table it fills"
            report.add((*at, "from"), "own-table", message, "name a table that another feed fills, a file, a list or a listing")
        else:
            report.add((*at, "from"), "unknown-name", f"no sound feed of this project lands in `{values.table}`", hint)
        return None
    columns = [column.name for column in targets[values.table].columns]
    for key, name in (("from", values.column), *((f"with.{other}", column) for other, column in values.beside.items())):
        if name not in columns:
            near = nearest(name, columns)
            meant = f"{values.table}.{near}" if key == "from" else near
            hint = f"did you mean `{meant}`?" if near else "there are " + ", ".join(columns)
            report.add((*at, *key.split(".", 1)), "unknown-name", f"`{values.table}` has no column `{name}`", hint)
    return targets[values.table]


def _near_table(name: str, target: Target, column: str) -> str:
    """The table, with the column that it has."""
    columns = [item.name for item in target.columns]
    found = column if column in columns else nearest(column, columns)
    return f"did you mean `{name}.{found}`?" if found else f"did you mean a column of `{name}`: {', '.join(columns)}?"
