"""Errors inside answers: which of the declared rules holds, and what its text says. No I/O."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import UNSET

from nexus_engine.contract.records import parse_path
from nexus_plugins.sources.http.envelope import Path
from nexus_plugins.sources.http.options import ErrorRule


def paths(rules: tuple[ErrorRule, ...]) -> tuple[str, ...]:
    return tuple(text for rule in rules for text in (rule.path, rule.message) if text)


def statuses(rules: tuple[ErrorRule, ...]) -> frozenset[int]:
    """The statuses that the rules want to judge themselves."""
    return frozenset(rule.status for rule in rules if rule.status is not None)


def holds(rule: ErrorRule, status: int, values: dict[Path, Any]) -> bool:
    if rule.status is not None and rule.status != status:
        return False
    if not rule.path:
        return True
    value = values.get(parse_path(rule.path), UNSET)
    if value is UNSET:
        return False
    if rule.equals is None and not rule.matches:
        return value not in (None, False, "", [], {})
    text = as_text(value)
    return (rule.equals is None or text == rule.equals) and bool(re.search(rule.matches, text))


def first(rules: tuple[ErrorRule, ...], status: int, values: dict[Path, Any]) -> ErrorRule | None:
    return next((rule for rule in rules if holds(rule, status, values)), None)


def text(rule: ErrorRule, status: int, values: dict[Path, Any]) -> str:
    """What the answer says went wrong: the value at `message`, else at `path`, else the status."""
    for path in (rule.message, rule.path):
        value = values.get(parse_path(path), UNSET) if path else UNSET
        if value is not UNSET and value is not None:
            return as_text(value)[:500]
    return f"HTTP {status}"


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
