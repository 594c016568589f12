"""Runs the feed of each home once, its pages fetched side by side; a batch closes after two pages.

    python pages_child.py HOME [HOME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project


def main(roots: list[str]) -> None:
    registry = build_registry()
    for root in map(Path, roots):
        project = Project.load(root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            session.limits = Limits(batch_pages=2)
            for plan in feeds.plans.values():
                report = session.run(plan)
                assert report.closes(), report
                assert not report.errors, report.errors
                assert not session.store.staged()


if __name__ == "__main__":
    main(sys.argv[1:])
