"""What a secret looks like on its way: as regular expressions that see through every encoding, also one inside another.

An API may send a key back URL-encoded, as JSON inside JSON, or in base64, and each layer escapes the characters again. So what is
looked for is each character in any of its forms, one after the other, and not a list of texts.
"""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SHORTEST: Final = 6  # characters; a shorter piece of a secret gives nothing away, and would mask ordinary text
_LATER: Final = 8  # a cut may fall inside an escape of up to so many characters
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class Disguise:
    """One secret, plain or as base64 shows it. Cheap to rule out: ``needle`` is in every text that ``pattern`` matches."""

    needle: str
    pattern: re.Pattern[str]
    data: re.Pattern[bytes]
    units: tuple[str, ...]  # one expression per character
    plain: bool  # not base64


@lru_cache(maxsize=4096)
def _unit(character: str) -> str:
    """A character in all its forms. Backslashes before it are what JSON and ``repr`` add, at each layer again."""
    if character.isascii() and character.isalnum():
        return character
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    code = "".join(rf"\\++u{unit:04x}" for unit in _utf16(character))
    forms = [f"(?i:{percent})", f"(?i:{code})"]
    if character == "\\":
        return "(?:" + "|".join([*forms, r"\\{1,64}"]) + ")"
    forms += [re.escape(text) for text in {html.escape(character), f"&#{ord(character)};"} - {character}]
    if character in "\n\r\t\b\f":
        forms.append(r"\\++" + {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}[character])
    if not character.isascii():
        forms += [re.escape(character.encode("utf-8", "surrogatepass").decode("latin-1")), rf"(?i:\\++x{ord(character):02x})"]
    if character == " ":
        forms.append(r"\+")
    if character in "+-":  # the two alphabets of base64
        forms.append("[+-]")
    if character in "/_":
        forms.append(r"\\*+[/_]")
    return rf"(?:{'|'.join(forms)}|\\*+{re.escape(character)})"


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]


def _disguise(text: str, *, plain: bool = True) -> Disguise:
    units = tuple(_unit(character) for character in re.sub(r"\\+", r"\\", text))
    joined = "".join(units)
    needle = max(_LETTERS.findall(text), key=len, default="")
    return Disguise(needle, re.compile(joined), re.compile(joined.encode("utf-8", "surrogatepass")), units, plain)


def disguises(value: str) -> list[Disguise]:
    """``value`` as it is, and what of it shows in base64 at each of the three offsets it may have in a longer text."""
    found = [_disguise(value)]
    for offset in range(3):
        raw = b"\0" * offset + value.encode("utf-8", "surrogatepass")
        first = -(-offset * 8 // 6)  # the first character that no byte before the value touches
        text = base64.b64encode(raw).decode().rstrip("=")[first : len(raw) * 8 // 6]
        if len(text) >= SHORTEST:
            found.append(_disguise(text, plain=False))
    return found


class Cut:
    """Finds the beginning of a secret at the end of a text: what is left of it when the text was cut."""

    def __init__(self, known: list[Disguise]) -> None:
        self._known = [(re.compile("".join(item.units[:SHORTEST])), [re.compile(unit) for unit in item.units]) for item in known]
        self._heads = re.compile("|".join("".join(item.units[:SHORTEST]) for item in known))
        self.reach = max((len(item.units) for item in known), default=0) * _LATER  # characters that a secret may take

    def start(self, text: str) -> int | None:
        """Where that beginning starts; None when there is none."""
        tail = max(0, len(text) - self.reach)
        if not self._heads.search(text, tail):
            return None
        starts = [match.start() for head, units in self._known for match in head.finditer(text, tail) if _to_the_end(text, match.start(), units)]
        return min(starts, default=None)


def _to_the_end(text: str, at: int, units: list[re.Pattern[str]]) -> bool:
    """Whether the units follow each other from ``at`` to where the text ends, but for an escape that was cut."""
    for unit in units:
        match = unit.match(text, at)
        if match is None:
            return len(text) - at < _LATER and not text[at : at + 1].isalnum()
        at = match.end()
        if at == len(text):
            return True
    return False
