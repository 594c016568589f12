"""Several systems over the same work, in turn, net of start-up; ratios round by round. Shared by W1 and W2."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import measure
import pages as data
import systems
from measure import Taken

HERE = Path(__file__).parent


def check(system: systems.System, out: Path, pages: int, what: str) -> dict[str, Any]:
    """What landed against the truth, in a process of its own."""
    python = systems.RIVAL_PYTHON if Path(systems.RIVAL_PYTHON).exists() else sys.executable
    argv = [python, str(HERE / "landed.py"), what, system.kind, str(out / system.where), str(pages)]
    verdict: dict[str, Any] = json.loads(measure.run(argv).output.splitlines()[-1])
    return verdict


def measure_systems(
    work: Path, chosen: list[systems.System], what: str, port: int, pages: int, rounds: int, steps: Callable[[], dict[str, float]]
) -> dict[str, Any]:
    """Every system over ``pages`` pages (thousands of rows), ``rounds`` times. ``what``: observations or trades, the truth they are
    compared with. ``steps``: CPU seconds per million rows by step of one run of ours."""
    taken: dict[str, list[dict[str, Taken]]] = {s.name: [] for s in chosen}
    verdicts: dict[str, list[dict[str, Any]]] = {}
    failures: dict[str, str] = {}
    by_step: list[dict[str, float]] = []
    for number in range(-1, rounds):  # round -1 warms the file cache and counts for nothing
        for system in chosen[number % len(chosen) :] + chosen[: number % len(chosen)]:
            if system.name in failures:
                continue
            print(f"\rround {number + 1}/{rounds}  {pages} pages  {system.name:<24}", end="", file=sys.stderr)
            out = work / "landed"
            try:
                empty = system.run(port, 0, work / "empty")
                if number >= 0:
                    full = system.run(port, pages, out)
                    taken[system.name].append({"empty": empty, "full": full})
                    if system.lands:
                        verdicts.setdefault(system.name, []).append(check(system, out, pages, what))
            except (measure.Failed, OSError) as error:
                failures[system.name] = str(error)
            for path in work.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if number >= 0 and "nexus-engine" in taken and "nexus-engine" not in failures:
            try:
                by_step.append(steps())
            except measure.Failed as error:
                failures["steps"] = str(error)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    net_of_start(taken)
    return {
        "pages": pages,
        "rows": pages * data.PAGE_ROWS,
        "systems": {s.name: {**summary(taken[s.name], pages), "notes": s.notes} for s in chosen if taken[s.name]},
        "ratios": ratios(taken),
        "landed": verdicts,
        "failures": failures,
        "steps": {k: measure.spread([run.get(k, 0.0) for run in by_step]) for k in by_step[0]} if by_step else {},
    }


def profiled(project: Path, feed: str, pages: int) -> dict[str, float]:
    """CPU seconds per million rows by step, of one run in one process; the project goes."""
    argv = [sys.executable, str(HERE / "inproc.py"), str(project), feed, "--profile"]
    taken = json.loads(measure.run(argv).output.splitlines()[-1])
    shutil.rmtree(project)
    rows = pages * data.PAGE_ROWS / 1e6
    return {step: cpu / rows for step, cpu in sorted(taken["steps"].items(), key=lambda item: -item[1])}


def net_of_start(taken: dict[str, list[dict[str, Taken]]]) -> None:
    """Add `net` to each run: less the median start of that program."""
    for runs in taken.values():
        if runs:
            start = Taken(*(median(getattr(r["empty"], name) for r in runs) for name in ("wall_s", "cpu_s", "peak_mb")))
            for r in runs:
                r["net"] = r["full"].less(start)


def summary(runs: list[dict[str, Taken]], pages: int) -> dict[str, Any]:
    million = pages * data.PAGE_ROWS / 1e6
    return {
        "rows_per_s": measure.spread([1e6 * million / r["net"].wall_s for r in runs]),
        "cpu_s_per_million": measure.spread([r["net"].cpu_s / million for r in runs]),
        "peak_mb": max(r["full"].peak_mb for r in runs),
        "start_s": measure.spread([r["empty"].wall_s for r in runs]),
        "runs": [{k: v.to_json() for k, v in r.items()} for r in runs],
    }


def ratios(taken: dict[str, list[dict[str, Taken]]]) -> dict[str, Any]:
    """Ours against each other system, round by round: rows/s (greater is better), CPU (less is better), CPU above in seconds."""
    ours = taken.get("nexus-engine", [])
    found: dict[str, Any] = {}
    for name, runs in taken.items():
        pairs = [(a["net"], b["net"]) for a, b in zip(ours, runs, strict=False)]
        if name == "nexus-engine" or not pairs:
            continue
        found[name] = {
            "speed": measure.spread([b.wall_s / a.wall_s for a, b in pairs]),
            "cpu": measure.spread([a.cpu_s / b.cpu_s for a, b in pairs]),
            "cpu_above_s": measure.spread([a.cpu_s - b.cpu_s for a, b in pairs]),
        }
    return found
