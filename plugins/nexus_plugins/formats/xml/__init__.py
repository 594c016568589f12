"""The `xml` format: flat records of texts."""

from nexus_engine import hookimpl
from nexus_engine.contract.hookspecs import Register


@hookimpl
def register_formats(register: Register) -> None:
    from nexus_plugins.formats.xml.format import XmlFormat

    register("xml", XmlFormat)
