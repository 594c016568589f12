"""Secrets by name, from the environment or from `.env` beside nexus.yaml; the environment wins."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from nexus_engine.contract.secret import MASK, Secret

__all__ = ["MASK", "Secret", "Secrets", "read_env_file"]

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_MAX_BYTES = 1_000_000


class Secrets(Mapping[str, Secret]):
    """The secrets of a project. Iterating gives only the names in `.env`: what else is in the environment is not ours to list,
    but every variable can be asked for by name."""

    def __init__(self, from_file: Mapping[str, str], environ: Mapping[str, str] | None = None, *, placeholders: bool = False) -> None:
        self._file = dict(from_file)
        self._environ = os.environ if environ is None else environ
        self._placeholders = placeholders
        self._used: dict[str, Secret] = {}

    def __call__(self, name: str) -> Secret:
        """The secret of that name.

        Raises:
            KeyError: it is not set.
        """
        return self[name]

    def __getitem__(self, name: str) -> Secret:
        text = self._environ.get(name) or self._file.get(name)
        if not text and self._placeholders:
            text = f"placeholder-{name}"
        if not text:
            raise KeyError(name)
        secret = Secret(text, name)
        self._used[name] = secret
        return secret

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._placeholders or self._environ.get(name) or self._file.get(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._file)

    def __len__(self) -> int:
        return len(self._file)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._file))})"

    def known(self) -> list[Secret]:
        """Every secret that is in `.env` or was asked for: what a redactor must mask."""
        return list({**{name: self[name] for name in self._file if name in self}, **self._used}.values())

    def for_replay(self) -> Secrets:
        """The same, with a placeholder for each secret that is not set: a recording needs no real one."""
        return Secrets(self._file, self._environ, placeholders=True)


def read_env_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines of a `.env` file, in any order; `#` lines and others are left out. Quotes around a value are taken
    off, and nothing inside it is expanded. {} when there is no file."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if not match:
            continue
        value = match[2]
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        elif " #" in value:
            value = value.split(" #", 1)[0].rstrip()
        found[match[1]] = value
    return found
