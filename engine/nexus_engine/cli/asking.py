"""Ask before something is removed or forgotten."""

from __future__ import annotations

import sys

import click

from nexus_engine.cli.context import Context
from nexus_engine.cli.failures import Exit

REFUSED = 130  # as a command that was interrupted: the user did not want it


def confirm(context: Context, question: str, nothing: str) -> None:
    """Go on when the answer, from the terminal or a pipe, is yes.

    Args:
        nothing: what then has not been done, in words.

    Raises:
        click.UsageError: there is nobody to ask: standard input is at its end, or a program reads the output.
        Exit: the answer is no.
    """
    if context.out.as_json:
        raise click.UsageError(f"this asks for a confirmation, and with --json there is nobody to ask: --yes answers it; {nothing}")
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        click.echo(err=True)
        raise click.UsageError(f"this asks for a confirmation, and there is no terminal to ask at: --yes answers it; {nothing}")
    if answer.strip().lower() not in ("y", "yes"):
        context.out.note(nothing)
        raise Exit(REFUSED)
