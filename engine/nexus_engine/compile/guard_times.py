"""Guards of dates and times: ISO 8601 with or without an offset, counts since 1970, and strptime formats.

A time without an offset is in the column's own time zone (UTC where the type names none). Nothing is rounded: a time that is not
midnight is no Date, and a digit beyond the type's precision must be zero.
"""

from __future__ import annotations

from nexus_engine.clickhouse.quoting import literal
from nexus_engine.clickhouse.types import CHType
from nexus_engine.compile.sqltext import let, plain_number

TYPES = ("Date", "Date32", "DateTime", "DateTime64")
_UNIT = {"s": 0, "ms": 3, "us": 6, "ns": 9}
# Where ClickHouse's date functions are right: 1900-01-01 to 2299-12-31, in seconds.
_FIRST_S, _LAST_S = -2208988800, 10413791999
_DAY_S = 86400
_UTC = ("'UTC'", "'Etc/UTC'")
_MIDNIGHT = r"^([0-9]{4}-[0-9][0-9]-[0-9][0-9])[T ]00:00(?::00(?:[.,]0+)?)?(?:Z|[+-]00:?00)?$"
# strptime -> ClickHouse's parseDateTime (MySQL's letters); what is not here cannot be read exactly.
_STRPTIME = {
    "Y": "%Y", "m": "%m", "d": "%d", "H": "%H", "I": "%I", "M": "%i", "S": "%s", "p": "%p", "y": "%y", "j": "%j",
    "b": "%b", "B": "%M", "a": "%a", "A": "%W", "f": "%f", "z": "%z", "%": "%%", "F": "%F", "T": "%T", "e": "%e",
}  # fmt: skip
_UNPADDED = {"%m": "%c", "%d": "%e", "%I": "%l", "%H": "%k"}


def instant(kind: CHType, text: str, *, epoch: str, format: str) -> str:
    """SQL of the value as Nullable(``kind``)."""
    if epoch:
        return _counted(kind, text, _UNIT[epoch])
    if format:
        return _formatted(kind, text, format)
    if kind.name in ("Date", "Date32"):
        found = f"to{kind.name}OrNull({text})"
        slow = let(
            f"extract(ifNull({text}, ''), {literal(_MIDNIGHT)})",
            lambda d: f"if(toString(to{kind.name}OrNull({d})) = {d}, to{kind.name}OrNull({d}), NULL)",
        )
        return f"if(toString({found}) = {text}, {found}, {slow})"
    return _iso(kind, text)


def _zone(kind: CHType) -> str:
    return literal(kind.timezone or "UTC")


def _parse(kind: CHType, text: str, zone: str) -> str:
    if kind.name == "DateTime":
        return f"toDateTimeOrNull({text}, {zone})"
    return f"toDateTime64OrNull({text}, {kind.numbers[0]}, {zone})"


def _proven(kind: CHType, parsed: str, text: str) -> str:
    """The parsed time's own text begins with what was read: catches saturation, 02-30, 25:00 and a clock-change gap at once.
    `formatDateTime` costs half of `toString`, and knows no more than six digits of a second."""
    if kind.numbers and kind.numbers[0] > 6:
        shown, read = f"toString({parsed})", f"concat(substring({text}, 1, 10), ' ', substring({text}, 12))"
    else:
        shown, read = f"formatDateTime({parsed}, '%F %T{'.%f' if kind.numbers else ''}')", f"overlay({text}, ' ', 11, 1)"
    # not AND: what stands behind it is worked out lazily, and the parsed time a second time for the result
    return f"bitAnd(length({text}) >= 19, startsWith({shown}, {read}))"


def _iso(kind: CHType, text: str) -> str:
    zone = _zone(kind)
    body = f"substring({text}, 1, length({text}) - endsWith({text}, 'Z'))"
    utc = _parse(kind, body, "'UTC'")
    if zone in _UTC:
        fast = _parse(kind, body, zone)
        proof = _proven(kind, fast, body)
    else:
        local = _parse(kind, text, zone)
        fast = f"if(endsWith({text}, 'Z'), toTimeZone({utc}, {zone}), {local})"
        proof = f"if(endsWith({text}, 'Z'), {_proven(kind, utc, body)}, {_proven(kind, local, text)})"
    return f"if({proof}, {fast}, {_iso_slow(kind, text)})"


def _iso_slow(kind: CHType, text: str) -> str:
    """Offsets, no seconds, a date alone, digits beyond the precision that are zero: ClickHouse's lenient parser behind a strict
    shape. Without an offset the clock must show what was read: an hour that a clock change leaves out is no time."""
    precision = kind.numbers[0] if kind.numbers else 0
    shape = (
        r"^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9]"
        rf"(?:\.[0-9]{{0,{precision}}}0*)?)?(?: ?(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?))?)?$"
    )
    zone = _zone(kind)
    parsed = f"parseDateTime64BestEffortOrNull({text}, {precision}, {zone})"
    proof = f"match({text}, {literal(shape)})"
    if zone not in _UTC:
        shown = f"concat(substring({text}, 1, 10), ' ', if(length({text}) = 10, '00:00', substring({text}, 12, 5)))"
        proof += f" AND (match({text}, 'Z|.{{11}}.*[+-]') OR startsWith(toString({parsed}), {shown}))"
    if kind.name == "DateTime64":
        return f"if({proof}, {parsed}, NULL)"
    return f"if({proof} AND toInt64({parsed}) BETWEEN 0 AND 4294967295, toDateTime({parsed}, {zone}), NULL)"


