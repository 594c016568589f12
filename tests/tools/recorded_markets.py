"""What the APIs of the feeds beyond the first seven answer, made up: used only by make_recordings.py. One round each.

Each function gives ``{cassette: answers}``, asked at ``NOW``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from random import Random
from typing import Any

from recorded_apis import HOLIDAYS, TREASURY, Answer, compact, sec, weekdays

NOW = datetime(2026, 11, 20, 14, tzinfo=timezone.utc)
NOW_S = int(NOW.timestamp())
DAY = 86400


def made_hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


# Treasury bills: CLOSE is the bank discount, YIELD the coupon equivalent. Terms came over the years: 8, 17 and 6 weeks.
BILLS = {"4WK": "2001-07-31", "6WK": "2025-02-18", "8WK": "2018-10-16", "13WK": "", "17WK": "2022-10-19", "26WK": "", "52WK": "2008-06-05"}


def bill_entry(number: int, day: date) -> str:
    random = Random(f"bills {day}")
    level, values = (1.6 if day.year < 2022 else 4.1), ""
    for index, (term, first) in enumerate(BILLS.items()):
        if day.isoformat() >= first:
            close = level + index * 0.03 + random.gauss(0, 0.05)
            values += f'<d:ROUND_B1_CLOSE_{term}_2 m:type="Edm.Double">{close:.2f}</d:ROUND_B1_CLOSE_{term}_2>\n'
            values += f'<d:ROUND_B1_YIELD_{term}_2 m:type="Edm.Double">{close * 1.02:.2f}</d:ROUND_B1_YIELD_{term}_2>\n'
            values += f'<d:CUSIP_{term} m:type="Edm.String">912796{term[:3]}</d:CUSIP_{term}>\n'
    return f"""<entry>
<id>{TREASURY}-item?data=daily_treasury_bill_rates&amp;id={number}</id>
<title type="text"></title>
<updated>2026-11-20T13:48:49Z</updated>
<content type="application/xml">
<m:properties>
<d:DailyTreasuryBillRateDataId m:type="Edm.Int32">{number}</d:DailyTreasuryBillRateDataId>
<d:INDEX_DATE m:type="Edm.DateTime">{day.isoformat()}T00:00:00</d:INDEX_DATE>
{values}</m:properties>
</content>
</entry>
"""


def treasury_bills() -> dict[str, list[Answer]]:
    parts: dict[str, list[Answer]] = {}
    for year in range(2002, 2027):
        days = weekdays(date(year, 1, 2), date(year, 1, 8))[:3]
        if year == 2026:
            days = [day for day in weekdays(date(2026, 10, 1), date(2026, 11, 19)) if day.isoformat() not in HOLIDAYS]
        entries = "".join(bill_entry(year * 300 - 600_000 + i, day) for i, day in enumerate(days))
        body = f"""<?xml version="1.0" encoding="utf-8" standalone="yes" ?>
