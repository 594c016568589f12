"""0 lost, 0 duplicated, 0 altered: after kill -9 at every crash point and every visit of it, and at random moments.

`NEXUS_KILLS` sets the number of random kills (20; `make kill` takes more), `NEXUS_KILL_SEED` repeats a failure.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_engine.deliver import crash

HERE = Path(__file__).parent
CLEAN = {
    "lost": 0, "duplicated": 0, "altered": 0, "lineage_repeated": 0, "staged": 0, "quarantine_wrong": 0,
    "books_open": 0, "in_flight": 0, "landed_wrong": 0, "files_left": [],
}
WORKERS = 2
# Points that only a process with something to recover comes to: it is killed once before, with batches staged.
RECOVERY = [p for p in crash.POINTS if p.startswith(("recovery.", "orphans.")) or p in ("uncertain.before", "uncertain.settled", "uncertain.read", "missing.before", "missing.after")]
LOOP_ONLY = {"query.mapped"}  # points of the real loop that the small one here does not have


def source(batches: int, rows: int) -> str:
    feeds: dict[str, dict[str, list[list[dict[str, object]]]]] = {}
    number = 0
    for feed in ("alpha", "beta"):
        feeds[feed] = {}
        for part in ("p", "q"):
            feeds[feed][part] = []
            for _ in range(batches):
                page = []
                for _ in range(rows):
                    number += 1
                    page.append({"id": number, "part": part, "text": f"é {number}\t\"", "price": f"{number}.{number:06}"})
                page.append({"id": number + 10**9, "part": part, "text": None, "price": "1"})
                feeds[feed][part].append(page)
    return json.dumps(feeds)


def new_home(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "source.json").write_text(text)
    return path


def child(command: str, *homes: Path, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NEXUS_CRASH_AT": crash_at}
    return subprocess.run([sys.executable, str(HERE / "kill_child.py"), command, *map(str, homes)], env=env, capture_output=True, text=True)


def finish(homes: list[Path]) -> None:
    """A clean run over every home, in one process."""
    done = child("run", *homes)
    assert done.returncode == 0, done.stderr[-3000:]


def verdicts(homes: list[Path]) -> list[dict[str, object]]:
    command = [sys.executable, "-I", str(HERE / "kill_oracle.py"), *map(str, homes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep_point(root: Path, point: str, text: str, staged: Path | None) -> list[Path]:
    """Kill at the 1st, 2nd, ... visit of a point until a run ends untouched; the killed homes."""
    killed = []
    for visit in range(1, 1000):
        home = root / f"{'recovery-' if staged else ''}{point}-{visit}"
        shutil.copytree(staged, home, symlinks=True) if staged else new_home(home, text)
        done = child("faulty" if staged is None else "run", home, crash_at=f"{point}#{visit}")
        if done.returncode == 0:
            shutil.rmtree(home)
            return killed
        assert done.returncode == -9, f"{point}#{visit}: {done.returncode}\n{done.stderr[-3000:]}"
        killed.append(home)
    raise AssertionError(f"{point} never ends")


def judge(homes: list[Path]) -> None:
    finish(homes)
    bad = [v for v in verdicts(homes) if {name: v[name] for name in CLEAN} != CLEAN]
    assert not bad, json.dumps(bad[:5], indent=1)


def test_kill_at_every_point_loses_and_repeats_nothing(tmp_path, capsys):
    text = source(batches=3, rows=7)
    staged = new_home(tmp_path / "staged", text)
    assert child("run", staged, crash_at="insert.after#2").returncode == -9
    half = new_home(tmp_path / "half", text)  # a batch of which the table has a part
    assert child("faulty", half, crash_at="uncertain.before#2").returncode == -9
    jobs = [(point, None) for point in crash.POINTS if point not in LOOP_ONLY and not point.startswith("recovery.")]
    jobs += [(point, staged if i == 0 else half) for point in RECOVERY for i in ((1,) if point.startswith(("missing.",)) else (0,))]
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda job: (job[0], sweep_point(tmp_path, job[0], text, job[1])), jobs))
        homes = [home for _, killed in results for home in killed]
        list(pool.map(judge, (homes[::2], homes[1::2])))
    visited = {point for point, killed in results if killed}
    assert visited == set(crash.POINTS) - LOOP_ONLY, "a registered point that no run comes to"
    with capsys.disabled():
        print(f" [{len(homes)} kills at {len(visited)} points: 0 lost, 0 duplicated, 0 altered]", end="")


def test_random_kills_lose_and_repeat_nothing(tmp_path, capsys):
    rounds = int(os.environ.get("NEXUS_KILLS", "20"))
    seed = int(os.environ.get("NEXUS_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    chance = random.Random(seed)
    home, kills, lives = new_home(tmp_path / f"seed{seed}", source(batches=6 * rounds, rows=40)), 0, 0
    while kills < rounds:
        lives += 1
        process = subprocess.Popen([sys.executable, str(HERE / "kill_child.py"), "faulty", str(home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()  # "open": recovery and the loop come next
        time.sleep(chance.uniform(0, 0.25))
        process.kill()
        out, err = process.communicate()
        assert process.returncode in (-9, 0), (seed, err[-3000:])
        kills += process.returncode == -9
        if process.returncode == 0:
            break
    judge([home])
    with capsys.disabled():
        print(f" [{kills} kills, seed {seed}: 0 lost, 0 duplicated]", end="")
    assert kills >= min(rounds, 5), f"the source ended after {kills} kills: make it longer"


if shutil.which("strace") and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0:

    def test_nothing_durable_happens_outside_a_registered_step(tmp_path):
        """Between two calls that change what a crash leaves behind there is a crash point, so the sweep above covers all."""
        home, log = new_home(tmp_path / "home", source(batches=3, rows=7)), tmp_path / "log"
        calls = "rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,access,faccessat,faccessat2"
        command = ["strace", "-f", "-y", "-qq", "-e", f"trace={calls}", "-o", str(log), sys.executable, str(HERE / "kill_child.py"), "faulty", str(home)]
        subprocess.run(command, env={**os.environ, "NEXUS_CRASH_AT": "trace"}, check=True, capture_output=True)
        durable, since = [], "start"
        for line in log.read_text().splitlines():
            if "/nexus-crash-point/" in line:
                since = line.split("/nexus-crash-point/")[1].split('"')[0]
            elif "access" not in line and (f"{home}/data/raw" in line or f"{home}/data/spool" in line):
                durable.append((since, line.split(" ", 1)[1]))
        assert len(durable) > 30 and {since for since, _ in durable} <= set(crash.POINTS), durable[:3]
        # The scratch files are the exception: the start after a crash removes them, whichever of them there are.
        telling = [(since, line) for since, line in durable if not (line.startswith("unlink") and ("/raw/" in line or ".rows" in line))]
        for (first, one), (second, two) in zip(telling, telling[1:]):
            assert first != second, f"no crash point between\n{one}\n{two}"
