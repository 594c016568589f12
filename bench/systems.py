"""The systems of W1, each as a program that reads one series from the page server and lands it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import measure
from project import write_project

HERE = Path(__file__).parent
RIVAL_PYTHON = os.environ.get("NEXUS_BENCH_PYTHON", str(HERE.parent / ".venv/bench/bin/python"))


@dataclass(frozen=True)
class System:
    """``command(port, pages, out)`` gives argv, environment and working folder; ``kind`` and ``where`` say how landed.py finds
    the rows below ``out``."""

    name: str
    command: Callable[[int, int, Path], tuple[list[str], dict[str, str], Path | None]]
    kind: str
    where: str = ""
    lands: bool = True
    notes: str = field(default="", compare=False)

    def run(self, port: int, pages: int, out: Path) -> measure.Taken:
        argv, env, cwd = self.command(port, pages, out)
        return measure.run(argv, env=env, cwd=cwd)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/fred"


def ours(port: int, pages: int, out: Path, concurrency: int = 0) -> tuple[list[str], dict[str, str], Path | None]:
    write_project(out, port=port, pages=pages, concurrency=concurrency)
    return [str(Path(sys.executable).with_name("nexus-engine")), "run", "w1", "--once", "--json"], {}, out


def floor(client: str) -> Callable[[int, int, Path], tuple[list[str], dict[str, str], Path | None]]:
    return lambda port, pages, out: ([sys.executable, str(HERE / "floor.py"), client, _url(port), f"P{pages}"], {}, None)


def hand(make: str) -> Callable[[int, int, Path], tuple[list[str], dict[str, str], Path | None]]:
    return lambda port, pages, out: (
        [RIVAL_PYTHON, str(HERE / "hand.py"), make, _url(port) + "/observations", f"P{pages}", str(out)], {}, None,
    )  # fmt: skip


def with_dlt(port: int, pages: int, out: Path) -> tuple[list[str], dict[str, str], Path | None]:
    return [RIVAL_PYTHON, str(HERE / "rivals/with_dlt.py"), _url(port) + "/", f"P{pages}", str(out)], {}, None


def faucet(port: int, pages: int, out: Path) -> tuple[list[str], dict[str, str], Path | None]:
    argv = [os.environ["NEXUS_BENCH_FAUCET"], "run", str(HERE / "rivals/faucet.yaml")]
    return argv, {"URL": _url(port), "SERIES": f"P{pages}", "OUT": str(out)}, None


def bento(port: int, pages: int, out: Path) -> tuple[list[str], dict[str, str], Path | None]:
    argv = [os.environ["NEXUS_BENCH_BENTO"], "run", str(HERE / "rivals/bento.yaml")]
    env = {"URL": _url(port), "SERIES": f"P{pages}", "PAGES": str(max(pages, 1)), "OUT": str(out), "GOGC": "400"}
    return argv, env, None  # count 0 would mean "for ever": a series without rows is one request


def available() -> list[System]:
    """Ours first; Bento and faucet when their binaries are named by NEXUS_BENCH_BENTO and NEXUS_BENCH_FAUCET."""
    systems = [
        System("nexus-engine", ours, "chdb:bench.w1", "data/clickhouse"),
        System("transport floor", floor("host"), "", lands=False, notes="the engine's own client, bodies dropped"),
        System("hand loop, good", hand("good"), "chdb:t"),
        System("hand loop, handbook", hand("handbook"), "chdb:t"),
        System("dlt", with_dlt, "jsonl"),
    ]
    if os.environ.get("NEXUS_BENCH_FAUCET"):
        systems.append(System("faucet", faucet, "jsonl"))
    if os.environ.get("NEXUS_BENCH_BENTO"):
        systems.append(System("Bento, tuned", bento, "jsonl"))
    return systems


def only(systems: list[System], names: list[str]) -> list[System]:
    """Those whose names begin with one of ``names``; all when none are given."""
    return [s for s in systems if not names or any(s.name.startswith(name) for name in names)]
