"""What landed in each home, without any code of the project.

    python pages_oracle.py HOME [HOME ...]      one JSON line per home: {"ids": {series: [...]}, "repeated": n}
"""

from __future__ import annotations

import json
import sys

from chdb import session

for root in sys.argv[1:]:
    clickhouse = session.Session(f"{root}/data/clickhouse")
    landed: dict[str, list[int]] = {}
    for line in clickhouse.query("SELECT series, id, _nexus_batch, _nexus_row FROM m.pages ORDER BY id FORMAT JSONEachRow").bytes().splitlines():
        row = json.loads(line)
        landed.setdefault(row["series"], []).append(int(row["id"]))
    counts = clickhouse.query("SELECT count() - uniqExact(_nexus_batch, _nexus_row) AS n FROM m.pages FORMAT JSONEachRow").bytes()
    clickhouse.close()
    print(json.dumps({"ids": landed, "repeated": int(json.loads(counts)["n"])}), flush=True)
