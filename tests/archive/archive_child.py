"""The process that the archive's kill tests kill: it runs or reparses each home, a batch for every two pages.

    python archive_child.py range|reparse HOME [HOME ...]       prints one JSON line per home: what is true afterwards
"""

import json
import sys
from pathlib import Path

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.backfill import checked_range
from nexus_engine.deliver.reparse import Reparse
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

MOVERS = {
    "range": lambda session, plan: checked_range(plan, "2024-01-01", "2024-01-07", [], session.reader.now()).job,
    "reparse": lambda session, plan: Reparse().job,
}


def main(mover, homes):
    registry = build_registry()
    for home in map(Path, homes):
        project = Project.load(home, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            session.limits = Limits(batch_pages=2)
            report = session.run(feeds.plans["days"], mover=MOVERS[mover](session, feeds.plans["days"]), trigger=mover)
            assert report.closes(), report
            assert not report.errors, report.errors
            rows = session.engine.rows("SELECT *, _nexus_batch, _nexus_row FROM m.days ORDER BY ALL")
            truth = {
                "home": str(home), "read": report.read, "positions": session.store.positions("days"), "staged": len(session.store.staged()),
                "rows": [[row["symbol"], row["day"], row["v"], row["_nexus_batch"], row["_nexus_row"]] for row in rows],
                "refused": [refused.raw for refused in session.store.quarantine("days")],
                "left": [path.name for name in ("raw", "spool") for path in (home / "data" / name).iterdir()],
            }  # fmt: skip
        print(json.dumps(truth), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
