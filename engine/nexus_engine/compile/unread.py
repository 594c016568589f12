"""`new_fields: capture`: what a record has and no field reads, as one JSON object.

The record's own text is cut into tokens, and these into members at the commas of depth 0: every value keeps the text the source
wrote, also numbers that no JSON library could hold. An object of which fields read a part gives the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any

from nexus_engine.clickhouse.quoting import literal
from nexus_engine.contract.records import Records
from nexus_engine.spec.model import FieldSpec, Spec

_Names = dict[str, Any]  # name -> the names below it that are read; none: all of it is
_TOKENS = literal(r'[\[\]{},](?:"(?:[^"\\]|\\.)*"|[^\[\]{},"])*')  # a mark and what follows up to the next: few and long cost least
_KEY = literal(r'^"(?:[^"\\]|\\.)*"')

CAPTURED_FIELD = FieldSpec(type="String", description="what the record has and no field reads, as JSON")


def capture_problems(spec: Spec, records: Records, format: Any, name: str) -> Iterator[tuple[str, str, str]]:
    """(path, code, message) of what does not go together with a captured column of that name."""
    flat = bool(getattr(format, "flat", False))
    shape = next((word for word in ("zip", "columns") if getattr(records, word) and not flat), "")
    if shape:
        yield "new_fields", "two-shapes", f"the records of `{shape}` have no names of their own to capture"
    if flat and not getattr(format, "gives_others", False):
        yield "new_fields", "two-shapes", "this format gives nothing that no field names"
    at = "new_fields" if isinstance(spec.new_fields, str) else "new_fields.capture"
    if name in spec.fields:
        yield at, "two-sources", f"`{name}` is a field already: name another column, `new_fields: {{capture: <column>}}`"
    if name.startswith("_"):
        yield at, "reserved-name", f"`{name}` may be a name of the engine's own: begin with a letter"


def unread_text(record: str, paths: Iterable[tuple[object, ...]]) -> str:
    """SQL String: the members of an object that none of ``paths`` reads, in the order of their names; `{}` when there is none.

    Args:
        record: SQL of the record's text, Nullable(String).
    """
    given = f"ifNull({record}, '')"
    text = f"toValidUTF8({_trimmed(given)})"  # RE2 stops at a byte that is no text
    return _let(text, "_nexus_r", lambda r: f"if(startsWith({r}, '{{'), {_rest(r, _read(paths), 'r')}, '{{}}')")


def _read(paths: Iterable[tuple[object, ...]]) -> _Names:
    """The names that paths read. Below a list nothing is told apart: it is read as a whole."""
    tree: _Names = {}
    for names in sorted((tuple(takewhile(lambda step: isinstance(step, str), path)) for path in paths), key=len):
        node = tree
        for name in names:
            if name in node and not node[name]:
                break  # all of it is read already
            node = node.setdefault(str(name), {})
    return tree


def _rest(text: str, node: _Names, at: str) -> str:
    """SQL of the object at ``text`` without what ``node`` names. ``at`` keeps the names of nested lambdas apart."""
    key, value = f"tupleElement({at}_m, 1)", f"tupleElement({at}_m, 2)"
    plain = f"substring({key}, 2, length({key}) - 2)"
    name = f"if(position({key}, '\\\\') = 0, {plain}, JSONExtractString({key}))"
    pair = f"concat({key}, ':', {value})"
    cases: list[str] = []
    whole = [known for known, below in node.items() if not below]
    if whole:
        cases += [f"{name} IN ({', '.join(map(literal, whole))})", "''"]
    for known, below in node.items():
        if below:
            inner = _let(_rest(value, below, at + "r"), f"{at}_n", lambda n: f"if({n} = '{{}}', '', concat({key}, ':', {n}))")
            cases += [f"{name} = {literal(known)}", f"multiIf(startsWith({value}, '{{'), {inner}, {value} = 'null', '', {pair})"]
    kept = f"multiIf({', '.join([*cases, pair])})" if cases else pair
    return f"concat('{{', arrayStringConcat(arraySort(arrayFilter({at}_x -> {at}_x != '', arrayMap({at}_m -> {kept}, {_members(text, at)}))), ','), '}}')"


def _members(text: str, at: str) -> str:
    """SQL of the members of the object at ``text``, which begins with `{` and ends with `}`: (key in its quotes, text of the value)."""

    def split(tokens: str) -> str:
        first = f"substring({at}_t, 1, 1)"
        depths = f"arrayCumSum({at}_t -> multiIf({first} IN ('{{', '['), 1, {first} IN ('}}', ']'), -1, 0), {tokens})"
        return f"arraySplit(({at}_t, {at}_d) -> {first} = ',' AND {at}_d = 1, {tokens}, {depths})"

    parts = _let(f"arrayPopBack(extractAll({text}, {_TOKENS}))", f"{at}_ts", split)
    member = f"substring(arrayStringConcat({at}_p), 2)"
    members = f"arrayMap({at}_p -> {_trimmed(member)}, {parts})"
    short = f"substring({at}_q, 1, position({at}_q, '\"', 2))"
    key = f"if(position({short}, '\\\\') = 0, {short}, extract({at}_q, {_KEY}))"
    behind = f"substring({at}_q, length({at}_k) + 1)"
    value = f"substring(trim(LEADING ' \\t' FROM {behind}), 2)"  # less the colon
    pair = _let(key, f"{at}_k", lambda k: f"({k}, {_trimmed(value)})")
    return f"arrayMap({at}_q -> {pair}, arrayFilter({at}_q -> {at}_q != '', {members}))"


def _trimmed(text: str) -> str:
    return f"trim(BOTH ' \\t' FROM {text})"


def _let(value: str, name: str, body: Callable[[str], str]) -> str:
    return f"arrayMap({name} -> {body(name)}, [{value}])[1]"
