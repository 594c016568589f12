"""Recorded traffic of the real APIs, through the shipped feeds and the real engine: every landed cell is what the standard
library alone takes from the body. The recordings are not part of the project; without their folder there is nothing to do here."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import oracle
import pytest
from landing import landing
from traffic import ROOT, Answer, project, serving

RECORDINGS = Path(os.environ.get("NEXUS_RECORDINGS", ROOT.parent / "shared" / "recordings"))
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recorded traffic at {RECORDINGS}")

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
TENORS = (
    "BC_1MONTH", "BC_1_5MONTH", "BC_2MONTH", "BC_3MONTH", "BC_4MONTH", "BC_6MONTH", "BC_1YEAR", "BC_2YEAR", "BC_3YEAR",
    "BC_5YEAR", "BC_7YEAR", "BC_10YEAR", "BC_20YEAR", "BC_30YEAR",
)  # fmt: skip
SERIES = "[FEDFUNDS, DGS10, M2SL, UNRATE, CPIAUCSL]"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRED_API_KEY", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("GLASSNODE_API_KEY", "glassnode-key")


def recording(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def test_fred_observations(tmp_path: Path) -> None:
    """GDP from 1946: `Date` begins in 1970, so what is older is refused, row by row, and the rest lands."""
    body = recording("fred/test_get_series_json_.i0.json")
    expected = oracle.fred(body, "GDP")
    inside = [row for row in expected if row["date"] >= "1970-01-01"]
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "fred_daily", traffic.url, changes={SERIES: "[GDP]"})
        with landing(tmp_path, NOW) as landed:
            report = landed.run("fred_daily")
            assert (report.status, report.read, report.landed, report.quarantined) == ("ok", len(expected), len(inside), len(expected) - len(inside))
            assert report.closes()
            assert oracle.differences(landed.rows("fred_daily"), inside, ("indicator", "date")) == []
    (path, query), *others = traffic.seen
    assert (path, others) == ("/fred/series/observations", [])
    assert query["series_id"] == "GDP" and query["file_type"] == "json" and query["observation_start"] == "2000-01-01"
    assert query["api_key"] == "0123456789abcdef0123456789abcdef"


def test_fred_all_vintages(tmp_path: Path) -> None:
    """3,199 rows for 315 dates: of each date the last one is kept, the others are superseded."""
    body = recording("fred/test_get_series_all_releases_json_.i0.json")
    read = oracle.fred(body, "GDP")
    expected = oracle.latest(read, ("date",))
    changes = {SERIES: "[GDP]", "date: Date\n": "date: Date32\n", 'window.start }}"}': 'window.start }}", realtime_start: 1776-07-04}'}
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "fred_daily", traffic.url, changes=changes)
        with landing(tmp_path, NOW) as landed:
            report = landed.run("fred_daily")
            assert (report.status, report.read, report.landed, report.superseded) == ("ok", len(read), len(expected), len(read) - len(expected))
            assert oracle.differences(landed.rows("fred_daily"), expected, ("indicator", "date")) == []
    assert traffic.seen[0][1]["realtime_start"] == "1776-07-04"


def test_fred_error_answer(tmp_path: Path) -> None:
    body = recording("fred/400__no_api_key.json")
    with serving(lambda path, query: Answer(body, 400, "text/xml; charset=UTF-8")) as traffic:
        project(tmp_path, "fred_daily", traffic.url, changes={SERIES: "[GDP]"})
        with landing(tmp_path, NOW) as landed:
            report = landed.run("fred_daily")
            assert (report.status, report.landed) == ("failed", 0)
            assert "Variable api_key is not set" in str(report.to_json())
            assert landed.session.store.positions("fred_daily") == {}


@pytest.mark.parametrize("year", [2006, 2022])
def test_treasury_yield_curve(tmp_path: Path, year: int) -> None:
    body = recording(f"treasury/home_treasury_yield_curve_{year}.atom.xml")
    expected = oracle.treasury(body, TENORS)
    with serving(lambda path, query: Answer(body, content_type="application/xml")) as traffic:
        project(tmp_path, "treasury_yield_curve", traffic.url, changes={"initial: 1990-01-01": f"initial: {year}-01-01"})
        with landing(tmp_path, datetime(year, 12, 31, 23, tzinfo=UTC)) as landed:
            report = landed.run("treasury_yield_curve")
            assert (report.status, report.read, report.landed) == ("ok", len(expected), len(expected))
            assert oracle.differences(landed.rows("treasury_yield_curve"), expected, ("date",)) == []
            assert landed.run("treasury_yield_curve").unchanged == len(expected)
    assert traffic.seen[0][1] == {"data": "daily_treasury_yield_curve", "field_tdr_date_value": str(year)}


def test_treasury_debt_to_penny(tmp_path: Path) -> None:
    """Two rows of page 1 of 4,153; the other pages were not recorded, so paging is taken out."""
    body = recording("treasury/fiscaldata_debt_to_penny.json")
    paging = 'paginate: {page: "page[number]", start: 1, limit: {param: "page[size]", size: 1000}, pages: meta.total-pages, total: meta.total-count}\n'
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "treasury_debt_to_penny", traffic.url, api_changes={paging: ""})
        with landing(tmp_path, NOW) as landed:
            assert landed.run("treasury_debt_to_penny").landed == 2
            expected = oracle.fiscaldata(body, ("debt_held_public_amt", "intragov_hold_amt", "tot_pub_debt_out_amt"))
            assert oracle.differences(landed.rows("treasury_debt_to_penny"), expected, ("record_date",)) == []
    assert traffic.seen[0][1]["filter"] == "record_date:gte:1993-04-01"


def test_world_bank(tmp_path: Path) -> None:
    """A null value, and a group of countries whose countryiso3code is empty."""
    body = recording("worldbank/v2_gdp_recorded_2026.json")
    changes = {"[USA, EMU, CHN, JPN, GBR, CAN]": '["MEX;EMU"]', "FM.LBL.BMNY.GD.ZS": "NY.GDP.MKTP.CD"}
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "world_bank_m2", traffic.url, changes=changes)
        with landing(tmp_path, NOW) as landed:
            assert landed.run("world_bank_m2").landed == 4
            assert oracle.differences(landed.rows("world_bank_m2"), oracle.world_bank(body), ("country_id", "year")) == []
    assert traffic.seen[0] == ("/v2/country/MEX;EMU/indicator/NY.GDP.MKTP.CD", {"format": "json", "page": "1", "per_page": "20000"})


@pytest.mark.capability("Errors: World Bank's message", spec='errors: [{path: "[0].message", message: "[0].message[0].value", then: fail}]')
def test_world_bank_error_in_200(tmp_path: Path) -> None:
    body = recording("worldbank/200__error_120_invalid_value.json")
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "world_bank_m2", traffic.url, changes={"[USA, EMU, CHN, JPN, GBR, CAN]": "[ETH]"})
        with landing(tmp_path, NOW) as landed:
            report = landed.run("world_bank_m2")
            assert (report.status, report.read) == ("failed", 0)
            assert "The provided parameter value is not valid" in str(report.to_json())


METRICS = "[distribution/exchange_net_position_change, addresses/active_count, indicators/sopr, market/mvrv]"


def test_glassnode_points(tmp_path: Path) -> None:
    body = recording("glassnode/cli_metric_points.json")
    expected = oracle.glassnode(body, "price_usd_close", "BTC")
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "glassnode_onchain", traffic.url, changes={METRICS: "[market/price_usd_close]"})
        with landing(tmp_path, NOW) as landed:
            assert landed.run("glassnode_onchain").landed == len(expected)
            assert oracle.differences(landed.rows("glassnode_onchain"), expected, ("metric", "timestamp")) == []
    assert traffic.seen[0][0] == "/v1/metrics/market/price_usd_close"


def test_glassnode_objects(tmp_path: Path) -> None:
    """Point-in-time metrics carry objects under `o`."""
    body = recording("glassnode/pit_ssr_object_points.json")
    expected = oracle.glassnode(body, "ssr_oscillator_pit", "BTC")
    value = "value: {type: Nullable(Float64), from: v}"
    three = "value: {type: Nullable(Float64), from: o.v}\n  high: {type: Float64, from: o.h}\n  low: {type: Float64, from: o.l}"
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "glassnode_onchain", traffic.url, changes={METRICS: "[indicators/ssr_oscillator_pit]", value: three})
        with landing(tmp_path, NOW) as landed:
            assert landed.run("glassnode_onchain").landed == len(expected)
            assert oracle.differences(landed.rows("glassnode_onchain"), expected, ("metric", "timestamp")) == []


@pytest.mark.parametrize("cik", ["0001847577", "0001318605"])
def test_sec_submissions(tmp_path: Path, cik: str) -> None:
    body = recording(f"sec/submissions_CIK{cik}.json")
    expected = oracle.sec(body, cik)
    with serving(lambda path, query: Answer(body)) as traffic:
        project(tmp_path, "sec_submissions", traffic.url, changes={'["0000320193", "0000789019", "0001318605"]': f"[{cik}]"})
        with landing(tmp_path, NOW) as landed:
            assert landed.run("sec_submissions").landed == len(expected)
            assert oracle.differences(landed.rows("sec_submissions"), expected, ("cik", "accession_number")) == []
            assert landed.run("sec_submissions").unchanged == len(expected)
    assert traffic.seen[0][0] == f"/submissions/CIK{cik}.json"


def test_sec_older_pages(tmp_path: Path) -> None:
    """A company's answer lists its older pages, bare objects of parallel arrays; they land beside its recent filings."""
    own, young = recording("sec/submissions_CIK0001318605.json"), recording("sec/submissions_CIK0001847577.json")
    page = recording("sec/submissions_CIK0001318605-submissions-001.json")
    bodies = {"CIK0001318605": own, "CIK0001847577": young, "CIK0001318605-submissions-001": page}
    older, recent = oracle.sec(page, "0001318605"), oracle.sec(own, "0001318605") + oracle.sec(young, "0001847577")
    with serving(lambda path, query: Answer(bodies[path.removeprefix("/submissions/").removesuffix(".json")])) as traffic:
        for feed in ("sec_submissions", "sec_submissions_older"):
            project(tmp_path, feed, traffic.url, changes={'["0000320193", "0000789019", "0001318605"]': "[0001318605, 0001847577]"})
        with landing(tmp_path, NOW) as landed:
            report = landed.run("sec_submissions_older")
            assert (report.status, report.partitions, report.landed) == ("ok", 1, 720)
            assert oracle.differences(landed.rows("sec_submissions_older"), older, ("cik", "accession_number")) == []
            assert landed.run("sec_submissions").landed == len(recent)
            assert oracle.differences(landed.rows("sec_submissions"), [*recent, *older], ("cik", "accession_number")) == []
            assert landed.run("sec_submissions_older").unchanged == 720


