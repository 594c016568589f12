"""The feeds beyond the first seven against the recordings they are shipped with: each answer is asked for, and asking again
changes nothing."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from landing import landing
from traffic import ROOT, SECRETS, project

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.project.project import Project
from nexus_engine.testing.replay import ReplayServer

sys.path.insert(0, str(ROOT / "tests" / "tools"))

from recorded_markets import FEEDS  # noqa: E402

RECORDINGS = ROOT / "sources.d" / "recordings"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "a-key")


def test_every_feed_is_recorded_and_has_a_test() -> None:
    feeds = {path.stem for path in (ROOT / "sources.d").glob("*.yaml") if not path.name.endswith(".test.yaml")}
    assert feeds == {path.name.removesuffix(".test.yaml") for path in (ROOT / "sources.d").glob("*.test.yaml")}
    assert feeds == {folder.name for folder in RECORDINGS.iterdir() if folder.is_dir()}


def test_rows_of_a_test_tell_every_two_columns_apart() -> None:
    """Were two columns of a feed swapped, `nexus-engine test` would see it: of any two there is a row with both, and other values."""
    registry = build_registry()
    plans = load_feeds(Project.load(ROOT, registry=registry), registry).plans
    assert len(plans) == sum(folder.is_dir() for folder in RECORDINGS.iterdir())
    for feed, plan in plans.items():
        rows = yaml.load((ROOT / "sources.d" / f"{feed}.test.yaml").read_text(), Loader=yaml.BaseLoader)["rows"]
        pairs = combinations([column.name for column in plan.target.columns], 2)
        assert [(a, b) for a, b in pairs if not any({a, b} <= set(row) and row[a] != row[b] for row in rows)] == [], feed


@pytest.mark.parametrize("feed", FEEDS)
def test_asking_again_changes_nothing(tmp_path: Path, feed: str) -> None:
    project(tmp_path, feed, "http://127.0.0.1:9")
    totals = yaml.safe_load((ROOT / "sources.d" / f"{feed}.test.yaml").read_text())["totals"]
    for known in (0, totals["landed"]):
        with ReplayServer(RECORDINGS / feed / "round1") as replay, landing(tmp_path, replay.now(), replay=replay) as landed:
            report = landed.run(feed)
            assert (report.status, report.read, report.quarantined) == ("ok", totals["read"], 0), report.errors
            assert (report.new, report.unchanged) == (totals["landed"] - known, known)
            assert replay.unused() == []
            landed.session.store.reset(feed)
