"""The command `nexus-engine`. A command's module is imported when it is called: `--help` costs only click."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

import nexus_engine

# numpy counts and finds lines here, and multiplies no matrix: the threads it would start for that spin for a tenth of a CPU second.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# name -> (module under nexus_engine.cli, one line of help); a test holds the lines equal to the commands' own.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Make a new project: folders, nexus.yaml, one example feed."),
    "validate-config": ("validate", "Check every file; show all problems at once."),
    "preview": ("preview", "Show one page of a feed, mapped and checked; write nothing."),
    "plan": ("plan", "Show what a feed would ask, promise and create."),
    "run": ("run", "Run feeds once (--once), or all of them on their schedules."),
    "trace": ("trace", "Follow landed rows back to their batch, run, request and kept answer."),
    "query": ("query", "Read the embedded tables with SQL."),
    "status": ("status", "Show each feed's state; fail when one needs a look."),
    "runs": ("runs", "Show the history of runs, or one run in full."),
    "quarantine": ("quarantine", "Show refused records with their reasons; replay them through a mended feed."),
    "reparse": ("reparse", "Send a feed's kept answers through its present spec."),
    "archive": ("archive", "Show what is kept of the answers of each feed."),
    "drift": ("drift", "Show fields that came, went or changed their type; accept them."),
    "state": ("state", "Show and change positions."),
    "ddl": ("ddl", "Write the tables' DDL, check it, or compare it to live tables."),
    "schema": ("schema", "Write JSON Schemas for editors."),
    "plugins": ("plugins", "List plugins, or show one with its options."),
    "doctor": ("doctor", "Check the environment a project runs in."),
    "test": ("test", "Run the feeds' recorded tests."),
    "demo": ("demo", "Run the shipped feeds from their recordings, twice."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nexus_engine.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from nexus_engine.spec.spelling import nearest

            near = nearest(args[0], COMMANDS) if args else ""
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failed, 2 invalid configuration or usage, 3 some feeds failed.",
)
@click.version_option(nexus_engine.__version__, prog_name="nexus-engine")
def group() -> None:
    """One YAML file per feed in, exactly-once rows in ClickHouse out."""


def main(args: list[str] | None = None) -> None:
    """The console script: runs a command, and turns whatever ends it into an exit code."""
    from nexus_engine.cli.failures import guarded

    sys.exit(guarded(group, sys.argv[1:] if args is None else args))


if __name__ == "__main__":
    main()