<feed xml:base="{TREASURY}" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns="http://www.w3.org/2005/Atom">
<title type="text">DailyTreasuryBillRateData</title>
<updated>2026-11-20T13:48:49Z</updated>
{entries}</feed>
"""
        params = [("data", "daily_treasury_bill_rates"), ("field_tdr_date_value", str(year))]
        parts.setdefault("years", []).append(Answer(TREASURY, params, body, {"Content-Type": "application/xml; charset=utf-8"}, compressed=True))
    return parts


SECURITIES = [("Marketable", "Treasury Bills"), ("Marketable", "Treasury Notes"), ("Marketable", "Treasury Bonds"),
              ("Non-marketable", "Domestic Series"), ("Interest-bearing Debt", "Total Interest-bearing Debt")]  # fmt: skip


def average_rates() -> dict[str, list[Answer]]:
    random, rows = Random("average rates"), []
    for month in range(24):
        first = date(2024 + (11 + month) // 12, (11 + month) % 12 + 1, 1)
        day = (first - timedelta(days=1)).isoformat()
        for kind, security in SECURITIES:
            rate = "null" if security == "Domestic Series" and month < 3 else f"{random.uniform(1.5, 5):.3f}"
            rows.append({"record_date": day, "security_type_desc": kind, "security_desc": security, "avg_interest_rate_amt": rate, "src_line_nbr": "1"})
    url = "https://api.fiscaldata.treasury.gov/services/api/fiscal_service/v2/accounting/od/avg_interest_rates"
    params = [("format", "json"), ("sort", "record_date"), ("filter", "record_date:gte:2001-01-31"), ("page[number]", "1"), ("page[size]", "1000")]
    meta = {"count": len(rows), "total-count": len(rows), "total-pages": 1}
    link = "&page%5Bnumber%5D=1&page%5Bsize%5D=1000"
    links = {"self": link, "first": link, "prev": None, "next": None, "last": link}
    return {"page_1": [Answer(url, params, compact({"data": rows, "meta": meta, "links": links}), {"Content-Type": "application/json"})]}


FRED = "https://api.stlouisfed.org/fred/series"


def vintages() -> dict[str, list[Answer]]:
    """Each date has a first value and, mostly, revisions: the interval in which a value was the known one."""
    answers = []
    for series in ("GDP", "UNRATE", "CPIAUCSL", "PAYEMS"):
        random, rows = Random(f"vintages {series}"), []
        for quarter in range(24):
            day = date(1946 if series == "GDP" and quarter == 0 else 2020 + quarter // 4, quarter % 4 * 3 + 1, 1)
            value = 100 + quarter * 1.7
            known = date(2020 + quarter // 4, quarter % 4 * 3 + 1, 1) + timedelta(days=118)
            times = random.randrange(1, 4)
            for number in range(times):
                until = known + timedelta(days=29)
                rows.append({
                    "realtime_start": known.isoformat(), "realtime_end": "9999-12-31" if number == times - 1 else until.isoformat(),
                    "date": day.isoformat(), "value": "." if (series, quarter, number) == ("GDP", 5, 0) else f"{value + random.gauss(0, 1):.3f}",
                })  # fmt: skip
                known = until + timedelta(days=1)
        body = {"realtime_start": "1776-07-04", "realtime_end": "9999-12-31", "units": "lin", "output_type": 1, "file_type": "json",
                "count": len(rows), "offset": 0, "limit": 100000, "observations": rows}  # fmt: skip
        params = [("file_type", "json"), ("series_id", series), ("realtime_start", "1776-07-04"), ("realtime_end", "9999-12-31"),
                  ("limit", "100000"), ("offset", "0"), ("api_key", "REDACTED")]  # fmt: skip
        answers.append(Answer(f"{FRED}/observations", params, compact(body)))
    return {"observations": answers}


def series_updates() -> dict[str, list[Answer]]:
    """Newest first; times have the offset of Chicago."""
    rows = []
    for number in range(40):
        at = (NOW - timedelta(hours=6 + number * 5)).strftime("%Y-%m-%d %H:%M:%S-06")
        rows.append({
            "id": f"SERIES{number:03d}", "realtime_start": "2026-11-20", "realtime_end": "2026-11-20", "title": f"Made-up Series {number}",
            "observation_start": "1947-01-01", "observation_end": "2026-10-01", "frequency": "Monthly", "frequency_short": "M", "units": "Percent",
            "units_short": "%", "seasonal_adjustment": "Seasonally Adjusted", "seasonal_adjustment_short": "SA", "last_updated": at,
            "popularity": number, "group_popularity": number,
        })  # fmt: skip
    body = {"realtime_start": "2026-11-20", "realtime_end": "2026-11-20", "filter_variable": "geography", "filter_value": "all",
            "order_by": "last_updated", "sort_order": "desc", "count": len(rows), "offset": 0, "limit": 1000, "seriess": rows}  # fmt: skip
    params = [("file_type", "json"), ("limit", "1000"), ("offset", "0"), ("api_key", "REDACTED")]
    return {"updates": [Answer(f"{FRED}/updates", params, compact(body))]}


def current_filings() -> dict[str, list[Answer]]:
    """The second page begins with the end of the first: the list moved meanwhile. Behind the last page: 503, in HTML."""
    entries = []
    for number in range(150):
        form, roles = [("4", ("Reporting", "Issuer")), ("8-K", ("Filer",)), ("SCHEDULE 13G/A", ("Filed by", "Subject"))][number % 3]
        at = (NOW - timedelta(minutes=3 * number)).astimezone(timezone(timedelta(hours=-5))).isoformat(timespec="seconds")
        for role in roles:
            cik = f"{1_000_000 + number * 7 + (0 if role != 'Reporting' else 3):010d}"
            name = "Café Holdings (UK) - A" if number == 1 else f"COMPANY {number}, INC."
            accession = f"{cik}-26-{number:06d}" if role != "Issuer" else f"{1_000_003 + number * 7:010d}-26-{number:06d}"
            entries.append(f"""<entry>
