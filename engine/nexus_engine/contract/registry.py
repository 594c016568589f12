"""Find plugins once, at start-up, and keep what each one registers. ``build_registry()`` returns a value; nothing is global."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType

import pluggy

from nexus_engine.contract import hookspecs

ENTRY_POINT_GROUP = "nexus_engine"
KINDS = ("sources", "transformers", "sinks", "formats", "auth")


@dataclass(frozen=True)
class Registered:
    """One thing a plugin registered. ``plugin`` is its module, ``distribution`` the package (name and version) it came from."""

    kind: str
    name: str
    cls: type
    plugin: str
    distribution: str


@dataclass(frozen=True)
class Failure:
    """A plugin that did not import or register. ``reason`` is one line; ``names`` is what its entry point is called."""

    plugin: str
    distribution: str
    reason: str


@dataclass(frozen=True)
class Registry:
    """What is installed, by kind and name."""

    sources: Mapping[str, Registered]
    transformers: Mapping[str, Registered]
    sinks: Mapping[str, Registered]
    formats: Mapping[str, Registered]
    auth: Mapping[str, Registered]
    failures: tuple[Failure, ...] = ()

    def all(self) -> list[Registered]:
        return [item for kind in KINDS for item in getattr(self, kind).values()]


@dataclass
class _Collector:
    found: dict[str, dict[str, Registered]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    failures: list[Failure] = field(default_factory=list)


def _candidates(extra: Iterable[str]) -> list[tuple[str, str, metadata.EntryPoint | None]]:
    """(module, distribution, entry point) of every plugin: built-ins first, then installed packages, then ``extra``."""
    from nexus_plugins import BUILTINS

    found: list[tuple[str, str, metadata.EntryPoint | None]] = [(name, "nexus-engine", None) for name in BUILTINS]
    for point in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        dist = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        found.append((point.value, dist, point))
    found.extend((name, "", None) for name in extra)
    return found


def _collect(pm: pluggy.PluginManager, module: object, name: str, dist: str, into: _Collector) -> None:
    """Call each hook of this plugin alone, so that names and failures have an owner; all or nothing per plugin."""
    others = [plugin for plugin in pm.get_plugins() if plugin is not module]
    staged: list[Registered] = []
    for kind in KINDS:

        def register(item: str, cls: type, kind: str = kind) -> None:
            taken = into.found[kind].get(item)
            if taken is not None:
                raise ValueError(f"{kind} {item!r} is already registered by {taken.plugin}")
            if not hasattr(cls, "options") and kind != "transformers":
                raise TypeError(f"{kind} {item!r}: the class has no `options` type")
            staged.append(Registered(kind, item, cls, name, dist))

        pm.subset_hook_caller(f"register_{kind}", remove_plugins=others)(register=register)
    for item in staged:
        into.found[item.kind][item.name] = item


def build_registry(extra: Iterable[str] = ()) -> Registry:
    """Load every plugin, one by one; one that fails is listed in ``failures`` and takes only itself away.

    Args:
        extra: module names besides the built-ins and the installed entry points (for tests and plugin authors).
    """
    pm = pluggy.PluginManager(hookspecs.PROJECT)
    pm.add_hookspecs(hookspecs)
    collector = _Collector()
    for name, dist, point in _candidates(extra):
        try:
            module = point.load() if point else importlib.import_module(name)
            pm.register(module, name=name)
            _collect(pm, module, name, dist, collector)
        except Exception as error:  # noqa: BLE001  whatever a plugin does at import, it breaks only itself
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            collector.failures.append(Failure(name, dist, reason))
    kinds = {kind: MappingProxyType(items) for kind, items in collector.found.items()}
    return Registry(**kinds, failures=tuple(collector.failures))
