"""Plugins of the kill tests: a source that has its pages in HOME/source.json, and a sink whose answers lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nexus_engine import Options, hookimpl
from nexus_engine.contract.sink import Batch
from nexus_engine.contract.source import Payload, ReadRequest
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink


class PagesOptions(Options, frozen=True):
    file: str
    concurrency: str = "1"


class Pages:
    """One payload per page of a partition, after the window's start and after the position."""

    options = PagesOptions
    replayable = True

    def read(self, request: ReadRequest) -> Iterator[Payload]:
        pages = json.loads(Path(request.options.file).read_text())[request.run.feed][request.partition.values["part"]]
        after = int(request.window.start or 0)
        first = (request.position or {}).get("page", 0)
        for number, rows in enumerate(pages, 1):
            if number > first and rows[0]["id"] > after:
                yield Payload(json.dumps({"rows": rows}).encode(), {"page": number}, last=number == len(pages), page=number)


class Uncertain(ClickHouseSink):
    """With NEXUS_TEST_FAULTS the first batch of beta lands and then fails, the second lands by half and then fails."""

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self._faults = ["whole", "half"] if "NEXUS_TEST_FAULTS" in os.environ else []

    def write(self, batch: Batch, rows: Sequence[int] | None = None) -> None:
        fault = self._faults.pop(0) if batch.feed == "beta" and rows is None and self._faults else None
        super().write(batch, batch.table().column("_nexus_row").to_pylist()[::2] if fault == "half" else rows)
        if fault:
            raise ConnectionResetError("reset by peer, after the work was done")


@hookimpl
def register_sources(register: Any) -> None:
    register("kill_pages", Pages)


@hookimpl
def register_sinks(register: Any) -> None:
    register("kill_sink", Uncertain)
