"""`sec_company_facts` and `sec_daily_index` as they are shipped, against a server, every cell compared with what the standard library
takes from the body. Recorded company facts are read too, where there are any; the index's two widths and its broken header are as EDGAR
writes them."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import oracle
import pytest
from landing import landing
from test_real_traffic import RECORDINGS
from traffic import Answer, project, serving

from nexus_engine.deliver.backfill import checked_range

FACT_KEY = ("cik", "taxonomy", "concept", "unit", "end", "days", "accession_number")
COMPANIES = '["0000320193", "0000789019", "0001318605"]'


def facts(body: bytes, cik: str) -> list[dict[str, Any]]:
    """Facts by taxonomy, concept and unit; numbers by their digits."""
    rows = []
    content = json.loads(body, parse_float=Decimal)
    for taxonomy, concepts in content["facts"].items():
        for concept, about in concepts.items():
            for unit, stated in about["units"].items():
                for fact in stated:
                    start, end = fact.get("start"), fact["end"]
                    rows.append({
                        "cik": cik, "entity_name": content["entityName"], "taxonomy": taxonomy, "concept": concept, "label": about["label"], "unit": unit,
                        "start": start, "end": end, "days": (date.fromisoformat(end) - date.fromisoformat(start)).days + 1 if start else 0,
                        "value": None if fact["val"] is None else Decimal(fact["val"]), "accession_number": fact["accn"], "fiscal_year": fact["fy"],
                        "fiscal_period": fact["fp"], "form": fact["form"], "filed": fact["filed"], "frame": fact.get("frame"),
                    })  # fmt: skip
    return rows


def made_facts(count: int) -> bytes:
    """A company that states ``count`` facts, with everything that EDGAR leaves out, repeats or writes oddly."""
    rng, concepts = random.Random(count), {}
    for number in range(count // 50):
        rows = []
        for n in range(50):
            end = date(2009, 3, 31) + timedelta(days=91 * n)
            start = {"start": (end - timedelta(days=rng.choice([89, 90, 272, 364]))).isoformat()} if number % 2 else {}
            value = rng.choice([0, -1, 1.5, 1e-7, 123456789012345678901, 0.1 + 0.2, 359241000000, 12.0])
            rows.append({
                **start, "end": end.isoformat(), "val": value, "accn": f"0001234567-{n % 90 + 10}-{number:06d}", "fy": rng.choice([None, 2024]), "fp": rng.choice([None, "FY", "Q1"]),
                "form": rng.choice(["10-K", "10-Q/A", "8-K"]), "filed": end.isoformat(), **({"frame": f"CY{n}"} if n % 7 == 0 else {}),
            })  # fmt: skip
        units = {"USD": rows[:30], "USD/shares": rows[30:], "EUR": []} if number % 3 else {"pure": rows}
        concepts[f"Concept{number}"] = {"label": rng.choice([None, "Größe, “net”"]), "description": "x" * 300, "units": units}
    return json.dumps({"cik": 1234567, "entityName": "A \"B\" Ç", "facts": {"dei": {}, "us-gaap": concepts, "ifrs-full": {"None": {"label": None, "units": {}}}}}, ensure_ascii=False).encode()


def recorded_facts() -> list[Path]:
    found = [path for path in RECORDINGS.glob("sec*/*") if "companyfacts" in path.name.lower() and path.suffix == ".json"] if RECORDINGS.is_dir() else []
    return [path for path in found if path.stat().st_size and b'"facts"' in path.read_bytes()[:2000]]


@pytest.mark.capability("Shapes: XBRL facts", spec="records: facts.{taxonomy}.{concept}.units.{unit}[]")
def test_company_facts(tmp_path: Path) -> None:
    bodies = {"0001234567": made_facts(20_000), **{f"{number:010d}": path.read_bytes() for number, path in enumerate(recorded_facts(), 1)}, "0000000000": b'{"cik":0,"entityName":"","facts":{}}'}
    with serving(lambda path, query: Answer(bodies[path[-15:-5]])) as traffic:
        project(tmp_path, "sec_company_facts", traffic.url, changes={COMPANIES: json.dumps(list(bodies))})
        with landing(tmp_path, datetime(2026, 11, 20, 14, tzinfo=UTC)) as landed:
            report = landed.run("sec_company_facts")
            expected = [row for cik, body in bodies.items() for row in facts(body, cik)]
            latest = oracle.latest(expected, FACT_KEY)
            assert (report.error, report.read, report.quarantined, report.landed) == (None, len(expected), 0, len(latest))
            assert oracle.differences(landed.rows("sec_company_facts"), latest, FACT_KEY) == []
            assert landed.run("sec_company_facts").status == "unchanged"


NOT_THERE = Answer(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>', 403, "application/xml")
HEADER = """Description:           Daily Index of EDGAR Dissemination Feed by Form Type
Last Data Received:    Sep 29, 2026
Comments:              webmaster@sec.gov
Anonymous FTP:         ftp://ftp.sec.gov/edgar/

