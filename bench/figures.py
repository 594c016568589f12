"""The other figures: staged payloads to landed rows, memory, start-up."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import measure
import pages as data
from project import FRED_LIKE, write_project

HERE = Path(__file__).parent
W2_ROWS = 2_000_000
PAYLOAD_ROWS = 1000


def _json(argv: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(measure.run(argv).output.splitlines()[-1])
    return result


def staged(work: Path, rounds: int) -> dict[str, Any]:
    """W2: payloads of 1,000 trades handed over ready-made, staged, mapped, checked, landed with full delivery; against the engine
    reading the same JSON straight into a table, as lines and as the payloads themselves."""
    bodies, lines, payloads, runs = work / "bodies", work / "trades.jsonl", work / "payloads.jsonl", []
    bodies.mkdir()
    with lines.open("w") as one, payloads.open("w") as many:
        for n in range(0, W2_ROWS, PAYLOAD_ROWS):
            page = list(data.trade_lines(n, PAYLOAD_ROWS))
            body = "[" + ",".join(page) + "]"
            one.write("\n".join(page) + "\n")
            many.write(f'{{"b":{body}}}\n')
            (bodies / f"{n // PAYLOAD_ROWS:06d}.json").write_text(body)
    for number in range(rounds):
        print(f"\rstaged payloads {number + 1}/{rounds}", end="", file=sys.stderr)
        write_project(work / "ours", bodies=bodies)
        ours = _json([sys.executable, str(HERE / "inproc.py"), str(work / "ours"), "w2"])
        direct = {}
        for shape, file in (("lines", lines), ("payloads", payloads)):
            direct[shape] = _json([sys.executable, str(HERE / "direct.py"), shape, str(file), str(work / shape)])
            shutil.rmtree(work / shape)
        write_project(work / "steps", bodies=bodies)
        profiled = _json([sys.executable, str(HERE / "inproc.py"), str(work / "steps"), "w2", "--profile"])
        runs.append({"ours": ours, "direct": direct, "steps": profiled["steps"]})
        for folder in ("ours", "steps"):
            shutil.rmtree(work / folder)
    million = W2_ROWS / 1e6
    bad = sum(1 for n in range(W2_ROWS) if n % data.BAD_EVERY == data.BAD_AT)
    return {
        "rows": W2_ROWS,
        "rows_per_s": measure.spread([W2_ROWS / r["ours"]["wall_s"] for r in runs]),
        "cpu_s_per_million": measure.spread([r["ours"]["cpu_s"] / million for r in runs]),
        "direct": {
            shape: {
                "rows_per_s": measure.spread([W2_ROWS / r["direct"][shape]["wall_s"] for r in runs]),
                "cpu_s_per_million": measure.spread([r["direct"][shape]["cpu_s"] / million for r in runs]),
                "share": measure.spread([r["direct"][shape]["wall_s"] / r["ours"]["wall_s"] for r in runs]),
            }
            for shape in ("lines", "payloads")
        },
        "steps": {k: v / million for k, v in sorted(runs[-1]["steps"].items(), key=lambda item: -item[1])},
        "exact": all(r["ours"]["landed"] == W2_ROWS - bad and r["ours"]["quarantined"] == bad for r in runs),
        "runs": runs,
    }


def memory(work: Path, rounds: int) -> dict[str, Any]:
    """Peak resident memory of a run of 500,000 rows and of 5 million, through the command line."""
    import systems

    peaks: dict[str, float] = {}
    with measure.page_server(data.BLOCKS) as port:
        for rows in (500_000, 5_000_000):
            print(f"\rmemory: {rows:,} rows   ", end="", file=sys.stderr)
            argv, env, cwd = systems.ours(port, rows // data.PAGE_ROWS, work / "ours")
            peaks[str(rows)] = measure.run(argv, env=env, cwd=cwd).peak_mb
            shutil.rmtree(work / "ours")
    small, large = peaks.values()
    return {"peak_mb": peaks, "ratio": large / small}


LATENCY_MS, SIDE_BY_SIDE, LATENT_PAGES = 50, 8, 1000


def latency(work: Path, rounds: int) -> dict[str, Any]:
    """W1L, its pages fetched side by side, against a server that takes 50 ms for each answer; the ideal is requests x latency /
    concurrency, with everything else free."""
    import systems

    ideal_s = LATENT_PAGES * LATENCY_MS / 1000 / SIDE_BY_SIDE
    runs, verdicts = [], []
    with measure.page_server(LATENT_PAGES, LATENCY_MS) as port:
        for number in range(rounds):
            print(f"\rlatency {number + 1}/{rounds}   ", end="", file=sys.stderr)
            taken = {}
            for pages in (0, LATENT_PAGES):
                argv, env, cwd = systems.ours(port, pages, work / "ours", SIDE_BY_SIDE)
                taken[pages] = measure.run(argv, cwd=cwd, env=env)
                if pages:
                    verdicts.append(_json([sys.executable, str(HERE / "landed.py"), "observations", "chdb:bench.w1", str(work / "ours/data/clickhouse"), str(pages)]))
                shutil.rmtree(work / "ours")
            runs.append(taken[LATENT_PAGES].less(taken[0]))
    return {
        "pages": LATENT_PAGES, "latency_ms": LATENCY_MS, "concurrency": SIDE_BY_SIDE, "ideal_s": ideal_s,
        "wall_s": measure.spread([run.wall_s for run in runs]), "cpu_s": measure.spread([run.cpu_s for run in runs]),
        "ratio": measure.spread([run.wall_s / ideal_s for run in runs]), "landed": verdicts,
    }  # fmt: skip


ONE_RECORD = 10_000


def requests(work: Path, rounds: int) -> dict[str, Any]:
    """10,000 answers of one record through one feed, landed, against a bare loop that parses and keeps them; CPU net of start-up."""
    program = str(Path(sys.executable).with_name("nexus-engine"))
    runs = []
    with measure.page_server(1) as port:
        for number in range(rounds):
            print(f"\rrequests {number + 1}/{rounds}   ", end="", file=sys.stderr)
            ours, bare = {}, {}
            for records in (0, ONE_RECORD):
                write_project(work / "one", port=port, records=records)
                ours[records] = measure.run([program, "run", "w1", "--once", "--json"], cwd=work / "one")
                bare[records] = measure.run([sys.executable, str(HERE / "floor.py"), "kept", f"http://127.0.0.1:{port}/fred", str(records)])
                shutil.rmtree(work / "one")
            runs.append((ours[ONE_RECORD].less(ours[0]).cpu_s, bare[ONE_RECORD].less(bare[0]).cpu_s, ours[ONE_RECORD].output))
    report = json.loads(runs[-1][2].splitlines()[-1])["runs"][0]
    return {
        "requests": ONE_RECORD, "ours_ms": measure.spread([one / ONE_RECORD * 1000 for one, _, _ in runs]),
        "bare_ms": measure.spread([one / ONE_RECORD * 1000 for _, one, _ in runs]),
        "ratio": measure.spread([one / other for one, other, _ in runs]), "batches": report["batches"], "read": report["read"],
    }  # fmt: skip


def startup(work: Path, rounds: int) -> dict[str, Any]:
    """`--help`, and `validate-config` on 1,000 specs, all different."""
    program = str(Path(sys.executable).with_name("nexus-engine"))
    root = work / "many"
    write_project(root, port=9, pages=1)
    for n in range(1000):
        (root / f"sources.d/feed_{n:04d}.yaml").write_text(FRED_LIKE.format(n=n, shape=n))
    (root / "sources.d/w1.yaml").unlink()
    runs = [
        (measure.run([program, "--help"]), measure.run([program, "validate-config"], cwd=root, env={"FRED_API_KEY": "0" * 32}))
        for _ in range(rounds)
    ]
    shutil.rmtree(root)
    return {
        "help_s": measure.spread([h.wall_s for h, _ in runs]),
        "validate_1000_s": measure.spread([v.wall_s for _, v in runs]),
        "validate_says": runs[0][1].output.strip().splitlines()[-1:],
    }
