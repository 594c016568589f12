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
    """How many there are: as ``bytes.count``, in a third of its time where lines are short."""
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == 10))


def picked_lines(text: bytes, numbers: list[int]) -> list[bytes]:
    """Some lines by their numbers from 0, where none is blank."""
    lines = text.split(b"\n")
    return [lines[number].strip() for number in numbers]


def an_object_each(text: bytes, count: int) -> bool:
    """True only if each of so many lines is one JSON object, with nothing around it: then the lines are the records."""
    try:
        values = len(_decoder.decode_lines(text))
    except (msgspec.DecodeError, RecursionError):
        return False
    return values == count == 1 + text.count(b"}\n{") + text.count(b"}\r\n{")


def _value(number: int, line: bytes) -> bytes:
    try:
        return bytes(_decoder.decode(line))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"line {number} is not one JSON value: {error}") from None
    except RecursionError:
        raise ValueError(f"line {number} is not JSON: nested too deeply") from None
