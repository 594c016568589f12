"""Files that change while the engine runs: which ones, when they are whole, and what that means for the feeds.

Polling ``stat`` (not inotify) works on every file system, and sees a file that was replaced by another of the same name.
A change counts once nothing changed for one poll: an editor or a copy that is halfway is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_engine.compile.plan import Plan
from nexus_engine.events import FeedLoaded
from nexus_engine.spec.problems import Problem, render

POLL_S = 1.0
FOLDERS = ("sources.d", "apis.d", "sinks.d")

Stamp = tuple[int, int, int]  # mtime_ns, size in bytes, inode


def look(root: Path) -> dict[Path, Stamp]:
    """Every file that the engine reads, and what tells one version of it from another. Editors' own files are left out."""
    found: dict[Path, Stamp] = {}
    files = [root / "nexus.yaml", *(path for folder in FOLDERS for path in (root / folder).glob("*.y*ml"))]
    for path in files:
        if path.name.startswith((".", "#")) or path.suffix not in (".yaml", ".yml") or ".test." in path.name:
            continue
        try:
            stat = path.stat()
        except OSError:
            continue  # gone between listing and looking
        found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


class Watcher:
    """Compares what is there with what was loaded. Time is the caller's: one poll per :data:`POLL_S`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loaded = self._seen = look(root)

    def poll(self, *, settled: bool = False) -> frozenset[Path]:
        """The files that changed since they were loaded, once they stayed the same for one poll (``settled``: at once).

        They count as loaded from then on; a file that changes while it is being loaded differs again at the next poll.
        """
        now = look(self._root)
        stable, self._seen = now == self._seen or settled, now
        if not stable or now == self._loaded:
            return frozenset()
        before, self._loaded = self._loaded, now
        return frozenset(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


@dataclass
class Feeds:
    """The plans in effect. A broken file changes nothing; the plan it had stays."""

    plans: dict[str, Plan] = field(default_factory=dict)
    _reported: dict[str, str] = field(default_factory=dict)  # file -> the problems it was reported with

    def take(self, loaded: Mapping[str, Plan], problems: Iterable[Problem]) -> list[FeedLoaded]:
        """Take over what was loaded from the files; what changed, as events. Broken files are told once per mistake."""
        old, told = self.plans, []
        broken = self._broken(problems)
        for name, plan in loaded.items():
            if name not in old:
                told.append(_added(plan, old, loaded))
            elif old[name] != plan:
                told.append(FeedLoaded(name, "changed", f"{plan.spec_file}: the next run uses it"))
        kept: dict[str, Plan] = {}
        for name in old.keys() - loaded.keys():
            if Path(old[name].spec_file).exists() and not _has_file(old[name].spec_file, loaded):
                kept[name] = old[name]
            elif not any(event.change == "renamed" and f"rename {name} " in event.message for event in told):
                told.append(FeedLoaded(name, "removed", "its file is gone; a run under way ends, its position is kept"))
        self.plans = {**loaded, **kept}
        return [*told, *self._newly_broken(broken)]

    def _broken(self, problems: Iterable[Problem]) -> dict[str, str]:
        by_file: dict[str, list[Problem]] = {}
        for problem in problems:
            by_file.setdefault(problem.file, []).append(problem)
        return {file: render(found) for file, found in by_file.items()}

    def _newly_broken(self, broken: dict[str, str]) -> list[FeedLoaded]:
        fresh = {file: text for file, text in broken.items() if self._reported.get(file) != text}
        self._reported = broken
        return [FeedLoaded(Path(file).stem, "broken", f"{text}\n{self._instead(file)}") for file, text in sorted(fresh.items())]

    def _instead(self, file: str) -> str:
        name = Path(file).stem
        if name in self.plans and Path(self.plans[name].spec_file).name == Path(file).name:
            return f"  engine: {name} goes on with the version before"
        return "  engine: nothing of this file is in effect"


def _added(plan: Plan, old: Mapping[str, Plan], loaded: Mapping[str, Plan]) -> FeedLoaded:
    for name, before in old.items():
        if name not in loaded and same_feed(plan, before.position_hash, before.target.name):
            return FeedLoaded(plan.feed, "renamed", rename_advice(name, plan.feed))
    return FeedLoaded(plan.feed, "added", plan.spec_file)


def same_feed(plan: Plan, position_hash: str, target: str) -> bool:
    """True when a position with this hash, for this table, means the same under the plan's name."""
    return bool(position_hash) and plan.position_hash == position_hash and plan.target.name == target


def rename_advice(old: str, new: str) -> str:
    return f"it reads and writes what {old} did; it waits, so that nothing lands twice: nexus-engine state rename {old} {new}"


def _has_file(file: str, plans: Mapping[str, Plan]) -> bool:
    return any(plan.spec_file == file for plan in plans.values())
