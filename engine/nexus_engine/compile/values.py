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
            target = _target(report, at, values, plans)
            each[name] = msgspec.structs.replace(values, target=target)
    if len(report.problems) > before:
        return None
    return plan if each == plan.source.each else msgspec.structs.replace(plan, source=msgspec.structs.replace(plan.source, each=each))


def _check_file(report: Report, at: Path, values: EachPlan, project: Project) -> None:
    try:
        read_values(project.root, values.file, values.column, values.beside, project.limits.max_partitions)
    except BadValues as error:
        report.add((*at, *error.key.split(".", 1)), "bad-values", f"{values.file}: {error.message}", error.hint)


def _target(report: Report, at: Path, values: EachPlan, plans: Mapping[str, Plan]) -> Target | None:
    """The target of the feed that lands in the table, where it has the columns."""
    targets = {plan.target.name: plan.target for plan in plans.values()}
    if values.table not in targets:
        near = nearest(values.table, targets)
        hint = f"did you mean `{near}.{values.column}`?" if near else "known: " + ", ".join(sorted(targets))
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
