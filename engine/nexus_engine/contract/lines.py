"""JSON lines as text: one JSON value on each line, made into the JSON list that most of the engine reads."""

from __future__ import annotations

import msgspec

_decoder = msgspec.json.Decoder(msgspec.Raw)


def listed_lines(text: bytes, number: int = 1) -> tuple[bytes, int]:
    """A list of the values of whole lines, each with its own text, and how many they are; blank lines are left out.

    Args:
        number: of the first line, for messages.

    Raises:
        ValueError: a line is not one JSON value; names the line.
    """
    try:
        count = text.count(b"\n") + (not text.endswith(b"\n"))
        # Where one value goes over two lines and two stand on one, the list is no JSON, and who reads it says so.
        if len(_decoder.decode_lines(text)) == count:
            return b"[" + text.removesuffix(b"\n").replace(b"\n", b",") + b"]", count
    except (msgspec.DecodeError, RecursionError):
        pass
    values = line_values(text, number)
    return b"[" + b",".join(values) + b"]", len(values)


def line_values(text: bytes, number: int = 1) -> list[bytes]:
    """The values of whole lines, one by one. Arguments and errors as of :func:`listed_lines`."""
    return [_value(n, line) for n, line in enumerate(text.split(b"\n"), number) if line.strip()]


def line_ends(text: bytes) -> int:
    """How many there are: as ``bytes.count``, in a third of its time where lines are short. (The engine has numpy anyway.)"""
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == 10))


def picked_lines(text: bytes, numbers: list[int]) -> list[bytes]:
    """Some lines by their numbers from 0, where none is blank. Raises IndexError: there is no such line."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 10)
    whole = len(ends) + (text[-1:] not in (b"", b"\n"))
    found = []
    for number in numbers:
        if number >= whole:
            raise IndexError(f"line {number} of {whole}")
        start = int(ends[number - 1]) + 1 if number else 0
        found.append(text[start : int(ends[number]) if number < len(ends) else None].strip())
    return found


def spread_lines(text: bytes, most: int) -> list[bytes]:
    """The first line and some more, at even distances in the text."""
    starts = {0, *(text.rfind(b"\n", 0, len(text) * n // most) + 1 for n in range(1, most))}
    return [text[start : end if (end := text.find(b"\n", start)) >= 0 else None].strip() for start in sorted(starts)]


def is_object(text: bytes) -> bool:
    """Whether a text is one JSON object."""
    try:
        _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return text.startswith(b"{")


def _value(number: int, line: bytes) -> bytes:
    try:
        return bytes(_decoder.decode(line))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"line {number} is not one JSON value: {error}") from None
    except RecursionError:
        raise ValueError(f"line {number} is not JSON: nested too deeply") from None
