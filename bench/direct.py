"""The engine reading W2's JSON straight into a table of the right types: no mapping, no checks, no delivery. Two ceilings.

    python direct.py lines|answer|payloads FILE OUTDIR     prints one JSON line: wall and CPU seconds of the one INSERT

lines: one trade per line.  answer: the same, FILE is a URL.  payloads: the bodies as they were staged, `{"b": [1,000 trades]}` per line.
"""

from __future__ import annotations

import json
import sys
import time

from chdb import session
from hand import W2_DDL

shape, file, out = sys.argv[1:4]
store = session.Session(out)
store.query(W2_DDL)
TYPES = "symbol String, ts DateTime64(6, ''UTC''), price Float64, size Float64, side String, trade_id UInt64"
SELECT = {
    "lines": f"SELECT * FROM file('{file}', JSONEachRow, '{TYPES}')",
    "answer": f"SELECT * FROM url('{file}', JSONEachRow, '{TYPES}')",
    "payloads": f"SELECT o.* FROM file('{file}', JSONEachRow, 'b Array(Tuple({TYPES}))') ARRAY JOIN b AS o",
}
cpu, wall = time.process_time(), time.perf_counter()
store.query(f"INSERT INTO t {SELECT[shape]} SETTINGS date_time_input_format = 'best_effort'")
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
rows = int(str(store.query("SELECT count() FROM t", "TSV")).strip())
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "rows": rows}))
