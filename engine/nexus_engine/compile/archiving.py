"""`archive:` of a spec -> how long and how much is kept."""

from __future__ import annotations

from nexus_engine.compile.plan import ArchivePlan
from nexus_engine.spec.model import ArchiveSpec


def archive_plan(words: bool | ArchiveSpec) -> ArchivePlan | None:
    """None when nothing is kept."""
    if words is False:
        return None
    limits = words if isinstance(words, ArchiveSpec) else ArchiveSpec()
    return ArchivePlan(keep_s=float(limits.keep), max_bytes=int(limits.max_size))
