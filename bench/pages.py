"""The data of the benchmark, and the truth about it. Deterministic, standard library only: the same bytes on every machine.

W1: FRED-shaped pages of 1,000 observations, 2% missing ("."), one in 10,007 out of range (to be refused).
W2: exchange trades, six typed fields, one in 10,007 with a price <= 0 (to be refused).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache

PAGE_ROWS = 1000
BLOCKS = 1000  # pages beyond this repeat the observations of page p % BLOCKS
BAD_EVERY, BAD_AT = 10_007, 5_003
DATES = [(date(1900, 1, 1) + timedelta(days=n)).isoformat() for n in range(40_000)]


def _mix(n: int) -> int:
    """A 64-bit hash of a counter (splitmix64): random access, so one page needs no page before it."""
    n = (n + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    n = (n ^ (n >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    n = (n ^ (n >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return n ^ (n >> 31)


def observation(n: int) -> tuple[str, str]:
    """(date, value text) of observation ``n``; the value is ".", or a number with two decimals."""
    r = _mix(n)
    if n % BAD_EVERY == BAD_AT:
        return DATES[n % 40_000], "99999999.00"
    if r % 50 == 0:
        return DATES[n % 40_000], "."
    return DATES[n % 40_000], f"{(r >> 8) % 2000 - 50}.{(r >> 24) % 100:02d}"


@cache
def block(page: int) -> bytes:
    """The observations of one page and the end of its body."""
    first = (page % BLOCKS) * PAGE_ROWS
    one = '{{"realtime_start":"2024-01-01","realtime_end":"2024-12-31","date":"{}","value":"{}"}}'
    return (",".join(one.format(*observation(n)) for n in range(first, first + PAGE_ROWS)) + "]}").encode()


def head(pages: int, offset: int) -> bytes:
    """What stands before the observations."""
    return (
        '{"realtime_start":"2024-01-01","realtime_end":"2024-12-31","observation_start":"1600-01-01",'
        '"observation_end":"9999-12-31","units":"lin","output_type":1,"file_type":"json","order_by":"observation_date",'
        f'"sort_order":"asc","count":{pages * PAGE_ROWS},"offset":{offset},"limit":{PAGE_ROWS},"observations":['
    ).encode()


def page_body(pages: int, offset: int) -> tuple[bytes, bytes]:
    """The body of one page of a series of ``pages`` pages, as two pieces to be sent one after the other."""
    inside = 0 <= offset < pages * PAGE_ROWS
    return head(pages, offset), block(offset // PAGE_ROWS) if inside else b"]}"


def one_record(records: int, offset: int) -> bytes:
    """An answer with one of ``records`` observations, all of them good: a bad one would be the whole of its page."""
    found = f'{{"date":"{DATES[offset % 40_000]}","value":"{offset % 1000}.25"}}' if 0 <= offset < records else ""
    return f'{{"count":{records},"offset":{offset},"limit":1,"observations":[{found}]}}'.encode()


def truth(pages: int) -> Iterator[tuple[str, float | None]]:
    """(date, value) of every row that must land."""
    for n in range(pages * PAGE_ROWS):
        n %= BLOCKS * PAGE_ROWS
        day, text = observation(n)
        if text != "99999999.00":
            yield day, None if text == "." else float(text)


SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "AVAX-USD", "LINK-USD")
CENTS = (6412345, 312045, 18033, 21050, 30120, 77010, 2512, 1409)
START = datetime(2026, 1, 2, 3, 4, 5, 123456)


def trades(first: int, rows: int) -> Iterator[tuple[str, str, str, str, str, int]]:
    """(symbol, ts, price, size, side, trade_id) as they stand in the JSON of W2."""
    for n in range(first, first + rows):
        r = _mix(n + (1 << 40))
        k = r % 8
        cents = CENTS[k] + (r >> 8) % 1000
        price = f"{cents // 100}.{cents % 100:02d}"
        if n % BAD_EVERY == BAD_AT:
            price = "0.00" if n // BAD_EVERY % 2 else "-1.50"
        ts = (START + timedelta(microseconds=n * 1000 + (r >> 20) % 1000)).isoformat(timespec="microseconds") + "Z"
        yield SYMBOLS[k], ts, price, f"{(r >> 32) % 3}.{(r >> 36) % 10_000:04d}", ("buy", "sell")[(r >> 50) % 2], 880_000_000 + n


def trade_lines(first: int, rows: int) -> Iterator[str]:
    """W2 as JSON, one object per row."""
    one = '{{"symbol":"{}","ts":"{}","price":"{}","size":"{}","side":"{}","trade_id":{}}}'
    return (one.format(*t) for t in trades(first, rows))
