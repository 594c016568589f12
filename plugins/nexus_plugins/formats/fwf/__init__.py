"""The `fwf` format: columns of fixed width."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_formats(register: Register) -> None:
    from nexus_plugins.formats.fwf.format import FwfFormat

    register("fwf", FwfFormat)
