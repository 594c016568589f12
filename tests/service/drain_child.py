"""The service over a project with the stubborn source, as `nexus-engine run` has it: exits as that does.

Usage: drain_child.py PROJECT [once]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.events import Observers
from nexus_engine.project.project import Project
from nexus_engine.service.owner import Owner
from nexus_engine.service.scheduler import Scheduler
from nexus_engine.service.signals import GracefulStop


def main(root: Path, *, once: bool) -> int:
    registry = build_registry(["stubborn_source"])

    def load():
        project = Project.load(root, registry=registry)
        return project, load_feeds(project, registry)

    project, loaded = load()
    assert not loaded.problems, loaded.problems
    observers = Observers()
    with GracefulStop() as stopping, Session.open(project, registry, observers=observers) as session:
        session.limits = Limits(batch_pages=1)
        if once:
            report = session.run(loaded.plans["slow"])
            rows = session.engine.rows("SELECT id, count() AS n FROM t.slow GROUP BY id ORDER BY id")
            print([report.status, [[row["id"], row["n"]] for row in rows], session.store.staged(), report.closes()])
            return 0
        ended = Scheduler(Owner(session, loaded, load), concurrency=1, observers=observers).serve(stopping.asked)
        print("ended" if ended else "cut off", flush=True)
        if not ended:
            os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), once=len(sys.argv) > 2))
