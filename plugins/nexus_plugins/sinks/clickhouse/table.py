"""What the live table lacks, compared with the target."""

from __future__ import annotations

from nexus_engine.contract.sink import Target
from nexus_plugins.sinks.clickhouse.driver import Driver


def missing_statements(driver: Driver, target: Target) -> tuple[list[str], list[str]]:
    """(statements that mend the difference, differences that are not mended)."""
    raise NotImplementedError
