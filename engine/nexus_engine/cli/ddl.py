"""`nexus-engine ddl`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, Exit, invalid
from nexus_engine.cli.files import write_or_check
from nexus_engine.errors import ConfigError

if TYPE_CHECKING:
    from nexus_engine.compile.plan import Plan


@click.command("ddl")
@click.argument("feeds", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
@click.option("--diff", is_flag=True, help="Show the statements that the live tables need; fail when there are any.")
@click.option("--apply", is_flag=True, help="Run the statements that the live tables need.")
@verb
def command(context: Context, feeds: tuple[str, ...], check: bool, diff: bool, apply: bool) -> None:
    """Write the tables' DDL, check it, or compare it to live tables."""
    if sum((check, diff, apply)) > 1:
        raise click.UsageError("choose one of --check, --diff and --apply")
    if context.loaded.invalid and not feeds:
        raise invalid(context.loaded.invalid)
    plans = context.plans(feeds or list(context.loaded.plans))
    if diff or apply:
        _live(context, plans, apply=apply)
    else:
        texts = {f"{name}.sql": text for name, text in ddl_texts(plans).items()}
        write_or_check(context, "ddl", texts, check=check, do="nexus-engine ddl")


def ddl_texts(plans: Iterable[Plan]) -> dict[str, str]:
    """``{database.table: text}``.

    Raises:
        ConfigError: two feeds describe one table differently.
    """
    from nexus_engine.clickhouse.ddl import feed_ddl

    texts: dict[str, str] = {}
    owners: dict[str, str] = {}
    for plan in plans:
        name, text = plan.target.name, feed_ddl(plan.target)
        if texts.get(name, text) != text:
            raise ConfigError(
                f"feeds {owners[name]} and {plan.feed} describe table {name} differently",
                where=Path(plan.spec_file).name, did="nothing was written", do="give both the same columns, key, order and engine",
            )
        texts[name], owners[name] = text, owners.get(name, plan.feed)
    return texts


def _live(context: Context, plans: list[Plan], *, apply: bool) -> None:
    from nexus_engine.cli.owning import ask

    found = ask(context, "ddl", {"feeds": [plan.feed for plan in plans], "apply": apply})
    statements = sum(len(item["statements"]) for item in found)
    blocked = [item for item in found if item["error"]]
    if context.out.as_json:
        context.out.json(found)
    else:
        for item in found:
            for statement in item["statements"]:
                context.out.line(f"{statement.rstrip(';')};")
            if item["error"]:
                context.out.note(f"{item['table']}: {item['error']}")
        if not statements and not blocked:
            context.out.line("live tables are as the specs say")
    if blocked or (statements and not apply):
        raise Exit(FAILED)
