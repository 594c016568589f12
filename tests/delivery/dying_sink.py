"""A sink whose process dies inside the mutation that removes rows: ClickHouse has written it down and has not begun it. Loaded as a
plugin by tests."""

import os
import signal

from nexus_engine import hookimpl
from nexus_engine.clickhouse import ddl
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink


class DyingSink(ClickHouseSink):
    def remove(self, target, where):
        if "NEXUS_TEST_DIES" in os.environ:
            self._driver.run(f"SYSTEM STOP MERGES {ddl.table_name(target)}")
            self._driver.run(f"ALTER TABLE {ddl.table_name(target)} DELETE WHERE {where} SETTINGS mutations_sync = 0")
            os.kill(os.getpid(), signal.SIGKILL)
        super().remove(target, where)


@hookimpl
def register_sinks(register):
    register("dying_sink", DyingSink)
