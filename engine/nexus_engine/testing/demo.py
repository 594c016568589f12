"""The main job, offline: the shipped feeds land their recordings in an embedded ClickHouse, twice.

A project is made in a temporary folder from the shipped files, so nothing is left behind. A server on loopback answers
in place of the APIs from ``sources.d/recordings/<feed>/round1``, then ``round2``, in which one value of each feed is revised
and one row is new. Everything else is what `nexus-engine run --once` does.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from nexus_engine.deliver.report import RunReport
    from nexus_engine.deliver.session import Session

ROUNDS = {1: "First round: all that each API has", 2: "Second round, three days later: one value is revised and one row is new"}
SHOWN_ROWS = 3
SHOWN_COLUMNS = 7
NEXT_STEPS = """\
What to type next:
  nexus-engine init my-feeds && cd my-feeds       a project of your own
  export FRED_API_KEY=...                         free at https://fred.stlouisfed.org/docs/api/api_key.html
  nexus-engine validate-config                    every file, all problems at once
  nexus-engine preview fred_daily                 rows, refusals and requests; writes nothing
  nexus-engine run fred_daily --once              land it
  nexus-engine query "select * from macro.indicators order by date desc limit 5"
  nexus-engine run                                all feeds on their schedules, until Ctrl-C"""


def demo(console: Console, root: Path) -> int:
    """Run both rounds and show what landed.

    Args:
        root: a project folder with the shipped feeds and their recordings (the checkout).

    Returns:
        An exit code: 0 when every feed landed and its books close, 1 otherwise.
    """
    recordings = root / "sources.d" / "recordings"
    if not recordings.is_dir():
        console.print(f"There are no recordings at {recordings}; nothing was run. Run this in a checkout of nexus-engine.", markup=False)
        return 1
    with TemporaryDirectory(prefix="nexus-demo-") as name:
        folder = Path(name)
        _copy_project(root, folder)
        reports = [report for number in ROUNDS for report in _play(console, folder, recordings, number)]
    failed = [report for report in reports if report.status != "ok" or not report.closes()]
    for report in failed:
        console.print(f"{report.feed}: {report.status}: {'; '.join(error.what for error in report.errors)}", markup=False, style="red")
    console.print()
    console.print(NEXT_STEPS, markup=False, highlight=False)
    return 1 if failed else 0


def _copy_project(root: Path, folder: Path) -> None:
    """The shipped files, unchanged, and keys that the recordings do not look at."""
    for name in ("sources.d", "apis.d", "sinks.d"):
        (folder / name).mkdir()
        for file in (root / name).glob("*.yaml"):
            if not file.name.endswith(".test.yaml"):
                shutil.copy(file, folder / name)
    shutil.copy(root / "nexus.yaml", folder)
    (folder / ".env").write_text("FRED_API_KEY=demo-key-for-recordings\nGLASSNODE_API_KEY=demo-key-for-recordings\n")


def _play(console: Console, folder: Path, recordings: Path, number: int) -> list[RunReport]:
    """One round over every recorded feed, in one session whose clock stands at the recorded time."""
    from nexus_engine.compile.feeds import load_feeds
    from nexus_engine.contract.registry import build_registry
    from nexus_engine.deliver.session import Session
    from nexus_engine.errors import ConfigError
    from nexus_engine.project.project import Project
    from nexus_engine.testing.replay import ReplayServer

    project, registry = Project.load(folder, None), build_registry()
    loaded = load_feeds(project, registry)
    if loaded.problems:
        raise ConfigError("the shipped feeds do not load", problems=tuple(loaded.problems), where=str(folder))
    cassettes = [recordings / feed / f"round{number}" for feed in loaded.plans]
    with ReplayServer(*cassettes) as replay, Session.open(project, registry, now=replay.now, replay=replay) as session:
        with console.status("") as status:
            reports = []
            for feed, plan in loaded.plans.items():
                status.update(f"{feed} ...")
                reports.append(session.run(plan))
        console.print()
        console.print(_summary(ROUNDS[number], reports))
        for plan in loaded.plans.values():
            console.print(_sample(session, plan.target, newest=number == 2))
    return reports


def _summary(title: str, reports: list[RunReport]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("feed")
    for name in ("requests", "read", "landed", "new", "revised", "unchanged", "refused", "seconds"):
        table.add_column(name, justify="right")
    for report in reports:
        counts = (
            report.requests, report.read, report.landed, report.new, report.revised, report.unchanged, report.quarantined,
        )  # fmt: skip
        table.add_row(report.feed, *(f"{count:,}" for count in counts), f"{report.elapsed_s:.2f}")
    return table


def _sample(session: Session, target: Any, *, newest: bool) -> Any:
    """A few rows of a table: the first ones by its key, or the ones that landed last."""
    from rich.table import Table

    from nexus_engine.clickhouse.quoting import ident

    names = [column.name for column in target.columns][:SHOWN_COLUMNS]
    order = "_nexus_batch DESC, _nexus_row" if newest else ", ".join(ident(name) for name in target.key)
    rows = session.engine.rows(
        f"SELECT {', '.join(ident(name) for name in names)} FROM {ident(target.database)}.{ident(target.table)} "
        f"ORDER BY {order} LIMIT {2 if newest else SHOWN_ROWS}"
    )
    more = len(target.columns) - len(names)
    table = Table(title=target.name + (f" ({more} more columns)" if more > 0 else ""), title_justify="left")
    for name in names:
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=28)
    for row in rows:
        table.add_row(*("null" if row[name] is None else str(row[name]) for name in names))
    return table