<title>{form} - {name} ({cik}) ({role})</title>
<link rel="alternate" type="text/html" href="https://www.sec.gov/Archives/edgar/data/{int(cik)}/{accession}-index.htm"/>
<summary type="html">
 &lt;b&gt;Filed:&lt;/b&gt; 2026-11-20 &lt;b&gt;AccNo:&lt;/b&gt; {accession} &lt;b&gt;Size:&lt;/b&gt; 10 KB
</summary>
<updated>{at}</updated>
<category scheme="https://www.sec.gov/" label="form type" term="{form}"/>
<id>urn:tag:sec.gov,2008:accession-number={accession}</id>
</entry>
""")
    answers = []
    for start, shown in ((0, entries[:100]), (100, entries[98:198]), (200, [])):
        params = [("action", "getcurrent"), ("type", ""), ("owner", "include"), ("output", "atom"), ("start", str(start)), ("count", "100")]
        body = f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<feed xmlns="http://www.w3.org/2005/Atom">
<title>Latest Filings - Fri, 20 Nov 2026 09:00:00 EST</title>
{"".join(shown)}</feed>
"""
        url, headers = "https://www.sec.gov/cgi-bin/browse-edgar", {"Content-Type": "application/atom+xml"}
        if shown:
            answers.append(Answer(url, params, body, headers, compressed=True, charset="iso-8859-1"))
        else:
            answers.append(Answer(url, params, "<html><body>Service Unavailable</body></html>", {"Content-Type": "text/html"}, status=503))
    return {"pages": answers}


