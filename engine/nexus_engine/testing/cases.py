"""Feed cases: `<feed>.test.yaml` beside a feed, a recording and what must land from it.

Each case runs on the production path: real engine, real delivery, a temporary data folder; only the APIs are a server on
loopback that answers from the recording, at its recorded time. See docs/feed-tests.md for the format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.clickhouse.quoting import ident
from nexus_engine.compile.accepting import accepted
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.registry import Registry
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.session import Session
from nexus_engine.project.files import load_typed
from nexus_engine.project.project import Project
from nexus_engine.spec.files import TestFile
from nexus_engine.spec.problems import render

Row = dict[str, str | None]


class CaseResult(msgspec.Struct, kw_only=True):
    """What a case came to. ``failures`` are sentences; none: it passed."""

    feed: str
    file: str
    summary: str = ""
    failures: list[str] = []
    elapsed_s: float = 0.0


def find_cases(root: Path) -> dict[str, Path]:
    """The cases of a project: feed -> its test file."""
    return {path.name.removesuffix(".test.yaml"): path for path in sorted((root / "sources.d").glob("*.test.yaml"))}


def run_cases(project: Project, registry: Registry, files: Iterable[Path]) -> list[CaseResult]:
    """Run cases one after the other. A case that cannot run is a failed one; nothing raises for a user's mistake."""
    cases = {file.name.removesuffix(".test.yaml"): file for file in files}
    loaded = accepted(load_feeds(project.for_replay(), registry), cases)
    results = []
    with TemporaryDirectory(prefix="nexus-test-") as folder:
        # One folder for all: the embedded engine takes one path per process. Each case drops its table at its end.
        place = replace(project.for_replay(), data_dir=Path(folder))
        for feed, file in cases.items():
            test, problems = load_typed(file, TestFile)
            problems += loaded.of([feed])
            result = CaseResult(feed=feed, file=str(file))
            results.append(result)
            if test is None or problems:
                result.failures = render(problems).splitlines()
            elif feed not in loaded.plans:
                result.failures = [f"there is no feed called {feed!r} beside the test, or a file it needs is broken"]
            else:
                _run(result, test, loaded.plans[feed], place, registry)
    return results


def _run(result: CaseResult, test: TestFile, plan: Plan, project: Project, registry: Registry) -> None:
    from nexus_engine.testing.replay import ReplayServer

    recording = Path(result.file).parent / test.recording
    if not recording.exists():
        result.failures.append(f"there is no recording at {recording}")
        return
    moment = datetime.fromisoformat(test.time) if test.time else None
    now = None if moment is None else (lambda: moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    with ReplayServer(recording) as server, Session.open(project, registry, now=now, replay=server) as session:
        report = session.run(plan, trigger="test")
        result.elapsed_s = report.elapsed_s
        result.summary = f"read {report.read}, landed {report.landed}, refused {report.quarantined}, {report.elapsed_s:.2f} s"
        result.failures += [
            *_outcome(test, report), *_totals(test, report), *_missing_rows(test, plan, session), *_missing_refusals(test, report, session),
        ]
        session.engine.query(f"DROP TABLE IF EXISTS {_table(plan)}")


def _outcome(test: TestFile, report: RunReport) -> list[str]:
    errors = "; ".join(error.what for error in report.errors)
    failures = []
    if report.status != test.status:
        failures.append(f"the run ended {report.status}, expected {test.status}" + (f": {errors}" if errors else ""))
    if test.error and test.error not in errors:
        failures.append(f"expected an error with {test.error!r}, got {errors or 'none'}")
    if not report.closes():
        failures.append("the books do not close: read is not landed + unchanged + superseded + filtered + refused")
    return failures


def _totals(test: TestFile, report: RunReport) -> list[str]:
    expected = msgspec.to_builtins(test.totals) if test.totals else {}
    return [
        f"{name}: expected {count}, got {getattr(report, name)}"
        for name, count in expected.items()
        if count is not None and getattr(report, name) != count
    ]


def _missing_rows(test: TestFile, plan: Plan, session: Session) -> list[str]:
    known = {column.name for column in plan.target.columns}
    failures = []
    for row in test.rows:
        unknown = sorted(set(row) - known)
        if unknown:
            failures.append(f"row {_shown(row)}: there is no column {', '.join(unknown)}")
        elif not _count(session, plan, row):
            failures.append(f"no row {_shown(row)}{_nearest(session, plan, row)}")
    return failures


def _nearest(session: Session, plan: Plan, row: Row) -> str:
    """What stands in the one column that differs, when all others match."""
    for name in row:
        others = {key: value for key, value in row.items() if key != name}
        found = _select(session, plan, f"toString({ident(name)}) AS found", others) if others else []
        if found:
            return f"; there is one with {name}: {found[0]['found']}"
    return ""


def _count(session: Session, plan: Plan, row: Row) -> int:
    found = _select(session, plan, "count() AS found", row)
    return int(found[0]["found"]) if found else 0


def _select(session: Session, plan: Plan, what: str, row: Row) -> list[dict[str, Any]]:
    """Cells are compared as ClickHouse prints them; `null` is a null, or that text."""
    types = {column.name: column.type for column in plan.target.columns}
    tests, params = [], {}
    for number, (name, value) in enumerate(row.items()):
        test = f"toString({ident(name)}) = {{v{number}:String}}"
        params[f"v{number}"] = _printed(value or "", types[name])
        if value is None or value == "null":
            test, params[f"v{number}"] = f"(isNull({ident(name)}) OR {test})", "null"
        tests.append(test)
    try:
        return session.engine.rows(f"SELECT {what} FROM {_table(plan)} WHERE {' AND '.join(tests)} LIMIT 1", params=params)
    except EngineError as error:
        if error.code in (60, 81):  # no table, no database: nothing landed
            return []
        raise


def _printed(value: str, kind: str) -> str:
    """The value as ClickHouse prints it: decimals without the zeros at their end."""
    if "Decimal" in kind and "." in value and "E" not in value.upper():
        return value.rstrip("0").removesuffix(".")
    return value


def _missing_refusals(test: TestFile, report: RunReport, session: Session) -> list[str]:
    found = session.store.quarantine(report.feed, 100_000, run_id=report.run_id) if test.refused else []
    failures = []
    for expected in test.refused:
        if not any(expected.raw in item.raw and any(expected.reason in reason for reason in item.reasons) for item in found):
            reasons = sorted({reason for item in found for reason in item.reasons})[:5]
            failures.append(
                f"no record with {expected.raw!r} was refused for {expected.reason!r}; reasons were: {'; '.join(reasons) or 'none'}"
            )
    return failures


def _table(plan: Plan) -> str:
    return f"{ident(plan.target.database)}.{ident(plan.target.table)}"


def _shown(row: Row) -> str:
    return "{" + ", ".join(f"{name}: {'null' if value is None else value}" for name, value in row.items()) + "}"