Form Type   Company Name                                                  CIK
      Date Filed  File Name
"""


def index(day: date, width: int) -> tuple[bytes, list[dict[str, Any]]]:
    """A day's index and its rows."""
    rng, lines, rows = random.Random(day.toordinal()), [], []
    for number in range(40):
        form = rng.choice(["1-A POS", "4", "SC 13G/A", "NT 10-K405/A" if width == 12 else "SCHEDULE 13G/A", "10-12G/A"])
        company = rng.choice(["3D Investment Partners Pte. Ltd.", "Société Générale", "A", "EDGAR 4 7 INC 20260101", "X" * 61])
        cik, file = rng.randrange(1, 3_000_000), f"{rng.randrange(10**10):010d}-26-{number:06d}"
        filed = day.isoformat() if rng.random() < 0.9 else (day - timedelta(days=4)).isoformat()
        written = filed.replace("-", "") if width == 17 else filed
        lines.append(f"{form:<{width}}{company:<62}{cik:<12}{written:<12}edgar/data/{cik}/{file}.txt   ")
        rows.append({"form": form, "company": company, "cik": cik, "filed": filed, "accession_number": file, "file": f"edgar/data/{cik}/{file}.txt"})
    text = HEADER + "-" * 141 + "\n" + "".join(f"{line}\n" for line in sorted(lines))
    return text.encode("iso-8859-1"), rows


class Edgar:
    """Publishes a day's index at three in the morning (UTC) of the day after; never one of a Saturday, Sunday or of `closed`."""

    def __init__(self, closed: tuple[date, ...] = ()) -> None:
        self.closed, self.late, self.now = closed, dict[date, datetime](), datetime(2026, 1, 1, tzinfo=UTC)

    def there(self, day: date) -> bool:
        due = self.late.get(day, datetime(day.year, day.month, day.day, 3, tzinfo=UTC) + timedelta(days=1))
        return day.weekday() < 5 and day not in self.closed and self.now >= due

    def __call__(self, path: str, query: object) -> Answer:
        day = datetime.strptime(path[-12:-4], "%Y%m%d").date()  # noqa: DTZ007
        assert path == f"/Archives/edgar/daily-index/{day.year}/QTR{(day.month + 2) // 3}/form.{day:%Y%m%d}.idx"
        return Answer(index(day, 12 if day.day % 2 else 17)[0], 200, "binary/octet-stream") if self.there(day) else NOT_THERE

    def rows(self, first: date) -> list[dict[str, Any]]:
        days = (first + timedelta(days=n) for n in range((self.now.date() - first).days + 1))
        return [row for day in days if self.there(day) for row in index(day, 12 if day.day % 2 else 17)[1]]


@pytest.mark.capability("Errors: a file that will not come any more, told from one that is not there yet", spec="errors: [{status: 403, older_than: 12h, then: empty}, {status: 403, then: not_yet}]")
def test_a_day_without_an_index_holds_no_day_back(tmp_path: Path) -> None:
    """Eighteen days, twice a day, with a holiday and a day that is published three days late: what is there lands at the next run."""
    first, edgar = date(2026, 11, 9), Edgar((date(2026, 11, 11), date(2026, 11, 26)))
    edgar.late[date(2026, 11, 17)] = datetime(2026, 11, 20, 9, tzinfo=UTC)
    with serving(edgar) as traffic:
        project(tmp_path, "sec_daily_index", traffic.url)
        for half_days in range(2, 36):
            edgar.now = datetime(2026, 11, 9, 4, tzinfo=UTC) + timedelta(hours=12 * half_days)
            with landing(tmp_path, edgar.now) as landed:
                report = landed.run("sec_daily_index")
                assert (report.error, report.quarantined) == (None, 0)
                expected = edgar.rows(first)
                seen = landed.rows("sec_daily_index") if expected else []
                missing = {row["accession_number"] for row in expected} - {row["accession_number"] for row in seen}
                # a day that is late holds the ones behind it back until it is given up, half a day later
                assert not missing or date(2026, 11, 18) <= edgar.now.date() <= date(2026, 11, 19), (edgar.now, len(missing))
        assert len(expected) == 40 * 12
        with landing(tmp_path, edgar.now) as landed:
            assert oracle.differences(landed.rows("sec_daily_index"), expected, ("accession_number", "cik")) == []
        asked = [path[-12:-4] for path, _ in traffic.seen]
        assert asked[:2] == ["20261109", "20261110"]


