"""Tables in the docs, made from the types: text between ``<!-- generated: NAME -->`` and ``<!-- end -->`` is never written by hand.

A plugin author runs ``python -m nexus_engine.testing.reference README.md`` (``--check`` in CI): every block named
``options <kind> <name>`` becomes the table of that plugin's options.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from nexus_engine.contract.options import encode_text
from nexus_engine.contract.registry import KINDS, Registry, build_registry

_BLOCK = re.compile(r"(<!-- generated: ([^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_UNITS = {"Duration": "duration", "Span": "duration or whole number", "ByteSize": "size", "Rate": "rate", "Quota": "quota"}

Maker = Callable[[], str]


def refresh(text: str, makers: Mapping[str, Maker]) -> str:
    """``text`` with every generated block made anew.

    Raises:
        KeyError: a block has a name that nothing makes.
    """

    def made(match: re.Match[str]) -> str:
        name = match[2]
        if name not in makers:
            raise KeyError(f"nothing makes the block {name!r}; there are {', '.join(sorted(makers))}")
        return f"{match[1]}{makers[name]().strip()}\n{match[3]}"

    return _BLOCK.sub(made, text)


def blocks(text: str) -> list[str]:
    """The names of the generated blocks of a page."""
    return [match[2] for match in _BLOCK.finditer(text)]


def write_or_check(paths: Iterable[Path], makers: Mapping[str, Maker], *, check: bool) -> list[Path]:
    """Bring the pages up to date (``check``: write nothing). The pages that were not."""
    stale = []
    for path in paths:
        before = path.read_text(encoding="utf-8")
        after = refresh(before, makers)
        if after != before:
            stale.append(path)
            if not check:
                path.write_text(after, encoding="utf-8")
    return stale


def options_makers(registry: Registry) -> dict[str, Maker]:
    """``options <kind> <name>`` for everything that is installed."""
    makers: dict[str, Maker] = {}
    for kind in KINDS:
        for name, item in getattr(registry, kind).items():
            options = getattr(item.cls, "options", None)
            if isinstance(options, type) and issubclass(options, msgspec.Struct):
                makers[f"options {kind} {name}"] = functools.partial(keys_with_parts, options)
    return makers


def keys_with_parts(struct: type[msgspec.Struct], *, leave_out: Iterable[str] = ()) -> str:
    """The table of a type's keys, then one for each mapping inside it, by the key that holds it."""
    tables = [keys_table(struct, leave_out=leave_out)]
    for path, inner in _parts(struct, set(leave_out)):
        if not issubclass(struct, inner):  # `environments` hold the file's own keys again
            tables.append(f"Keys of `{path}`:\n\n{keys_table(inner)}")
    return "\n\n".join(tables)


def keys_table(struct: type[msgspec.Struct], *, leave_out: Iterable[str] = ()) -> str:
    """Markdown: one line per key, with its type, default and description."""
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{struct!r} is no msgspec Struct")
    fields = [field for field in info.fields if field.encode_name not in set(leave_out)]
    if not fields:
        return "No options."
    lines = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for field in fields:
        kind, description = _bare(field.type)
        lines.append(f"| `{field.encode_name}` | {_cell(_words(kind))} | {_default(field)} | {_cell(description)} |")
    return "\n".join(lines)


def _parts(struct: type[msgspec.Struct], leave_out: set[str], prefix: str = "") -> list[tuple[str, type[msgspec.Struct]]]:
    """(key path, type) of each mapping inside, in order, each type once."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    found: list[tuple[str, type[msgspec.Struct]]] = []
    for field in info.fields:
        if field.encode_name in leave_out:
            continue
        for inner in _structs(field.type):
            if all(inner is not known for _, known in found):
                path = f"{prefix}{field.encode_name}"
                found.append((path, inner))
                found.extend((deep, kind) for deep, kind in _parts(inner, set(), f"{path}.") if all(kind is not k for _, k in found))
    return found


def _structs(kind: inspect.Type) -> list[type[msgspec.Struct]]:
    kind, _ = _bare(kind)
    if isinstance(kind, inspect.StructType):
        return [kind.cls]
    if isinstance(kind, inspect.UnionType):
        return [inner for member in kind.types for inner in _structs(member)]
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return _structs(kind.item_type)
    if isinstance(kind, inspect.DictType):
        return _structs(kind.value_type)
    return []


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """The type without its notes, and the description among them."""
    description = ""
    while isinstance(kind, inspect.Metadata):
        description = description or (kind.extra_json_schema or {}).get("description", "")
        kind = kind.type
    return kind, description


def _words(kind: inspect.Type) -> str:
    """What may stand there, in a reader's words."""
    kind, _ = _bare(kind)
    if isinstance(kind, inspect.UnionType):
        words = [_words(member) for member in kind.types if not isinstance(member, (inspect.NoneType, inspect.CustomType)) or _unit(member)]
        return " or ".join(dict.fromkeys(word for word in words if word))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values if value != "")
    if isinstance(kind, inspect.StructType):
        return "mapping"
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return f"list of {_plural(_words(kind.item_type))}"
    if isinstance(kind, inspect.DictType):
        return "mapping" if isinstance(_bare(kind.value_type)[0], inspect.AnyType) else f"mapping of name to {_words(kind.value_type)}"
    simple = {
        inspect.StrType: "text", inspect.IntType: "whole number", inspect.FloatType: "number", inspect.BoolType: "`true`, `false`",
        inspect.AnyType: "anything",
    }  # fmt: skip
    return next((word for cls, word in simple.items() if isinstance(kind, cls)), _unit(kind))


def _unit(kind: inspect.Type) -> str:
    return _UNITS.get(kind.cls.__name__, kind.cls.__name__) if isinstance(kind, inspect.CustomType) else ""


def _plural(word: str) -> str:
    return f"{word}s" if re.fullmatch(r"[a-z ]+", word) else word


def _default(field: inspect.Field) -> str:
    if field.required:
        return "needed"
    value: Any = field.default if field.default is not msgspec.NODEFAULT else None
    if value is None or value is msgspec.UNSET or value in ("", (), {}):
        return ""
    if isinstance(value, msgspec.Struct):
        return "see below"
    if type(value).__name__ == "ByteSize":
        return f"`{_size(int(value))}`"
    try:
        value = encode_text(value)
    except NotImplementedError:
        value = str(value).lower() if isinstance(value, bool) else value
    return f"`{value}`"


def _size(count: int) -> str:
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if count % step == 0:
            return f"{count // step}{unit}"
    return f"{count}B"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    check, paths = "--check" in arguments, [Path(item) for item in arguments if item != "--check"]
    stale = write_or_check(paths, options_makers(build_registry()), check=check)
    for path in stale:
        print(f"{path}: {'not up to date' if check else 'written'}")  # noqa: T201  a script's answer
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
