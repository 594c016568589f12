"""The main job, offline: the shipped feeds that are recorded twice land their recordings in an embedded ClickHouse.

A project is made in a temporary folder from the shipped files, so nothing is left behind. A server on loopback answers
in place of the APIs from ``sources.d/recordings/<feed>/round1``, then ``round2``, in which one value of each feed is revised
and one row is new. Everything else is what `nexus-engine run --once` does.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nexus_engine.clickhouse.ddl import table_name
from nexus_engine.clickhouse.quoting import ident
from nexus_engine.contract.sink import Target

if TYPE_CHECKING:
    from rich.console import Console

    from nexus_engine.deliver.report import RunReport
    from nexus_engine.deliver.session import Session

ROUNDS = {1: "First round: all that each API has", 2: "Second round, three days later: one value is revised and one row is new"}
SHOWN_ROWS = 3
SHOWN_COLUMNS = 7
SHOWN_DECIMALS = {"output_format_decimal_trailing_zeros": 1}
NEXT_STEPS = """\
What to type next, in this folder:
  nexus-engine validate-config                    every file, all problems at once
  nexus-engine run treasury_yield_curve --once    land a feed that needs no key, from the live API
  export FRED_API_KEY=...                         free: https://fred.stlouisfed.org/docs/api/api_key.html
  nexus-engine preview fred_daily                 rows, refusals and requests; writes nothing
  nexus-engine run fred_daily --once              land it
  nexus-engine query "select * from macro.indicators order by date desc limit 5"
  nexus-engine run                                all feeds on their schedules, until Ctrl-C
A project of your own: nexus-engine init my-feeds"""


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
    if shutil.which("nexus-engine") is None:
        console.print(f"First, so that the command is found: . {sys.prefix}/bin/activate", markup=False, highlight=False)
    console.print(NEXT_STEPS, markup=False, highlight=False)
    return 1 if failed else 0


def _copy_project(root: Path, folder: Path) -> None:
    """The shipped files, unchanged: of the feeds those that are recorded twice."""
    for name in ("sources.d", "apis.d", "sinks.d"):
        (folder / name).mkdir()
        for file in (root / name).glob("*.yaml"):
            if name != "sources.d" or (root / name / "recordings" / file.stem / f"round{max(ROUNDS)}").is_dir():
                shutil.copy(file, folder / name)
    shutil.copy(root / "nexus.yaml", folder)


def _play(console: Console, folder: Path, recordings: Path, number: int) -> list[RunReport]:
    """One round over every recorded feed, in one session whose clock stands at the recorded time."""
    from nexus_engine.compile.feeds import load_feeds
    from nexus_engine.contract.registry import build_registry
    from nexus_engine.deliver.session import Session
    from nexus_engine.errors import ConfigError
    from nexus_engine.project.project import Project
    from nexus_engine.testing.replay import ReplayServer

    registry = build_registry()
    project = Project.load(folder, "", registry=registry).for_replay()
    loaded = load_feeds(project, registry)
    if loaded.invalid:
        raise ConfigError("the shipped feeds do not load", problems=tuple(loaded.invalid), where=str(folder))
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
            console.print(_sample(session, plan.target, changed=number > 1))
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


def _sample(session: Session, target: Target, *, changed: bool) -> Any:
    """A few rows of a table: the last ones by its key, or what the last batch changed beside what was there before."""
    from rich.table import Table

    rows = session.engine.rows(_changed_sql(target) if changed else _last_sql(target), settings=SHOWN_DECIMALS)
    names = _shown_columns(target, rows)
    more = len(target.columns) - len(names)
    table = Table(title=target.name + (f" ({more} more columns)" if more > 0 else ""), title_justify="left")
    if changed:
        table.add_column("")
    for name in names:
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=28)
    for row in rows:
        table.add_row(*([row["_nexus_what"]] if changed else []), *(_shown(row[name]) for name in names))
    return table


def _last_sql(target: Target) -> str:
    newest_first = ", ".join(f"{ident(name)} DESC" for name in target.key)
    return f"SELECT * FROM {table_name(target)} ORDER BY {newest_first} LIMIT {SHOWN_ROWS}"


def _changed_sql(target: Target) -> str:
    """The rows of the table's last batch, each with a word for what it is, and the older rows of the same keys."""
    table, key = table_name(target), ", ".join(map(ident, target.key))
    return (
        f"WITH (SELECT max(toUInt128(_nexus_batch)) FROM {table}) AS last\n"
        "SELECT * EXCEPT (age, latest, times), multiIf(age < last, 'before', times > 1, 'revised', 'new') AS _nexus_what\n"
        f"FROM (SELECT *, toUInt128(_nexus_batch) AS age, max(age) OVER (PARTITION BY {key}) AS latest, "
        f"count() OVER (PARTITION BY {key}) AS times FROM {table})\n"
        f"WHERE latest = last ORDER BY times DESC, {key}, age LIMIT {SHOWN_ROWS}"
    )


def _shown_columns(target: Target, rows: list[dict[str, Any]]) -> list[str]:
    """The key, then what was revised, then the others, as many as fit."""
    revised = [
        column.name
        for column in target.columns
        if len(rows) > 1 and rows[0].get("_nexus_what") == "before" and not column.run and rows[0][column.name] != rows[1][column.name]
    ]
    names = [*target.key, *revised, *(column.name for column in target.columns)]
    return list(dict.fromkeys(names))[:SHOWN_COLUMNS]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "null" if value is None else str(value)
