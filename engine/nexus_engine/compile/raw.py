"""Records as the text the source wrote: what quarantine keeps, and how one poison record is taken out of a body.

Used for the payloads of refused rows only; the query itself never comes here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from nexus_engine.contract.records import Records, parse_path

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?')  # every text, so that none is begun at its end; a key has the colon
_UNICODE = re.compile(rb"\\u[0-9a-fA-F]{4}")

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def plain_keys(body: bytes) -> bytes:
    r"""The body with keys that are written with ``\u`` escapes written plainly: the engine matches names as bytes.

    Only keys change; values and numbers keep their own text. A key with an escape that is no text (a lone surrogate) is
    left as it is.
    """
    return _TEXT.sub(_plain, body) if _UNICODE.search(body) else body


def _plain(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if match[1] is None or b"\\u" not in found:
        return found
    quoted = found[: found.rindex(b'"') + 1]
    try:
        return _encode(msgspec.json.decode(quoted, type=str)) + found[len(quoted) :]
    except (msgspec.DecodeError, UnicodeError):
        return found


def records_of(body: bytes, records: Records, flat: bool, leaves: Sequence[str] = ()) -> list[bytes]:
    """The exact text of each record, in the order the query numbers them.

    Parallel arrays give one object per index, ``{leaf path: value}``, an object by key one ``{"<key>": record}`` per entry.

    Args:
        leaves: the field paths as written (``Want.leaves``): which arrays are parallel. None given: all at the top.

    Raises:
        LookupError: the record path is absent.
        ValueError: the value there is not of the stated shape, or parallel arrays differ in length; names them.
    """
    value = _at(body, () if flat else parse_path(records.path))
    if value is None:
        return []
    if flat:
        return _list(value)
    if records.one:
        return [value]
    if value.strip() == b"null":
        return []
    if records.zip:
        return _zipped(value, leaves, records.optional)
    if records.by:
        return [b"{" + _encode(key) + b":" + bytes(item) + b"}" for key, item in _object(value).items()]
    return _list(value)


def rebuild(body: bytes, kept: Sequence[bytes], records: Records, flat: bool, leaves: Sequence[str] = ()) -> bytes:
    """The body with only the records ``kept``, as :func:`records_of` gave them; everything beside them stays."""
    if flat:
        return b"[" + b",".join(kept) + b"]"
    if records.zip:
        return _unzipped(body, kept, records, leaves)
    if records.by:
        value = b"{" + b",".join(item[item.index(b"{") + 1 : item.rindex(b"}")] for item in kept) + b"}"
    elif records.one:
        value = kept[0] if kept else b"null"
    else:
        value = b"[" + b",".join(kept) + b"]"
    return _replaced(body, parse_path(records.path), value)


def envelope(body: bytes, paths: Sequence[str]) -> bytes:
    """What stands at these paths of the body, in its place, without the rest: what fields may read beside a record."""
    kept = b""
    for text in paths:
        try:
            found = _at(body, parse_path(text))
        except (LookupError, ValueError):
            continue
        kept = _placed(kept, parse_path(text), found or b"null")
    return kept


def compose(record: bytes, around: bytes, records: Records, flat: bool, leaves: Sequence[str] = ()) -> bytes:
    """A body that holds one record, as :func:`records_of` gave it, in an :func:`envelope` (which may be empty).

    Raises:
        LookupError: the record was kept without a leaf that is wanted now, so that it would read as null; names it.
        ValueError: the record is not of the stated shape.
    """
    if flat or records.zip:
        values = _object(record)
        lost = next((leaf for leaf in leaves if leaf.strip('"') not in values), None)
        if lost is not None:
            raise LookupError(lost)
    if flat:
        return b"[" + record + b"]"
    path = parse_path(records.path)
    if records.zip:
        body = _placed(around, path, b"{}")
        for leaf in leaves:
            body = _placed(body, (*path, *parse_path(leaf)), b"[" + bytes(values[leaf.strip('"')]) + b"]")
        return body
    return _placed(around, path, record if records.by or records.one else b"[" + record + b"]")


def _placed(body: bytes, path: Sequence[str | int], value: bytes) -> bytes:
    """The body with ``value`` at ``path``. What is absent on the way is made."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    nothing = body.strip() in (b"", b"null")
    if isinstance(step, int):
        items = [] if nothing else _list(body)
        items += [b"null"] * (step + 1 - len(items))
        items[step] = _placed(items[step], rest, value)
        return b"[" + b",".join(items) + b"]"
    found = {} if nothing else {key: bytes(item) for key, item in _object(body).items()}
    found[step] = _placed(found.get(step, b""), rest, value)
    return b"{" + b",".join(_encode(key) + b":" + item for key, item in found.items()) + b"}"