def _counted(kind: CHType, text: str, unit: int) -> str:
    """``text`` counts 10^-unit seconds since 1970: exact for integers and for decimal text such as 1600000000.5."""
    precision = kind.numbers[0] if kind.numbers else 0
    per_tick = 10 ** max(unit - precision, 0)
    first, last = (0, 4294967295) if kind.name == "DateTime" else (_FIRST_S, _LAST_S)
    if precision == 9:
        first, last = max(first, -(2**63) // 10**9 + 1), min(last, (2**63 - 1) // 10**9 - 1)
    whole = f"accurateCastOrNull({text}, 'Int64')"
    in_range = f"{whole} BETWEEN {max(first * 10**unit, -(2**63))} AND {min(last * 10**unit, 2**63 - 1)}"
    fast = f"if({in_range} AND {whole} % {per_tick} = 0, intDiv({whole}, {per_tick}) * {10 ** max(precision - unit, 0)}, NULL)"
    # the slow road counts in 10^-9 of the unit, as Int128
    nanos_per_tick = 10 ** (unit + 9 - precision)
    low, high = first * 10 ** (unit + 9), last * 10 ** (unit + 9)
    shape = literal(r"^([+-]?[0-9]{1,20})(?:\.([0-9]{0,9})0*)?$")
    nanos = let(
        f"extractGroups(ifNull({plain_number(text)}, ''), {shape})",
        lambda g: f"if(length({g}) = 0, NULL, toInt128OrNull(concat({g}[1], rpad({g}[2], 9, '0'))))",
    )
    slow = let(
        nanos,
        lambda n: (
            f"if({n} BETWEEN toInt128('{low}') AND toInt128('{high}') AND {n} % toInt128('{nanos_per_tick}') = 0, "
            f"toInt64(intDiv({n}, toInt128('{nanos_per_tick}'))), NULL)"
        ),
    )
    ticks = f"if(isNull({whole}), {slow}, {fast})"
    return _from_ticks(kind, ticks)


def _from_ticks(kind: CHType, ticks: str) -> str:
    """Nullable(Int64) ticks of the type's precision -> the value."""
    if kind.name == "DateTime64":
        return f"CAST(reinterpret({ticks}, {literal(f'DateTime64({kind.numbers[0]}, {_zone(kind)})')}), {literal(f'Nullable({kind})')})"
    if kind.name == "DateTime":
        return f"toDateTime({ticks}, {_zone(kind)})"
    days = f"if({ticks} % {_DAY_S} = 0, intDiv({ticks}, {_DAY_S}), NULL)"
    if kind.name == "Date":
        return f"if({days} BETWEEN 0 AND 65535, toDate(toUInt16({days})), NULL)"
    return f"addDays(toDate32('1970-01-01'), {days})"


def _formatted(kind: CHType, text: str, format: str) -> str:
    pattern, loose = clickhouse_format(format)
    zone = "'UTC'" if kind.name in ("Date", "Date32") else _zone(kind)
    parsed = f"parseDateTime64OrNull({text}, {literal(pattern)}, {zone})"
    if loose != pattern:
        again = f"parseDateTime64OrNull({text}, {literal(loose)}, {zone})"
        parsed = f"if(isNull({parsed}), {again}, {parsed})"
    micros = f"reinterpretAsInt64({parsed})"
    precision = kind.numbers[0] if kind.numbers else 0
    ticks = (
        f"{micros} * {10 ** (precision - 6)}"
        if precision >= 6
        else f"if({micros} % {10 ** (6 - precision)} = 0, intDiv({micros}, {10 ** (6 - precision)}), NULL)"
    )
    if kind.name == "DateTime":
        ticks = f"if({ticks} BETWEEN 0 AND 4294967295, {ticks}, NULL)"
    if precision > 6:
        limit = (2**63 - 1) // 10 ** (precision - 6)
        ticks = f"if({micros} BETWEEN {-limit} AND {limit}, {ticks}, NULL)"
    return _from_ticks(kind, ticks)


def clickhouse_format(format: str) -> tuple[str, str]:
    """A strptime format in ClickHouse's letters: as written, and with leading zeros optional.

    Raises:
        ValueError: a letter that has no exact counterpart.
    """
    pieces: list[str] = []
    letters = iter(format)
    for char in letters:
        if char != "%":
            pieces.append(char)
            continue
        letter = next(letters, "")
        if letter not in _STRPTIME:
            raise ValueError(f"%{letter} is not understood; known are {' '.join('%' + known for known in _STRPTIME)}")
        pieces.append(_STRPTIME[letter])
    return "".join(pieces), "".join(_UNPADDED.get(piece, piece) for piece in pieces)
