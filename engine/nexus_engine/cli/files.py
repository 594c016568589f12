"""Generated files: write what differs, or say what would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus_engine.cli.context import Context
from nexus_engine.cli.failures import FAILED, Exit


def written(texts: Mapping[Path, str], *, write: bool) -> list[Path]:
    """The files whose text differs (or that are missing); written when ``write``."""
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    if write:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path])
    return stale


def write_or_check(context: Context, folder: str, texts: Mapping[str, str], *, check: bool, do: str) -> None:
    """Write the texts into a folder of the project, by name, or say which of them are stale; ``do`` is the command that writes.

    Raises:
        Exit: ``check``, and some are stale.
    """
    stale = written({context.root / folder / name: text for name, text in texts.items()}, write=not check)
    names = [str(path.relative_to(context.root)) for path in stale]
    if context.out.as_json:
        context.out.json({"stale" if check else "written": names})
    else:
        for name in names:
            context.out.line(f"{'stale' if check else 'wrote'} {name}")
        if not names:
            context.out.line(f"{folder}/ is up to date")
    if check and names:
        context.out.note(f"to do: {do}")
        raise Exit(FAILED)
