"""`nexus-engine validate-config`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, pick, verb
from nexus_engine.cli.failures import INVALID, Exit


@click.command("validate-config")
@click.argument("feeds", nargs=-1)
@click.option("--no-engine", is_flag=True, help="Do not have the embedded engine describe each query (faster).")
@click.option("--no-secrets", is_flag=True, help="Secrets need not be set (for CI).")
@verb
def command(context: Context, feeds: tuple[str, ...], no_engine: bool, no_secrets: bool) -> None:
    """Check every file; show all problems at once.

    Exit code 2 when there is one. Nothing is fetched or written.
    """
    import msgspec

    from nexus_engine.compile.accepting import refused
    from nexus_engine.spec.problems import render

    context.replaying = no_secrets
    loaded = context.loaded
    if feeds:
        pick(loaded, list(feeds), context.root)
    problems = loaded.of(feeds) if feeds else loaded.problems
    plans = [plan for name, plan in loaded.plans.items() if not feeds or name in feeds]
    if not no_engine:
        problems = [*problems, *(problem for found in refused(plans).values() for problem in found)]
    if context.out.as_json:
        context.out.json({"feeds": len(plans), "problems": msgspec.to_builtins(problems), "exit_code": INVALID if problems else 0})
    elif problems:
        context.out.line(render(problems))
        context.out.note(f"{len(problems)} problem{'s' if len(problems) != 1 else ''} in {len({p.file for p in problems})} file(s)")
    else:
        context.out.line(f"{len(plans)} feed{'s' if len(plans) != 1 else ''}: no problem found")
    for failure in context.registry.failures:
        context.out.note(f"warning: plugin {failure.plugin} did not load: {failure.reason}")
    if problems:
        raise Exit(INVALID)
