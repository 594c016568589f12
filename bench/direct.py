"""The engine reading W2's JSON straight into a table of the right types: no mapping, no checks, no delivery. The ceiling.

    python direct.py LINES OUTDIR     prints one JSON line: wall and CPU seconds of the one INSERT
"""

from __future__ import annotations

import json
import sys
import time

from chdb import session
from hand import W2_DDL

lines, out = sys.argv[1:3]
store = session.Session(out)
store.query(W2_DDL)
TYPES = "symbol String, ts DateTime64(6, ''UTC''), price Float64, size Float64, side String, trade_id UInt64"
cpu, wall = time.process_time(), time.perf_counter()
store.query(
    f"INSERT INTO t SELECT * FROM file('{lines}', JSONEachRow, '{TYPES}') SETTINGS date_time_input_format = 'best_effort'"
)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
rows = int(str(store.query("SELECT count() FROM t", "TSV")).strip())
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "rows": rows}))
