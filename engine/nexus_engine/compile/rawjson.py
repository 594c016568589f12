"""JSON as text, one level at a time: every value keeps the text the source wrote."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nexus_engine.contract.options import misfit

Plain = Sequence[str | int]

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])
encode = msgspec.json.Encoder().encode


def listed(value: bytes) -> list[bytes]:
    """The items of a list.

    Raises:
        ValueError: it is none.
    """
    return [bytes(item) for item in _items(value)]


def picked(value: bytes, numbers: Sequence[int]) -> list[bytes]:
    """Some items of a list, by their numbers. Raises as :func:`listed`."""
    items = _items(value)
    return [bytes(items[number]) for number in numbers]


def _items(value: bytes) -> list[msgspec.Raw]:
    try:
        return _lists.decode(value)
    except msgspec.ValidationError as error:
        raise ValueError(misfit(error, json=True)) from None
    except msgspec.DecodeError as error:
        raise ValueError(f"not a list: {error}") from None


def members(value: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object.

    Raises:
        ValueError: it is none.
    """
    try:
        return _objects.decode(value)
    except msgspec.ValidationError as error:
        raise ValueError(misfit(error, json=True)) from None
    except msgspec.DecodeError as error:
        raise ValueError(f"not an object: {error}") from None


def is_null(value: bytes) -> bool:
    """True for null and for nothing at all."""
    return value.strip() in (b"", b"null")


def at(body: bytes, path: Plain) -> bytes:
    """What stands at the path.

    Raises:
        LookupError: a step is absent.
        ValueError: another container stands where the path leads.
    """
    value = body
    for number, step in enumerate(path):
        shown = ".".join(map(str, path[: number + 1]))
        if isinstance(step, int):
            items = listed(value)
            if step >= len(items):
                raise LookupError(f"the path {shown} is absent")
            value = items[step]
        else:
            found = members(value)
            if step not in found:
                raise LookupError(f"the path {shown} is absent")
            value = bytes(found[step])
    return value


def placed(body: bytes, path: Plain, value: bytes) -> bytes:
    """The body with ``value`` at the path. What is absent on the way is made."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = [] if is_null(body) else listed(body)
        items += [b"null"] * (step + 1 - len(items))
        items[step] = placed(items[step], rest, value)
        return b"[" + b",".join(items) + b"]"
    found = {} if is_null(body) else {key: bytes(item) for key, item in members(body).items()}
    found[step] = placed(found.get(step, b""), rest, value)
    return object_of(found)


def replaced(body: bytes, path: Plain, value: bytes) -> bytes:
    """The body with ``value`` in the place of what stands at the path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = listed(body)
        items[step] = replaced(items[step], rest, value)
        return b"[" + b",".join(items) + b"]"
    found = {key: bytes(item) for key, item in members(body).items()}
    found[step] = replaced(found[step], rest, value)
    return object_of(found)


def object_of(found: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(encode(key) + b":" + item for key, item in found.items()) + b"}"
