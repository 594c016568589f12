"""`nexus-engine init`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.errors import NexusError

TEMPLATE = "project_template"
IGNORED = "/data/\n/.env\n"
FOLDERS = ("sources.d", "apis.d", "sinks.d", "schemas", "ddl")


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@verb
def command(context: Context, folder: Path) -> None:
    """Make a new project: folders, nexus.yaml, one example feed.

    The example needs no key: US Treasury debt to the penny, with a recording and a test. Nothing that is there is overwritten.
    """
    if folder.exists() and any(folder.iterdir()):
        raise NexusError(f"{folder} is not empty", did="nothing was written", do="name a folder that is empty or not there yet")
    made = make(folder)
    from nexus_engine.spec.schema import texts

    for name, text in texts(context.registry).items():
        (folder / "schemas" / name).write_text(text)
        made.append(f"schemas/{name}")
    if context.out.as_json:
        context.out.json({"folder": str(folder), "files": sorted(made)})
        return
    context.out.line(f"made {folder} with {len(made)} files; what to type next:")
    for line in (
        f"cd {folder}", "nexus-engine test", "nexus-engine preview debt_to_penny", "nexus-engine run debt_to_penny --once",
        'nexus-engine query "select * from macro.debt_to_penny order by date desc limit 5"',
    ):
        context.out.line(f"  {line}")


def make(folder: Path) -> list[str]:
    """Copy the template; the files made, relative to ``folder``."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    source = resources.files("nexus_engine.cli") / TEMPLATE
    with resources.as_file(source) as template:
        for path in sorted(template.rglob("*")):
            if not path.is_file() or path.suffix == ".pyc":
                continue
            name = str(path.relative_to(template))
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            made.append(name)
    (folder / ".gitignore").write_text(IGNORED)
    return [*made, ".gitignore"]
