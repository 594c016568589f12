"""The `http` source: pages of JSON, XML or CSV over HTTP."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_sources(register: Register) -> None:
    from nexus_plugins.sources.http.source import HttpSource

    register("http", HttpSource)
