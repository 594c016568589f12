"""The projects that the engine's side of the benchmark runs: feed files as a user would write them."""

from __future__ import annotations

from pathlib import Path

W1 = """\
name: w1
source:
  endpoint: http://127.0.0.1:{port}/fred/observations
  params: {{series_id: "{{{{ each.series }}}}"}}
  each: {{series: [{series}]}}
  paginate: {{offset: offset, limit: {{param: limit, size: {size}}}, total: count}}
  records: observations
{more}fields:
  series: {{type: LowCardinality(String), from: each.series}}
  date: Date32
  value: {{type: Nullable(Float64), missing: ["."]}}
validate:
  - {{expect: between, field: value, min: -100, max: 1e7}}
target: {{table: bench.w1, order_by: [series, date]}}
"""

PAYLOADS = "plugin: bench_bodies, folder: {folder}, records: ."
ANSWER = "endpoint: \"{url}\", format: jsonl, records: {{path: ., empty: [absent]}}, max_body: 2GB"

W2 = """\
name: w2
source: {{{source}}}
fields:
  symbol: LowCardinality(String)
  ts: DateTime64(6, 'UTC')
  price: Float64
  size: Float64
  side: LowCardinality(String)
  trade_id: UInt64
validate:
  - {{expect: between, field: price, min: 0.0000001}}
target: {{table: bench.w2, order_by: [symbol, ts]}}
"""


def write_project(
    root: Path, *, port: int = 0, pages: int = 0, bodies: Path | None = None, trades: str = "", concurrency: int = 0,
    records: int | None = None,
) -> None:  # fmt: skip
    """A project folder with the feed `w1` (``port``, ``pages``, and ``concurrency`` where it is stated; ``records``: as many answers
    of one record instead) or `w2` (``bodies``: folder of ready-made payloads; ``trades``: URL of one answer in JSON lines)."""
    for folder in ("sources.d", "apis.d", "sinks.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "nexus.yaml").write_text("data_dir: data\n")
    (root / "sinks.d/clickhouse.yaml").write_text("name: clickhouse\nplugin: clickhouse\ndriver: embedded\n")
    if bodies is None and not trades:
        more = f"  concurrency: {concurrency}\n" if concurrency else ""
        series, size = (f"P{pages}", 1000) if records is None else (f"R{records}", 1)
        (root / "sources.d/w1.yaml").write_text(W1.format(port=port, series=series, size=size, more=more))
    else:
        source = ANSWER.format(url=trades) if trades else PAYLOADS.format(folder=bodies)
        (root / "sources.d/w2.yaml").write_text(W2.format(source=source))

FRED_LIKE = """\
name: feed_{n:04d}
source:
  endpoint: https://api.example.org/fred/series/observations
  params:
    file_type: json
    api_key: "{{{{ secrets.FRED_API_KEY }}}}"
    series_id: "{{{{ each.series }}}}"
    observation_start: "{{{{ window.start }}}}"
  each: {{series: [FEDFUNDS, DGS10, M2SL, UNRATE, CPIAUCSL]}}
  paginate: {{offset: offset, limit: {{param: limit, size: 100000}}, total: count}}
  records: observations
schedule: {{cron: "0 9 * * *", timezone: America/New_York}}
cursor: {{field: date, lookback: 30d, initial: 2000-01-01}}
fields:
  indicator: {{type: LowCardinality(String), from: each.series}}
  date: Date
  value_{shape}: {{type: Nullable(Float64), from: value, missing: ["."]}}
  timestamp: {{type: DateTime, from: run.started_at}}
validate:
  - {{expect: between, field: value_{shape}, min: -100, max: 1e7}}
target: {{table: macro.indicators_{n:04d}, key: [indicator, date], partition_by: toYYYYMM(date)}}
"""
