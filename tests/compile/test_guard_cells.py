"""Every type x values at, around and past its range, wrong texts, nulls: the cell in the table is exactly the source's value, or
the row is refused. What is exact is worked out here by Python's own integers, decimals, floats and dates."""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import json
import random
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest

REFUSED = object()
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
WRONG = ["", " ", "abc", "null", "NULL", "NaN", "nan", "inf", "-inf", "Infinity", "1 ", " 1", "1,5", "0x10", "1_000", "--1", "+-1", "1.2.3",
         "-", ".", "+", "e5", "1e", "1e5e5", "１", "1\n", "\x00", "1\x00", "é", "😀", "[1]", "{}", "true", "2024-13-01", "9" * 400]  # fmt: skip
NUMBERS = ["0", "-0", "-0.0", "1", "-1", "+5", "007", "5.0", "5.", ".5", "5.50", "1e5", "1E5", "1e-5", "1.25e1", "1.5e0", "12345678901234567.89",
           "1e400", "1e-400", "1e22", "0.1", "0.30000000000000004", "2.2250738585072011e-308", "5e-324", "1.7976931348623157e308",
           "1.7976931348623159e308", "3.4028234663852886e38", "3.4028235677973366e38", "16777217", "9007199254740993", "1e16", "100e-2", "0e10",
           "0.00", "000", "1" + "0" * 75, "-1" + "0" * 76, "0." + "0" * 40 + "1", "1." + "0" * 90, "0" * 90 + "7"]  # fmt: skip


def number(text: str) -> Decimal | None:
    if not NUMBER.fullmatch(text):
        return None
    with localcontext() as context:
        context.prec = 2000
        return Decimal(text)


def edges(low: int, high: int) -> list[str]:
    near = [low - 1, low, low + 1, high - 1, high, high + 1, low * 10, high * 10, high * 2, 2**256, 2**512]
    return [*map(str, near), f"{high}.0", f"{high}.5", f"{high + 1}.0", f"{high}e0", f"000{high}"]


def integer(low: int, high: int) -> Callable[[str], Any]:
    def expected(text: str) -> Any:
        value = number(text)
        if value is None or value != value.to_integral_value() or not low <= int(value) <= high:
            return REFUSED
        if high < 2**64 and re.search("[eE]", text) and not re.fullmatch(r"[+-]?\d{1,20}(\.\d{0,20})?[eE](\+?\d{1,2}|-\d)", text):
            return REFUSED  # a whole number, but spelled longer than any writer does
        return int(value)

    return expected


def decimal(precision: int, scale: int) -> Callable[[str], Any]:
    def expected(text: str) -> Any:
        value = number(text)
        if value is None or value.adjusted() > 1000:
            return REFUSED
        with localcontext() as context:
            context.prec = 2000
            shifted = value.scaleb(scale)
            return value if shifted == shifted.to_integral_value() and abs(shifted) < 10**precision else REFUSED

    return expected


def double(text: str) -> Any:
    if number(text) is None:
        return REFUSED
    value = float(text)
    return value if abs(value) != float("inf") else REFUSED


def single(text: str) -> Any:
    exact = number(text)
    if exact is None or double(text) is REFUSED:
        return REFUSED
    near = struct.unpack("f", struct.pack("f", float(text)))[0] if abs(float(text)) < 3.5e38 else None
    if abs(exact) >= Decimal(2) ** 128 - Decimal(2) ** 103:
        return REFUSED
    around = [near]  # nearest of the exact text, not of its double
    bits = struct.unpack("I", struct.pack("f", near))[0]
    for other in (bits - 1, bits + 1):
        if 0 <= other < 2**32:
            candidate = struct.unpack("f", struct.pack("I", other))[0]
            if candidate == candidate and abs(candidate) != float("inf"):
                around.append(candidate)
    return min(around, key=lambda found: (abs(Decimal(found) - exact), struct.unpack("I", struct.pack("f", found))[0] % 2))


def day(low: dt.date, high: dt.date) -> Callable[[str], Any]:
    def expected(text: str) -> Any:
        match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:[T ]00:00(?::00(?:[.,]0+)?)?(?:Z|[+-]00:?00)?)?", text)
        try:
            value = dt.date.fromisoformat(match[1]) if match else None
        except ValueError:
            return REFUSED
        return str(value) if value and low <= value <= high else REFUSED

    return expected


ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d*))?)?(?: ?(Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?))?)?", re.ASCII)


