"""The shipped feeds against the recordings they are shipped with: first run, second run, a kill between the two, and the
tables they make. What must be there is worked out by the oracle, from the bodies."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import oracle
import pytest
import yaml
from landing import landing
from traffic import ROOT, SECRETS

from nexus_engine.testing.replay import ReplayServer

RECORDINGS = ROOT / "sources.d" / "recordings"
TENORS = (
    "BC_1MONTH", "BC_1_5MONTH", "BC_2MONTH", "BC_3MONTH", "BC_4MONTH", "BC_6MONTH", "BC_1YEAR", "BC_2YEAR", "BC_3YEAR",
    "BC_5YEAR", "BC_7YEAR", "BC_10YEAR", "BC_20YEAR", "BC_30YEAR",
)  # fmt: skip
AMOUNTS = ("debt_held_public_amt", "intragov_hold_amt", "tot_pub_debt_out_amt")
Reader = Callable[[str, bytes], list[dict[str, Any]]]
FEEDS: dict[str, tuple[tuple[str, ...], Reader]] = {
    "fred_daily": (("indicator", "date"), lambda uri, body: oracle.fred(body, parse_qs(urlsplit(uri).query)["series_id"][0])),
    "treasury_yield_curve": (("date",), lambda uri, body: oracle.treasury(body, TENORS)),
    "treasury_debt_to_penny": (("record_date",), lambda uri, body: oracle.fiscaldata(body, AMOUNTS)),
    "world_bank_m2": (("indicator", "country_id", "year"), lambda uri, body: oracle.world_bank(body)),
    "glassnode_onchain": (
        ("asset", "metric", "timestamp"), lambda uri, body: oracle.glassnode(body, urlsplit(uri).path.split("/")[-1], "BTC"),
    ),
    "defillama_protocols": (("id",), lambda uri, body: oracle.defillama_protocols(body)),
    "sec_submissions": (("cik", "accession_number"), lambda uri, body: oracle.sec(body, uri.removesuffix(".json")[-10:])),
}  # fmt: skip


def recorded(feed: str, number: int) -> list[dict[str, Any]]:
    """What the oracle takes from a round's bodies."""
    rows: list[dict[str, Any]] = []
    for file in sorted((RECORDINGS / feed / f"round{number}").glob("*.yaml")):
        for item in yaml.safe_load(file.read_text())["interactions"]:
            body = item["response"]["body"]["string"]
            rows += FEEDS[feed][1](item["request"]["uri"], gzip.decompress(body) if isinstance(body, bytes) else body.encode())
    return rows


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the shipped files, as they are."""
    for name in SECRETS:
        monkeypatch.setenv(name, "a-key")
    for name in ("sources.d", "apis.d", "sinks.d"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "nexus.yaml").write_text((ROOT / "nexus.yaml").read_text())
    return tmp_path


@pytest.mark.parametrize("feed", FEEDS)
def test_second_run(shipped: Path, feed: str) -> None:
    """One value is revised and one row is new: read N, unchanged N-2, revised 1, new 1."""
    key = FEEDS[feed][0]
    first, second = recorded(feed, 1), recorded(feed, 2)
    with ReplayServer(RECORDINGS / feed / "round1") as replay, landing(shipped, replay.now(), replay=replay) as landed:
        report = landed.run(feed)
        assert (report.status, report.read, report.new, report.quarantined) == ("ok", len(first), len(first), 0), report.errors
        assert oracle.differences(landed.rows(feed), first, key) == []
        assert replay.unused() == []
    with ReplayServer(RECORDINGS / feed / "round2") as replay, landing(shipped, replay.now(), replay=replay) as landed:
        report = landed.run(feed)
        counts = {name: getattr(report, name) for name in ("read", "new", "revised", "unchanged")}
        assert counts == oracle.second_run(first, second, key)
        assert counts == {"read": len(second), "new": 1, "revised": 1, "unchanged": len(second) - 2}
        assert replay.unused() == []
        everything = oracle.latest([*first, *second], key)
        assert oracle.differences(landed.rows(feed, latest=key), everything, key) == []
        assert len(landed.rows(feed)) == len(first) + 2


@pytest.mark.parametrize("point", ["intent.after", "insert.before", "insert.after", "done.before", "done.after"])
def test_second_run_after_a_kill(shipped: Path, point: str) -> None:
    """The first run dies once its batch is recorded: the second one delivers it first, and then counts the same."""
    feed, (key, _) = "fred_daily", FEEDS["fred_daily"]
    first, second = recorded(feed, 1), recorded(feed, 2)
    command = [sys.executable, "-m", "nexus_engine.cli.main", "run", feed, "--once"]
    command += ["--replay", str(RECORDINGS / feed / "round1")]
    died = subprocess.run(command, cwd=shipped, env={**os.environ, "NEXUS_CRASH_AT": point}, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with ReplayServer(RECORDINGS / feed / "round2") as replay, landing(shipped, replay.now(), replay=replay) as landed:
        report = landed.run(feed)
        assert (report.read, report.new, report.revised, report.unchanged) == (len(second), 1, 1, len(second) - 2)
        assert oracle.differences(landed.rows(feed, latest=key), oracle.latest([*first, *second], key), key) == []
        assert len(landed.rows(feed)) == len(first) + 2


@pytest.mark.parametrize("feed", FEEDS)
def test_a_third_look_changes_nothing(shipped: Path, feed: str) -> None:
    """The same round again from the beginning: all of it unchanged, in every feed."""
    for expected in ("new", "unchanged"):
        with ReplayServer(RECORDINGS / feed / "round1") as replay, landing(shipped, replay.now(), replay=replay) as landed:
            report = landed.run(feed)
            assert getattr(report, expected) == report.read > 0
            landed.session.store.reset(feed)


def test_tables_of_the_handbook(shipped: Path) -> None:
    """Columns, types, indexes, order and partitions of the two tables that existed before the engine; lineage stays hidden."""
    with landing(shipped, datetime(2026, 11, 20, 14, tzinfo=UTC)) as landed:
        for feed in ("fred_daily", "glassnode_onchain"):
            landed.session.sink("clickhouse").prepare(landed.plans[feed].target, apply=True)
        rows = landed.session.engine.rows
        columns = {
            table: {row["name"]: row["type"] for row in rows(f"DESCRIBE {table}") if not row["name"].startswith("_nexus_")}
            for table in ("macro.indicators", "crypto.onchain_metrics")
        }
        assert columns == {
            "macro.indicators": {"indicator": "String", "date": "Date", "value": "Nullable(Float64)", "timestamp": "DateTime"},
            "crypto.onchain_metrics": {"metric": "String", "asset": "String", "value": "Nullable(Float64)", "timestamp": "DateTime"},
        }
        tables = {row["name"]: row for row in rows("SELECT name, engine, partition_key, sorting_key FROM system.tables WHERE database IN ('macro', 'crypto')")}
        assert tables["indicators"] == {"name": "indicators", "engine": "MergeTree", "partition_key": "toYYYYMM(date)", "sorting_key": "indicator, date"}
        assert tables["onchain_metrics"]["partition_key"] == "toYYYYMM(timestamp)"
        assert tables["onchain_metrics"]["sorting_key"] == "asset, metric, timestamp"
        indexes = rows("SELECT name, type, expr, granularity FROM system.data_skipping_indices WHERE database IN ('macro', 'crypto') ORDER BY name")
        assert [tuple(row.values()) for row in indexes] == [
            ("idx_date", "minmax", "date", 3), ("idx_indicator", "bloom_filter", "indicator", 1), ("idx_metric", "bloom_filter", "metric", 1),
        ]  # fmt: skip
        hidden = rows("SELECT default_kind FROM system.columns WHERE name LIKE '\\_nexus\\_%' AND database = 'macro'")
        assert {row["default_kind"] for row in hidden} == {"MATERIALIZED"}


def test_recordings_are_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared by content: compressors differ between machines."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "tools"))
    from make_recordings import cassettes

    def content(text: str) -> Any:
        data = yaml.safe_load(text)
        for item in data["interactions"]:
            body = item["response"]["body"]
            if isinstance(body["string"], bytes):
                body["string"] = gzip.decompress(body["string"])
        return data

    made = cassettes()
    assert {path.relative_to(RECORDINGS) for path in RECORDINGS.rglob("*.yaml")} == set(made)
    for path, text in made.items():
        file = RECORDINGS / path
        assert content(file.read_text()) == content(text), path
        assert file.stat().st_size < 60_000


def test_feeds_are_short() -> None:
    for path in (ROOT / "sources.d").glob("*.yaml"):
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        assert len(lines) <= 19, path
