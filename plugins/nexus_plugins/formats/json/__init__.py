"""The `json` format: the body itself."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_formats(register: Register) -> None:
    from nexus_plugins.formats.json.format import JsonFormat

    register("json", JsonFormat)
