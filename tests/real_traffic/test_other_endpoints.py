"""Recorded traffic of the same APIs beyond the shipped feeds, in feeds of a few lines: other shapes, same proof."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import oracle
import pytest
from landing import landing
from test_real_traffic import RECORDINGS, recording
from traffic import Answer, Answering, serving

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recorded traffic at {RECORDINGS}")

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)


def landed_rows(folder: Path, answering: Answering, feed: str) -> tuple[Any, list[dict[str, Any]]]:
    """(report, rows) of a feed called `other`, its `{url}` the server of ``answering``."""
    (folder / "sources.d").mkdir()
    (folder / "nexus.yaml").write_text("data_dir: data\n")
    with serving(answering) as traffic:
        (folder / "sources.d" / "other.yaml").write_text("name: other\n" + feed.replace("{url}", traffic.url))
        with landing(folder, NOW) as landed:
            report = landed.run("other")
            assert report.status in ("ok", "empty"), report.errors
            return report, landed.rows("other") if report.landed else []


def test_fredgraph_csv(tmp_path: Path) -> None:
    body = recording("fred/fredgraph_FEDFUNDS_quarterly.csv")
    feed = """
source: {endpoint: "{url}/graph/fredgraph.csv", params: {id: "{{ each.series }}"}, each: {series: [FEDFUNDS]}, format: csv}
fields:
  indicator: {type: String, from: each.series}
  date: {type: Date32, from: observation_date}
  value: {type: Nullable(Float64), from: FEDFUNDS, missing: ["", "."]}
target: {table: macro.graph, key: [indicator, date]}
"""
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body, content_type="application/csv"), feed)
    assert oracle.differences(rows, oracle.fredgraph(body, "FEDFUNDS"), ("indicator", "date")) == []


def test_fred_release_dates(tmp_path: Path) -> None:
    body = recording("fred/test_get_releases_dates.i0.json")
    feed = """
source:
  endpoint: "{url}/fred/releases/dates"
  records: release_dates
fields:
  release_id: UInt32
  release_name: String
  date: Date32
target: {table: macro.release_dates, key: [release_id, date]}
"""
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body), feed)
    expected = oracle.latest([{name: row[name] for name in ("release_id", "release_name", "date")} for row in json.loads(body)["release_dates"]], ("release_id", "date"))
    assert oracle.differences(rows, expected, ("release_id", "date")) == []


def test_fiscaldata_statement_of_debt(tmp_path: Path) -> None:
    """Amounts in millions with four decimals, exact."""
    body = recording("treasury/fiscaldata_mspd_table_1.json")
    amounts = ("debt_held_public_mil_amt", "intragov_hold_mil_amt", "total_mil_amt")
    feed = """
source:
  endpoint: "{url}/services/api/fiscal_service/v1/debt/mspd/mspd_table_1"
  records: data
fields:
  record_date: Date
  security_class_desc: String
  debt_held_public_mil_amt: Nullable(Decimal(20, 4))
  intragov_hold_mil_amt: Nullable(Decimal(20, 4))
  total_mil_amt: Decimal(20, 4)
target: {table: macro.mspd, key: [record_date, security_class_desc]}
"""
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body), feed)
    assert oracle.differences(rows, oracle.fiscaldata(body, amounts), ("record_date",)) == []
    assert Decimal(rows[0]["total_mil_amt"]) == Decimal("5675781.0635")


PRICES = """
source:
  endpoint: "{url}/prices/current/coins"
  records: {path: coins, by: coin}
fields:
  coin: String
  symbol: String
  price: Float64
  decimals: Nullable(UInt8)
  timestamp: {type: DateTime, epoch: s}
  confidence: Float64
target: {table: crypto.prices, key: [coin]}
"""


def test_defillama_prices_by_coin(tmp_path: Path) -> None:
    body = recording("defillama/test_query_multiple_current_prices_False_.i0.json")
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body), PRICES)
    expected = [
        {"coin": coin, **{name: row[name] for name in ("symbol", "price", "decimals", "confidence")}, "timestamp": oracle.moment(row["timestamp"])}
        for coin, row in json.loads(body)["coins"].items()
    ]
    assert oracle.differences(rows, expected, ("coin",)) == []


def test_defillama_unknown_coin_is_empty(tmp_path: Path) -> None:
    body = recording("defillama/test_batch_price_query_False_.i5.json")
    report, rows = landed_rows(tmp_path, lambda path, query: Answer(body), PRICES)
    assert (report.status, report.read, rows) == ("empty", 0, [])


def test_defillama_pools(tmp_path: Path) -> None:
    body = recording("defillama/pools_one_lido.json")
    feed = """
source:
  endpoint: "{url}/pools"
  records: data
  errors: [{path: status, matches: "^(?!success$)", then: fail}]
fields:
  pool: UUID
  project: String
  tvl: {type: Float64, from: tvlUsd}
  apy_reward: {type: Nullable(Float64), from: apyReward}
  stable: {type: Bool, from: stablecoin}
  tokens: {type: Array(String), from: underlyingTokens}
  predicted: {type: String, from: predictions.predictedClass}
