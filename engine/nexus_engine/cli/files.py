"""Generated files: write what differs, or say what would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def written(texts: Mapping[Path, str], *, write: bool) -> list[Path]:
    """The files whose text differs (or that are missing); written when ``write``."""
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    if write:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path])
    return stale
