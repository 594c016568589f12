"""Compare what a system landed with the truth, row by row: python landed.py KIND PATH PAGES, prints one JSON line.

KIND: `chdb:<table>` (PATH is the session's folder) or `jsonl` (PATH is a file or a folder of them). In a process of its
own, because chdb opens one folder per process.
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


def keys(days: Any, cents: Any) -> Any:
    """One sorted integer per row, so that two tables are equal exactly when these are."""
    return np.sort(days.astype(np.int64) * 10**11 + cents.astype(np.int64))


def expected(count: int) -> Any:
    numbers = {day: n for n, day in enumerate(pages.DATES)}
    days, cents = [], []
    for day, value in pages.truth(count):
        days.append(numbers[day])
        cents.append(NULL if value is None else round(value * 100))
    return keys(np.array(days, np.int64), np.array(cents, np.int64))


def from_table(table: Any) -> Any:
    """``table`` has `date` (date32) and `value` (float64, nullable)."""
    days = pc.cast(table["date"], pa.int32()).to_numpy() + 25567  # 1900-01-01 is day -25567
    value = table["value"].to_numpy()
    exact = np.rint(value * 100)
    wrong = np.abs(value * 100 - exact) > 1e-3
    if wrong.any():
        raise SystemExit(f"a value with more than two decimals landed: {value[wrong][0]}")
    return keys(days, np.where(np.isnan(value), NULL, exact))


def landed(kind: str, path: Path) -> Any:
    if kind.startswith("chdb:"):
        from chdb import session

        store = session.Session(str(path))
        sql = f"SELECT date, value FROM {kind.removeprefix('chdb:')}"
        return from_table(pa.ipc.open_file(pa.py_buffer(store.query(sql, "Arrow").bytes())).read_all())
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*.jsonl") if "_dlt" not in str(f.relative_to(path).parent))
    schema = pa.schema([("date", pa.string()), ("value", pa.float64())])
    read = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    table = pa.concat_tables([pj.read_json(f, parse_options=read) for f in files if f.stat().st_size > 1])
    return from_table(table.set_column(0, "date", pc.cast(table["date"], pa.date32())))


def main() -> None:
    kind, path, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    cache = Path(__file__).parent / "out" / f"truth-{count}.npy"
    if not cache.exists():
        cache.parent.mkdir(exist_ok=True)
        np.save(cache, expected(count))
    want, got = np.load(cache), landed(kind, path)
    same = len(want) == len(got) and bool((want == got).all())
    missing = len(np.setdiff1d(want, got)) if not same else 0
    print(json.dumps({"rows": len(got), "expected": len(want), "exact": same, "kinds_missing": missing}))


if __name__ == "__main__":
    main()
