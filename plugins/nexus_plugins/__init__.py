"""The built-in plugins. They use the same door as a third party's package; the list is what pluggy loads at start-up."""

BUILTINS = (
    "nexus_plugins.sources.http",
    "nexus_plugins.sinks.clickhouse",
    "nexus_plugins.formats.json",
    "nexus_plugins.formats.jsonl",
    "nexus_plugins.formats.csv",
    "nexus_plugins.formats.fwf",
    "nexus_plugins.formats.xml",
    "nexus_plugins.auth",
)
