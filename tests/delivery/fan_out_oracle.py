"""What landed below each parent in each home, without any code of the project.

    python fan_out_oracle.py HOME [HOME ...]      one JSON line per home: {"ids": {"owner/item/kind": [...]}, "repeated": n}
"""

from __future__ import annotations

import json
import sys

from chdb import session

for root in sys.argv[1:]:
    clickhouse = session.Session(f"{root}/data/clickhouse")
    landed: dict[str, list[int]] = {}
    for line in clickhouse.query("SELECT owner, item, kind, id FROM m.children ORDER BY id FORMAT JSONEachRow").bytes().splitlines():
        row = json.loads(line)
        landed.setdefault(f"{row['owner']}/{row['item']}/{row['kind']}", []).append(int(row["id"]))
    counts = clickhouse.query("SELECT count() - uniqExact(_nexus_batch, _nexus_row) AS n FROM m.children FORMAT JSONEachRow").bytes()
    clickhouse.close()
    print(json.dumps({"ids": landed, "repeated": int(json.loads(counts)["n"])}), flush=True)
