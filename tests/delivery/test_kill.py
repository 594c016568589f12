"""0 lost, 0 duplicated, 0 altered: after kill -9 at every crash point and every visit of it, and at random moments.

`NEXUS_KILLS` sets the number of random kills (20; `make kill` takes more), `NEXUS_KILL_SEED` repeats a failure.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.options import encode_text
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver import crash
from nexus_engine.project.project import Project

CLEAN = {
    "lost": 0, "duplicated": 0, "altered": 0, "lineage_repeated": 0, "staged": 0, "quarantine_wrong": 0,
    "books_open": 0, "in_flight": 0, "landed_wrong": 0, "files_left": [],
}
WORKERS = 2
POINTS = [p for p in crash.POINTS if not p.startswith(("side.", "archive.", "replace."))]  # swept by tests/archive, test_movers_kill and test_kill_streamed_body
# Points that only a process with something to recover comes to: it is killed once before, with a batch staged.
RECOVERY = [p for p in POINTS if p.startswith(("recovery.", "orphans.", "uncertain.", "missing."))]
FEED = """
name: {name}
source:
  plugin: kill_pages
  file: source.json
  each: {{part: [p, q]}}
  records: rows
cursor: {{field: id, initial: "0"}}
fields:
  id: UInt64
  part: LowCardinality(String)
  text: String
  price: "Decimal(18, 6)"
target: {{table: kill.{name}, order_by: [id], partition_by: part}}
"""


def source(batches: int, rows: int) -> str:
    feeds: dict[str, dict[str, list[list[dict[str, object]]]]] = {}
    number = 0
    for feed in ("alpha", "beta"):
        feeds[feed] = {}
        for part in ("p", "q"):
            feeds[feed][part] = []
            for batch in range(batches):
                page = []
                for _ in range(rows):
                    number += 1
                    page.append({"id": number, "part": part, "text": f"é {number}\t\"", "price": f"{number}.{number:06}"})
                if batch == 0:
                    page.append({"id": number + 10**9, "part": part, "text": None, "price": "1"})
                feeds[feed][part].append(page)
    return json.dumps(feeds)


@functools.cache
def plans() -> bytes:
    """Both feeds, compiled. Partitioned tables: one insert makes several parts, and a kill may leave some of them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "sources.d").mkdir()
        for name in ("alpha", "beta"):
            (root / "sources.d" / f"{name}.yaml").write_text(FEED.format(name=name))
        registry = build_registry(["kill_plugin"])
        feeds = load_feeds(Project.load(root, registry=registry), registry)
        assert not feeds.problems, feeds.problems
        return msgspec.json.encode(list(feeds.plans.values()), enc_hook=encode_text)


def new_home(path: Path, text: str) -> Path:
    (path / "sinks.d").mkdir(parents=True)
    (path / "source.json").write_text(text)
    (path / "plans.json").write_bytes(plans())
    (path / "sinks.d" / "clickhouse.yaml").write_text("name: clickhouse\nplugin: kill_sink\n")
    return path


def environment(*, faulty: bool, crash_at: str = "") -> dict[str, str]:
    return {**os.environ, "NEXUS_CRASH_AT": crash_at, **({"NEXUS_TEST_FAULTS": "1"} if faulty else {})}


