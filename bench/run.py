"""The benchmark, both sides in one go: `make bench`, or `python bench/run.py --help`.

Runs are interleaved (every system once per round, in turn), so noise of the machine hits all of them alike; every figure is net
of start-up (less the same program's time on a series without rows); ratios are taken within a round and given as median
with least and greatest. What each system landed is compared with the truth row by row before its figure counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import figures
import table
import w1
import w2

OUT = Path(__file__).parent / "out"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--pages", type=int, nargs="+", default=[200, 1000], help="W1 is 200 pages, W1L 1000")
    parser.add_argument("--only", nargs="+", default=["w1", "w2", "latency", "requests", "staged", "memory", "startup"], help="parts to run")
    parser.add_argument("--systems", nargs="+", default=[], help="names (or beginnings of names) of the systems of w1 and w2; all unless given")
    parser.add_argument("--trades", type=int, default=2_000, help="thousands of trades of w2 (default 2000)")
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="nexus-bench-"))
    result: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": platform.platform(), "python": platform.python_version(),
    }  # fmt: skip
    try:
        if "w1" in options.only:
            for pages in options.pages:
                result[f"w1_{pages}"] = part = w1.measure_w1(work, pages, options.runs, options.systems)
                table.print_w1(part)
        if "w2" in options.only:
            with tempfile.TemporaryDirectory(prefix="nexus-bench-trades-") as folder:
                result["w2"] = part = w2.measure_w2(work, Path(folder), options.trades, options.runs, options.systems)
            table.print_w2(part)
        for name, measure, show in (
            ("latency", figures.latency, table.print_latency),
            ("requests", figures.requests, table.print_requests),
            ("staged", figures.staged, table.print_staged),
            ("memory", figures.memory, table.print_memory),
            ("startup", figures.startup, table.print_startup),
        ):
            if name in options.only:
                result[name] = part = measure(work, options.runs)
                show(part)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        path = OUT / f"bench-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json"
        path.write_text(json.dumps(result, indent=1))
        print(f"\nwritten to {path}", file=sys.stderr)
    if any(part.get("failures") for part in result.values() if isinstance(part, dict)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
