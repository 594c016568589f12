"""What seven APIs answer, made up: used only by make_recordings.py. Each function gives ``{cassette: answers}`` for a round.

Round 2 is asked three days later: it re-reads each feed's lookback, with one value revised and one row new.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

JSON_HEADERS = {"Content-Type": "application/json; charset=UTF-8"}


@dataclass(frozen=True)
class Answer:
    """One answer to a GET. ``params`` are the query in the order it is sent, secrets as REDACTED."""

    url: str
    params: list[tuple[str, str]]
    body: str
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON_HEADERS))
    compressed: bool = False
    status: int = 200
    charset: str = "utf-8"  # of a compressed body


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def weekdays(first: date, last: date) -> list[date]:
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    return [day for day in days if day.weekday() < 5]


def months(first: date, last: date) -> list[date]:
    found = [first]
    while found[-1] < last:
        found.append((found[-1] + timedelta(days=32)).replace(day=1))
    return found


# FRED: values are text, "." is missing, the realtime dates repeat the day of the request.
FRED_SERIES = {
    # series: (first date, last date, start value, step, decimals)
    "FEDFUNDS": (date(2023, 1, 1), date(2026, 10, 1), 4.33, 0.05, 2),
    "DGS10": (date(2026, 1, 2), date(2026, 11, 19), 4.19, 0.04, 2),
    "M2SL": (date(2023, 1, 1), date(2026, 9, 1), 21200.1, 60, 1),
    "UNRATE": (date(2023, 1, 1), date(2026, 10, 1), 3.5, 0.08, 1),
    "CPIAUCSL": (date(2023, 1, 1), date(2026, 10, 1), 300.456, 0.7, 3),
}
HOLIDAYS = {"2026-01-19", "2026-02-16", "2026-04-03", "2026-05-25", "2026-06-19", "2026-07-03", "2026-09-07", "2026-10-12", "2026-11-11"}


def fred_values(series: str) -> dict[str, str]:
    first, last, value, step, decimals = FRED_SERIES[series]
    random = Random(f"fred {series}")
    values = {}
    for day in weekdays(first, last) if series == "DGS10" else months(first, last):
        value += random.gauss(step if series in ("M2SL", "CPIAUCSL") else 0, step)
        missing = series == "DGS10" and day.isoformat() in HOLIDAYS or (series, day) == ("CPIAUCSL", date(2025, 10, 1))
        values[day.isoformat()] = "." if missing else f"{value:.{decimals}f}"
    return values


def fred(number: int) -> dict[str, list[Answer]]:
    today = "2026-11-20" if number == 1 else "2026-11-23"
    answers = []
    for series in FRED_SERIES:
        values = fred_values(series)
        start = "2000-01-01"
        if series == "DGS10" and number == 1:
            del values["2026-11-19"]  # published the evening after
        if number == 2:
            cursor = "2026-11-18" if series == "DGS10" else max(values)
            start = (date.fromisoformat(cursor) - timedelta(days=30)).isoformat()
            if series == "M2SL":
                values["2026-09-01"] = f"{float(values['2026-09-01']) + 3.7:.1f}"
        rows = [
            {"realtime_start": today, "realtime_end": today, "date": day, "value": value}
            for day, value in values.items()
            if day >= start
        ]
        body = {
            "realtime_start": today, "realtime_end": today, "observation_start": start, "observation_end": "9999-12-31",
            "units": "lin", "output_type": 1, "file_type": "json", "order_by": "observation_date", "sort_order": "asc",
            "count": len(rows), "offset": 0, "limit": 100000, "observations": rows,
        }  # fmt: skip
        params = [("file_type", "json"), ("series_id", series), ("observation_start", start), ("limit", "100000"), ("offset", "0"), ("api_key", "REDACTED")]
        answers.append(Answer("https://api.stlouisfed.org/fred/series/observations", params, compact(body)))
    return {"observations": answers}


# Treasury: Atom with OData properties. A tenor that was not issued that day is an absent element.
TENORS = [  # name, first day, last day
    ("BC_1MONTH", "2001-07-31", ""), ("BC_1_5MONTH", "2025-02-18", ""), ("BC_2MONTH", "2018-10-16", ""), ("BC_3MONTH", "", ""),
    ("BC_4MONTH", "2022-10-19", ""), ("BC_6MONTH", "", ""), ("BC_1YEAR", "", ""), ("BC_2YEAR", "", ""), ("BC_3YEAR", "", ""),
    ("BC_5YEAR", "", ""), ("BC_7YEAR", "", ""), ("BC_10YEAR", "", ""), ("BC_20YEAR", "1993-10-01", ""), ("BC_30YEAR", "", ""),
]  # fmt: skip
TREASURY = "https://home.treasury.gov/resource-center/data-chart-center/interest-rates/pages/xml"
QUIRK_DAYS = {2001: [date(2001, 7, 30), date(2001, 7, 31)], 2002: [date(2002, 2, 15), date(2002, 2, 19)], 2008: [date(2008, 12, 10)],
              2006: [date(2006, 2, 8), date(2006, 2, 9)], 2010: [date(2010, 10, 11)], 2018: [date(2018, 10, 15), date(2018, 10, 16)]}  # fmt: skip


def tenor_values(day: date, revised: bool) -> list[tuple[str, str]]:
    text, random = day.isoformat(), Random(f"treasury {day}")
    if text == "2010-10-11":
        return []  # an entry without any tenor, as it was sent
    level = max(0.0, 7.5 - (day.year - 1990) * 0.2) if day.year < 2022 else 4.0
    found = []
    for index, (name, first, _) in enumerate(TENORS):
        thirty_gap = name == "BC_30YEAR" and "2002-02-16" <= text <= "2006-02-08"
        if text < first or thirty_gap or (name == "BC_3MONTH" and text == "2008-12-10"):
            continue
        value = max(0.0, level + index * 0.06 + random.gauss(0, 0.15) - 0.4)
        found.append((name, f"{value + (0.01 if revised and name == 'BC_10YEAR' else 0):.2f}"))
    display = dict(found).get("BC_30YEAR", "0.00")
    return [*found, ("BC_30YEARDISPLAY", display)]


def treasury_entry(number: int, day: date, revised: bool) -> str:
    properties = "".join(f'<d:{name} m:type="Edm.Double">{value}</d:{name}>\n' for name, value in tenor_values(day, revised))
    link = f"data=daily_treasury_yield_curve&amp;id={number}"
    return f"""<entry>
