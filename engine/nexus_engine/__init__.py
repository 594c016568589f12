"""nexus-engine: one YAML file per feed, exactly-once rows in ClickHouse.

What a plugin package imports is here; importing it stays cheap (no chdb, pyarrow, httpx).
"""

from nexus_engine.contract.hookspecs import hookimpl
from nexus_engine.contract.options import ByteSize, Duration, Options, Rate

__version__ = "0.1.0"

__all__ = ["ByteSize", "Duration", "Options", "Rate", "__version__", "hookimpl"]
