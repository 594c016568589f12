"""Everything a command prints goes through here: redacted, as text for people or as JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNPRINTABLE = "\ufffd"
WIDEST = 60


class Exit(Exception):
    """End the command with this code; everything was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Output:
    """One per process. ``redact`` is replaced once the project's secrets are known."""

    def __init__(self) -> None:
        self.as_json = False
        self.debug = False
        self.redact: Callable[[str], str] = lambda text: text
        self.mask: Callable[[str], str] = lambda text: text  # as `redact`, for a text that nothing has cut

    @property
    def on_terminal(self) -> bool:
        return sys.stderr.isatty() and not self.as_json

    def line(self, text: str = "") -> None:
        """A line of the answer, on stdout."""
        self.raw(f"{self._clean(text)}\n".encode())

    def note(self, text: str) -> None:
        """A line about the answer (errors, progress, hints), on stderr."""
        click.echo(self._clean(text), err=True)

    def json(self, data: Any) -> None:
        """The whole answer for programs: one JSON document on one line."""
        from nexus_engine.service.wire import encode

        self.raw(self.redact(encode(data).decode()).encode())

    def raw(self, data: bytes) -> None:
        """Bytes on stdout.

        Raises:
            Exit: nobody reads any more (`| head`); with 0, because that is no failure.
        """
        try:
            click.echo(data, nl=False)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout once more at its end
            raise Exit(0) from None

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> int:
        """Rows for people: numbers to the right, wide texts cut; how many were."""
        names = list(columns or (rows[0] if rows else ()))
        cells = [[cell(row.get(name), self.mask) for name in names] for row in rows]
        widths = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(names)]
        right = [bool(rows) and all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in names]
        lines = [_aligned(names, widths, right), "  ".join("-" * width for width in widths), *(_aligned(line, widths, right) for line in cells)]
        for line in lines:
            self.raw(f"{_CONTROL.sub(_UNPRINTABLE, self.mask(line))}\n".encode())
        return sum(len(text) == WIDEST and text.endswith("…") for line in cells for text in line)

    def _clean(self, text: str) -> str:
        """No secrets, and no control characters: what an API sends must not steer a terminal."""
        return _CONTROL.sub(_UNPRINTABLE, self.redact(text))


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    pairs = zip(cells, widths, right, strict=True)
    return "  ".join(text.rjust(width) if to_right else text.ljust(width) for text, width, to_right in pairs).rstrip()


def cell(value: Any, mask: Callable[[str], str]) -> str:
    """A value for people: on one line, without secrets, cut to :data:`WIDEST` characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False)
    text = " ".join(mask(str(value)).split())  # before it is cut: half a secret is not known as one
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
