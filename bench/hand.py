"""The loops people write instead of an engine, in two makes. Rows land in a MergeTree table in chdb.

    python bench/hand.py good|handbook URL SERIES OUTDIR     W1: pages over HTTP
    python bench/hand.py trades FILE OUTDIR                  W2: JSON lines from a file (the good loop)

good: httpx, orjson, tuples, one Arrow insert per 50 pages.  handbook: requests, `.json()`, a dict per row, one
row-wise `INSERT ... VALUES` per page, as the team's handbook shows it. Neither has retries, positions or recovery.
"""

from __future__ import annotations

import sys
from datetime import date, datetime
from typing import Any

W1_DDL = """CREATE TABLE IF NOT EXISTS t (series LowCardinality(String), date Date32, value Nullable(Float64))
            ENGINE = MergeTree ORDER BY (series, date)"""
W2_DDL = """CREATE TABLE IF NOT EXISTS t (symbol LowCardinality(String), ts DateTime64(6, 'UTC'), price Float64, size Float64,
            side LowCardinality(String), trade_id UInt64) ENGINE = MergeTree ORDER BY (symbol, ts)"""


def open_table(out: str, ddl: str) -> Any:
    from chdb import session

    store = session.Session(out)
    store.query(ddl)
    return store


def insert_arrow(store: Any, rows: list[tuple[Any, ...]], schema: Any) -> None:
    import pyarrow as pa

    columns = zip(*rows, strict=True)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)  # noqa: F841
    store.query("INSERT INTO t SELECT * FROM Python(table)")


def good(url: str, series: str, out: str) -> None:
    import httpx
    import orjson
    import pyarrow as pa

    schema = pa.schema([("series", pa.string()), ("date", pa.date32()), ("value", pa.float64())])
    store = open_table(out, W1_DDL)
    rows: list[tuple[Any, ...]] = []
    refused: list[tuple[Any, str]] = []
    offset = page = 0
    with httpx.Client() as client:
        while True:
            answer = client.get(url, params={"series_id": series, "offset": offset, "limit": 1000})
            answer.raise_for_status()
            body = orjson.loads(answer.content)
            observations = body["observations"]
            for o in observations:
                text = o["value"]
                if text == ".":
                    value = None
                else:
                    try:
                        value = float(text)
                    except (TypeError, ValueError):
                        refused.append((o, "value"))
                        continue
                    if not -100 <= value <= 1e7:
                        refused.append((o, "range"))
                        continue
                try:
                    day = date.fromisoformat(o["date"])
                except ValueError:
                    refused.append((o, "date"))
                    continue
                rows.append((series, day, value))
            offset += len(observations)
            page += 1
            if page % 50 == 0 and rows:
                insert_arrow(store, rows, schema)
                rows = []
            if not observations or offset >= body["count"]:
                break
    if rows:
        insert_arrow(store, rows, schema)
    store.close()


def handbook(url: str, series: str, out: str) -> None:
    import requests

    store = open_table(out, W1_DDL)
    offset = 0
    while True:
        answer = requests.get(url, params={"series_id": series, "offset": offset, "limit": 1000}, timeout=30)
        answer.raise_for_status()
        data = answer.json()
        rows = []
        for obs in data["observations"]:
            value = None if obs["value"] == "." else float(obs["value"])
            if value is not None and not -100 <= value <= 1e7:
                continue
            rows.append({"series": series, "date": datetime.strptime(obs["date"], "%Y-%m-%d").date(), "value": value})
        if rows:
            values = ", ".join(
                f"('{r['series']}', '{r['date']}', {'NULL' if r['value'] is None else r['value']})" for r in rows
            )
            store.query(f"INSERT INTO t (series, date, value) VALUES {values}")
        offset += len(data["observations"])
        if not data["observations"] or offset >= data["count"]:
            break
    store.close()


def trades(path: str, out: str) -> None:
    import orjson
    import pyarrow as pa

    schema = pa.schema([
        ("symbol", pa.string()), ("ts", pa.timestamp("us", "UTC")), ("price", pa.float64()),
        ("size", pa.float64()), ("side", pa.string()), ("trade_id", pa.uint64()),
    ])  # fmt: skip
    store = open_table(out, W2_DDL)
    rows: list[tuple[Any, ...]] = []
    refused: list[bytes] = []
    with open(path, "rb") as lines:
        for line in lines:
            try:
                o = orjson.loads(line)
                price = float(o["price"])
                if not price > 0:
                    refused.append(line)
                    continue
                rows.append((o["symbol"], datetime.fromisoformat(o["ts"]), price, float(o["size"]), o["side"], o["trade_id"]))
            except (KeyError, TypeError, ValueError):
                refused.append(line)
                continue
            if len(rows) >= 200_000:
                insert_arrow(store, rows, schema)
                rows = []
    if rows:
        insert_arrow(store, rows, schema)
    store.close()


if __name__ == "__main__":
    {"good": good, "handbook": handbook, "trades": trades}[sys.argv[1]](*sys.argv[2:])
