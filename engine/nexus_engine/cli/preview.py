"""`nexus-engine preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, Exit
from nexus_engine.cli.instead import instead, instead_lines


@click.command("preview")
@click.argument("feed")
@click.option("--rows", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Show at most this many.")
@click.option("--replay", metavar="DIR", type=click.Path(exists=True, path_type=Path), help="Answer from cassettes instead of the API.")
@click.option("--each", metavar="NAME=VALUE", multiple=True, help="This value of `each`; may be given once per name.")
@verb
def command(context: Context, feed: str, rows: int, replay: Path | None, each: tuple[str, ...]) -> None:
    """Show one page of a feed, mapped and checked; write nothing."""
    from contextlib import ExitStack

    import msgspec

    from nexus_engine.deliver.preview import preview

    [plan] = context.plans([feed])
    with ExitStack() as stack:
        server = None
        if replay is not None:
            from nexus_engine.testing.replay import ReplayServer

            server = stack.enter_context(ReplayServer(replay))
        project = context.project.for_replay() if replay else context.project
        found = msgspec.to_builtins(preview(plan, project, context.registry, rows=rows, replay=server, each=_values(each)))
    found["base_urls"] = {} if replay is not None else instead(plan, context.project)
    if context.out.as_json:
        context.out.json(found)
    else:
        _show(context, found)
    refused = found["refused_rows"] / found["read"] if found["read"] else 0.0
    if refused > plan.max_refused:
        context.out.note(f"a run would stop here: more than max_refused {plan.max_refused:g} of the records are refused")
    if found["error"] or refused > plan.max_refused:
        raise Exit(FAILED)


def _values(words: tuple[str, ...]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE", param_hint="--each")
    return dict(word.split("=", 1) for word in words)


def _show(context: Context, found: dict[str, Any]) -> None:
    out = context.out
    for text in instead_lines(found["base_urls"]):
        out.note(text)
    for request in found["requests"]:
        out.note(f"{request['method']} {request['url']} -> {request['status']}, {request['bytes']} bytes, {request['ms']:.0f} ms")
    if found["rows"]:
        out.table(found["rows"], [column["name"] for column in found["columns"]])
    else:
        out.note("no row passed")
    out.note(f"read {found['read']}, ok {found['ok']}, filtered {found['filtered']}, refused {found['refused_rows']}")
    for text in found["warnings"]:
        out.note(f"warning: {text}")
    for item in found["refused"]:
        out.line()
        out.line(f"refused: {'; '.join(item['reasons'])}")
        out.line(f"  {item['raw'][:500]}")
    error = found["error"]
    if error:
        out.note(f"error: {error['what']}")
        for label, key in (("where", "where"), ("to do", "do")):
            if error.get(key):
                out.note(f"  {label + ':':<8}{error[key]}")
    out.note("nothing was written")
