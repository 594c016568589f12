"""Small pieces of SQL that several guards are built from."""

from __future__ import annotations

import re
from collections.abc import Callable

from nexus_engine.clickhouse.quoting import literal
from nexus_engine.contract.paths import FieldPath, Pick

_NULL_TEXT = "CAST(NULL, 'Nullable(String)')"


def let(value: str, body: Callable[[str], str]) -> str:
    """``body`` over a name for ``value``, so that neither the text nor the work repeats. ClickHouse has no `let`; an
    arrayMap over one element is one. Names follow from the text alone: equal pieces give equal SQL."""
    used = re.findall(r"\bv(\d+) ->", value + body("v"))
    name = f"v{max(map(int, used), default=0) + 1}"
    return f"arrayMap({name} -> {body(name)}, [{value}])[1]"


def constant_text(text: str | None) -> str:
    """A constant as Nullable(String)."""
    return _NULL_TEXT if text is None else f"toNullable({literal(text)})"


def plain_number(text: str) -> str:
    """A number's text without its exponent, `1.25e-1` -> `0.125`, digit by digit; NULL when it is no number."""
    groups = literal(r"^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,3}))?$")

    def shifted(g: str) -> str:
        digits = f"concat({g}[2], {g}[3])"
        point = f"(toInt32(length({g}[2])) + toInt32OrZero({g}[4]))"
        return (
            f"if(length({g}) = 0 OR length({digits}) = 0, NULL, concat({g}[1], multiIf("
            f"{point} <= 0, concat('0.', repeat('0', -{point}), {digits}), "
            f"{point} >= toInt32(length({digits})), concat({digits}, repeat('0', {point} - toInt32(length({digits})))), "
            f"concat(substring({digits}, 1, {point}), '.', substring({digits}, {point} + 1)))))"
        )

    return let(f"extractGroups(ifNull({text}, ''), {groups})", shifted)


def integer_text(text: str) -> str:
    """The canonical text of a whole number, however it is written: `+5`, `007`, `5.0`, `1e5`. Anything else stays no integer."""
    shape = literal(r"^\+?(-?)0*([0-9]+?)(?:\.0*)?$")
    return let(f"replaceRegexpOne({plain_number(text)}, {shape}, '\\\\1\\\\2')", lambda n: f"if({n} = '-0', '0', {n})")


def quoted_json(text: str) -> str:
    """JSON text with every number and bool in quotes, so that ClickHouse's JSON functions keep their own text."""
    tokens = literal(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\[\]{},:\s"]+')
    bare = "substring(token, 1, 1) IN ('\"', '[', ']', '{', '}', ',', ':') OR token = 'null'"
    return f"arrayStringConcat(arrayMap(token -> if({bare}, token, concat('\"', token, '\"')), extractAll({text}, {tokens})))"


def json_text(raw: str) -> str:
    """The text of one raw JSON value as a leaf has it: a string's content, another value's own text, NULL for null or nothing."""
    return f"multiIf({raw} IN ('', 'null'), NULL, startsWith({raw}, '\"'), JSONExtractString({raw}), {raw})"


def path_text(text: str, path: FieldPath) -> str:
    """The leaf at ``path`` inside a JSON text (Nullable)."""
    return let(_raw_at(quoted_json(f"ifNull({text}, '')"), path), json_text)


def _raw_at(raw: str, path: FieldPath) -> str:
    """SQL of the raw JSON at ``path`` of a raw JSON; empty when it is absent."""
    steps: list[str] = []
    for number, step in enumerate(path):
        if isinstance(step, Pick):
            items = f"JSONExtractArrayRaw({', '.join([raw, *steps])})"
            wanted = let(f"JSONExtractRaw(e, {literal(step.member)})", json_text)
            return _raw_at(f"arrayFirst(e -> ifNull({wanted} = {literal(step.text)}, 0), {items})", path[number + 1 :])
        steps.append(literal(step) if isinstance(step, str) else str(step + 1))
    return f"JSONExtractRaw({', '.join([raw, *steps])})" if steps else raw
