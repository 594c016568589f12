"""`nexus-engine demo`."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import Exit


@click.command("demo")
@verb
def command(context: Context) -> None:
    """Run the shipped feeds from their recordings, twice.

    Offline: a server on loopback answers in place of the APIs, everything else is what `run --once` does. Nothing is left behind.
    """
    import sys

    from rich.console import Console

    import nexus_engine
    from nexus_engine.testing.demo import demo

    checkout = Path(nexus_engine.__file__).parents[2]
    root = context.folder.resolve() if context.folder else checkout if (checkout / "sources.d" / "recordings").is_dir() else Path.cwd()
    width = None if sys.stdout.isatty() else 140  # a pipe has no width of its own
    raise Exit(demo(Console(file=sys.stdout, width=width), root))
