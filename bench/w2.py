"""W2: one answer of 2 M trades as JSON lines to landed rows, every system. Ours reads it over loopback HTTP; the others read it as a
file, which is the faster way for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import pages as data
import rounds
from project import write_project
from systems import HERE, RIVAL_PYTHON, System, only

PARTS = 100  # files that Bento gets
Command = Callable[[int, int, Path], tuple[list[str], dict[str, str], Path | None]]


def write_trades(folder: Path, thousands: int) -> None:
    """`trades-<thousands>.jsonl`, the same in parts, and a file without trades."""
    (folder / "trades-0.jsonl").touch()
    (folder / "parts-0").mkdir()
    (folder / "parts-0/0.jsonl").touch()
    parts = folder / f"parts-{thousands}"
    parts.mkdir()
    with (folder / f"trades-{thousands}.jsonl").open("w") as whole:
        each = -(-thousands // PARTS)
        for first in range(0, thousands, each):
            rows = min(each, thousands - first) * 1000
            text = "\n".join(data.trade_lines(first * 1000, rows)) + "\n"
            whole.write(text)
            (parts / f"{first:06d}.jsonl").write_text(text)


def url(port: int, pages: int, times: int = 1) -> str:
    return f"http://127.0.0.1:{port}/files/trades-{pages}.jsonl?times={times}"


def ours(port: int, pages: int, out: Path, times: int = 1) -> tuple[list[str], dict[str, str], Path | None]:
    write_project(out, trades=url(port, pages, times))
    return [str(Path(sys.executable).with_name("nexus-engine")), "run", "w2", "--once", "--json"], {}, out


def engine(shape: str, folder: Path) -> Command:
    """The engine alone: no checks, no delivery."""

    def command(port: int, pages: int, out: Path) -> tuple[list[str], dict[str, str], Path | None]:
        file = url(port, pages) if shape == "answer" else str(folder / f"trades-{pages}.jsonl")
        return [sys.executable, str(HERE / "direct.py"), shape, file, str(out)], {}, None

    return command


def script(folder: Path, *argv: str) -> Command:
    return lambda port, pages, out: ([RIVAL_PYTHON, *argv, str(folder / f"trades-{pages}.jsonl"), str(out)], {}, None)


def binary(name: str, config: str, folder: Path, files: str) -> Command:
    def command(port: int, pages: int, out: Path) -> tuple[list[str], dict[str, str], Path | None]:
        env = {"IN": str(folder / files.format(pages)), "OUT": str(out), "GOGC": "400"}
        return [os.environ[name], "run", str(HERE / "rivals" / config)], env, None

    return command


def available(folder: Path) -> list[System]:
    found = [
        System("nexus-engine", ours, "chdb:bench.w2", "data/clickhouse", notes="HTTP"),
        System("engine alone, HTTP", engine("answer", folder), "chdb:t", lands=False, notes="HTTP"),
        System("engine alone, file", engine("lines", folder), "chdb:t", lands=False, notes="file"),
        System("hand loop, good", script(folder, str(HERE / "hand.py"), "trades"), "chdb:t", notes="file"),
        System("dlt", script(folder, str(HERE / "rivals/trades_with_dlt.py")), "jsonl", notes="file"),
    ]
    if os.environ.get("NEXUS_BENCH_FAUCET"):
        command = binary("NEXUS_BENCH_FAUCET", "faucet_trades.yaml", folder, "trades-{}.jsonl")
        found.append(System("faucet", command, "jsonl", notes="file"))
    if os.environ.get("NEXUS_BENCH_BENTO"):
        command = binary("NEXUS_BENCH_BENTO", "bento_trades.yaml", folder, "parts-{}/*.jsonl")
        found.append(System("Bento, tuned", command, "jsonl", notes=f"{PARTS} files"))
    return found


def memory(port: int, pages: int, work: Path) -> dict[str, Any]:
    """Peak resident memory of a run over the answer, and over one four times as long."""
    peaks = {}
    for times in (1, 4):
        print(f"\rmemory: {times * pages:,} thousand rows   ", end="", file=sys.stderr)
        argv, env, cwd = ours(port, pages, work / f"ours-{times}", times)
        peaks[str(times * pages * 1000)] = measure.run(argv, env=env, cwd=cwd).peak_mb
    small, large = peaks.values()
    return {"peak_mb": peaks, "ratio": large / small}


def measure_w2(work: Path, folder: Path, thousands: int, runs: int, names: list[str]) -> dict[str, Any]:
    write_trades(folder, thousands)
    with measure.page_server(0, folder=folder) as port:

        def steps() -> dict[str, float]:
            write_project(work / "steps", trades=url(port, thousands))
            return rounds.profiled(work / "steps", "w2", thousands)

        part = rounds.measure_systems(work, only(available(folder), names), "trades", port, thousands, runs, steps)
        return {**part, "memory": memory(port, thousands, work)}
