from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compile_harness import Bench, plan_of

from nexus_engine.clickhouse.engine import Engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(None)
    yield engine
    engine.close()


@pytest.fixture
def feed(engine: Engine, tmp_path: Path) -> Callable[..., Bench]:
    """``feed(fields, records=..., ...)``: a Bench of that spec."""

    def make(fields: dict[str, Any], **words: Any) -> Bench:
        return Bench(engine, tmp_path, plan_of(fields, **words))

    return make
