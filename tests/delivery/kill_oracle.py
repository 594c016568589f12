"""What is true after a kill test, without any code of the project: standard library and chdb only.

    python kill_oracle.py HOME [HOME ...]       one JSON line per home: {"home", "lost", "duplicated", "altered", ...}

Compares the tables with HOME/source.json, the source's own record of what it has.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

from chdb import session


def main(roots: list[str]) -> None:
    for root in map(Path, roots):
        print(json.dumps({"home": str(root), **judge(root)}), flush=True)


def judge(root: Path) -> dict[str, object]:
    source = json.loads((root / "source.json").read_text())
    expected: Counter[tuple[str, ...]] = Counter()
    refused = 0
    for feed, partitions in source.items():
        for part, batches in partitions.items():
            for row in (row for batch in batches for row in batch):
                if row["text"] is None:
                    refused += 1
                else:
                    expected[feed, str(row["id"]), row["part"], row["text"], str(Decimal(row["price"]))] += 1
    found: Counter[tuple[str, ...]] = Counter()
    lineage: Counter[tuple[str, str]] = Counter()
    clickhouse = session.Session(str(root / "data" / "clickhouse"))
    for feed in source:
        query = f"SELECT id, part, text, price, _nexus_batch, _nexus_row FROM kill.{feed} FORMAT JSONEachRow SETTINGS output_format_json_quote_decimals=1, output_format_decimal_trailing_zeros=1"
        for line in clickhouse.query(query).bytes().splitlines():
            row = json.loads(line)
            found[feed, str(row["id"]), row["part"], row["text"], str(Decimal(row["price"]))] += 1
            lineage[row["_nexus_batch"], row["_nexus_row"]] += 1
    clickhouse.close()
    wanted, present = ids_of(expected), ids_of(found)
    state = sqlite3.connect(root / "data" / "state.db")
    books: Counter[str] = Counter()
    for (counts,) in state.execute("SELECT counts FROM book"):
        books.update(json.loads(counts))
    left = [str(path) for name in ("raw", "spool") for path in (root / "data" / name).glob("*")]
    answer = {
        "lost": sum((wanted - present).values()),
        "duplicated": sum((present - wanted).values()),
        "altered": sum((found - expected).values()),
        "lineage_repeated": sum(n - 1 for n in lineage.values()),
        "rows": sum(found.values()),
        "staged": state.execute("SELECT count(*) FROM batch WHERE state = 'staged'").fetchone()[0],
        "quarantine_wrong": state.execute("SELECT count(*) FROM quarantine").fetchone()[0] - refused,
        "books_open": books["read"] - books["landed"] - books["quarantined"] - books["in_flight"],
        "in_flight": books["in_flight"],
        "landed_wrong": books["landed"] - sum(expected.values()),
        "files_left": left,
    }
    state.close()
    return answer


def ids_of(rows: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    ids: Counter[tuple[str, ...]] = Counter()
    for row, times in rows.items():
        ids[row[:2]] += times
    return ids


if __name__ == "__main__":
    main(sys.argv[1:])
