"""Have the embedded engine describe each query: a wrong expression is a problem with its place, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_engine.clickhouse.engine import Engine
    from nexus_engine.compile.plan import Plan
    from nexus_engine.spec.problems import Problem


class _Asked:
    """The engine, asked each question once: feeds of one API often have the same query."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._answers: dict[str, list[dict[str, Any]]] = {}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        if sql not in self._answers:
            self._answers[sql] = self._engine.rows(sql)
        return self._answers[sql]


def described(plans: Iterable[Plan]) -> list[Problem]:
    """What ClickHouse does not accept, with the line of the spec that says it."""
    from nexus_engine.clickhouse.engine import Engine
    from nexus_engine.compile.checks import check_with_engine
    from nexus_engine.compile.feeds import place
    from nexus_engine.spec.loader import load_tree, read_text
    from nexus_engine.spec.model import Spec

    found: list[Problem] = []
    engine = Engine(None)
    asked = _Asked(engine)
    try:
        for plan in plans:
            wrong = check_with_engine(plan, asked)
            if not wrong:
                continue
            text, _ = read_text(Path(plan.spec_file), plan.spec_file)
            report, _ = load_tree(text, plan.spec_file, Spec)
            for problem in wrong:
                report.add(place(problem.path), problem.code, problem.message, problem.suggestion)
            found.extend(report.problems)
    finally:
        engine.close()
    return found
