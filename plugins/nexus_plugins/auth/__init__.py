"""The auth methods `header`, `query`, `bearer` and `basic`."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_auth(register: Register) -> None:
    from nexus_plugins.auth import static

    register("header", static.HeaderAuth)
    register("query", static.QueryAuth)
    register("bearer", static.BearerAuth)
    register("basic", static.BasicAuth)
