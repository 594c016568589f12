"""Compare what a system landed with the truth, row by row: python landed.py WHAT KIND PATH PAGES, prints one JSON line.

WHAT: `observations` (W1) or `trades` (W2); PAGES: thousands of rows.
KIND: `chdb:<table>` (PATH is the session's folder) or `jsonl` (PATH is a file or a folder of them).
In a process of its own, because chdb opens one folder per process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

NULL = -(10**6)  # stands for null among the cents


class Observations:
    """One sorted integer per row, so that two tables are equal exactly when these are."""

    sql = "SELECT date, value FROM {table}"
    schema = pa.schema([("date", pa.string()), ("value", pa.float64())])
    per_row = 1

    @staticmethod
    def keys(days: Any, cents: Any) -> Any:
        return np.sort(days.astype(np.int64) * 10**11 + cents.astype(np.int64))

    def expected(self, count: int) -> Any:
        numbers = {day: n for n, day in enumerate(pages.DATES)}
        days, cents = [], []
        for day, value in pages.truth(count):
            days.append(numbers[day])
            cents.append(NULL if value is None else round(value * 100))
        return self.keys(np.array(days, np.int64), np.array(cents, np.int64))

    def found(self, table: Any) -> Any:
        day = table["date"] if pa.types.is_date32(table["date"].type) else pc.cast(table["date"], pa.date32())
        days = pc.cast(day, pa.int32()).to_numpy() + 25567  # 1900-01-01 is day -25567
        value = table["value"].to_numpy()
        cents = decimals(np.where(np.isnan(value), 0, value), 100)
        return self.keys(days, np.where(np.isnan(value), NULL, cents))


class Trades:
    """Three integers per row, in the order of the trades' ids: id, time, and all the rest."""

    sql = "SELECT trade_id, toUnixTimestamp64Micro(ts) AS ts, toString(symbol) AS symbol, price, size, toString(side) AS side FROM {table}"
    schema = pa.schema([
        ("trade_id", pa.int64()), ("ts", pa.string()), ("symbol", pa.string()), ("price", pa.float64()), ("size", pa.float64()),
        ("side", pa.string()),
    ])  # fmt: skip
    per_row = 3

    @staticmethod
    def keys(number: Any, micros: Any, symbol: Any, cents: Any, size: Any, side: Any) -> Any:
        rest = ((symbol.astype(np.int64) * 2 + side) * 10**8 + cents) * 10**6 + size
        return np.stack([number, micros, rest], axis=1)[np.argsort(number, kind="stable")].ravel()

    def expected(self, count: int) -> Any:
        rows = []
        epoch = pages.datetime(1970, 1, 1)
        for symbol, ts, price, size, side, number in pages.trades(0, count * pages.PAGE_ROWS):
            if float(price) > 0:
                micros = (pages.datetime.fromisoformat(ts[:-1]) - epoch) // pages.timedelta(microseconds=1)
                cents, parts = round(float(price) * 100), round(float(size) * 10_000)
                rows.append((number, micros, pages.SYMBOLS.index(symbol), cents, parts, side == "sell"))
        return self.keys(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))

    def found(self, table: Any) -> Any:
        ts = table["ts"]
        if pa.types.is_string(ts.type):  # RFC 3339: with Z, +00:00 or nothing behind it
            ts = pc.cast(pc.cast(pc.replace_substring_regex(ts, "(Z|[+]00:00)$", ""), pa.timestamp("us")), pa.int64())
        symbol = pc.index_in(table["symbol"], pa.array(pages.SYMBOLS)).to_numpy()
        side = pc.index_in(table["side"], pa.array(["buy", "sell"])).to_numpy()
        number = pc.cast(table["trade_id"], pa.int64()).to_numpy()
        cents, parts = decimals(table["price"].to_numpy(), 100), decimals(table["size"].to_numpy(), 10_000)
        return self.keys(number, ts.to_numpy(), symbol, cents.astype(np.int64), parts.astype(np.int64), side)


def decimals(value: Any, scale: int) -> Any:
    """The values times ``scale``, which must be whole."""
    exact = np.rint(value * scale)
    wrong = np.abs(value * scale - exact) > 1e-3
    if wrong.any():
        raise SystemExit(f"a value with more decimals than the data's landed: {value[wrong][0]}")
    return exact


def landed(what: Observations | Trades, kind: str, path: Path) -> Any:
    if kind.startswith("chdb:"):
        from chdb import session

        sql = what.sql.format(table=kind.removeprefix("chdb:"))
        return what.found(pa.ipc.open_file(pa.py_buffer(session.Session(str(path)).query(sql, "Arrow").bytes())).read_all())
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*.jsonl") if "_dlt" not in str(f.relative_to(path).parent))
    read = pj.ParseOptions(explicit_schema=what.schema, unexpected_field_behavior="ignore")
    return what.found(pa.concat_tables([pj.read_json(f, parse_options=read) for f in files if f.stat().st_size > 1]))


def main() -> None:
    word, kind, path, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    what = {"observations": Observations, "trades": Trades}[word]()
    cache = Path(__file__).parent / "out" / f"truth-{word}-{count}.npy"
    if not cache.exists():
        cache.parent.mkdir(exist_ok=True)
        np.save(cache, what.expected(count))
    want, got = np.load(cache), landed(what, kind, path)
    same = len(want) == len(got) and bool((want == got).all())
    missing = len(np.setdiff1d(want, got)) if not same else 0
    rows, due = len(got) // what.per_row, len(want) // what.per_row
    print(json.dumps({"rows": rows, "expected": due, "exact": same, "kinds_missing": missing}))


if __name__ == "__main__":
    main()
