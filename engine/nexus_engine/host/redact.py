"""Secrets are hidden by value: whatever text leaves the engine goes through a Redactor, which knows every secret in every
encoding it may take on the way. Key names prove nothing: an API may echo a key in a field of any name."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Final, Protocol
from urllib.parse import quote, quote_plus

from nexus_engine.host.disguise import SHORTEST, Cut, Disguise, disguises

MASK: Final = "***"
MIN_LENGTH: Final = SHORTEST  # shorter values ("1", "true") would mask ordinary text
_USERINFO = re.compile(r"(?<=://)[^/?#\s\"'<>@]*@")


def encodings(value: str) -> dict[str, str]:
    """The text of ``value`` by the name of its encoding; what reads the same in two is there once."""
    forms = {
        "plain": value,
        "url": quote(value, safe=""),
        "form": quote_plus(value),
        "path": quote(value, safe="/%:@!$&'()*+,;=~-._"),
        "query": quote(value, safe="-._~:,/"),
        "json": json.dumps(value)[1:-1],
        "utf8": json.dumps(value, ensure_ascii=False)[1:-1],
        "slash": json.dumps(value)[1:-1].replace("/", "\\/"),
        "repr": repr(value)[1:-1],
    }
    forms["lower"] = re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), forms["url"])
    unique: dict[str, str] = {}
    for name, text in forms.items():
        if text not in unique.values():
            unique[name] = text
    return unique


class Redactor:
    """The registry of secret values. Thread-safe; a text without a secret costs a few substring searches."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # value -> name
        self._marks: dict[str, str] = {}  # encoded text -> mark, for seal
        self._known: tuple[tuple[str, Disguise], ...] = ()  # value and one of its disguises, the longest value first
        self._cut = Cut([])
        self._lock = threading.Lock()

    def add(self, value: str, name: str = "") -> None:
        """Hide ``value`` from now on. Values under six characters are not hidden: they would mask ordinary text."""
        if len(value) < MIN_LENGTH or value in self._names:
            return
        with self._lock:
            label = self._names[value] = name or f"#{len(self._names) + 1}"
            self._marks.update({text: f"{{secret:{label}:{form}}}" for form, text in encodings(value).items()})
            known = [*self._known, *((value, item) for item in disguises(value))]
            self._known = tuple(sorted(known, key=lambda item: len(item[0]), reverse=True))
            self._cut = Cut([item for _, item in self._known])

    def redact(self, text: str, mask: str = MASK) -> str:
        """``text`` with every secret replaced by ``mask``, also one that a cut left a part of at the end, and user and
        password taken out of URLs."""
        for _, item in self._known:
            if item.needle in text:
                text = item.pattern.sub(mask, text)
        if self._known and (start := self._cut.start(text)) is not None:
            text = text[:start] + mask
        return _USERINFO.sub(f"{mask}@", text) if "@" in text and "://" in text else text

    def redact_bytes(self, data: bytes, mask: str = MASK, *, shortest: int = MIN_LENGTH) -> bytes:
        """``data`` with every secret of at least ``shortest`` characters replaced by ``mask``."""
        for value, item in self._known:
            if len(value) >= shortest and item.needle.encode() in data:
                data = item.data.sub(mask.encode(), data)
        return data

    def redact_pieces(self, pieces: Iterable[bytes], mask: str = MASK, *, shortest: int = MIN_LENGTH) -> Iterator[bytes]:
        """As :meth:`redact_bytes`, for a body that comes in pieces: also a secret that lies in two of them is replaced."""
        held = b""
        for piece in pieces:
            held = self.redact_bytes(held + piece, mask, shortest=shortest)
            reach = self._cut.reach
            if len(held) > reach:
                yield held[: len(held) - reach]
                held = held[len(held) - reach :]
        if held:
            yield held

    def contains(self, text: str) -> bool:
        """True when a secret shows in ``text`` in any encoding."""
        return any(item.needle in text and item.pattern.search(text) for _, item in self._known)

    def seal(self, text: str) -> str:
        """Replace each secret by a mark that names it and its encoding, for texts that are stored and used again."""
        for form in sorted(self._marks, key=len, reverse=True):
            if form in text:
                text = text.replace(form, self._marks[form])
        for value, item in self._known:  # a mixed encoding comes back as the plain URL-encoded one, which means the same in a URL
            if item.plain and item.needle in text:
                text = item.pattern.sub(self._marks.get(quote(value, safe=""), self._marks[value]), text)
        return text

    def unseal(self, text: str) -> str:
        """The inverse of :meth:`seal`, also after a secret changed its value: marks go by the secret's name."""
        if "{secret:" in text:
            for form, mark in self._marks.items():
                text = text.replace(mark, form)
        return text


class Redacts(Protocol):
    """What hides secrets in a text."""

    def redact(self, text: str, /) -> str: ...


class RedactingFilter(logging.Filter):
    """For handlers of the root logger: message, arguments and traceback of every record are redacted."""

    def __init__(self, redactor: Redacts) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._redactor.redact(record.getMessage())
        record.args = ()
        if record.exc_info:
            record.exc_text = self._redactor.redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = self._redactor.redact(record.stack_info)
        return True
