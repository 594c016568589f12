"""A value that must not be shown: every way of printing it gives ``***``; only :meth:`Secret.reveal` gives the text."""

from __future__ import annotations

from typing import Any, Final

MASK: Final = "***"


class Secret:
    """A secret text. ``repr``, ``str``, ``format``, pickle and JSON (through ``encode_text``) show ``***``."""

    __slots__ = ("_text", "name")

    def __init__(self, text: str, name: str = "") -> None:
        self._text = text
        self.name = name

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Secret({self.name or MASK})" if self.name else MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, (MASK, self.name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))
