"""Options of a plugin: one typed Struct, from which parsing, JSON Schema, docs and `plugins show` derive.

Values in a spec carry their unit in the text (`30d`, `120/min`, `5MB`); the types below read that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, Self

import msgspec

Place = tuple[str | int, ...]
Objection = tuple[str | Place, str]
JSON = Any  # what msgspec.json can decode: None, bool, int, float, str, list, dict[str, JSON]

_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_UNIT_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 1024, "MiB": 2**20, "GiB": 2**30}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)")
_CALENDAR = re.compile(r"(\d+)(mo|y)")
_WHOLE = 2**53  # up to here a float is every whole number
_QUOTA = re.compile(r"(\d+)/(hour|day|month)")
_RATE = re.compile(r"(\d+)/(?:(\d+)?(ms|s|min|m|h|d))")

# With a template in it, what is known in front of that: `{{ vars.base }}/v1` may be anything, `127.0.0.1/{{ each.id }}` has no scheme.
_URL = r"^([hH][tT][tT][pP][sS]?://[^/?#\s]|[^:/?#\s]*\{\{)"
Url = Annotated[str, msgspec.Meta(pattern=_URL)]
"""A URL of http or https, or a template that may become one."""
FORMS: Final[Mapping[str, str]] = {_URL: "a URL of http or https, like https://api.example.com/v1"}
"""Patterns of texts that say themselves where a template may stand: what is due, in words."""


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, omit_defaults=True):
    """Base of every plugin's options. Describe each field with ``Annotated[T, msgspec.Meta(description=...)]``.

    ``request_keys``: the options that say what is asked for; all others say how, and hold for the listings of a feed too.
    """

    request_keys: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def problems(cls, options: Mapping[str, JSON]) -> Iterable[Objection]:  # noqa: ARG003  for those that override it
        """(key, or "" for the whole; message) of what the types alone cannot say, for `validate-config`: "give `endpoint` or `path`". A key
        inside the options is a tuple, `("errors", 1, "then")`; it is told where it stands, and not again in a file that takes it over.

        Args:
            options: as written, the API's merged under the feed's: scalars are texts and may be unrendered templates.
        """
        return ()

    @classmethod
    def windowed(cls, options: Mapping[str, JSON]) -> Iterable[tuple[str | int, ...]]:  # noqa: ARG003  for those that override it
        """Where in the options something stands that has a meaning only in a feed with a `cursor`; ``options`` as in :meth:`problems`."""
        return ()


    @classmethod
    def bounded(cls, options: Mapping[str, JSON]) -> bool:  # noqa: ARG003  for those that override it
        """Whether a window bounds what is read, though no option has `window.start` or `window.end` in a template; ``options`` as in
        :meth:`problems`. True: the source may look at the window itself."""
        return True


class Duration(float):
    """A length of time in seconds, written `500ms`, `30s`, `15m`, `2h`, `30d`, `1w`; `1mo` and `1y` are calendar
    units (their ``float`` is 30 and 365 days; windows step by the calendar, see ``months``)."""

    __slots__ = ("months", "text")
    months: int
    text: str

    def __new__(cls, text: str) -> Self:
        text = text.strip()
        if match := _CALENDAR.fullmatch(text):
            months = int(match[1]) * (12 if match[2] == "y" else 1)
            self = super().__new__(cls, months / 12 * 365 * 86400 if match[2] == "y" else months * 30 * 86400)
            self.months = months
        elif match := _DURATION.fullmatch(text):
            self = super().__new__(cls, float(match[1]) * _UNIT_S[match[2]])
            self.months = 0
        else:
            raise ValueError("a duration like 30s, 15m, 2h, 30d, 1mo or 1y")
        self.text = text
        return self

    def __repr__(self) -> str:
        return self.text


class Span(Duration):
    """A distance of a cursor: a duration, or for a cursor that is a number a whole number (``counted``; its ``float``)."""

    __slots__ = ("counted",)
    counted: bool

    def __new__(cls, text: str) -> Self:
        plain = text.strip()
        if not plain.isdigit():
            try:
                self = super().__new__(cls, text)
            except ValueError:
                raise ValueError("a duration like 30d or 1mo, or a whole number") from None
            self.counted = False
            return self
        if int(plain) > _WHOLE:
            raise ValueError(f"a duration like 30d or 1mo, or a whole number up to {_WHOLE}")
        self = float.__new__(cls, plain)
        self.months, self.text, self.counted = 0, plain, True
        return self


class ByteSize(int):
    """A size in bytes, written `200B`, `64kB`, `5MB`, `2GiB`."""

    def __new__(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d+)\s*([A-Za-z]+)", text.strip())
        if not match or match[2] not in _UNIT_BYTES:
            raise ValueError("a size like 64kB, 5MB or 2GiB")
        return super().__new__(cls, int(match[1]) * _UNIT_BYTES[match[2]])


class Rate:
    """A budget: at most ``count`` in any ``per_s`` seconds, written `120/min`, `10/s`, `5/2s`."""

    __slots__ = ("count", "per_s", "text")

    def __init__(self, text: str) -> None:
        match = _RATE.fullmatch(text.strip())
        if not match or int(match[1]) < 1:
            raise ValueError("a rate like 120/min, 10/s or 5/2s")
        self.text = text.strip()
        self.count = int(match[1])
        self.per_s = int(match[2] or 1) * _UNIT_S[match[3]]

    def __repr__(self) -> str:
        return self.text


class Quota:
    """So many requests in a calendar ``unit`` (hour, day or month, UTC), written `1000/day`, `100000/month`."""

    __slots__ = ("count", "text", "unit")

    def __init__(self, text: str) -> None:
        match = _QUOTA.fullmatch(text.strip())
        if not match or int(match[1]) < 1:
            raise ValueError("a quota like 1000/day or 100000/month")
        self.text = text.strip()
        self.count = int(match[1])
        self.unit = match[2]

    def __repr__(self) -> str:
        return self.text


def decode_text(kind: type, value: Any) -> Any:
    """The ``dec_hook`` of msgspec: read our unit types from their own text.

    Raises:
        ValueError: with what was expected ("a duration like 30s, ..."); never with the value.
        NotImplementedError: for a type this hook does not know.
    """
    if kind in (Duration, Span, ByteSize, Rate, Quota):
        return value if isinstance(value, kind) else kind(str(value))
    raise NotImplementedError(f"no decoder for {kind!r}")


def encode_text(value: Any) -> Any:
    """The ``enc_hook`` of msgspec: the inverse of :func:`decode_text`."""
    if isinstance(value, (Duration, Rate, Quota)):
        return value.text
    if isinstance(value, ByteSize):
        return f"{int(value)}B"
    raise NotImplementedError(f"no encoder for {type(value)!r}")


_KINDS = {
    "array": "a list", "object": "a mapping", "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "null": "nothing",
}  # fmt: skip
_JSON_KINDS = {**_KINDS, "object": "an object", "str": "a text", "bool": "true or false", "null": "null"}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`| (>=|<=|>|<) ([^ ]*)| of length (?:(>=|<=) )?(\d+)(?:, got (\d+))?| matching regex '(.*)')?")


def misfit(error: msgspec.ValidationError, *, json: bool = False) -> str:
    """A msgspec error in the words of the spec, without its path and without the value: "expected a list, found a whole number".

    Args:
        json: what did not fit is JSON of an answer, not of a file.
    """
    text = str(error).rsplit(" - at `", 1)[0]
    found = _EXPECTED.fullmatch(text)
    if found is None:
        return _other_misfit(text)
    kinds = _JSON_KINDS if json else _KINDS
    due = " or ".join(kinds.get(kind, kind) for kind in found[1].split(" | "))
    if found[2]:
        return f"expected {due}, found {kinds.get(found[2], found[2])}"
    if found[3]:
        return f"expected {due} of {_BOUNDS[found[3]]} {found[4].removesuffix('.0')}"
    if found[6]:
        bound = f"{_BOUNDS[found[5]]} " if found[5] else ""
        unit = "character" if found[1] == "str" else "entry"
        units = unit if found[6] == "1" else "entries" if unit == "entry" else "characters"
        return f"expected {due} of {bound}{found[6]} {units}" + (f", found {found[7]}" if found[7] else "")
    if found[8]:
        return "expected " + next((words for form, words in FORMS.items() if repr(form)[1:-1] == found[8]), f"{due} of the form {found[8]}")
    return f"expected {due}"


def _other_misfit(text: str) -> str:
    if match := re.fullmatch(r"Object missing required field `(.*)`", text):
        return f"`{match[1]}` is missing"
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", text):
        return f"`{match[1][:60]}` is not known here"
    if text.startswith("Invalid"):  # it quotes the value
        return "not one of the values that are known here"
    text = text.replace("`", "")
    return f"expected {text}" if text.startswith("a ") else text[:1].lower() + text[1:]


def misfit_place(error: msgspec.ValidationError) -> str:
    """Where it did not fit, as a path: `[0].b`; `*` is a key. "" for the whole."""
    match = re.search(r" - at `(?:key in )?\$([^`]*)`$", str(error))
    return match[1].replace("[...]", ".*").lstrip(".") if match else ""
