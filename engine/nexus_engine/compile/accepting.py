"""Which feeds the embedded engine accepts: it describes each query, so that a wrong expression is a problem with its place, before
anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_engine.compile.checks import check_with_engine
from nexus_engine.compile.feeds import LoadedFeeds, place
from nexus_engine.spec.loader import load_tree, read_text
from nexus_engine.spec.model import Spec

if TYPE_CHECKING:
    from nexus_engine.clickhouse.engine import Engine
    from nexus_engine.compile.plan import Plan
    from nexus_engine.compile.problems import CompileProblem
    from nexus_engine.spec.problems import Problem


class Asked:
    """The engine, asked each question once: feeds of one API often have the same query, and most files of a reload are as before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._answers: dict[str, list[dict[str, Any]]] = {}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        if sql not in self._answers:
            self._answers[sql] = self._engine.rows(sql)
        return self._answers[sql]


def accepted(loaded: LoadedFeeds, names: Iterable[str] | None = None, asked: Asked | None = None) -> LoadedFeeds:
    """The feeds without those that ClickHouse does not accept; what it says of them stands with the other problems.

    Args:
        names: describe only these; the others stay as they are.
        asked: an engine that is open already; one in memory otherwise.
    """
    chosen = loaded.plans.keys() if names is None else set(names)
    plans = [plan for name, plan in loaded.plans.items() if name in chosen]
    wrong = refused(plans, asked)
    if not wrong:
        return loaded
    return replace(
        loaded,
        plans={name: plan for name, plan in loaded.plans.items() if name not in wrong},
        unset={name: unset for name, unset in loaded.unset.items() if name not in wrong},
        problems=sorted([*loaded.problems, *(problem for found in wrong.values() for problem in found)], key=lambda problem: problem.file),
    )


def refused(plans: Iterable[Plan], asked: Asked | None = None) -> dict[str, list[Problem]]:
    """What ClickHouse does not accept, by feed, with the line of the spec that says it."""
    from nexus_engine.clickhouse.engine import Engine

    engine = None if asked is not None else Engine(None)
    try:
        told = asked or Asked(engine)  # type: ignore[arg-type]
        found = {plan.feed: (plan, check_with_engine(plan, told)) for plan in plans}
    finally:
        if engine is not None:
            engine.close()
    return {feed: _placed(plan, wrong) for feed, (plan, wrong) in found.items() if wrong}


def _placed(plan: Plan, wrong: Iterable[CompileProblem]) -> list[Problem]:
    text, _ = read_text(Path(plan.spec_file), plan.spec_file)
    report, _ = load_tree(text, plan.spec_file, Spec)
    for problem in wrong:
        report.add(place(problem.path), problem.code, problem.message, problem.suggestion)
    return report.problems
