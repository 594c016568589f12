"""The process that the movers' kill tests kill: it runs one mover over each home, a batch for every two pages.

    python mover_child.py MOVER HOME [HOME ...]       prints one JSON line per home: what is true afterwards
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.backfill import checked_range
from nexus_engine.deliver.replay import Replay
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

MOVERS = {
    "live": lambda session, plan: None,
    "replay": lambda session, plan: Replay().job,
    "replace": lambda session, plan: checked_range(plan, "2024-01-03", "2024-01-09", [], session.reader.now(), replacing=True).job,
    "backfill": lambda session, plan: checked_range(plan, "2024-01-01", "2024-01-09", [], session.reader.now()).job,
}


def main(mover, homes):
    registry = build_registry(["ranged_source", "dying_sink"])
    for home in map(Path, homes):
        project = Project.load(home, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            session.limits = Limits(batch_pages=2)
            plan = feeds.plans["days"]
            report = session.run(plan, mover=MOVERS[mover](session, plan))
            assert report.closes(), report
            assert not report.errors, report.errors
            print(json.dumps(truth(session, home, report)), flush=True)


def truth(session, home, report):
    """What the table, the state and the folder hold."""
    rows = session.engine.rows("SELECT *, _nexus_batch, _nexus_row FROM m.days ORDER BY ALL")
    state = session.store
    return {
        "home": str(home),
        "rows": [[row["symbol"], row["day"], row["v"]] for row in rows],
        "lineage": len({(row["_nexus_batch"], row["_nexus_row"]) for row in rows}),
        "positions": state.positions("days"),
        "refused": [[q.raw, q.reasons[0]] for q in state.quarantine("days", 1000)],
        "staged": len(state.staged()),
        "left": [path.name for name in ("raw", "spool") for path in (home / "data" / name).iterdir()],
        "read": report.read, "landed": report.landed, "windows": report.windows,
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
