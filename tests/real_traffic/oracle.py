"""What must land, taken from the bodies by the standard library alone: nothing of the project is imported here.

Each reader gives rows as dicts of plain values: text, int, float, Decimal, None. Dates and times are text as ClickHouse
prints them.
"""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
METADATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"


def fred(body: bytes, series: str) -> list[dict[str, Any]]:
    """`value` is text; "." is missing."""
    return [
        {"indicator": series, "date": row["date"], "value": None if row["value"] == "." else float(row["value"])}
        for row in json.loads(body)["observations"]
    ]


def fredgraph(body: bytes, series: str) -> list[dict[str, Any]]:
    """CSV; an empty field is missing."""
    rows = list(csv.reader(io.StringIO(body.decode())))
    return [{"indicator": series, "date": day, "value": float(value) if value else None} for day, value in rows[1:] if day]


def treasury(body: bytes, tenors: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per entry; an absent element is null."""
    rows = []
    for properties in ElementTree.fromstring(body).iter(f"{METADATA}properties"):
        row: dict[str, Any] = {"date": properties.findtext(f"{DATA}NEW_DATE", "")[:10]}
        for tenor in tenors:
            text = properties.findtext(f"{DATA}{tenor}")
            row[tenor] = None if text is None else float(text)
        rows.append(row)
    return rows


def fiscaldata(body: bytes, amounts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Amounts are exact; the text "null" and an absent name are null."""
    rows = []
    for record in json.loads(body)["data"]:
        row: dict[str, Any] = {"record_date": record["record_date"]}
        for name in amounts:
            text = record.get(name, "null")
            row[name] = None if text == "null" else Decimal(text)
        rows.append(row)
    return rows


def world_bank(body: bytes) -> list[dict[str, Any]]:
    return [
        {
            "indicator": row["indicator"]["id"], "country_id": row["country"]["id"], "country": row["country"]["value"],
            "iso3": row["countryiso3code"], "year": int(row["date"]), "value": row["value"],
        }  # fmt: skip
        for row in json.loads(body)[1] or []
    ]


def glassnode(body: bytes, metric: str, asset: str) -> list[dict[str, Any]]:
    """`v`, or `o.v` with `o.h` and `o.l`."""
    rows = []
    for point in json.loads(body):
        row = {"metric": metric, "asset": asset, "timestamp": moment(point["t"])}
        if "o" in point:
            row |= {"value": point["o"]["v"], "high": point["o"]["h"], "low": point["o"]["l"]}
        else:
            row |= {"value": point["v"]}
        rows.append(row)
    return rows


def defillama_history(body: bytes) -> list[dict[str, Any]]:
    return [{"date": moment(point["date"]), "tvl": float(point["totalLiquidityUSD"])} for point in json.loads(body)["tvl"]]


def defillama_protocols(body: bytes) -> list[dict[str, Any]]:
    names = ("id", "slug", "name", "symbol", "category", "chains", "tvl", "mcap", "change_1d")
    return [{name: row[name] for name in names} | {"chain_tvls": row["chainTvls"]} for row in json.loads(body)]


def sec(body: bytes, cik: str) -> list[dict[str, Any]]:
    """`filings.recent`, or a bare page of older filings: parallel arrays."""
    document = json.loads(body)
    arrays = document["filings"]["recent"] if "filings" in document else document
    rows = []
    for i, number in enumerate(arrays["accessionNumber"]):
        rows.append({
            "cik": cik, "accession_number": number, "form": arrays["form"][i], "filing_date": arrays["filingDate"][i],
            "report_date": arrays["reportDate"][i] or None,
            "accepted_at": arrays["acceptanceDateTime"][i].replace("T", " ").removesuffix("Z"),
            "items": arrays["items"][i], "size": arrays["size"][i], "primary_document": arrays["primaryDocument"][i],
        })  # fmt: skip
    return rows


def moment(seconds: int) -> str:
    """Seconds since 1970 as ClickHouse prints a DateTime in UTC."""
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def latest(rows: list[dict[str, Any]], key: tuple[str, ...]) -> list[dict[str, Any]]:
    """The last row of each key."""
    return list({tuple(row[name] for name in key): row for row in rows}.values())


def differences(landed: list[dict[str, Any]], expected: list[dict[str, Any]], key: tuple[str, ...]) -> list[str]:
    """Every cell that differs, rows missing and rows too many. [] when the table holds exactly what is expected."""
    found: list[str] = []
    by_key: dict[Any, list[dict[str, Any]]] = {}
    for row in landed:
        by_key.setdefault(tuple(str(row[name]) for name in key), []).append(row)
    for row in expected:
        name = tuple(str(row[part]) for part in key)
        rows = by_key.pop(name, [])
        if len(rows) != 1:
            found.append(f"{name}: {len(rows)} rows, expected 1")
            continue
        found += [f"{name} {cell}: {rows[0][cell]!r}, expected {value!r}" for cell, value in row.items() if not same(rows[0][cell], value)]
    found += [f"{name}: not expected" for name in by_key]
    return found


def same(landed: Any, expected: Any) -> bool:
    if expected is None or landed is None:
        return landed is None and expected is None
    if isinstance(expected, Decimal):
        return Decimal(str(landed)) == expected
    if isinstance(expected, (int, float)) and not isinstance(expected, bool):
        return float(landed) == float(expected)
    if isinstance(expected, dict):
        return set(landed) == set(expected) and all(same(landed[name], expected[name]) for name in expected)
    return bool(landed == expected)


def second_run(before: list[dict[str, Any]], after: list[dict[str, Any]], key: tuple[str, ...]) -> dict[str, int]:
    """What a run that reads ``after`` must report when the table holds ``before``; ``after`` has each key once."""
    known = {tuple(row[name] for name in key): row for row in before}
    counts = {"read": len(after), "new": 0, "revised": 0, "unchanged": 0}
    for row in after:
        old = known.get(tuple(row[name] for name in key))
        counts["new" if old is None else "unchanged" if all(same(row[cell], old[cell]) for cell in row) else "revised"] += 1
    return counts
