"""Every change of a feed's file in every phase of its run, in one process over one data folder: prints what came of each.

Usage: reload_child.py PROJECT BASE_URL. One line of JSON per case: what was told, the report, rows and position afterwards,
and after one more run of every feed in effect.
"""

import json
import sys
from pathlib import Path

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.events import BatchLanded, BatchStaged, FeedLoaded, Observers, PageRead, RowsRefused
from nexus_engine.project.project import Project
from nexus_engine.service.owner import Owner

FEED = """\
name: {name}
source: {{endpoint: "{url}/{name}", records: rows}}
cursor: {{field: id, initial: 0}}
fields: {{id: UInt32, v: Float64}}
target: {{table: t.{table}, key: [id]}}
"""
PHASES = {"fetch": PageRead, "spool": RowsRefused, "insert": BatchStaged, "landed": BatchLanded, "idle": None}


def changed(path, text):
    path.write_text(text.replace("v: Float64", "v: Float64, w: {type: String, value: x}"))


def broken(path, text):
    path.write_text(text.replace("target:", "tarjet:"))


def half_written(path, text):
    path.write_text(text[: len(text) // 2])


def renamed(path, text):
    name = path.stem
    path.unlink()
    path.with_name(f"z{name}.yaml").write_text(text.replace(f"name: {name}", f"name: z{name}"))


def deleted(path, text):
    path.unlink()


CHANGES = [changed, broken, half_written, renamed, deleted]


def main(root, url):
    registry = build_registry()
    cases = [(f"{change.__name__}_{phase}", phase, change) for phase in PHASES for change in CHANGES]
    for name, _, _ in cases:
        (root / "sources.d" / f"{name}.yaml").write_text(FEED.format(name=name, table=name, url=url))

    def load():
        project = Project.load(root, "", registry=registry)
        return project, load_feeds(project, registry)

    project, loaded = load()
    assert not loaded.problems, loaded.problems
    observers = Observers()
    with Session.open(project, registry, observers=observers) as session:
        owner = Owner(session, loaded, load)
        for name, phase, change in cases:
            print(json.dumps(case(owner, observers, name, PHASES[phase], change)), flush=True)


def case(owner, observers, name, moment, change):
    path = owner.session.project.root / "sources.d" / f"{name}.yaml"
    text, told, done = path.read_text(), [], []

    def observer(event):
        if isinstance(event, FeedLoaded):
            told.append([event.feed, event.change])
        elif moment is not None and isinstance(event, moment) and event.feed == name and not done:
            done.append(True)
            change(path, text)
            owner.reload(settled=True)

    observers.add(observer)
    report = owner.run_feed(name, "test")
    if moment is None:
        change(path, text)
        owner.reload(settled=True)
    first = {"told": told, "status": report.status, "landed": report.landed, **state(owner, name)}
    again = [owner.run_feed(feed, "test") for feed in (name, f"z{name}") if feed in owner.plans]
    observers.remove(observer)
    reports = [[r.feed, r.status, r.landed, r.unchanged, [e.what for e in r.errors]] for r in again if r]
    return {"name": name, **first, "again": reports, "after": state(owner, name)}


def state(owner, name):
    try:
        rows = owner.session.engine.rows(f"SELECT id, count() AS n FROM t.{name} GROUP BY id ORDER BY id")
    except EngineError:
        rows = []
    return {"rows": [[row["id"], row["n"]] for row in rows], "positions": owner.session.store.positions(name)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