<id>{TREASURY}-item?{link}</id>
<title type="text"></title>
<updated>2026-11-20T13:48:49Z</updated>
<author><name /></author>
<link rel="edit" title="DailyTreasuryYieldCurveRateDatum" href="/resource-center/pages/xml-item?{link}" />
<category term="TreasuryDataWarehouseModel.DailyTreasuryYieldCurveRateDatum" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme" />
<content type="application/xml">
<m:properties>
<d:Id m:type="Edm.Int32">{number}</d:Id>
<d:NEW_DATE m:type="Edm.DateTime">{day.isoformat()}T00:00:00</d:NEW_DATE>
{properties}</m:properties>
</content>
</entry>
"""


def treasury(number: int) -> dict[str, list[Answer]]:
    parts: dict[str, list[Answer]] = {}
    last = date(2026, 11, 19 if number == 1 else 20)
    for year in range(1990, 2027) if number == 1 else [2026]:
        days = weekdays(date(year, 1, 2), date(year, 1, 8))[:2] + QUIRK_DAYS.get(year, []) + weekdays(date(year, 12, 28), date(year, 12, 31))[-2:]
        if year == 2026:
            days = [day for day in weekdays(date(2026, 9, 1), last) if day.isoformat() not in HOLIDAYS]
        entries = "".join(treasury_entry(year * 300 - 596_000 + i, day, number == 2 and day == date(2026, 11, 18)) for i, day in enumerate(days))
        body = f"""<?xml version="1.0" encoding="utf-8" standalone="yes" ?>
