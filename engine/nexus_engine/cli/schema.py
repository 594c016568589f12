"""`nexus-engine schema`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, Exit


@click.command("schema")
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
@verb
def command(context: Context, check: bool) -> None:
    """Write JSON Schemas for editors.

    They go into schemas/, with the plugins installed here.
    """
    from nexus_engine.cli.files import written
    from nexus_engine.spec.schema import texts

    stale = written({context.root / "schemas" / name: text for name, text in texts(context.registry).items()}, write=not check)
    names = [str(path.relative_to(context.root)) for path in stale]
    if context.out.as_json:
        context.out.json({"stale" if check else "written": names})
    else:
        for name in names:
            context.out.line(f"{'stale' if check else 'wrote'} {name}")
        if not names:
            context.out.line("schemas/ is up to date")
    if check and names:
        raise Exit(FAILED)
