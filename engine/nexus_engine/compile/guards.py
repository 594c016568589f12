"""Guards: text -> the exact value of a type, or NULL. One per type, each held by a property test against the table itself.

ClickHouse's own text casts are not exact everywhere (measured in 26.9): Date and DateTime saturate and roll 02-30 over to 03-01
and 25:00 to the next day, Decimal drops digits and reads `1.2.3` as 1.23 and `-` as 0, 128- and 256-bit integers wrap, Float64
reads `1e400` as inf, an unknown Enum name raises. Each guard therefore proves the value by its own text where it can, cheap
road first; what is rare (offsets, exponents, `5.0` for an integer) takes a slower road that ClickHouse evaluates only for
the rows that need it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nexus_engine.clickhouse.quoting import literal
from nexus_engine.clickhouse.types import INTEGER_BITS, CHType
from nexus_engine.compile import guard_times
from nexus_engine.compile.sqltext import integer_text, let, plain_number

_WHOLE = r"^(?:-(0+)|([+-]?[0-9]+))(?:\.0*)?$"
_POWER = r"^[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?[eE](?:\+?[0-9]{1,2}|-[0-9])$"


class Guard(NamedTuple):
    """``value``: SQL of the value, Nullable for a scalar, the type itself for a container. ``bad``: SQL of 0 or 1, never null:
    a text is there and is no value of the type. ``shared``: SQL that both read by the name ``shared_name``, or ""."""

    value: str
    bad: str
    shared: str = ""


def guard(kind: CHType, text: str, *, epoch: str = "", format: str = "", name: str = "", shared_name: str = "") -> Guard:
    """The guard of ``kind`` over ``text``, the SQL name of a Nullable(String). Names instead of repeated text keep ClickHouse's
    analysis of a query short: it costs more than the rows of a small batch.

    Args:
        epoch: s | ms | us | ns when the text is a count since 1970-01-01 UTC, else "".
        format: a strptime format, else "" (ISO 8601).
        name: SQL name under which the value is selected, for ``bad``; the value itself unless given.
        shared_name: SQL name under which ``shared`` is selected.

    Raises:
        ValueError: `epoch` or `format` on a type that is no date or time, or a format that cannot be read exactly.
    """
    bare = kind.bare
    if bare.container:
        if epoch or format:
            raise ValueError(f"`epoch` and `format` are for dates and times, not for {kind}")
        from nexus_engine.compile.guard_containers import container

        found = container(bare, f"ifNull({text}, '')")
        both = shared_name or found
        return Guard(f"tupleElement({both}, 2)", f"(isNotNull({text}) AND tupleElement({both}, 1))", found if shared_name else "")
    value = scalar(bare, text, epoch=epoch, format=format)
    return Guard(value, "0" if bare.name == "String" else f"(isNull({name or value}) AND isNotNull({text}))")


def scalar(kind: CHType, text: str, *, epoch: str = "", format: str = "") -> str:
    """SQL of a scalar's value as Nullable, NULL where the text is no value of it. ``kind`` is bare."""
    if kind.name in guard_times.TYPES:
        return guard_times.instant(kind, text, epoch=epoch, format=format)
    if epoch or format:
        raise ValueError(f"`epoch` and `format` are for dates and times, not for {kind}")
    if kind.name in INTEGER_BITS:
        return _integer(kind, text)
    if kind.name.startswith("Float"):
        found = f"accurateCastOrNull({text}, '{kind}')"
        return f"if(isFinite({found}), {found}, NULL)"
    if kind.name == "Decimal":
        return decimal(kind, text)
    if kind.name.startswith("Enum"):
        known = f"if({text} IN ({', '.join(map(literal, kind.names))}), {text}, NULL)"
        return f"CAST({known}, {literal(f'Nullable({kind})')})"
    return _WORDS[kind.name](kind, text)


def _integer(kind: CHType, text: str) -> str:
    if INTEGER_BITS[kind.name] <= 64:
        fast = f"accurateCastOrNull({text}, '{kind}')"
        # `5.0`, `-0`; and `1e5`, whose decimal is exact within these lengths and prints as a whole number only when it is one
        whole = f"replaceRegexpOne({text}, {literal(_WHOLE)}, '\\\\1\\\\2')"
        shifted = f"if(match({text}, {literal(_POWER)}), toString(toDecimal256OrNull({text}, 30)), {whole})"
        return f"if(isNull({fast}), accurateCastOrNull({shifted}, '{kind}'), {fast})"
    fast = f"to{kind}OrNull({text})"
    slow = let(integer_text(text), lambda n: f"if(toString(to{kind}OrNull({n})) = {n}, to{kind}OrNull({n}), NULL)")
    return f"if(toString({fast}) = {text}, {fast}, {slow})"


def decimal(kind: CHType, text: str) -> str:
    """Exact: no digit before or after the point is lost. Zeros that say nothing may stand at both ends."""
    precision, scale = kind.numbers
    shape = rf"^[+-]?0*([0-9]{{1,{precision - scale}}}|0)?(\.[0-9]{{0,{scale}}}0*)?$" if precision > scale else (
        rf"^[+-]?0*(\.[0-9]{{0,{scale}}}0*)?$"
    )  # fmt: skip
    bits = next(bits for digits, bits in ((9, 32), (18, 64), (38, 128), (76, 256)) if precision <= digits)

    def exact(n: str) -> str:
        cast = f"toDecimal{bits}OrNull({n}, {scale})"
        if precision not in (9, 18, 38, 76):
            cast = f"CAST({cast}, 'Nullable({kind})')"
        return f"if(match({n}, {literal(shape)}) AND match({n}, '[0-9]'), {cast}, NULL)"

    return f"if(match({text}, '[eE]'), {let(plain_number(text), exact)}, {exact(text)})"


def _bool(kind: CHType, text: str) -> str:
    return f"CAST(multiIf({text} IN ('true', '1'), 1, {text} IN ('false', '0'), 0, NULL), 'Nullable(Bool)')"


def _fixed(kind: CHType, text: str) -> str:
    size = kind.numbers[0]
    return f"if(length({text}) <= {size}, CAST(substring({text}, 1, {size}), 'Nullable({kind})'), NULL)"


def _uuid(kind: CHType, text: str) -> str:
    found = f"toUUIDOrNull({text})"
    return f"if(toString({found}) = lower({text}), {found}, NULL)"


def _ipv4(kind: CHType, text: str) -> str:
    return f"if(toString(toIPv4OrNull({text})) = {text}, toIPv4OrNull({text}), NULL)"


def _ipv6(kind: CHType, text: str) -> str:
    return f"if(position({text}, ':') > 0, toIPv6OrNull({text}), NULL)"


_WORDS: dict[str, Callable[[CHType, str], str]] = {
    "String": lambda _, text: text,
    "FixedString": _fixed,
    "Bool": _bool,
    "UUID": _uuid,
    "IPv4": _ipv4,
    "IPv6": _ipv6,
}