def charts() -> dict[str, list[Answer]]:
    """Parallel arrays, a null bar, and one symbol without any bar: no `timestamp`, an empty quote."""
    answers = []
    for symbol in ("SPY", "QQQ", "TLT", "GLD", "BTC-USD"):
        random, coin = Random(f"chart {symbol}"), symbol == "BTC-USD"
        days = [date(2026, 11, 1) + timedelta(days=i) for i in range(19)] if coin else weekdays(date(2026, 11, 2), date(2026, 11, 19))
        stamps = [int(datetime(day.year, day.month, day.day, 0 if coin else 14, 0 if coin else 30, tzinfo=timezone.utc).timestamp()) for day in days]
        quote: dict[str, list[Any]] = {name: [round(random.uniform(90, 110), 6) for _ in days] for name in ("low", "close", "open", "high")}
        quote["volume"] = [random.randrange(10**6, 10**8) for _ in days]
        for name in quote if symbol == "QQQ" else ():
            quote[name][3] = None
        meta = {"currency": "USD", "symbol": symbol, "gmtoffset": 0 if coin else -18000, "exchangeTimezoneName": "UTC" if coin else "America/New_York", "dataGranularity": "1d"}
        result: dict[str, Any] = {"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote], "adjclose": [{"adjclose": [close and round(close - 0.5, 6) for close in quote["close"]]}]}}
        if symbol == "GLD":
            result = {"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}
        params = [("interval", "1d"), ("period1", "946684800"), ("period2", str(NOW_S - 14 * 3600))]
        answers.append(Answer(f"https://query2.finance.yahoo.com/v8/finance/chart/{symbol}", params, compact({"chart": {"result": [result], "error": None}})))
    return {"charts": answers}


def llama_tvl() -> dict[str, list[Answer]]:
    """The last point is of now, beside the one of the same day's midnight."""
    answers = []
    for slug in ("lido", "aave", "uniswap", "eigenlayer", "ethena"):
        random = Random(f"tvl {slug}")
        days = [NOW_S - 14 * 3600 - DAY * back for back in range(40, -1, -1) if back != 17]
        points = [{"date": day, "totalLiquidityUSD": random.choice([random.randrange(10**9), round(random.uniform(1e8, 1e10), 6)])} for day in days]
        points.append({"date": NOW_S - 77, "totalLiquidityUSD": 123456789.25})
        body = {"id": "1", "name": slug.title(), "tvl": points, "chainTvls": {"Ethereum": {"tvl": [], "tokens": None}}, "currentChainTvls": {"Ethereum": 1.5}}
        answers.append(Answer(f"https://api.llama.fi/protocol/{slug}", [], compact(body), {"Content-Type": "application/json"}))
    return {"protocols": answers}


def llama_pools() -> dict[str, list[Answer]]:
    random, rows = Random("pools"), []
    for number in range(60):
        base = random.choice([None, round(random.uniform(0, 12), 5)])
        text = made_hash("pool", number)
        rows.append({
            "chain": random.choice(["Ethereum", "Base", "Solana"]), "project": random.choice(["lido", "aave-v3", "pendle"]), "symbol": "STETH",
            "tvlUsd": random.choice([random.randrange(10**9), round(random.uniform(1e4, 1e9), 3)]), "apyBase": base, "apyReward": None if number % 3 else 1.25,
            "apy": round(base + 1.25, 5) if base and number % 3 == 0 else base, "rewardTokens": None if number % 3 else ["0xabc"], "pool": f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}",
            "apyPct1D": None, "stablecoin": number % 2 == 0, "ilRisk": "no", "exposure": "single", "predictions": {"predictedClass": None},
            "poolMeta": None if number % 2 else "2 days unstaking", "count": number, "outlier": False, "underlyingTokens": ["0x0000000000000000000000000000000000000000"],
        })  # fmt: skip
    return {"pools": [Answer("https://yields.llama.fi/pools", [], compact({"status": "success", "data": rows}), {"Content-Type": "application/json"})]}


def llama_chains() -> dict[str, list[Answer]]:
    rows: list[dict[str, Any]] = [
        {"gecko_id": "ethereum", "tvl": 68123456789.12, "tokenSymbol": "ETH", "cmcId": "1027", "name": "Ethereum", "chainId": 1},
        {"gecko_id": "optimism", "tvl": 512345678, "tokenSymbol": "OP", "cmcId": "11840", "name": "OP Mainnet", "chainId": 10},
        {"gecko_id": None, "tvl": 0, "tokenSymbol": None, "cmcId": None, "name": "Küste", "chainId": None},
    ]
    return {"chains": [Answer("https://api.llama.fi/v2/chains", [], compact(rows), {"Content-Type": "application/json"})]}


def llama_prices() -> dict[str, list[Answer]]:
    """The coin `dai` is absent: not known at the moment."""
    coins = {
        f"coingecko:{name}": {"symbol": symbol, "price": price, "timestamp": NOW_S - 40, "confidence": 0.99}
        for name, symbol, price in (("bitcoin", "BTC", 91250.11), ("ethereum", "ETH", 3010), ("solana", "SOL", 131.5), ("tether", "USDT", 0.9991), ("usd-coin", "USDC", 1.0))
    }
    url = "https://coins.llama.fi/prices/current/coingecko:bitcoin,coingecko:ethereum,coingecko:solana,coingecko:tether,coingecko:usd-coin,coingecko:dai"
    return {"prices": [Answer(url, [], compact({"coins": coins}), {"Content-Type": "application/json"})]}


def whales() -> dict[str, list[Answer]]:
    """Three answers: two with transfers, and one that says that there are no more."""
    random, rows = Random("whales"), []
    for number in range(150):
        owner = random.choice([{"owner": "kraken", "owner_type": "exchange"}, {"owner": "", "owner_type": "unknown"}, {"owner_type": "unknown"}, {"owner": "unknown", "owner_type": "unknown"}])
        rows.append({
            "blockchain": random.choice(["bitcoin", "ethereum", "tron"]), "symbol": "usdt", "id": str(2_900_000_000 + number), "transaction_type": "transfer",
            "hash": made_hash("whale", number // 2), "from": {"address": "Multiple Addresses" if number == 4 else made_hash(number)[:20], **owner},
            "to": {"address": made_hash("to", number)[:20], "owner": "binance", "owner_type": "exchange"}, "timestamp": NOW_S - 590 + number * 3,
            "amount": random.choice([random.randrange(10**6, 10**8), round(random.uniform(1e6, 1e8), 4)]), "amount_usd": round(random.uniform(5e5, 1e8), 3),
            "transaction_count": 1,
        })  # fmt: skip
    answers, token = [], ""
    for data, cursor in ((rows[:100], "2bc7e46-2bc7e46-5c66c0a7"), (rows[100:], "2bc7e99-2bc7e99-5c66c0b1"), ([], "0-0-0")):
        body: dict[str, Any] = {"result": "success", "cursor": cursor, "count": len(data)}
        if data:
            body["transactions"] = data
        params = [("min_value", "500000"), ("start", str(NOW_S - 600)), *([("cursor", token)] if token else []), ("limit", "100")]
        answers.append(Answer("https://api.whale-alert.io/v1/transactions", params, compact(body), {"Content-Type": "application/json"}, compressed=True))
        token = cursor
    return {"transfers": answers}


def transactions() -> dict[str, list[Answer]]:
    addresses = ("0x95222290DD7278Aa3Ddd389Cc1E1d165CC4BAfe5", "0x3C69Bc9B9681683890ad82953Fe67d13Cd91D5EE")
    random, rows = Random("transactions"), []
    for number in range(30):
        rows.append({
            "blockNumber": str(15_688_488 + number // 2 * 900), "timeStamp": str(1_665_052_355 + number // 2 * 10800), "hash": f"0x{made_hash('tx', number)}",
            "nonce": str(number), "transactionIndex": "" if number == 0 else str(random.randrange(300)), "from": addresses[0].lower(), "to": "" if number == 9 else "0x0b3b161b8abeb6b04cb95c3e6047f80c120a0292",
            "value": str(random.randrange(10**16, 10**23)), "gas": "30000", "gasPrice": "4835293352", "isError": str(int(number == 5)), "txreceipt_status": "1",
            "input": "0x", "contractAddress": "0xabc" if number == 9 else "", "gasUsed": "21000", "confirmations": "3132263", "methodId": "0x", "functionName": "",
        })  # fmt: skip
    none: dict[str, Any] = {"status": "0", "message": "No transactions found", "result": []}
    answers = []
    for address, body in zip(addresses, ({"status": "1", "message": "OK", "result": rows}, none), strict=True):
        params = [("chainid", "1"), ("module", "account"), ("action", "txlist"), ("address", address), ("startblock", "0"), ("sort", "asc"),
                  ("page", "1"), ("offset", "10000"), ("apikey", "REDACTED")]  # fmt: skip
        answers.append(Answer("https://api.etherscan.io/v2/api", params, compact(body)))
    return {"transactions": answers}


def klines() -> dict[str, list[Answer]]:
    answers, first = [], NOW_S - 14 * 3600 - 29 * DAY
    for symbol in ("BTCUSDT", "ETHUSDT"):
        random = Random(f"klines {symbol}")
        rows = [
            [at * 1000, *(f"{random.uniform(2000, 2100):.8f}" for _ in range(4)), f"{random.uniform(1, 900):.8f}", (at + DAY) * 1000 - 1, "31000.50000000", random.randrange(9000), "1.00000000", "2.00000000", "0"]
            for at in range(first, NOW_S, DAY)
        ]  # fmt: skip
        params = [("symbol", symbol), ("interval", "1d"), ("startTime", "1502928000000"), ("endTime", f"{NOW_S}000"), ("limit", "1000")]
        answers.append(Answer("https://api.binance.com/api/v3/klines", params, compact(rows)))
    return {"klines": answers}


def candles() -> dict[str, list[Answer]]:
    """Newest first; windows of 250 days, most of them empty here."""
    answers = []
    for product in ("BTC-USD", "ETH-USD"):
        random, start = Random(f"candles {product}"), datetime(2016, 6, 1, tzinfo=timezone.utc)
        while start < NOW:
            end = min(start + timedelta(days=250), NOW)
            last = end == NOW
            rows = [[NOW_S - 14 * 3600 - back * DAY, 1.5, 4, round(random.uniform(2, 3), 2), round(random.uniform(2, 3), 2), round(random.uniform(1, 9000), 8)] for back in range(20 if last else 0)]
            params = [("granularity", "86400"), ("start", start.strftime("%Y-%m-%dT%H:%M:%SZ")), ("end", end.strftime("%Y-%m-%dT%H:%M:%SZ"))]
            answers.append(Answer(f"https://api.exchange.coinbase.com/products/{product}/candles", params, compact(rows)))
            start = end
    return {"candles": answers}


def ohlc() -> dict[str, list[Answer]]:
    """The pair's own name is the key; beside it stands `last`, which is no pair."""
    random, answers = Random("ohlc"), []
    for pair, least in (("XXBTZUSD", 90_000), ("XETHZUSD", 3_000)):
        days = range(NOW_S - 14 * 3600 - 29 * DAY, NOW_S, DAY)
        rows = [[at, *(f"{random.uniform(least, least * 1.02):.1f}" for _ in range(5)), f"{random.uniform(100, 900):.8f}", random.randrange(9000)] for at in days]
        params = [("pair", pair), ("interval", "1440"), ("since", "1381017600")]
        answers.append(Answer("https://api.kraken.com/0/public/OHLC", params, compact({"error": [], "result": {pair: rows, "last": rows[-2][0]}})))
    return {"ohlc": answers}


def bitcoin_address() -> dict[str, list[Answer]]:
    """One that waits, 25 with a block, then the rest by the last id; coinbase inputs have no prevout, old outputs no address."""
    rows = []
    for number in range(41):
        status: dict[str, Any] = {"confirmed": number > 0}
        if number:
            status |= {"block_height": 924_000 - number * 9, "block_hash": made_hash("block", number), "block_time": NOW_S - number * 5400}
        address = {} if number == 40 else {"scriptpubkey_address": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"}
        coinbase = number == 40
        rows.append({
            "txid": made_hash("btc", number), "version": 1, "locktime": 0, "size": 200 + number, "weight": 800 + number, "fee": 0 if coinbase else 1078 + number, "status": status,
            "vin": [{"txid": "0" * 64, "vout": 0, "prevout": None if coinbase else {"value": 6000 + number}, "is_coinbase": coinbase, "sequence": 1}],
            "vout": [{"scriptpubkey": "76a9", "scriptpubkey_type": "p2pkh", **address, "value": 5000 + number}, {"scriptpubkey": "6a", "scriptpubkey_type": "op_return", "value": 0}],
        })  # fmt: skip
    base, answers = "https://mempool.space/api/address", []
    first, other = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"
    for below, page in (("", rows[:26]), (f"/chain/{rows[25]['txid']}", rows[26:]), (f"/chain/{rows[40]['txid']}", [])):
        answers.append(Answer(f"{base}/{first}/txs{below}", [], compact(page)))
    answers.append(Answer(f"{base}/{other}/txs", [], "[]"))
    return {"addresses": answers}


def reddit() -> dict[str, list[Answer]]:
    """Two pages of the first subreddit, with a post that moved onto the second; stickies come on top of the limit."""
    parts: dict[str, list[Answer]] = {}
    for subreddit in ("wallstreetbets", "stocks", "investing", "CryptoCurrency"):
        random = Random(f"reddit {subreddit}")
        posts: list[dict[str, Any]] = []
        for number in range(110 if subreddit == "wallstreetbets" else 6):
            posts.append({"kind": "t3", "data": {
                "name": f"t3_{subreddit[:2].lower()}{number:04d}", "id": f"{number:04d}", "subreddit": subreddit, "title": f"Made up {number} — “quoted”", "selftext": "Some text" if number == 3 else "",
                "author": random.choice([None, "[deleted]", "someone"]), "created_utc": NOW_S - 4000.0 - number * 60, "created": NOW_S + 24800.0, "score": random.randrange(-3, 9000),
                "num_comments": random.randrange(900), "upvote_ratio": 0.93, "edited": random.choice([False, True, NOW_S - 100.0]), "link_flair_text": "Discussion" if number == 3 else None,
                "url": f"https://www.reddit.com/r/{subreddit}/{number}", "stickied": number < 2,
            }})  # fmt: skip
        pages: list[tuple[list[dict[str, Any]], str | None]] = [(posts, None)]
        if len(posts) > 100:
            pages = [(posts[:102], posts[101]["data"]["name"]), (posts[101:], None)]
        token = ""
        for page, after in pages:
            body = {"kind": "Listing", "data": {"after": after, "dist": len(page), "modhash": None, "before": None, "children": page}}
            params = [("raw_json", "1"), *([("after", token)] if token else []), ("limit", "100")]
            headers = {"Content-Type": "application/json; charset=UTF-8", "x-ratelimit-used": "5", "x-ratelimit-remaining": "595.0", "x-ratelimit-reset": "359"}
            parts.setdefault("listings", []).append(Answer(f"https://oauth.reddit.com/r/{subreddit}/hot", params, compact(body), headers, compressed=True))
            token = after or ""
    return parts


def tweets() -> dict[str, list[Answer]]:
    """A page may be short of its size and have another behind it; an account without posts has only `meta`."""
    random, answers, token = Random("tweets"), [], ""
    rows = [{
        "id": str(1_990_000_000_000_000_000 - number * 12_345_678_901), "edit_history_tweet_ids": ["1"], "text": f"made up {number}\n🚀", "lang": "en", "author_id": "783214",
        "created_at": (NOW - timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "public_metrics": {"retweet_count": random.randrange(99), "reply_count": 3, "like_count": random.randrange(999), "quote_count": 0, "bookmark_count": 1, "impression_count": 99},
    } for number in range(100)]  # fmt: skip
    headers = {"Content-Type": "application/json; charset=utf-8", "x-rate-limit-limit": "1500", "x-rate-limit-remaining": "1499", "x-rate-limit-reset": str(NOW_S + 600)}
    for user, data, following in (("783214", rows[:96], "7140dibdnow9c7btw4232poeq0w"), ("783214", rows[96:], ""), ("44196397", [], "")):
        meta: dict[str, Any] = {"result_count": len(data)}
        if data:
            meta |= {"newest_id": data[0]["id"], "oldest_id": data[-1]["id"]}
        if following:
            meta["next_token"] = following
        params = [("since_id", "1"), ("tweet.fields", "created_at,author_id,lang,public_metrics"), *([("pagination_token", token)] if token else []), ("max_results", "100")]
        body = {"data": data, "meta": meta} if data else {"meta": meta}
        answers.append(Answer(f"https://api.x.com/2/users/{user}/tweets", params, compact(body), headers))
        token = following
    return {"tweets": answers}


XBRL_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store", "ETag": '"made-up"'}


def company_facts() -> dict[str, list[Answer]]:
    """A fact stands once for each filing that states it; a moment has no `start`; an old concept has no label, an old filing no year."""
    answers = []
    for cik, name in (("0000320193", "Apple Inc."), ("0000789019", "MICROSOFT CORPORATION"), ("0001318605", "Tesla, Inc.")):
        random = Random(f"facts {cik}")

        def filing(year: int, quarter: int, cik: str = cik) -> dict[str, Any]:
            end = date(year, quarter * 3, 30)
            filed, fp = end + timedelta(days=33), "FY" if quarter == 4 else f"Q{quarter}"
            return {"accn": f"{cik}-{filed.year % 100:02d}-{quarter:06d}", "fy": year, "fp": fp, "form": "10-K" if quarter == 4 else "10-Q", "filed": filed.isoformat()}

        def facts(period: bool, low: float, digits: int, random: Random = random) -> list[dict[str, Any]]:
            rows = []
            for year in (2025, 2026):
                for quarter in range(1, 5 if year == 2025 else 4):
                    end = date(year, quarter * 3, 30)
                    start = {"start": date(year, quarter * 3 - 2, 1).isoformat()} if period else {}
                    value = round(low * random.uniform(0.9, 1.2), digits) if digits else int(low * random.uniform(0.9, 1.2))
                    first = {**start, "end": end.isoformat(), "val": value, **filing(year, quarter)}
                    rows.append(first)
                    if period and quarter > 1:
                        rows.append({"start": f"{year}-01-01", "end": end.isoformat(), "val": round(value * quarter, digits) if digits else value * quarter, **filing(year, quarter)})
                    if year == 2025 and quarter < 4:  # stated again, for comparison, a year later
                        rows.append({**first, **filing(2026, quarter), "frame": f"CY2025Q{quarter}" + ("" if period else "I")})
            return rows

        old = {"end": "2009-06-27", "val": 2.33e-5, "accn": f"{cik}-09-000001", "fy": None, "fp": None, "form": "8-K", "filed": "2009-07-22"}
        content = {"cik": int(cik), "entityName": name, "facts": {
            "dei": {"EntityCommonStockSharesOutstanding": {"label": "Entity Common Stock, Shares Outstanding", "description": "Made up", "units": {"shares": facts(False, 14.9e9, 0)}}},
            "us-gaap": {
                "Assets": {"label": "Assets", "description": "Made up", "units": {"USD": facts(False, 3.6e11, 0)}},
                "EarningsPerShareDiluted": {"label": "Earnings Per Share, Diluted", "description": None, "units": {"USD/shares": facts(True, 1.57, 2)}},
                "Revenues": {"label": "Revenues", "description": "Made up", "units": {"EUR": [], "USD": facts(True, 9.4e10, 0)}},
                "DeprecatedRatio": {"label": None, "description": None, "units": {"pure": [old, {**old, "end": "2009-03-28", "val": -12345678901234567890}]}},
            },
        }}  # fmt: skip
        answers.append(Answer(f"https://data.sec.gov/api/xbrl/companyfacts/CIK{cik}.json", [], compact(content), XBRL_HEADERS, compressed=True))
    return {"facts": answers}


NOT_THERE = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>MADEUP</RequestId></Error>'


def index_of(day: date, width: int) -> str:
    """EDGAR's daily index by form; the header says 12 characters for the form whatever the records have, and is broken in two."""
    random, rows = Random(f"index {day}"), []
    for number in range(25):
        form = ("1-A POS", "10-Q", "4", "4/A", "8-K", "N-PX", "NT 10-Q", "SC 13G/A", "SCHEDULE 13D/A" if width > 12 else "SC 13D/A")[number % 9]
        name = ("3D Opportunity Master Fund", "ABERCROMBIE & FITCH CO /DE/", "Café Holdings (UK) plc", "Bitnomial Exchange, LLC (Security Futures Product Exchange) 7")[number % 4]
        cik, accession = random.randrange(1000, 2_200_000), f"{random.randrange(10**6):010d}-26-{number:06d}"
        filed = day - timedelta(days=4 if number == 0 else 0)
        rows.append((form, f"{form:<{width}}{name:<62}{cik:<12}{filed:%Y%m%d}    edgar/data/{cik}/{accession}.txt  "))
    head = f"""Description:           Daily Index of EDGAR Dissemination Feed by Form Type
Last Data Received:    {day:%b %d, %Y}
Comments:              webmaster@sec.gov
Anonymous FTP:         ftp://ftp.sec.gov/edgar/



Form Type   Company Name                                                  CIK
      Date Filed  File Name
"""
    return head + "-" * 141 + "\n" + "".join(f"{line}\n" for _, line in sorted(rows))


def daily_index() -> dict[str, list[Answer]]:
    """No index on Saturdays, Sundays and holidays, ever; none of today yet. Each of the two widths, and a day without filings."""
    answers = []
    for day in (date(2026, 11, 9) + timedelta(days=n) for n in range(12)):
        url = f"https://www.sec.gov/Archives/edgar/daily-index/2026/QTR4/form.{day:%Y%m%d}.idx"
        if day.weekday() > 4 or day.isoformat() in HOLIDAYS or day == NOW.date():
            answers.append(Answer(url, [], NOT_THERE, {"Content-Type": "application/xml"}, status=403))
            continue
        text = index_of(day, 12 if day.day < 11 else 17)
        if day.day == 13:
            text = text[: text.index("-" * 141) + 142]
        answers.append(Answer(url, [], text, {"Content-Type": "binary/octet-stream"}, compressed=True, charset="iso-8859-1"))
    return {"days": answers}


# SEC: the company's own answer lists its older pages, which are bare objects of parallel arrays. A younger company has none.
OLDER = {"0000320193": (("001", 24), ("002", 15)), "0000789019": (("001", 18),), "0001318605": ()}


def older_submissions() -> dict[str, list[Answer]]:
    answers, pages = [], []
    for answer in sec(1)["submissions"]:
        document = json.loads(answer.body)
        cik, recent, files, at = document["cik"], document["filings"]["recent"], [], 3
        for number, count in OLDER[cik]:
            page = {key: values[at : at + count] for key, values in recent.items() if key != "isXBRLNumeric"}
            page["accessionNumber"] = [f"{cik}-{17 - int(number):02d}-{count - n:06d}" for n in range(count)]
            days = [date(2018 - int(number), 2, 11) - timedelta(days=30 * n) for n in range(count)]
            page["filingDate"] = [day.isoformat() for day in days]
            page["reportDate"] = [(day - timedelta(days=2)).isoformat() if n % 3 else "" for n, day in enumerate(days)]
            page["acceptanceDateTime"] = [f"{day.isoformat()}T22:14:{n:02d}.000Z" for n, day in enumerate(days)]
            name = f"CIK{cik}-submissions-{number}.json"
            files.append({"name": name, "filingCount": count, "filingFrom": days[-1].isoformat(), "filingTo": days[0].isoformat()})
            pages.append(Answer(f"https://data.sec.gov/submissions/{name}", [], compact(page), answer.headers))
        document["filings"] = {"recent": {key: values[:3] for key, values in recent.items()}, "files": files}
        answers.append(Answer(answer.url, [], compact(document), answer.headers))
    return {"submissions": [*answers, *pages]}


FEEDS: dict[str, Callable[[], dict[str, list[Answer]]]] = {
    "treasury_bill_rates": treasury_bills,
    "treasury_avg_interest_rates": average_rates,
    "fred_vintages": vintages,
    "fred_series_updates": series_updates,
    "sec_current_filings": current_filings,
    "sec_company_facts": company_facts,
    "sec_daily_index": daily_index,
    "sec_submissions_older": older_submissions,
    "yahoo_bars": charts,
    "defillama_tvl": llama_tvl,
    "defillama_pools": llama_pools,
    "defillama_chains": llama_chains,
    "defillama_prices": llama_prices,
    "whale_alert": whales,
    "etherscan_transactions": transactions,
    "binance_klines": klines,
    "coinbase_candles": candles,
    "kraken_ohlc": ohlc,
    "mempool_address": bitcoin_address,
    "reddit_hot": reddit,
    "x_user_tweets": tweets,
}
