"""The shipped feeds over their recorded answers: asked twice, nothing has drifted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.project.files import load_typed
from nexus_engine.project.project import Project
from nexus_engine.spec.files import TestFile as CaseFile
from nexus_engine.testing.cases import find_cases
from nexus_engine.testing.replay import ReplayServer

ROOT = Path(__file__).parents[2]
CASES = {(root, feed): file for root in (ROOT, ROOT / "docs" / "examples") for feed, file in find_cases(root).items()}


@pytest.fixture(scope="module")
def registry():
    return build_registry()


@pytest.fixture(scope="module")
def loaded(registry):
    projects = {root: Project.load(root, registry=registry).for_replay() for root, _ in CASES}
    return {root: (project, load_feeds(project, registry).plans) for root, project in projects.items()}


@pytest.mark.parametrize(("root", "feed"), CASES, ids=lambda part: part if isinstance(part, str) else part.name)
def test_nothing_has_drifted(tmp_path: Path, registry, loaded, root: Path, feed: str) -> None:
    project, plans = loaded[root]
    test, problems = load_typed(CASES[root, feed], CaseFile)
    assert test is not None, problems
    moment = datetime.fromisoformat(test.time) if test.time else None
    now = None if moment is None else (lambda: moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    recording = CASES[root, feed].parent / test.recording
    for pages in (20_000, 1):  # one batch; a batch for each page, each judged against all that is known
        with ReplayServer(recording) as server, Session.open(replace(project, data_dir=tmp_path), registry, now=now, replay=server) as session:
            session.limits = Limits(batch_pages=pages)
            session.store.reset(feed)
            session.run(msgspec.structs.replace(plans[feed], ddl="auto"))
            assert [(item.kind, item.path, item.was, item.now) for item in session.store.drift(feed)] == []
            known = session.store.known_shape(feed)
            assert known is None or known.shape["seen"] > 0