<feed xml:base="{TREASURY}" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns="http://www.w3.org/2005/Atom">
<title type="text">DailyTreasuryYieldCurveRateData</title>
<id>{TREASURY}-item?data=daily_treasury_yield_curve</id>
<updated>2026-11-20T13:48:49Z</updated>
<link rel="self" title="DailyTreasuryYieldCurveRateData" href="DailyTreasuryYieldCurveRateData" />
{entries}</feed>
"""
        params = [("data", "daily_treasury_yield_curve"), ("field_tdr_date_value", str(year))]
        answer = Answer(TREASURY, params, body, {"Content-Type": "application/xml; charset=utf-8"}, compressed=True)
        parts.setdefault(f"years_{year // 10}x", []).append(answer)
    return parts


# fiscaldata: every value is text, null too; links are query fragments.
FISCAL = "https://api.fiscaldata.treasury.gov/services/api/fiscal_service/v2/accounting/od/debt_to_penny"


def debt_rows(number: int) -> list[dict[str, str]]:
    random, rows = Random("debt"), []
    early = [month - timedelta(days=1) for month in months(date(1993, 5, 1), date(2001, 1, 1))]
    last = date(2026, 11, 18 if number == 1 else 19)
    public, inside = Decimal("3300000000000.00"), Decimal("1090000000000.00")
    for day in early + [d for d in weekdays(date(2022, 6, 1), last) if d.isoformat() not in HOLIDAYS]:
        if day == date(2022, 6, 1):
            public, inside = Decimal("23900000000000.00"), Decimal("6600000000000.00")
        public += Decimal(random.randrange(-2_000_000_000_000, 3_200_000_000_000)) / 100
        inside += Decimal(random.randrange(-900_000_000_000, 950_000_000_000)) / 100
        split = day.year > 2001
        revised = Decimal("0.01") if number == 2 and day == date(2026, 11, 17) else Decimal(0)
        rows.append({
            "record_date": day.isoformat(), "debt_held_public_amt": str(public) if split else "null",
            "intragov_hold_amt": str(inside) if split else "null", "tot_pub_debt_out_amt": str(public + inside + revised),
            "src_line_nbr": "1", "record_fiscal_year": str(day.year + (day.month > 9)), "record_calendar_year": str(day.year),
            "record_calendar_month": f"{day.month:02d}", "record_calendar_day": f"{day.day:02d}",
        })  # fmt: skip
    return rows


def debt(number: int) -> dict[str, list[Answer]]:
    start, size = ("1993-04-01" if number == 1 else "2026-11-11"), 1000
    rows = [row for row in debt_rows(number) if row["record_date"] >= start]
    pages = -(-len(rows) // size)
    labels = {name: name.replace("_", " ").title() for name in rows[0]}
    kinds = {name: "CURRENCY" if name.endswith("_amt") else "DATE" if name == "record_date" else "STRING" for name in rows[0]}

    def link(page: int) -> str | None:
        return f"&page%5Bnumber%5D={page}&page%5Bsize%5D={size}" if 1 <= page <= pages else None

    parts: dict[str, list[Answer]] = {}
    for page in range(1, pages + 1):
        data = rows[(page - 1) * size : page * size]
        meta = {"count": len(data), "labels": labels, "dataTypes": kinds, "total-count": len(rows), "total-pages": pages}
        links = {"self": link(page), "first": link(1), "prev": link(page - 1), "next": link(page + 1), "last": link(pages)}
        params = [("format", "json"), ("sort", "record_date"), ("filter", f"record_date:gte:{start}"), ("page[number]", str(page)), ("page[size]", str(size))]
        body = compact({"data": data, "meta": meta, "links": links})
        parts[f"page_{page}"] = [Answer(FISCAL, params, body, {"Content-Type": "application/json"}, compressed=number == 1)]
    return parts


# World Bank: [meta, rows], newest year first; per_page is a number or a text, countryiso3code may be "".
COUNTRIES = {"USA": ("US", "United States"), "EMU": ("XC", "Euro area"), "CHN": ("CN", "China"),
             "JPN": ("JP", "Japan"), "GBR": ("GB", "United Kingdom"), "CAN": ("CA", "Canada")}  # fmt: skip


def world_bank(number: int) -> dict[str, list[Answer]]:
    parts: dict[str, list[Answer]] = {"americas_europe": [], "asia": []}
    for code, (iso2, name) in COUNTRIES.items():
        random, rows, value = Random(f"world bank {code}"), [], 60.0
        for year in range(1960, 2026 if (number, code) == (2, "JPN") else 2025):
            value = max(20.0, value + random.gauss(1.2, 2.5))
            shown: float | None = round(value, random.choice([9, 11, 13]))
            if (code == "EMU" and year > 1998) or (code == "CHN" and year < 1977) or (code == "CAN" and year > 2008):
                shown = None
            if (number, code, year) == (2, "CHN", 2024):
                shown = round(value + 0.5, 11)
            rows.append({
                "indicator": {"id": "FM.LBL.BMNY.GD.ZS", "value": "Broad money (% of GDP)"},
                "country": {"id": iso2, "value": name}, "countryiso3code": "" if code == "EMU" else code, "date": str(year),
                "value": shown, "unit": "", "obs_status": "", "decimal": 0,
            })  # fmt: skip
        meta = {"page": 1, "pages": 1, "per_page": "20000" if code == "GBR" else 20000, "total": len(rows), "sourceid": "2",
                "lastupdated": "2026-10-07" if number == 1 else "2026-11-21"}  # fmt: skip
        url = f"https://api.worldbank.org/v2/country/{code}/indicator/FM.LBL.BMNY.GD.ZS"
        params = [("format", "json"), ("page", "1"), ("per_page", "20000")]
        part = "asia" if code in ("CHN", "JPN") else "americas_europe"
        answer = Answer(url, params, compact([meta, rows[::-1]]), {"Content-Type": "application/json;charset=utf-8"}, part != "asia")
        parts[part].append(answer)
    return parts


# Glassnode: v is an int, a float or null; the newest point is provisional.
GLASSNODE = {"distribution/exchange_net_position_change": (-21000.0, 9000.0), "addresses/active_count": (712_000, 40_000),
             "indicators/sopr": (1.01, 0.02), "market/mvrv": (1.9, 0.05)}  # fmt: skip


def glassnode(number: int) -> dict[str, list[Answer]]:
    answers = []
    for path, (centre, spread) in GLASSNODE.items():
        random, points = Random(f"glassnode {path}"), []
        first, last = datetime(2026, 8, 1, tzinfo=timezone.utc), datetime(2026, 11, 19, tzinfo=timezone.utc)
        day = first
        while day <= last + timedelta(days=1 if number == 2 and path == "indicators/sopr" else 0):
            value = random.gauss(centre, spread)
            shown: float | int | None = round(value) if path.endswith("count") else value
            if path.startswith("distribution") and day.day == 14:
                shown = None
            if number == 2 and path == "market/mvrv" and day == last:
                shown = value + 0.003
            points.append({"t": int(day.timestamp()), "v": shown})
            day += timedelta(days=1)
        start = datetime(2010, 1, 1, tzinfo=timezone.utc) if number == 1 else last - timedelta(days=7)
        points = [point for point in points if point["t"] >= start.timestamp()]
        params = [("f", "JSON"), ("timestamp_format", "unix"), ("a", "BTC"), ("i", "24h"), ("s", str(int(start.timestamp())))]
        headers = {"Content-Type": "application/json", "x-rate-limit-limit": "600", "x-rate-limit-remaining": "599", "x-rate-limit-reset": "41"}
        answers.append(Answer(f"https://api.glassnode.com/v1/metrics/{path}", params, compact(points), headers))
    return {"metrics": answers}


# DefiLlama: one array; names repeat, tvl and mcap may be null, chainTvls mixes chains and buckets.
def defillama(number: int) -> dict[str, list[Answer]]:
    random, rows = Random("defillama"), []
    words = ["Lido", "Aave", "Maker", "Uniswap", "Curve", "Pendle", "Ether.fi", "Morpho", "Spark", "Ethena", "Sky", "Jito"]
    categories = ["Liquid Staking", "Lending", "Dexs", "Bridge", "CDP", "Yield", "Restaking"]
    chains = ["Ethereum", "Arbitrum", "OP Mainnet", "Base", "Solana", "Polygon", "BSC"]
    for i in range(61 if number == 2 else 60):
        on = random.sample(chains, random.randrange(0, 4))
        shares: dict[str, float | int] = {chain: random.choice([round(random.uniform(0, 9e8), 6), random.randrange(10**7)]) for chain in on}
        tvl: float | int | None = sum(shares.values()) if on else random.choice([None, 0, 1.5e-07])
        if on and i % 5 == 0:
            shares[f"{on[0]}-borrowed"] = shares["borrowed"] = round(random.uniform(0, 1e8), 4)
        if number == 2 and i == 7:
            tvl = 123456789.012345
        name = words[i % len(words)] + ("" if i < len(words) else f" V{i // len(words) + 1}" if i != 13 else "")
        rows.append({
            "id": str(i + 182), "name": name, "address": None, "symbol": random.choice(["LDO", "-", "AAVE", None]), "url": "https://example.org/", "description": "Made up — für Tests",
            "chain": "Multi-Chain" if len(on) > 1 else (on or ["Ethereum"])[0], "gecko_id": None, "cmcId": None, "category": categories[i % 7],
            "chains": on, "module": f"p{i}/index.js", "listedAt": 1648776877 + i * 86400, "slug": name.lower().replace(" ", "-") + ("-x" if i == 13 else ""),
            "tvl": tvl, "chainTvls": shares, "change_1h": round(random.gauss(0, 1), 12), "change_1d": random.choice([None, round(random.gauss(0, 3), 14)]),
            "change_7d": None, "tokenBreakdowns": {}, "mcap": random.choice([None, round(random.uniform(1e6, 1e10), 3), 5200000]),
        })  # fmt: skip
    headers = {"Content-Type": "application/json", "CF-Cache-Status": "HIT", "Server": "cloudflare", "expires": "Fri, 20 Nov 2026 14:05:20 GMT"}
    return {"protocols": [Answer("https://api.llama.fi/protocols", [], compact(rows), headers)]}


# SEC: parallel arrays; "" where there is nothing; the acceptance time is UTC and its date may be the day after.
COMPANIES = {"0000320193": ("Apple Inc.", "AAPL", "Nasdaq"), "0000789019": ("MICROSOFT CORP", "MSFT", "Nasdaq"), "0001318605": ("Tesla, Inc.", "TSLA", "Nasdaq")}
FORMS = [("4", "xslF345X05/form4.xml", "PRIMARY DOCUMENT"), ("8-K", "report8k.htm", "8-K"), ("10-Q", "report10q.htm", "10-Q"), ("SCHEDULE 13G/A", "xslSCHEDULE_13G_X01/primary_doc.xml", ""), ("144", "primary_doc.xml", "")]


def sec(number: int) -> dict[str, list[Answer]]:
    answers = []
    for cik, (name, ticker, exchange) in COMPANIES.items():
        random, filings, at = Random(f"sec {cik}"), [], datetime(2026, 11, 19, 22, 31, 5, tzinfo=timezone.utc)
        newer = number == 2 and cik == "0000320193"
        for i in range(41 if newer else 40):
            form, document, title = FORMS[random.randrange(len(FORMS))] if i else FORMS[1]
            when = datetime(2026, 11, 21, 0, 2, 11, tzinfo=timezone.utc) if newer and i == 40 else at
            at -= timedelta(hours=random.randrange(5, 90), minutes=random.randrange(60), seconds=random.randrange(60))
            filed = (when - timedelta(hours=5)).date()
            xbrl = int(form == "10-Q")
            items = random.choice(["2.02,9.01", "8.01", "5.02"]) if form == "8-K" else ""
            if number == 2 and cik == "0001318605" and i == 0:
                items = "2.02,7.01,9.01"
            filings.append({
                "accessionNumber": f"{cik}-26-{900 - i if i < 40 else 901:06d}", "filingDate": filed.isoformat(),
                "reportDate": "" if form in ("SCHEDULE 13G/A", "144") else (filed - timedelta(days=2)).isoformat(),
                "acceptanceDateTime": when.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "act": "" if form in ("4", "144") else "34", "form": form,
                "fileNumber": "" if form == "4" else "001-36743", "filmNumber": "" if form == "4" else str(26_500_000 + i), "items": items,
                "core_type": "XBRL" if xbrl else form, "size": random.randrange(4000, 9_000_000), "isXBRL": xbrl, "isInlineXBRL": xbrl,
                "isXBRLNumeric": None, "primaryDocument": document, "primaryDocDescription": title,
            })  # fmt: skip
        filings.sort(key=lambda filing: filing["acceptanceDateTime"], reverse=True)
        recent = {key: [filing[key] for filing in filings] for key in filings[0]}
        if cik == "0000789019":
            del recent["isXBRLNumeric"]  # not every answer has it
        body = {
            "cik": cik, "entityType": "operating", "sic": "3571", "sicDescription": "Electronic Computers", "name": name, "tickers": [ticker],
            "exchanges": [exchange], "ein": "000000000", "lei": None, "category": "Large accelerated filer", "fiscalYearEnd": "1231", "flags": "",
            "formerNames": [], "filings": {"recent": recent, "files": [{"name": f"CIK{cik}-submissions-001.json", "filingCount": 720, "filingFrom": "2005-02-17", "filingTo": "2018-02-11"}]},
        }  # fmt: skip
        headers = {"Content-Type": "application/json", "Cache-Control": "max-age=0, no-cache, no-store"}
        answers.append(Answer(f"https://data.sec.gov/submissions/CIK{cik}.json", [], compact(body), headers))
    return {"submissions": answers}


FEEDS: dict[str, Callable[[int], dict[str, list[Answer]]]] = {
    "fred_daily": fred,
    "treasury_yield_curve": treasury,
    "treasury_debt_to_penny": debt,
    "world_bank_m2": world_bank,
    "glassnode_onchain": glassnode,
    "defillama_protocols": defillama,
    "sec_submissions": sec,
}
