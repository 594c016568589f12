"""The process that the kill tests kill: it runs every feed of HOME/plans.json once, through the real session and loop.

    python kill_child.py HOME [HOME ...]        one home after the other

A batch closes after two pages here, so that a few pages make several batches. Plans come compiled: that is what start-up costs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import msgspec

from nexus_engine.compile.plan import Plan
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver import crash
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project


def main(roots: list[str]) -> int:
    registry = build_registry(["kill_plugin"])
    failed = 0
    for root in map(Path, roots):
        project = Project.load(root, registry=registry)
        os.chdir(root)
        with Session.open(project, registry) as session:
            session.limits = Limits(batch_pages=2)
            print("open", flush=True)
            for plan in msgspec.json.decode((root / "plans.json").read_bytes(), type=list[Plan]):
                report = session.run(plan)
                assert report.closes(), report
                for error in report.errors:
                    print(error, file=sys.stderr)
                failed += len(report.errors)
    print(json.dumps(crash.visits))
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