def test_sec_unknown_company(tmp_path: Path) -> None:
    body = recording("sec/404__submissions_CIK-000000001.xml")
    with serving(lambda path, query: Answer(body, 404, "application/xml")) as traffic:
        project(tmp_path, "sec_submissions", traffic.url)
        with landing(tmp_path, NOW) as landed:
            report = landed.run("sec_submissions")
            assert (report.status, report.read) == ("failed", 0)
            assert "NoSuchKey" in str(report.to_json())


HISTORY = """
name: defillama_protocols
source: {api: defillama, path: protocol/etherfuse, records: tvl}
fields:
  date: {type: DateTime, epoch: s}
  tvl: {type: Float64, from: totalLiquidityUSD}
target: {table: crypto.protocol_tvl, key: [date]}
"""


def test_defillama_history_of_two_days(tmp_path: Path) -> None:
    """The last point is dated now and comes back with other values: revised, new and unchanged add up."""
    bodies = [recording("defillama/derived_etherfuse@19dfa74.json"), recording("defillama/derived_etherfuse@137e0f1.json")]
    bodies.sort(key=len)
    first, second = (oracle.defillama_history(body) for body in bodies)
    at = [0]
    with serving(lambda path, query: Answer(bodies[at[0]])) as traffic:
        project(tmp_path, "defillama_protocols", traffic.url)
        (tmp_path / "sources.d" / "defillama_protocols.yaml").write_text(HISTORY)
        with landing(tmp_path, NOW) as landed:
            assert landed.run("defillama_protocols").landed == len(first)
            assert oracle.differences(landed.rows("defillama_protocols"), first, ("date",)) == []
            at[0] = 1
            report = landed.run("defillama_protocols")
            counts = {name: getattr(report, name) for name in ("read", "new", "revised", "unchanged")}
            assert counts == oracle.second_run(first, second, ("date",))
            everything = oracle.latest([*first, *second], ("date",))
            assert oracle.differences(landed.rows("defillama_protocols", latest=("date",)), everything, ("date",)) == []
