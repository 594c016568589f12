"""Run feeds of a project folder through the real engine, and read their tables back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project


@dataclass
class Landing:
    """An open session and the plans of its project."""

    session: Session
    plans: dict[str, Plan]

    def run(self, feed: str) -> RunReport:
        report = self.session.run(self.plans[feed])
        assert report.closes(), report
        return report

    def rows(self, feed: str, *, latest: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The feed's table without the run's own columns; decimals as text. ``latest``: the last landed row of each key."""
        target = self.plans[feed].target
        cells = ", ".join(
            f"toString({column.name}) AS {column.name}" if "Decimal" in column.type else column.name
            for column in target.columns
            if not column.run
        )
        limit = f" ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC LIMIT 1 BY {', '.join(latest)}" if latest else ""
        return self.session.engine.rows(f"SELECT {cells} FROM {target.name}{limit}")


@contextmanager
def landing(folder: Path, now: datetime, **options: Any) -> Iterator[Landing]:
    """Open a session on a project folder, its clock standing at ``now``."""
    project = Project.load(folder, None)
    registry = build_registry()
    loaded = load_feeds(project, registry)
    assert not loaded.problems, loaded.problems
    with Session.open(project, registry, now=lambda: now, **options) as session:
        yield Landing(session, dict(loaded.plans))
