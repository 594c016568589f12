"""What the benchmark prints for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TARGETS = {"dlt": 8.0, "faucet": 2.0, "Bento, tuned": 1.3, "hand loop, good": 1.5, "hand loop, handbook": 6.0}  # W1L, rows/s
CPU_TARGETS = {"dlt": 1 / 8, "faucet": 1 / 2}
W2_TARGETS = {"dlt": 25.0, "faucet": 5.0, "Bento, tuned": 5.0, "engine alone, HTTP": 0.6, "engine alone, file": 0.6}


def _range(value: Sequence[float], digits: int = 2) -> str:
    middle, least, greatest = value
    return f"{middle:,.{digits}f} ({least:,.{digits}f}-{greatest:,.{digits}f})"


def _rows(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(str(line[i])) for line in (head, *rows)) for i in range(len(head))]
    print(f"\n{title}")
    for line in (head, ["-" * w for w in widths], *rows):
        print("  ".join(str(cell).ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def landed(verdicts: Sequence[dict[str, Any]] | None) -> str:
    """What the comparison with the truth said, over all runs."""
    wrong = [v for v in verdicts or () if not v["exact"]]
    if wrong:
        return f"WRONG in {len(wrong)} runs: {wrong[0]['rows']} rows of {wrong[0]['expected']}"
    return "exact" if verdicts else ""


def _systems(part: dict[str, Any], targets: dict[str, float], cpu_targets: dict[str, float]) -> list[list[str]]:
    rows = []
    for name, s in part["systems"].items():
        ratio = part["ratios"].get(name)
        rows.append([
            name,
            s["notes"],
            _range(s["rows_per_s"], 0),
            _range(s["cpu_s_per_million"]),
            f"{s['peak_mb']:.0f}",
            f"{s['start_s'][0]:.2f}",
            _range(ratio["speed"]) if ratio else "",
            f"{targets[name]:g}" if name in targets else "",
            _range(ratio["cpu"]) if ratio else "",
            f"{cpu_targets[name]:.3f}" if name in cpu_targets else "",
            landed(part["landed"].get(name)),
        ])  # fmt: skip
    return rows


HEAD = ("system", "", "rows/s", "CPU s/M rows", "MB", "start s", "ours is x faster", "due", "our CPU / its", "due", "landed")


def _after(part: dict[str, Any]) -> None:
    if part["steps"]:
        print("CPU s per million rows by step: " + ", ".join(f"{k} {_range(v)}" for k, v in part["steps"].items()))
    for name, message in part["failures"].items():
        print(f"FAILED {name}: {message}")


def print_w1(part: dict[str, Any]) -> None:
    title = f"{part['pages']} pages x 1,000 rows over HTTP, net of start-up: median (least-greatest)"
    _rows(title, HEAD, _systems(part, TARGETS, CPU_TARGETS))
    floor = part["ratios"].get("transport floor")
    if floor:
        per_million = [v / (part["rows"] / 1e6) for v in floor["cpu_above_s"]]
        print(f"CPU above the transport floor, s per million rows: {_range(per_million)}; due: 1.5 at most")
    _after(part)


def print_w2(part: dict[str, Any]) -> None:
    title = f"One answer of {part['rows']:,} trades in JSON lines, six typed and checked fields, landed; net of start-up: median (least-greatest)"
    _rows(title, HEAD, _systems(part, W2_TARGETS, {}))
    _after(part)
    peaks = ", ".join(f"{int(n):,} rows {mb:.0f} MB" for n, mb in part["memory"]["peak_mb"].items())
    print(f"peak resident memory: {peaks}; ratio {part['memory']['ratio']:.2f}; due: 1.25 at most")


def print_staged(part: dict[str, Any]) -> None:
    rows = [["payloads to landed rows", _range(part["rows_per_s"], 0), _range(part["cpu_s_per_million"]), "", "1,000,000 rows/s"]]
    for shape, d in part["direct"].items():
        line = [f"engine alone, {shape}", _range(d["rows_per_s"], 0), _range(d["cpu_s_per_million"]), _range(d["share"]), "share 0.60"]
        rows.append(line)
    _rows(f"{part['rows']:,} trades, six typed and checked fields, no transport", ["", "rows/s", "CPU s/M rows", "our share", "due"], rows)
    print("CPU s per million rows by step: " + ", ".join(f"{k} {v:.2f}" for k, v in part["steps"].items()))
    print("rows landed and refused: " + ("exact" if part["exact"] else "WRONG"))


def print_memory(part: dict[str, Any]) -> None:
    rows = [[f"{int(n):,}", f"{mb:.0f}"] for n, mb in part["peak_mb"].items()]
    _rows("Peak resident memory of a run", ["rows", "MB"], rows)
    print(f"ratio {part['ratio']:.2f}; due: 1.30 at most, and under 700 MB")


def print_latency(part: dict[str, Any]) -> None:
    title = f"{part['pages']} pages from a server that takes {part['latency_ms']} ms for each, {part['concurrency']} side by side, net of start-up"
    rows = [["all landed", _range(part["wall_s"]), f"{part['ideal_s']:.2f}", _range(part["ratio"]), "1.30", _range(part["cpu_s"]), landed(part["landed"])]]
    _rows(title, ["", "s", "ideal s", "of ideal", "due", "CPU s", "landed"], rows)


def print_requests(part: dict[str, Any]) -> None:
    rows = [["one feed, landed", _range(part["ours_ms"]), _range(part["ratio"]), "1.50"], ["bare loop", _range(part["bare_ms"]), "", ""]]
    _rows(f"{part['requests']:,} answers of one record, net of start-up", ["", "CPU ms per request", "of the bare loop", "due"], rows)
    print(f"records read: {part['read']:,}; batches made: {part['batches']}")


def print_startup(part: dict[str, Any]) -> None:
    rows = [
        ["nexus-engine --help", _range(part["help_s"]), "0.3"],
        ["validate-config, 1,000 specs", _range(part["validate_1000_s"]), "5"],
    ]
    _rows("Start-up", ["command", "s", "due"], rows)
