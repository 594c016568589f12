"""`nexus-engine schema`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.files import write_or_check


@click.command("schema")
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
@verb
def command(context: Context, check: bool) -> None:
    """Write JSON Schemas for editors.

    They go into schemas/, with the plugins installed here.
    """
    from nexus_engine.spec.schema import texts

    write_or_check(context, "schemas", texts(context.registry), check=check, do="nexus-engine schema")
