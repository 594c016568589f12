"""The `jsonl` format: JSON lines."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_formats(register: Register) -> None:
    from nexus_plugins.formats.jsonl.format import JsonlFormat

    register("jsonl", JsonlFormat)