def child(*homes: Path, faulty: bool = False, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    env = environment(faulty=faulty, crash_at=crash_at)
    return subprocess.run([sys.executable, str(HERE / "kill_child.py"), *map(str, homes)], env=env, capture_output=True, text=True)


def finish(homes: list[Path]) -> None:
    """A clean run over every home, in one process."""
    done = child(*homes)
    assert done.returncode == 0, done.stderr[-3000:]


def verdicts(homes: list[Path]) -> list[dict[str, object]]:
    command = [sys.executable, "-I", str(HERE / "kill_oracle.py"), *map(str, homes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep(root: Path, start: Path, faulty: bool, points: Iterable[str]) -> tuple[list[Path], set[str]]:
    """Kill copies of a home at every visit of the points that an untouched run of it comes to: (killed homes, points)."""
    untouched = child(clone(start, root / f"{start.name}-untouched"), faulty=faulty, crash_at="none")
    assert untouched.returncode == 0, untouched.stderr[-3000:]
    visits = json.loads(untouched.stdout.splitlines()[-1])
    jobs = [(point, visit) for point in points for visit in range(1, visits.get(point, 0) + 1)]

    def kill(job: tuple[str, int]) -> Path:
        at = "{}#{}".format(*job)
        home = clone(start, root / f"{start.name}-{at.replace('#', '-')}")
        done = child(home, faulty=faulty, crash_at=at)
        assert done.returncode == -9, f"{at}: {done.returncode}\n{done.stderr[-3000:]}"
        return home

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(kill, jobs)), {point for point, _ in jobs}


def clone(home: Path, path: Path) -> Path:
    return shutil.copytree(home, path, symlinks=True)


def judge(homes: list[Path]) -> None:
    finish(homes)
    bad = [v for v in verdicts(homes) if {name: v[name] for name in CLEAN} != CLEAN]
    assert not bad, json.dumps(bad[:5], indent=1)


def test_kill_at_every_point_loses_and_repeats_nothing(tmp_path, capsys):
    fresh, staged, half = (new_home(tmp_path / name, source(batches=2, rows=7)) for name in ("fresh", "staged", "half"))
    assert child(staged, crash_at="insert.after#2").returncode == -9  # a batch is ours, and landed
    assert child(half, faulty=True, crash_at="uncertain.before#2").returncode == -9  # of a batch the table has a part
    homes, points = sweep(tmp_path, fresh, True, POINTS)
    for start, some in ((staged, RECOVERY), (half, [point for point in RECOVERY if point.startswith("missing.")])):
        more, reached = sweep(tmp_path, start, False, some)
        homes, points = homes + more, points | reached
    assert points == set(POINTS), "a registered point that no run comes to"
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(judge, (homes[::2], homes[1::2])))
    with capsys.disabled():
        print(f" [{len(homes)} kills at {len(points)} points: 0 lost, 0 duplicated, 0 altered]", end="")


def test_random_kills_lose_and_repeat_nothing(tmp_path, capsys):
    rounds = int(os.environ.get("NEXUS_KILLS", "20"))
    seed = int(os.environ.get("NEXUS_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    chance = random.Random(seed)
    home, kills, lives = new_home(tmp_path / f"seed{seed}", source(batches=3 * rounds, rows=40)), 0, 0
    while kills < rounds:
        lives += 1
        process = subprocess.Popen([sys.executable, str(HERE / "kill_child.py"), str(home)], env=environment(faulty=True), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
        home, log = new_home(tmp_path / "home", source(batches=2, rows=7)), tmp_path / "log"
        calls = "rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,access,faccessat,faccessat2"
        command = ["strace", "-f", "-y", "-qq", "-e", f"trace={calls}", "-o", str(log), sys.executable, str(HERE / "kill_child.py"), str(home)]
        subprocess.run(command, env=environment(faulty=True, crash_at="trace"), check=True, capture_output=True)
        durable, since = [], "start"
        for line in log.read_text().splitlines():
            if "/nexus-crash-point/" in line:
                since = line.split("/nexus-crash-point/")[1].split('"')[0]
            elif "access" not in line and (f"{home}/data/raw" in line or f"{home}/data/spool" in line):
                durable.append((since, line.split(maxsplit=1)[1]))
        assert len(durable) > 30 and {since for since, _ in durable} <= set(crash.POINTS), durable[:3]
        # The scratch files are the exception: the start after a crash removes them, whichever of them there are.
        telling = [(since, line) for since, line in durable if not (line.startswith("unlink") and ("/raw/" in line or ".rows" in line))]
        for (first, one), (second, two) in zip(telling, telling[1:]):
            assert first != second, f"no crash point between\n{one}\n{two}"
