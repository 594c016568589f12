"""`nexus-engine test`."""

from __future__ import annotations

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, SOME_FAILED, Exit
from nexus_engine.errors import ConfigError


@click.command("test")
@click.argument("feeds", nargs=-1)
@verb
def command(context: Context, feeds: tuple[str, ...]) -> None:
    """Run the feeds' recorded tests.

    They are in `<feed>.test.yaml` beside each feed. Each test runs the real engine on a temporary data folder; a server on loopback answers from the recording.
    """
    import msgspec

    from nexus_engine.testing.cases import find_cases, run_cases

    context.replaying = True
    cases = find_cases(context.root)
    missing = [name for name in feeds if name not in cases]
    if missing:
        raise ConfigError(
            f"feed {missing[0]!r} has no test", where=str(context.root / "sources.d" / f"{missing[0]}.test.yaml"), did="nothing ran",
            do="record one: nexus-engine run FEED --once --record sources.d/recordings/FEED; then write what it lands into FEED.test.yaml",
        )
    results = run_cases(context.project, context.registry, [cases[name] for name in feeds or cases])
    failed = [result for result in results if result.failures]
    if context.out.as_json:
        context.out.json([msgspec.to_builtins(result) for result in results])
    else:
        for result in results:
            context.out.line(f"{'FAILED' if result.failures else 'ok':<7} {result.feed:<28} {result.summary}")
            for failure in result.failures:
                context.out.line(f"        {failure}")
        context.out.note(f"{len(results) - len(failed)} of {len(results)} feed tests passed" if results else "no feed has a test")
    if failed:
        raise Exit(FAILED if len(failed) == len(results) else SOME_FAILED)
