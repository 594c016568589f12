"""All hooks, on one screen. pluggy calls them once, at start-up; each receives ``register(name, class)``."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

PROJECT = "nexus_engine"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Register = Callable[[str, type], None]


@hookspec
def register_sources(register: Register) -> None:
    """Call ``register(name, SourceClass)`` for each kind of source."""


@hookspec
def register_transformers(register: Register) -> None:
    """Call ``register(name, TransformerClass)`` for each transformer."""


@hookspec
def register_sinks(register: Register) -> None:
    """Call ``register(name, SinkClass)`` for each kind of sink."""


@hookspec
def register_formats(register: Register) -> None:
    """Call ``register(name, FormatClass)`` for each format of an answer's body."""


@hookspec
def register_auth(register: Register) -> None:
    """Call ``register(name, AuthClass)`` for each auth method."""
