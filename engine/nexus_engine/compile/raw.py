"""Records as the text the source wrote: what quarantine keeps, and how one poison record is taken out of a body.

Used for the payloads of refused rows only; the query itself never comes here. What lies between body and record is `nest.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

import msgspec

from nexus_engine.compile.nest import Nest, unpicked
from nexus_engine.compile.rawjson import at as _at
from nexus_engine.compile.rawjson import encode as _encode
from nexus_engine.compile.rawjson import listed as _list
from nexus_engine.compile.rawjson import members as _object
from nexus_engine.compile.rawjson import picked as _picked
from nexus_engine.compile.rawjson import placed as _placed
from nexus_engine.compile.rawjson import replaced as _replaced
from nexus_engine.contract.paths import parse_field_path, parse_path
from nexus_engine.contract.records import Records

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?')  # every text, so that none is begun at its end; a key has the colon
_UNICODE = re.compile(rb"\\u[0-9a-fA-F]{4}")


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


def records_of(body: bytes, records: Records, flat: bool, leaves: Sequence[str] = (), *, bare: bool = False, most: int | None = None) -> list[bytes]:
    """The exact text of each record, in the order the query numbers them.

    A record that an object or several levels lead to comes in what encloses it, from the element of the first list, or the entry of
    the first object, on: the keys on the way and what ``leaves`` read of the parents, nothing else. Parallel arrays give one object
    per index, ``{leaf path: value}``.

    Args:
        leaves: the field paths as written (``Want.leaves``): which arrays are parallel. None given: all at the top.
        bare: the records alone.
        most: no more than so many, the first.

    Raises:
        LookupError: the record path is absent.
        ValueError: the value there is not of the stated shape, or parallel arrays differ in length; names them.
    """
    if flat:
        return _list(body)[:most]
    nest = Nest(records, leaves)
    value = _at(body, nest.way.start)
    if not nest.way.levels and records.one:
        return [value]
    if value.strip() == b"null":
        return []
    return _list(value)[:most] if nest.plain else list(islice(nest.pieces(value, bare=bare), most))


def some_records(body: bytes, numbers: Sequence[int], records: Records, flat: bool, leaves: Sequence[str] = ()) -> list[bytes]:
    """Those of :func:`records_of` that have these numbers: among thousands, a few are wanted. Raises as it does."""
    if flat:
        return _picked(body, numbers)
    nest = Nest(records, leaves)
    if nest.plain:
        return _picked(_at(body, nest.way.start), numbers)
    found = records_of(body, records, flat, leaves)
    return [found[number] for number in numbers]


def rebuild(body: bytes, kept: Sequence[bytes], records: Records, flat: bool, leaves: Sequence[str] = ()) -> bytes:
    """The body with only the records ``kept``, as :func:`records_of` gave them; everything beside them stays."""
    if flat:
        return b"[" + b",".join(kept) + b"]"
    nest = Nest(records, leaves)
    start = nest.way.start
    if nest.way.levels:
        return _replaced(body, start, nest.joined(kept))
    if records.one:
        return _replaced(body, start, kept[0] if kept else b"null")
    for leaf, items in nest.arrays(_at(body, start), kept).items():
        body = _replaced(body, (*start, *parse_path(leaf)), items)
    return body


def envelope(body: bytes, paths: Sequence[str]) -> bytes:
    """What stands at these paths of the body, in its place, without the rest: what fields may read beside a record."""
    kept = b""
    for text in paths:
        try:
            path = unpicked(parse_field_path(text))
            found = _at(body, path)
        except (LookupError, ValueError):
            continue
        kept = _placed(kept, path, found)
    return kept


def compose(record: bytes, around: bytes, records: Records, flat: bool, leaves: Sequence[str] = ()) -> bytes:
    """A body that holds one record, as :func:`records_of` gave it, in an :func:`envelope` (which may be empty).

    Raises:
        LookupError: the record was kept without a leaf that is wanted now, so that it would read as null; names it.
        ValueError: the record is not of the stated shape.
    """
    if flat:
        _refuse_lost(record, leaves)
        return b"[" + record + b"]"
    nest = Nest(records, leaves)
    start = nest.way.start
    if nest.way.levels:
        value = nest.joined([record])
        found = list(nest.pieces(value, lost=True))
        if len(found) != 1:
            raise ValueError("not one record of this shape")
        return _placed(around, start, value)
    if records.one:
        return _placed(around, start, record)
    _refuse_lost(record, leaves)
    body = _placed(around, start, b"{}")
    for leaf in leaves:
        body = _placed(body, (*start, *parse_path(leaf)), b"[" + bytes(_object(record)[leaf.strip('"')]) + b"]")
    return body


def _refuse_lost(record: bytes, leaves: Sequence[str]) -> None:
    values = _object(record)
    lost = next((leaf for leaf in leaves if leaf.strip('"') not in values), None)
    if lost is not None:
        raise LookupError(lost)
