"""W1 and W1L: pages over loopback HTTP to landed rows, every system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
import rounds
import systems


def measure_w1(work: Path, pages: int, runs: int, only: list[str]) -> dict[str, Any]:
    chosen = systems.only(systems.available(), only)
    with measure.page_server(pages) as port:

        def steps() -> dict[str, float]:
            systems.write_project(work / "steps", port=port, pages=pages)
            return rounds.profiled(work / "steps", "w1", pages)

        return rounds.measure_systems(work, chosen, "observations", port, pages, runs, steps)