target: {table: crypto.pools, key: [pool]}
"""
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body), feed)
    expected = [
        {
            "pool": row["pool"], "project": row["project"], "tvl": row["tvlUsd"], "apy_reward": row["apyReward"], "stable": row["stablecoin"],
            "tokens": row["underlyingTokens"], "predicted": row["predictions"]["predictedClass"],
        }  # fmt: skip
        for row in json.loads(body)["data"]
    ]
    assert oracle.differences(rows, expected, ("pool",)) == []


def test_sec_current_filings(tmp_path: Path) -> None:
    """Atom in ISO-8859-1, three pages by offset, ids that repeat: superseded. The end is an empty feed."""
    pages = {start: recording(f"sec/current_all__current_start{start:04d}.atom.xml") for start in (0, 100, 200)}
    empty = pages[0].split(b"<entry>")[0] + b"</feed>"
    feed = """
source:
  endpoint: "{url}/cgi-bin/browse-edgar"
  params: {action: getcurrent, owner: include, output: atom}
  format: xml
  records: feed/entry
  paginate: {offset: start, limit: {param: count, size: 100}}
fields:
  accession: {type: String, sql: "splitByChar('=', id)[2]"}
  title: String
  link: {type: String, from: link/@href}
  form: {type: LowCardinality(String), from: category/@term}
  updated: DateTime
target: {table: sec.current, key: [accession, title, link]}
"""
    report, rows = landed_rows(tmp_path, lambda path, query: Answer(pages.get(int(query["start"]), empty), content_type="application/atom+xml"), feed)
    atom, expected = "{http://www.w3.org/2005/Atom}", []
    for page in pages.values():
        for entry in ElementTree.fromstring(page).iter(f"{atom}entry"):
            updated = datetime.fromisoformat(entry.findtext(f"{atom}updated", "")).astimezone(UTC)
            expected.append({
                "accession": entry.findtext(f"{atom}id", "").split("=")[1], "title": entry.findtext(f"{atom}title", "").strip(),
                "link": entry.find(f"{atom}link").get("href"), "form": entry.find(f"{atom}category").get("term"),
                "updated": updated.strftime("%Y-%m-%d %H:%M:%S"),
            })  # fmt: skip
    assert report.read == len(expected) == 300
    kept = oracle.latest(expected, ("accession", "title", "link"))
    assert oracle.differences(rows, kept, ("accession", "title", "link")) == []


YAHOO = """
source:
  endpoint: "{url}/v8/finance/chart/{{ each.symbol }}"
  each: {symbol: [X]}
  records: {path: "chart.result[0]", zip: true}
fields:
  symbol: {type: String, from: each.symbol}
  timestamp: {type: DateTime, epoch: s}
  open: {type: Nullable(Float64), from: "indicators.quote[0].open"}
  close: {type: Nullable(Float64), from: "indicators.quote[0].close"}
  adjusted: {type: Nullable(Float64), from: "indicators.adjclose[0].adjclose"}
  volume: {type: Nullable(UInt64), from: "indicators.quote[0].volume"}
target: {table: market.bars, key: [symbol, timestamp]}
"""


@pytest.mark.parametrize("name", ["chart-BTC-USD-2020-01-01-to-2020-01-03", "historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv"])
def test_yahoo_chart(tmp_path: Path, name: str) -> None:
    """Parallel arrays at different depths."""
    body = recording(f"yahoo/{name}.json")
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body), YAHOO)
    result = json.loads(body)["chart"]["result"][0]
    quote, adjusted = result["indicators"]["quote"][0], result["indicators"]["adjclose"][0]["adjclose"]
    expected = [
        {
            "symbol": "X", "timestamp": oracle.moment(at), "open": quote["open"][i], "close": quote["close"][i], "adjusted": adjusted[i],
            "volume": quote["volume"][i],
        }  # fmt: skip
        for i, at in enumerate(result["timestamp"])
    ]
    assert oracle.differences(rows, oracle.latest(expected, ("timestamp",)), ("timestamp",)) == []


def test_whale_alert_transactions(tmp_path: Path) -> None:
    """Amounts are whole numbers or floats, row by row; owners may be absent."""
    body = recording("whale/whalealert_transactions_24.json")
    feed = """
source:
  endpoint: "{url}/v1/transactions"
  records: transactions
fields:
  id: String
  blockchain: String
  amount: Decimal(38, 10)
  amount_usd: Float64
  from_owner: {type: Nullable(String), from: from.owner}
  to_owner: {type: Nullable(String), from: to.owner}
  timestamp: {type: DateTime, epoch: s}
target: {table: crypto.whales, key: [blockchain, id]}
"""
    _, rows = landed_rows(tmp_path, lambda path, query: Answer(body), feed)
    expected = [
        {
            "id": row["id"], "blockchain": row["blockchain"], "amount": Decimal(str(row["amount"])), "amount_usd": float(row["amount_usd"]),
            "from_owner": row["from"].get("owner"), "to_owner": row["to"].get("owner"), "timestamp": oracle.moment(row["timestamp"]),
        }  # fmt: skip
        for row in json.loads(body, parse_float=Decimal)["transactions"]
    ]
    assert oracle.differences(rows, expected, ("blockchain", "id")) == []
