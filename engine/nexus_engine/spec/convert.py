"""Texts -> typed values: a scalar is read by the type of the option it fills, from its own text.

``NO`` fills a text as "NO", `0001318605` keeps its zeros, `1e7` is a float where a float is due. A single scalar fills a list,
a scalar fills the one key of a short form, and keys that a plugin owns are gathered in ``options``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from nexus_engine.contract.options import decode_text
from nexus_engine.spec.tree import Listing, Node, Scalar, plain
from nexus_engine.spec.tree import Mapping as MappingNode
from nexus_engine.spec.typeschema import SHORT_FORMS, fields_of, is_open

T = TypeVar("T")
Shaper = Callable[[Any], Any]
_MOST_SCALARS = (str, int, float, bool)


def convert(value: Any, kind: type[T]) -> T:
    """``value`` (plain data whose scalars are texts) as ``kind``.

    Raises:
        msgspec.ValidationError: it does not fit; the message ends with the path (`$.a[0]`).
    """
    return msgspec.convert(shaped(value, kind), kind, strict=False, dec_hook=decode_text)


def shaped(value: Any, kind: Any) -> Any:
    """``value`` with lists, short forms and ``options`` as ``kind`` has them; scalars stay texts."""
    shaper = _shaper(kind)
    return shaper(value) if shaper else value


@lru_cache(maxsize=512)
def _shaper(kind: Any) -> Shaper | None:
    return _for(inspect.type_info(kind))


def _for(info: inspect.Type) -> Shaper | None:
    """A function that shapes values for ``info``; None when they fit as they are."""
    if isinstance(info, inspect.Metadata):
        return _for(info.type)
    if isinstance(info, inspect.UnionType):
        return _for_union(info)
    if isinstance(info, inspect.StructType):
        return _for_struct(info.cls)
    if isinstance(info, inspect.DictType):
        value = _for(info.value_type)
        if value is None:
            return None
        return lambda given: {key: value(item) for key, item in given.items()} if isinstance(given, Mapping) else given
    if isinstance(info, (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)):
        return _for_list(info)
    if isinstance(info, inspect.LiteralType) and "null" in info.values:
        return lambda given: "null" if given is None else given
    return None


def _for_union(info: inspect.UnionType) -> Shaper | None:
    """Mappings go to the mapping's shaper, everything else to the list's: a union holds at most one of each."""
    mapping = listing = None
    short = False
    for part in info.types:
        kind = part.type if isinstance(part, inspect.Metadata) else part
        shaper = _for(part)
        if isinstance(kind, (inspect.StructType, inspect.DictType)):
            mapping = mapping or shaper
            short = short or (isinstance(kind, inspect.StructType) and kind.cls in SHORT_FORMS)
        elif isinstance(kind, (inspect.ListType, inspect.VarTupleType)):
            listing = listing or shaper
    scalars = any(isinstance(part, (inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType)) for part in info.types)
    if mapping is None and listing is None:
        return None

    def shape(given: Any) -> Any:
        if isinstance(given, Mapping) or (short and isinstance(given, _MOST_SCALARS)):
            return mapping(given) if mapping else given
        if listing and (isinstance(given, (list, tuple)) or not scalars):
            return listing(given)
        return given

    return shape


def _for_list(info: Any) -> Shaper:
    item = _for(info.item_type)

    def shape(given: Any) -> Any:
        if isinstance(given, _MOST_SCALARS):
            given = [given]
        if item is None or not isinstance(given, (list, tuple)):
            return given
        return [item(value) for value in given]

    return shape


@lru_cache(maxsize=512)
def _for_struct(cls: type) -> Shaper:
    shapers = {field.encode_name: _for(field.type) for field in fields_of(cls)}
    short, open_ = SHORT_FORMS.get(cls), is_open(cls)

    def shape(given: Any) -> Any:
        if short and isinstance(given, _MOST_SCALARS):
            return {short: given}
        if not isinstance(given, Mapping):
            return given
        found: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for key, value in given.items():
            if open_ and key not in shapers:
                options[key] = value
            else:
                shaper = shapers.get(key)
                found[key] = shaper(value) if shaper else value
        return found | {"options": options} if open_ else found

    return shape


def any_options(options_type: type) -> frozenset[str]:
    """The options of a plugin that may hold any JSON: their unquoted scalars are read as JSON, because nothing else types them."""
    names: set[str] = set()
    for field in fields_of(options_type):
        info: inspect.Type = field.type
        while isinstance(info, inspect.Metadata):
            info = info.type
        if isinstance(info, inspect.AnyType):
            names.add(field.encode_name)
    return frozenset(names)


def literal(node: Node) -> Any:
    """A node as JSON: quoted scalars are texts, unquoted ones are JSON's numbers, true, false and null where they are that."""
    if isinstance(node, MappingNode):
        return {key: literal(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Listing):
        return [literal(item) for item in node.items]
    if not isinstance(node, Scalar) or not node.plain or node.null:
        return plain(node)
    try:
        value = msgspec.json.decode(node.text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return node.text
    return value if isinstance(value, (int, float, bool)) else node.text
