"""Write the recordings of ``docs/examples``: small answers in the shape the real APIs send, with made-up numbers.

    python tests/tools/make_examples.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2] / "docs/examples/sources.d/recordings"
RECORDED_AT = "2026-11-23T14:00:00Z"
JSON = "application/json"


def tx(hash: str, block: int, wei: str) -> dict[str, str]:
    return {"blockNumber": str(block), "timeStamp": "1763905200", "hash": hash, "from": "0xaa", "to": "0xbb", "value": wei, "isError": "0"}


def whale(number: int, owner: dict[str, str]) -> dict[str, Any]:
    return {
        "blockchain": "ethereum", "symbol": "eth", "id": f"19499317{number}", "transaction_type": "transfer", "hash": "2084eca97b",
        "from": {"address": "3f5ce5fb", **owner}, "to": {"address": "d551234a", "owner": "binance", "owner_type": "exchange"},
        "timestamp": 1795442400 + number, "amount": 6667 if number else 12.5, "amount_usd": 1794742.9, "transaction_count": 1,
    }  # fmt: skip


def chart(symbol: str, closes: list[float | None]) -> dict[str, Any]:
    stamps = [1795098600 + day * 86400 for day in range(len(closes))]
    quote = {"open": [1.5] * len(closes), "close": closes, "volume": [1000] * len(closes), "high": closes, "low": closes}
    result = {"meta": {"currency": "USD", "symbol": symbol, "gmtoffset": -18000}, "timestamp": stamps, "indicators": {"quote": [quote]}}
    return {"chart": {"result": [result], "error": None}}


def entry(form: str, number: int, role: str) -> str:
    return (
        f"<entry><title>{form} - ACME CORP (0001000001) ({role})</title>"
        f'<link rel="alternate" type="text/html" href="https://www.sec.gov/Archives/edgar/data/1000001/{number}-index.htm"/>'
        f"<updated>2026-11-23T08:5{number}:00-05:00</updated>"
        f'<category scheme="https://www.sec.gov/" label="form type" term="{form}"/>'
        f"<id>urn:tag:sec.gov,2008:accession-number=0001000001-26-00000{number}</id></entry>\n"
    )


def atom(entries: str) -> str:
    return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<feed xmlns="http://www.w3.org/2005/Atom"><title>Latest</title>\n{entries}</feed>'


ETHERSCAN = "https://api.etherscan.io/v2/api?chainid=1&module=account&action=txlist&address={}&startblock=0&sort=asc&apikey=REDACTED"
WHALES = "https://api.whale-alert.io/v1/transactions?min_value=500000&limit=100&start={}&end={}"
YAHOO = "https://query2.finance.yahoo.com/v8/finance/chart/{}?interval=1d&period1=1793491200&period2=1795442400"
EDGAR = "https://www.sec.gov/cgi-bin/browse-edgar?action=getcurrent&type=&owner=include&output=atom&start={}&count=100"
COINS = "https://coins.llama.fi/prices/current/coingecko:arbitrum,coingecko:dai,coingecko:chainlink"

# feed -> (URL, status, content type, body) of each answer
ANSWERS: dict[str, list[tuple[str, int, str, Any]]] = {
    "etherscan_txs": [
        (ETHERSCAN.format("0x95222290DD7278Aa3Ddd389Cc1E1d165CC4BAfe5"), 200, JSON,
         {"status": "1", "message": "OK", "result": [tx("0x01", 100, "12345678901234567890123"), tx("0x02", 101, "0")]}),
        (ETHERSCAN.format("0x3C69Bc9B9681683890ad82953Fe67d13Cd91D5EE"), 200, JSON,
         {"status": "0", "message": "No transactions found", "result": []}),
    ],
    "whale_alert": [
        (WHALES.format(1795438800, 1795442400), 200, JSON,
         {"result": "success", "cursor": "a-b-c", "count": 2, "transactions": [whale(0, {"owner": "kraken"}), whale(1, {})]}),
    ],
    "yahoo_prices": [
        (YAHOO.format("MSFT"), 200, JSON, chart("MSFT", [417.05, None, 418.1])),
        (YAHOO.format("BTC-USD"), 200, JSON, {"chart": {"result": [{"meta": {"currency": "USD"}, "indicators": {"quote": [{}]}}], "error": None}}),
    ],
    "llama_prices": [
        (COINS, 200, JSON, {"coins": {
            "coingecko:chainlink": {"decimals": 18, "symbol": "LINK", "price": 17.22, "timestamp": 1795442000, "confidence": 0.99},
            "coingecko:dai": {"decimals": 18, "symbol": "DAI", "price": 0.99972, "timestamp": 1795442001, "confidence": 0.99}}}),
    ],
    "edgar_current": [
        (EDGAR.format(0), 200, "application/atom+xml", atom(entry("8-K", 1, "Filer") + entry("4", 2, "Issuer"))),
        (EDGAR.format(2), 200, "application/atom+xml", atom(entry("4", 2, "Reporting"))),
        (EDGAR.format(3), 503, "text/html", "<html><body>Service unavailable</body></html>"),
    ],
    "fedfunds": [
        ("https://fred.stlouisfed.org/graph/fredgraph.csv?id=FEDFUNDS", 200, "text/csv",
         "observation_date,FEDFUNDS\n1954-07-01,0.80\n2026-09-01,3.87\n2026-10-01,\n"),
    ],
}  # fmt: skip


def cassette(feed: str) -> str:
    interactions = [
        {
            "request": {"method": "GET", "uri": uri, "body": None, "headers": {}},
            "response": {
                "status": {"code": status, "message": "OK" if status == 200 else "Service Unavailable"},
                "headers": {"Content-Type": [kind]},
                "body": {"string": body if isinstance(body, str) else json.dumps(body)},
            },
        }
        for uri, status, kind, body in ANSWERS[feed]
    ]
    data = {"version": 1, "metadata": {"recorded_at": RECORDED_AT, "feed": feed}, "interactions": interactions}
    return yaml.safe_dump(data, sort_keys=False, width=10**9, allow_unicode=True)


def main() -> int:
    stale = []
    for feed in ANSWERS:
        file = ROOT / feed / "answers.yaml"
        if file.exists() and file.read_text() == cassette(feed):
            continue
        stale.append(feed)
        if "--check" not in sys.argv:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(cassette(feed))
    print(*(stale or ["up to date"]))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