def _at(body: bytes, path: Sequence[str | int]) -> bytes | None:
    value = body
    for number, step in enumerate(path):
        shown = ".".join(map(str, path[: number + 1]))
        if isinstance(step, int):
            items = _list(value)
            if step >= len(items):
                raise LookupError(f"the path {shown} is absent")
            value = items[step]
        else:
            found = _object(value)
            if step not in found:
                raise LookupError(f"the path {shown} is absent")
            value = bytes(found[step])
    return value


def _replaced(body: bytes, path: Sequence[str | int], value: bytes) -> bytes:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = _list(body)
        items[step] = _replaced(items[step], rest, value)
        return b"[" + b",".join(items) + b"]"
    found = {key: bytes(item) for key, item in _object(body).items()}
    found[step] = _replaced(found[step], rest, value)
    return b"{" + b",".join(_encode(key) + b":" + item for key, item in found.items()) + b"}"


def _arrays(value: bytes, leaves: Sequence[str]) -> dict[str, list[bytes]]:
    """The parallel arrays by their path; what is absent, null or empty has nothing to say."""
    arrays: dict[str, list[bytes]] = {}
    for leaf in leaves or [f'"{key}"' for key, item in _object(value).items() if bytes(item).lstrip()[:1] == b"["]:
        try:
            found = _at(value, parse_path(leaf)) or b"null"
        except LookupError:
            continue
        if found.strip() != b"null" and (items := _list(found)):
            arrays[leaf] = items
    return arrays


def _zipped(value: bytes, leaves: Sequence[str], optional: Sequence[str]) -> list[bytes]:
    arrays = _arrays(value, leaves)
    may_lack = set(map(parse_path, optional))
    if arrays and (missing := [leaf for leaf in leaves if leaf not in arrays and parse_path(leaf) not in may_lack]):
        raise ValueError(f"there is no array {', '.join(missing)}; when it may be absent, name it under `optional`")
    lengths = {leaf: len(items) for leaf, items in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("parallel arrays differ in length: " + ", ".join(f"{leaf} {count}" for leaf, count in lengths.items()))
    names = [_encode(leaf.strip('"')) for leaf in arrays]
    return [
        b"{" + b",".join(name + b":" + item for name, item in zip(names, row, strict=True)) + b"}"
        for row in zip(*arrays.values(), strict=True)
    ]


def _unzipped(body: bytes, kept: Sequence[bytes], records: Records, leaves: Sequence[str]) -> bytes:
    """The body whose parallel arrays hold only what ``kept`` holds."""
    path = parse_path(records.path)
    for leaf in _arrays(_at(body, path) or b"{}", leaves):
        items = [bytes(_object(record)[leaf.strip('"')]) for record in kept]
        body = _replaced(body, (*path, *parse_path(leaf)), b"[" + b",".join(items) + b"]")
    return body


def _list(value: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in _lists.decode(value)]
    except msgspec.DecodeError as error:
        raise ValueError(f"not a list: {error}") from None


def _object(value: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _objects.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(f"not an object: {error}") from None
