"""The `clickhouse` sink: tables in the embedded ClickHouse under the data folder."""

from collections.abc import Callable

from nexus_engine import hookimpl


@hookimpl
def register_sinks(register: Callable[[str, type], None]) -> None:
    from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink

    register("clickhouse", ClickHouseSink)
