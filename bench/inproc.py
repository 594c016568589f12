"""One run of a feed through the real Session, in this process: python inproc.py PROJECT FEED [--profile], prints one JSON line.

Wall and CPU seconds of the run alone (the session is open, the engine warm), the report, and with --profile CPU by step.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def run_feed(root: Path, feed: str, *, profile: bool) -> dict[str, Any]:
    from nexus_engine.compile.feeds import load_feeds
    from nexus_engine.contract.registry import build_registry
    from nexus_engine.deliver.session import Session
    from nexus_engine.project.project import Project
    from steps import Sampler

    registry = build_registry(["bench_source"])
    project = Project.load(root, None)
    loaded = load_feeds(project, registry)
    if loaded.problems:
        raise SystemExit(f"the benchmark's own feed is broken: {loaded.problems}")
    session = Session.open(project, registry)
    try:
        session.engine.rows("SELECT 1")
        sampler = Sampler() if profile else None
        cpu, wall = time.process_time(), time.perf_counter()
        with sampler or nullcontext():
            report = session.run(loaded.plans[feed])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        session.close()
    if report.status != "ok" and report.read:
        raise SystemExit(f"the run failed: {report.to_json()}")
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "read": report.read,
        "landed": report.landed,
        "quarantined": report.quarantined,
        "closes": report.closes(),
        "steps": dict(sampler.cpu) if sampler else {},
    }


if __name__ == "__main__":
    print(json.dumps(run_feed(Path(sys.argv[1]), sys.argv[2], profile="--profile" in sys.argv)))