def moment(digits: int, zone: str, low: int, high: int) -> Callable[[str], Any]:
    """Ticks of 10^-digits seconds since 1970 UTC, within ``low`` and ``high`` seconds."""

    def expected(text: str) -> Any:
        match = ISO.fullmatch(text)
        if not match:
            return REFUSED
        fraction = (match[7] or "").rstrip("0")
        if len(fraction) > digits:
            return REFUSED
        try:
            naive = dt.datetime(*(int(match[n] or 0) for n in (1, 2, 3, 4, 5, 6)))
            if match[8] is None:
                aware = naive.replace(tzinfo=ZoneInfo(zone))
                if aware.astimezone(dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != naive:
                    return REFUSED  # a clock change leaves this hour out
            else:
                offset = match[8] if match[8][0] in "+-" else "+00"
                hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
                delta = dt.timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
                aware = naive.replace(tzinfo=dt.UTC) - delta
        except (ValueError, OverflowError):
            return REFUSED
        seconds = (aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(seconds=1)
        ticks = seconds * 10**digits + (int(fraction.ljust(digits, "0")) if fraction else 0)
        return ticks if low * 10**digits <= ticks <= min(high * 10**digits + 10**digits - 1, 2**63 - 1) else REFUSED

    return expected


DATES = ["1970-01-01", "1969-12-31", "2149-06-06", "2149-06-07", "2200-01-01", "1900-01-01", "1899-12-31", "2299-12-31", "2024-02-29",
         "2023-02-29", "2024-02-30", "2024-04-31", "2024-00-10", "2024-10-00", "0000-00-00", "0001-01-01", "2024-1-5", "20240105", "2024/01/05",
         "2024-01-05T00:00:00", "2024-01-05T00:00:00Z", "2024-01-05T00:00:00.000Z", "2024-01-05 00:00", "2024-01-05T10:00:00", "2024-01-05T",
         "2024-01-05T00:00:00+05:00", "2024-01-05 ", "1600000000", "2024", "2024-01", "24-01-05"]  # fmt: skip
TIMES = ["2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05.5Z", "2024-01-02T03:04:05.000",
         "2024-01-02T03:04:05.123456Z", "2024-01-02T03:04:05.1234567Z", "2024-01-02T03:04:05.1234560Z", "2024-01-02T03:04:05.123456789Z",
         "2024-01-02T03:04:05+02:00", "2024-01-02T03:04:05-0530", "2024-01-02T03:04:05+02", "2024-01-02 03:04:05 +0100", "2024-01-02T03:04Z",
         "2024-01-02T03:04", "2024-01-02T24:00:00", "2024-01-02T25:00:00", "2024-01-02T00:60:00", "2024-01-02T00:00:60", "2024-02-30T00:00:00Z",
         "2024-01-02T03", "2024-01-02T03:04:5", "2024-01-02t03:04:05z", "2024-01-02T03:04:05ZZ", "2024-01-02T03:04:05.Z", "2024-01-02T03:04:05,5Z",
         "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "1970-01-01T00:30:00+01:00", "1969-12-31T23:30:00-01:00", "2106-02-07T06:28:15Z",
         "2106-02-07T06:28:16Z", "2106-02-07T07:28:16+01:00", "1900-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "2299-12-31T23:59:59Z",
         "2262-04-11T23:47:16Z", "2262-04-11T23:47:17Z", "2024-03-10T02:30:00", "2024-03-10T03:30:00", "2024-07-01T12:00:00", "Tue, 02 Jan 2024",
         "2024-01-02T03:04:05+25:00", "2024-01-02T03:04:05.1+05:45", "2024-01-02 03:04:05 UTC", "2024-01-02T03:04:05+0", "2024-01-02T-3:04:05"]  # fmt: skip

INTEGERS = {f"{u}Int{b}": (0 if u else -(2 ** (b - 1)), 2 ** (b if u else b - 1) - 1) for u in ("U", "") for b in (8, 16, 32, 64, 128, 256)}
DECIMALS = [(9, 2), (10, 2), (1, 0), (5, 5), (18, 4), (38, 10), (38, 38), (76, 0), (76, 20), (76, 76), (20, 18)]
UTC_S = (-(2**31) * 2, 2**40)


def decimal_texts(precision: int, scale: int) -> list[str]:
    whole, part = "9" * (precision - scale), "9" * scale
    texts = [f"{whole}.{part}", f"-{whole}.{part}", f"1{'0' * (precision - scale)}", f"{whole}.{part}9", f"{whole}.{part}0", f"{whole}.{part}{'0' * 80}",
             f"00{whole}.{part}", f"{whole or '0'}", f"1e-{scale}", f"1e-{scale + 1}", f"1e{precision - scale - 1}", f"1e{precision - scale}", "45.10"]  # fmt: skip
    return [text for text in texts if text not in ("", "-", ".")]


def cells() -> list[tuple[str, list[str], Callable[[str], Any], str]]:
    """(type, texts, what is expected of a text, SQL that reads the cell back)."""
    rows: list[tuple[str, list[str], Callable[[str], Any], str]] = []
    for name, (low, high) in INTEGERS.items():
        rows.append((name, edges(low, high) + NUMBERS, integer(low, high), "toString({})"))
    for precision, scale in DECIMALS:
        texts = NUMBERS + decimal_texts(precision, scale)
        rows.append((f"Decimal({precision}, {scale})", texts, decimal(precision, scale), "toString({})"))
    rows.append(("Float64", NUMBERS, double, "hex(reinterpretAsUInt64({}))"))
    rows.append(("Float32", NUMBERS, single, "hex(reinterpretAsUInt32({}))"))
    rows.append(("Date", DATES + TIMES, day(dt.date(1970, 1, 1), dt.date(2149, 6, 6)), "toString({})"))
    rows.append(("Date32", DATES + TIMES, day(dt.date(1, 1, 1), dt.date(9999, 12, 31)), "toString({})"))
    for zone in ("UTC", "America/New_York"):
        rows.append((f"DateTime('{zone}')", DATES + TIMES, moment(0, zone, 0, 2**32 - 1), "toString(toUnixTimestamp({}))"))
        for digits in (0, 3, 6, 9):
            limits = (-9223372036, 9223372036) if digits == 9 else (-62135596800, 253402300799)
            rows.append((f"DateTime64({digits}, '{zone}')", DATES + TIMES, moment(digits, zone, *limits), "toString(reinterpretAsInt64({}))"))
    rows.append(("Bool", ["true", "false", "1", "0", "True", "yes", "2"], lambda t: {"true": "1", "1": "1", "false": "0", "0": "0"}.get(t, REFUSED), "toString(toUInt8({}))"))  # fmt: skip
    rows.append(("String", [*NUMBERS, "x" * 5000, "a'b\\`\""], lambda t: t, "{}"))
    rows.append(("LowCardinality(String)", ["a", "x" * 300], lambda t: t, "{}"))
    rows.append(("FixedString(3)", ["abc", "ab", "abcd", "é1", "éé"], lambda t: t.encode() if len(t.encode()) <= 3 else REFUSED, "trimRight(hex({}), '0')"))  # fmt: skip
    rows.append(("Enum8('a' = 1, 'b\\'x' = -2, '' = 3)", ["a", "b'x", "A", "1", "c"], lambda t: t if t in ("a", "b'x", "") else REFUSED, "toString({})"))
    rows.append(("Enum16('a' = 1000)", ["a", "1000"], lambda t: t if t == "a" else REFUSED, "toString({})"))
    ids = ["61f0c404-5cb3-11e7-907b-a6006ad3dba0", "61F0C404-5CB3-11E7-907B-A6006AD3DBA0", "61f0c4045cb311e7907ba6006ad3dba0", "zzzzzzzz-5cb3-11e7-907b-a6006ad3dba0"]
    rows.append(("UUID", ids, lambda t: str(uuid.UUID(t)) if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", t) else REFUSED, "toString({})"))
    rows.append(("IPv4", ["1.2.3.4", "255.255.255.255", "256.1.1.1", "1.2.3", "01.2.3.4", "::1"], _ip(ipaddress.IPv4Address), "toString({})"))
    rows.append(("IPv6", ["::1", "2001:DB8::1", "1.2.3.4", "::ffff:1.2.3.4", "g::", "1::2::3"], _ip6, "toString({})"))
    return rows


def _ip(kind: Any) -> Callable[[str], Any]:
    def expected(text: str) -> Any:
        try:
            return str(kind(text))
        except ValueError:
            return REFUSED

    return expected


def _ip6(text: str) -> Any:
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        return REFUSED


def same(kind: str, expected: Any, cell: str) -> bool:
    if kind.startswith("Float64"):
        return struct.pack(">d", expected).hex().upper().lstrip("0") == cell.lstrip("0")
    if kind.startswith("Float32"):
        return struct.pack(">f", expected).hex().upper().lstrip("0") == cell.lstrip("0")
    if kind.startswith("Decimal"):
        return Decimal(cell) == expected
    if kind.startswith("FixedString"):
        return expected.hex().upper().rstrip("0") == cell
    if kind == "IPv6":
        return ipaddress.IPv6Address(cell) == expected
    return str(expected) == cell


@pytest.mark.parametrize(("kind", "texts", "expected", "read"), cells(), ids=[row[0] for row in cells()])
def test_cell_is_exact_or_row_is_refused(feed, kind, texts, expected, read) -> None:
    """Non-null column `v` and, where the type allows it, nullable column `n` of the same text."""
    nullable = kind if kind.startswith("LowCardinality") else f"Nullable({kind})"
    bench = feed({"id": "UInt32", "v": kind, "n": {"type": nullable, "from": "v"}})
    texts = list(dict.fromkeys([*texts, *WRONG]))
    # as text, and as a bare JSON number where it is one
    values = [json.dumps(text, ensure_ascii=False) for text in texts]
    values += [text for text in texts if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text)]
    plain = texts + [text for text in texts if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text)]
    body = "[" + ",".join(f'{{"id":{n},"v":{value}}}' for n, value in enumerate(values)) + f',{{"id":{len(values)},"v":null}},{{"id":{len(values) + 1}}}]'
    rows = bench.map(body.encode())
    assert len(rows) == len(values) + 2
    refused = bench.refused()
    bench.land()
    landed = {row["id"]: row for row in bench.table(f"id, {read.format('v')} AS cell, {read.format('assumeNotNull(n)')} AS also, isNull(n) AS gone")}
    wrong = []
    for n, text in enumerate(plain):
        wanted = expected(text)
        if wanted is REFUSED:
            if n in landed or not any(reason.startswith("v: cast: ") for reason in refused.get((0, n), [])):
                wrong.append((text, "must be refused", landed.get(n), refused.get((0, n))))
        elif n not in landed:
            wrong.append((text, "must land as", wanted, refused.get((0, n))))
        elif not (same(kind, wanted, landed[n]["cell"]) and same(kind, wanted, landed[n]["also"]) and not landed[n]["gone"]):
            wrong.append((text, "must be", wanted, landed[n]))
    assert not wrong, wrong[:10]
    for n in (len(values), len(values) + 1):
        assert n not in landed
        assert refused[(0, n)] == ["v: null: no value"] + (["n: null: no value"] if nullable == kind else [])


def test_random_numbers_and_times(feed) -> None:
    """Seeded: 3,000 random texts per type, among them many near a type's edge."""
    chance = random.Random(20261123)
    kinds = {
        "f": ("Float64", double), "d": ("Decimal(18, 4)", decimal(18, 4)), "e": ("Decimal(40, 20)", decimal(40, 20)),
        "i": ("Int64", integer(-(2**63), 2**63 - 1)), "w": ("UInt256", integer(0, 2**256 - 1)),
    }  # fmt: skip
    for name, (kind, expected) in kinds.items():
        bench = feed({"id": "UInt32", name: kind})
        texts = [_number_text(chance) for _ in range(3000)]
        bench.map([{"id": n, name: text} for n, text in enumerate(texts)])
        bench.land()
        read = "hex(reinterpretAsUInt64({}))" if kind == "Float64" else "toString({})"
        landed = {row["id"]: row["cell"] for row in bench.table(f"id, {read.format(name)} AS cell")}
        for n, text in enumerate(texts):
            wanted = expected(text)
            assert (n in landed) == (wanted is not REFUSED), (kind, text, wanted, landed.get(n))
            assert wanted is REFUSED or same(kind, wanted, landed[n]), (kind, text, wanted, landed[n])


def _number_text(chance: random.Random) -> str:
    digits = "".join(chance.choice("0123456789") for _ in range(chance.choice([1, 3, 8, 17, 19, 20, 30, 77])))
    point = chance.randrange(len(digits) + 1)
    text = digits if chance.random() < 0.4 else f"{digits[:point] or '0'}.{digits[point:] or '0'}"
    power = f"e{chance.choice([-30, -5, -1, 0, 1, 3, 20, 300])}" if chance.random() < 0.3 else ""
    return f"{chance.choice(['', '', '-'])}{text}{power}"


@pytest.mark.capability("Incremental: a time as cursor: epoch, ISO 8601, a format", spec="fields: {date: Date, at: {type: DateTime64(3), from: t, epoch: ms}}")
@pytest.mark.parametrize(("unit", "power"), [("s", 0), ("ms", 3), ("us", 6), ("ns", 9)])
def test_epoch(feed, unit: str, power: int) -> None:
    one = 10**power
    texts = [str(n * one) for n in (0, 1, 86400, 1600000000, -1, 4294967295, 4294967296, -2208988800, -2208988801, 10413791999, 10413792000)]
    texts += [str(1600000000 * one + 1), f"{1600000000 * one}.0", f"{1600000000 * one}.5", f"{1600000000 * one}.123456789", "1.6e9", "1e30", "", "abc", "1.", "9" * 30]
    for kind, digits, low, high in (("DateTime", 0, 0, 2**32 - 1), ("DateTime64(3, 'UTC')", 3, -2208988800, 10413791999), ("DateTime64(9, 'UTC')", 9, -2208988800, 9223372035),
                                    ("Date", 0, 0, 65535 * 86400), ("Date32", 0, -2208988800, 10413791999)):  # fmt: skip
        bench = feed({"id": "UInt32", "t": {"type": kind, "epoch": unit}})
        bench.map([{"id": n, "t": text} for n, text in enumerate(texts)])
        bench.land()
        read = "toInt64(toUnixTimestamp(t))" if kind == "DateTime" else "reinterpretAsInt64(t)" if "64" in kind else "toInt64(toInt32(t)) * 86400"
        landed = {row["id"]: row["cell"] for row in bench.table(f"id, {read} AS cell")}
        for n, text in enumerate(texts):
            value = number(text)
            ticks = value * 10**digits / one if value is not None else None
            fits = ticks is not None and ticks == ticks.to_integral_value() and low * 10**digits <= ticks <= high * 10**digits
            if kind.startswith("Date") and "Time" not in kind:
                fits = fits and ticks % 86400 == 0
            assert (n in landed) == bool(fits), (kind, text, ticks, landed.get(n), bench.refused().get((0, n)))
            assert not fits or landed[n] == int(ticks), (kind, text)


FORMATS = [
    ("%m/%d/%Y", ["01/02/2024", "1/2/2024", "02/30/2024", "13/01/2024", "01/02/24", "12/31/1950", "x", "01/02/2024 "], "Date32"),
    ("%d %b %Y", ["02 Jan 2024", "31 Feb 2024", "2 Jan 2024", "02 Foo 2024"], "Date"),
    ("%Y", ["2023", "23", "20230"], "Date"),
    ("%Y%m%d", ["20240229", "20230229", "2024022"], "Date"),
    ("%B %d, %Y %I:%M %p", ["January 02, 2024 03:04 PM", "January 02, 2024 13:04 PM"], "DateTime('UTC')"),
    ("%Y-%m-%d %H:%M:%S.%f", ["2024-01-02 03:04:05.678901", "2024-01-02 03:04:05.5", "2024-01-02 25:00:00.0"], "DateTime64(6, 'UTC')"),
    ("%Y-%m-%dT%H:%M:%S%z", ["2024-01-02T03:04:05+0200", "2024-01-02T03:04:05"], "DateTime('UTC')"),
    ("%y-%j", ["24-060", "24-366", "23-001"], "Date"),
]  # fmt: skip


@pytest.mark.capability("Incremental: a time as cursor: epoch, ISO 8601, a format", spec='fields: {date: {type: Date, from: day, format: "%d/%m/%Y"}}')
@pytest.mark.parametrize(("format", "texts", "kind"), FORMATS, ids=[row[0] for row in FORMATS])
def test_strptime_formats(feed, format: str, texts: list[str], kind: str) -> None:
    bench = feed({"id": "UInt32", "t": {"type": kind, "format": format}})
    bench.map([{"id": n, "t": text} for n, text in enumerate(texts)])
    bench.land()
    landed = {row["id"]: row["cell"] for row in bench.table("id, toString(t) AS cell")}
    for n, text in enumerate(texts):
        try:
            value = dt.datetime.strptime(text, format)
            value = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        except ValueError:
            assert n not in landed, (text, landed.get(n))
            continue
        wanted = value.strftime("%Y-%m-%d") if kind.startswith("Date") and "Time" not in kind else value.strftime("%Y-%m-%d %H:%M:%S")
        wanted += value.strftime(".%f") if "64" in kind else ""
        assert landed.get(n) == wanted, (text, landed.get(n), bench.refused())


def test_containers(feed) -> None:
    fields = {"id": "UInt32", "a": "Array(Decimal(20, 2))", "m": "Map(LowCardinality(String), UInt8)", "t": "Tuple(x Date, `y z` Nullable(Int8))",
              "u": "Tuple(UInt8, String)", "n": "Array(Array(Nullable(Float64)))", "s": "Array(String)", "g": "Array(UUID)", "w": "Map(UInt16, Array(Int256))"}  # fmt: skip
    good = {"a": [1.10, "12345678901234567.89"], "m": {"k": 1, "é\n": "255"}, "t": {"x": "2024-01-01", "y z": None}, "u": [1, "é\n\"\\"], "n": [[1, None], [], [-0.5]],
            "s": ["", "[1]", "true", "null", 5, "x\u0001"], "g": ["61f0c404-5cb3-11e7-907b-a6006ad3dba0"], "w": {"1": [str(2**255 - 1)]}}  # fmt: skip
    wrong = {"a": [[1.123], ["x"], [None], 5, "q", {"x": 1}, [1, [2]]], "m": [{"k": 256}, {"k": None}, [1]], "t": [{"x": "2024-02-30"}, {"y z": 1}, ["2024-01-01", 1]],
             "u": [[1], [1, "a", "b"], [256, "a"], [1, None]], "n": [[1], [["x"]], [None]], "s": [[None], [{}], [[1]]], "g": [["x"]], "w": [{"x": []}, {"65536": []}, {"1": [str(2**255)]}]}  # fmt: skip
    records = [good]
    blame = []
    for name, values in wrong.items():
        for value in values:
            records.append({**good, name: value})
            blame.append(name)
        records.append({key: value for key, value in good.items() if key != name})
        blame.append(name)
    bench = feed(fields)
    bench.map([{"id": n, **record} for n, record in enumerate(records)])
    refused = bench.refused()
    assert [refused[(0, n)][0].split(":")[0] for n in range(1, len(records))] == blame
    bench.land()
    (row,) = bench.table()
    assert row == {"id": 0, "a": ["1.1", "12345678901234567.89"], "m": {"k": 1, "é\n": 255}, "t": {"x": "2024-01-01", "y z": None}, "u": [1, "é\n\"\\"], "n": [[1, None], [], [-0.5]],
                   "s": ["", "[1]", "true", "null", "5", "x\u0001"], "g": ["61f0c404-5cb3-11e7-907b-a6006ad3dba0"], "w": {"1": [2**255 - 1]}}  # fmt: skip


def test_numbers_in_strings_keep_their_text(feed) -> None:
    bench = feed({"v": "String", "o": "String"})
    rows = bench.map(b'[{"v":12345678901234567.89,"o":{"a": 1.50, "b":[1e5]}},{"v":1e5,"o":[ 1 ]},{"v":-0.0,"o":true},{"v":"\\ud83d\\ude00","o":"\\u0000"}]')
    assert [(row["v"], row["o"]) for row in rows] == [("12345678901234567.89", '{"a": 1.50, "b":[1e5]}'), ("1e5", "[ 1 ]"), ("-0.0", "true"), ("😀", "\x00")]