def test_older_days_by_backfill(tmp_path: Path) -> None:
    edgar = Edgar((date(2026, 5, 25),))
    edgar.now = datetime(2026, 11, 20, 14, tzinfo=UTC)
    with serving(edgar) as traffic:
        project(tmp_path, "sec_daily_index", traffic.url)
        with landing(tmp_path, edgar.now) as landed:
            plan = landed.plans["sec_daily_index"]
            report = landed.session.run(plan, mover=checked_range(plan, "2026-05-20", "2026-06-01", (), edgar.now).job)
            assert (report.error, report.landed) == (None, 40 * 7)
    assert len(traffic.seen) == 12


def test_the_other_403_is_a_failure(tmp_path: Path) -> None:
    """EDGAR's answer to a caller that does not say who it is."""
    with serving(lambda path, query: Answer(b"<!DOCTYPE html><html><title>SEC.gov | Your Request Originates from an Undeclared Automated Tool</title></html>", 403, "text/html")) as traffic:
        project(tmp_path, "sec_daily_index", traffic.url)
        with landing(tmp_path, datetime(2026, 11, 20, 14, tzinfo=UTC)) as landed:
            report = landed.run("sec_daily_index")
            assert report.status == "failed" and "403" in report.error.what
            assert landed.session.store.positions("sec_daily_index") == {}


WORLD_BANK = """
name: world_bank_m2
source:
  api: world_bank
  path: v2/sources/57/country/all/series/all/data
  records: source.data
fields:
  database: {type: String, from: body.source.name}
  country: {type: String, from: "variable[concept=Country].value"}
  version: {type: String, from: "variable[concept=Version].id"}
  series: {type: String, from: "variable[concept=Series].id"}
  year: {type: UInt16, from: "variable[concept=Time].value"}
  value: Nullable(Float64)
target: {table: macro.archived, key: [country, version, series, year]}
"""


def test_world_bank_sources_are_pivoted(tmp_path: Path) -> None:
    """A list of concepts for each value: `variable[concept=Time].value`."""
    made = {"page": 1, "pages": 1, "source": {"id": "57", "name": "WDI Database Archives", "data": [{"variable": [
        {"concept": "Country", "id": "ALB", "value": "Albania"}, {"concept": "Version", "id": "199704", "value": "1997 Apr"},
        {"concept": "Series", "id": "AG.AGR.TRAC.NO", "value": "Agricultural machinery, tractors"}, {"concept": "Time", "id": "YR2016", "value": "2016"}], "value": None}]}}  # fmt: skip
    recorded = RECORDINGS / "worldbank/v2_sources_endpoint_shape.json"
    body = recorded.read_bytes() if recorded.is_file() else json.dumps(made).encode()
    expected = []
    for row in json.loads(body)["source"]["data"]:
        said = {item["concept"]: item for item in row["variable"]}
        expected.append({
            "database": "WDI Database Archives", "country": said["Country"]["value"], "version": said["Version"]["id"], "series": said["Series"]["id"],
            "year": int(said["Time"]["value"]), "value": row["value"],
        })  # fmt: skip
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "world_bank_m2", traffic.url, api_changes={line + "\n": "" for line in (Path(__file__).parents[2] / "apis.d/world_bank.yaml").read_text().splitlines() if line.startswith(("paginate", "records"))})
        (tmp_path / "sources.d" / "world_bank_m2.yaml").write_text(WORLD_BANK)
        with landing(tmp_path, datetime(2026, 11, 20, 14, tzinfo=UTC)) as landed:
            assert landed.run("world_bank_m2").error is None
            assert oracle.differences(landed.rows("world_bank_m2"), expected, ("country", "version")) == []
