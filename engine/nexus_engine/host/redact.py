"""Secrets are hidden by value: whatever text leaves the engine goes through a Redactor, which knows every secret in every
encoding it may take on the way. Key names prove nothing: an API may echo a key in a field of any name."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
MIN_LENGTH: Final = 6  # shorter values ("1", "true") would mask ordinary text
_USERINFO = re.compile(r"(?<=://)[^/?#\s\"'<>@]*@")


def _base64_forms(value: str) -> set[str]:
    """What of ``value`` shows in base64, at each of the three offsets it may have in a longer text."""
    forms = set()
    for offset in range(3):
        raw = b"\0" * offset + value.encode()
        first = -(-offset * 8 // 6)  # the first character that no byte before the value touches
        text = base64.b64encode(raw).decode().rstrip("=")[first : len(raw) * 8 // 6]
        forms |= {text, text.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= MIN_LENGTH}


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
    """The registry of secret values. Thread-safe; ``redact`` costs one pass of one regular expression."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # value -> name
        self._marks: dict[str, str] = {}  # encoded text -> mark, for seal
        self._pattern: re.Pattern[str] | None = None
        self._bytes: re.Pattern[bytes] | None = None
        self._lock = threading.Lock()

    def add(self, value: str, name: str = "") -> None:
        """Hide ``value`` from now on. Values under six characters are not hidden: they would mask ordinary text."""
        if len(value) < MIN_LENGTH or value in self._names:
            return
        with self._lock:
            self._names[value] = name or f"#{len(self._names) + 1}"
            hidden: set[str] = set()
            for known, label in self._names.items():
                forms = encodings(known)
                self._marks.update({text: f"{{secret:{label}:{form}}}" for form, text in forms.items()})
                hidden |= set(forms.values()) | _base64_forms(known)
            ordered = sorted(hidden, key=len, reverse=True)
            self._bytes = re.compile(b"|".join(re.escape(text.encode()) for text in ordered))
            self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def redact(self, text: str, mask: str = MASK) -> str:
        """``text`` with every secret replaced by ``mask``, and user and password taken out of URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(mask, text)
        return _USERINFO.sub(f"{mask}@", text) if "@" in text and "://" in text else text

    def redact_bytes(self, data: bytes, mask: str = MASK) -> bytes:
        return data if self._bytes is None else self._bytes.sub(mask.encode(), data)

    def contains(self, text: str) -> bool:
        """True when a secret shows in ``text`` in any encoding."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def seal(self, text: str) -> str:
        """Replace each secret by a mark that names it and its encoding, for texts that are stored and used again."""
        for form in sorted(self._marks, key=len, reverse=True):
            if form in text:
                text = text.replace(form, self._marks[form])
        return text

    def unseal(self, text: str) -> str:
        """The inverse of :meth:`seal`, also after a secret changed its value: marks go by the secret's name."""
        if "{secret:" in text:
            for form, mark in self._marks.items():
                text = text.replace(mark, form)
        return text


class RedactingFilter(logging.Filter):
    """For handlers of the root logger: message, arguments and traceback of every record are redacted."""

    def __init__(self, redactor: Redactor) -> None:
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
