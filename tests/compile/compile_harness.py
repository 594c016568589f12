"""A feed over bodies, through the whole path of a cell: stage line, query, mapped file, spool, MergeTree table."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec

from nexus_engine.clickhouse import ddl, spool
from nexus_engine.clickhouse.engine import Engine
from nexus_engine.compile.compiler import compile_feed
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.options import decode_text
from nexus_engine.spec.model import Spec

RUN = {"run_started_at": "2026-01-02 03:04:05", "run_id": "run-1", "feed": "f"}
_tables = itertools.count()


def spec_of(fields: dict[str, Any], **words: Any) -> Spec:
    """A Spec from its words; `each`, `records`, `format` go to `source`, `target` words over a default table."""
    source = {key: words.pop(key) for key in ("each", "records", "format", "options") if key in words}
    target = {"table": f"m.t{next(_tables)}", **words.pop("target", {})}
    fields = {name: {"type": word} if isinstance(word, str) else word for name, word in fields.items()}
    tree = {"name": "f", "source": source, "fields": fields, "target": target, **words}
    return msgspec.convert(tree, Spec, dec_hook=decode_text)


def plan_of(fields: dict[str, Any], **words: Any) -> Plan:
    formats = words.pop("formats", {})
    return compile_feed(spec_of(fields, **words), formats=formats)


class Bench:
    """One feed in one folder of the test."""

    def __init__(self, engine: Engine, folder: Path, plan: Plan) -> None:
        self.engine, self.folder, self.plan = engine, folder, plan
        self.raw, self.file, self.spool = folder / "raw.jsonl", folder / "mapped.arrow", folder / "spool.arrow"
        self.mapped = plan.query.mapped(self.file)
        self.verdicts = folder / "verdicts.arrow"
        for statement in ddl.statements(plan.target):
            engine.query(statement)

    def map(self, *bodies: Any, k: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run the query; the mapped rows. A body is JSON text (bytes) or something to encode."""
        self.map_only(*bodies, k=k)
        return self.engine.rows(f"SELECT * FROM {self.mapped} ORDER BY _p, _i, _nexus_row")

    def map_only(self, *bodies: Any, k: dict[str, Any] | None = None) -> None:
        """The same without its rows."""
        with self.raw.open("wb") as out:
            for n, body in enumerate(bodies):
                text = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
                out.write(b'{"p":%d,"k":%s,"b":%s}\n' % (n, json.dumps(k or {}).encode(), text))
        self.engine.query(self.plan.query.map_sql(self.raw, self.file, RUN))

    def refused(self) -> dict[tuple[int, int], list[str]]:
        query = self.plan.query
        told = {(row["_p"], row["_i"]): list(query.reasons_of(row)) for row in self.engine.rows(query.refused_sql(self.raw, RUN))}
        return {place: reasons for place, reasons in told.items() if reasons}

    def current(self) -> str:
        target = self.plan.target
        return f"(SELECT *, _nexus_batch, _nexus_row FROM {ddl.table_name(target)})"

    def counts(self, *, compare: bool = True) -> dict[str, int]:
        query = self.plan.query
        self.engine.query(query.compare_sql(self.mapped, self.verdicts, self.current() if compare else None))
        total = {"new": 0, "revised": 0, "unchanged": 0}
        for row in self.engine.rows(query.compare_counts_sql(self.verdicts)):
            total = {name: total[name] + row[name] for name in total}
        good = sum(row["ok"] for row in self.engine.rows(query.stats_sql(self.mapped)))
        return {**total, "superseded": good - sum(total.values())}

    def land(self, batch: str = "01900000-0000-7000-8000-000000000001") -> None:
        """Spool what is to land and insert it, as the sink does."""
        target = self.plan.target
        spooled = self.file
        if target.key:
            self.engine.query(self.plan.query.compare_sql(self.mapped, self.verdicts, self.current()))
            self.engine.query(self.plan.query.finish_sql(self.mapped, self.spool, self.verdicts))
            spooled = self.spool
        names = ", ".join(ddl.ident(column.name) for column in target.columns)
        items = ", ".join(map(spool.read_expression, target.columns))
        self.engine.query(
            f"INSERT INTO {ddl.table_name(target)} ({names}, _nexus_batch, _nexus_row)\n"
            f"SELECT {items}, toUUID('{batch}'), _nexus_row FROM {spool.relation(spooled, target.columns)}",
            settings={"insert_allow_materialized_columns": 1},
        )

    def table(self, what: str = "*", tail: str = "") -> list[dict[str, Any]]:
        return self.engine.rows(f"SELECT {what} FROM {ddl.table_name(self.plan.target)} {tail}")
