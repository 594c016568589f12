"""Runs the feed of each home once per round, from the round that was begun last; the API is told which one it is.

    python conditional_child.py ROUNDS HOME [HOME ...]      one JSON line per home: the statuses of its runs
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project


def main(rounds: int, roots: list[str]) -> None:
    registry = build_registry()
    for root in map(Path, roots):
        project = Project.load(root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        begun, told = root / "round", []
        with Session.open(project, registry) as session:
            session.limits = Limits(batch_pages=1)
            for number in range(int(begun.read_text()) if begun.exists() else 0, rounds):
                begun.write_text(str(number))
                urllib.request.urlopen((root / "server").read_text() + f"/{root.name}?round={number}").close()
                report = session.run(feeds.plans["pages"])
                assert report.closes(), report
                assert not report.errors, report.errors
                assert not session.store.staged()
                told.append([report.status, report.unchanged_answers, report.landed])
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
