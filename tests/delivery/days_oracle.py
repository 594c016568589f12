"""What is in `m.days` after a kill test, without any code of the project: standard library and chdb only.

    python days_oracle.py HOME [HOME ...]       one JSON line per home: its rows, and how many of them share their lineage
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

from chdb import session

for root in map(Path, sys.argv[1:]):
    clickhouse = session.Session(str(root / "data" / "clickhouse"))
    query = "SELECT symbol, toString(day) AS day, v, _nexus_batch, _nexus_row FROM m.days ORDER BY ALL FORMAT JSONEachRow"
    rows = [json.loads(line) for line in clickhouse.query(query).bytes().splitlines()]
    clickhouse.close()
    state = sqlite3.connect(root / "data" / "state.db")
    counts = {table: state.execute(f"SELECT count(*) FROM {table} {where}").fetchone()[0] for table, where in (("replacing", ""), ("batch", "WHERE state = 'staged'"))}  # noqa: S608
    state.close()
    lineage = {(row["_nexus_batch"], row["_nexus_row"]) for row in rows}
    print(json.dumps({"rows": [[row["symbol"], row["day"], row["v"]] for row in rows], "repeated": len(rows) - len(lineage), **counts}), flush=True)
