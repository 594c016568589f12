"""Options of the `clickhouse` sink."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from nexus_engine import Duration, Options


class ClickHouseOptions(Options, frozen=True):
    driver: Annotated[
        Literal["embedded"], Meta(description="how ClickHouse is reached: `embedded` keeps the tables in the data folder")
    ] = "embedded"
    timeout: Annotated[Duration, Meta(description="the longest one insert may take")] = Duration("300s")
