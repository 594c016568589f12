"""Recorded traffic of the real APIs through the feeds beyond the first seven, as they are shipped but for the names asked for.
Every landed cell is what the standard library alone takes from the body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import oracle
import pytest
from landing import landing
from test_real_traffic import RECORDINGS, recording
from traffic import ROOT, SECRETS, Answer, Answering, project, serving

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recorded traffic at {RECORDINGS}")

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, f"the-{name}")


def landed_rows(folder: Path, feed: str, answering: Answering, changes: Mapping[str, str]) -> tuple[Any, Rows, list[dict[str, str]]]:
    """(report, rows, queries of the requests) of a shipped feed against a server."""
    with serving(answering) as traffic:
        project(folder, feed, traffic.url, changes=changes)
        with landing(folder, NOW) as landed:
            report = landed.run(feed)
            return report, landed.rows(feed) if report.landed else [], [query for _, query in traffic.seen]


def test_fred_vintages(tmp_path: Path) -> None:
    """GDP from 1946: 3,199 rows, every one a key of its own."""
    body = recording("fred/test_get_series_all_releases_json_.i0.json")
    changes = {"[GDP, UNRATE, CPIAUCSL, PAYEMS]": "[GDP]"}
    report, rows, queries = landed_rows(tmp_path, "fred_vintages", lambda path, query: Answer(body), changes)
    expected = [
        {
            "date": row["date"], "realtime_start": row["realtime_start"], "value": None if row["value"] == "." else float(row["value"]),
            "realtime_end": None if row["realtime_end"] == "9999-12-31" else row["realtime_end"],
        }  # fmt: skip
        for row in json.loads(body)["observations"]
    ]
    assert (report.read, report.landed, report.quarantined) == (3199, 3199, 0)
    assert oracle.differences(rows, expected, ("date", "realtime_start")) == []
    assert (queries[0]["realtime_start"], queries[0]["realtime_end"]) == ("1776-07-04", "9999-12-31")


def test_sec_current_filings(tmp_path: Path) -> None:
    """ISO-8859-1, three pages, ids that repeat; the end is told by a 503."""
    pages = {start: recording(f"sec/current_all__current_start{start:04d}.atom.xml") for start in (0, 100, 200)}

    def answering(path: str, query: Mapping[str, str]) -> Answer:
        body = pages.get(int(query["start"]))
        return Answer(body, content_type="application/atom+xml") if body else Answer(b"<html>Unavailable</html>", 503, "text/html")

    report, rows, queries = landed_rows(tmp_path, "sec_current_filings", answering, {})
    atom, expected = "{http://www.w3.org/2005/Atom}", []
    for page in pages.values():
        for entry in ElementTree.fromstring(page).iter(f"{atom}entry"):
            found = re.fullmatch(r"(.*?) - (.*) \((\d{10})\) \(([^()]*)\)", entry.findtext(f"{atom}title", "").strip(), re.DOTALL)
            assert found is not None
            link, category = entry.find(f"{atom}link"), entry.find(f"{atom}category")
            assert link is not None and category is not None
            updated = datetime.fromisoformat(entry.findtext(f"{atom}updated", "")).astimezone(UTC)
            expected.append({
                "accession_number": entry.findtext(f"{atom}id", "").split("=")[1], "form": category.get("term"), "company": found[2], "cik": found[3],
                "role": found[4], "link": link.get("href"), "updated": updated.strftime("%Y-%m-%d %H:%M:%S"),
            })  # fmt: skip
    key = ("accession_number", "cik", "role")
    assert (report.status, report.read, report.quarantined, len(queries)) == ("ok", 300, 0, 4), report.errors
    assert oracle.differences(rows, oracle.latest(expected, key), key) == []


@pytest.mark.parametrize("name", ["chart-BTC-USD-2020-01-01-to-2020-01-03", "historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv"])
def test_yahoo_bars(tmp_path: Path, name: str) -> None:
    body = recording(f"yahoo/{name}.json")
    changes = {"[SPY, QQQ, TLT, GLD, BTC-USD]": "[X]"}
    report, rows, _ = landed_rows(tmp_path, "yahoo_bars", lambda path, query: Answer(body), changes)
    result = json.loads(body)["chart"]["result"][0]
    quote, adjusted = result["indicators"]["quote"][0], result["indicators"]["adjclose"][0]["adjclose"]
    expected = [
        {
            "symbol": "X", "interval": "1d", "at": oracle.moment(at), "currency": result["meta"]["currency"],
            "timezone": result["meta"]["exchangeTimezoneName"], "adjusted_close": adjusted[i],
            **{part: quote[part][i] for part in ("open", "high", "low", "close", "volume")},
        }  # fmt: skip
        for i, at in enumerate(result["timestamp"])
    ]
    assert (report.status, report.quarantined) == ("ok", 0)
    assert oracle.differences(rows, oracle.latest(expected, ("at",)), ("at",)) == []


def test_yahoo_without_bars(tmp_path: Path) -> None:
    """A symbol that has none in the range: no `timestamp`, an empty quote."""
    answer = json.loads(recording("yahoo/chart-AZT.OL-2020-01-01-to-2020-01-03.json"))
    del answer["chart"]["result"][0]["timestamp"]
    answer["chart"]["result"][0]["indicators"] = {"quote": [{}], "adjclose": [{}]}
    body = json.dumps(answer).encode()
    report, _, _ = landed_rows(tmp_path, "yahoo_bars", lambda path, query: Answer(body), {"[SPY, QQQ, TLT, GLD, BTC-USD]": "[AZT.OL]"})
    assert (report.status, report.read, report.errors) == ("empty", 0, [])


def test_yahoo_unknown_symbol(tmp_path: Path) -> None:
    body = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}'
    report, _, _ = landed_rows(tmp_path, "yahoo_bars", lambda path, query: Answer(body, 404), {"[SPY, QQQ, TLT, GLD, BTC-USD]": "[XX]"})
    assert report.status == "failed" and "symbol may be delisted" in str(report.to_json())


@pytest.mark.parametrize("commit", ["137e0f1", "19dfa74"])
def test_defillama_tvl(tmp_path: Path, commit: str) -> None:
    body = recording(f"defillama/derived_etherfuse@{commit}.json")
    changes = {"[lido, aave, uniswap, eigenlayer, ethena]": "[etherfuse]"}
    report, rows, _ = landed_rows(tmp_path, "defillama_tvl", lambda path, query: Answer(body), changes)
    expected = [{"day": row["date"][:10], "at": row["date"], "tvl": row["tvl"]} for row in oracle.defillama_history(body)]
    assert oracle.differences(rows, oracle.latest(expected, ("day",)), ("day",)) == []
    assert report.superseded == len(expected) - len(rows)


def test_defillama_pools(tmp_path: Path) -> None:
    body = recording("defillama/pools_one_lido.json")
    _, rows, _ = landed_rows(tmp_path, "defillama_pools", lambda path, query: Answer(body), {})
    names = {"tvl_usd": "tvlUsd", "apy_base": "apyBase", "apy_reward": "apyReward", "il_risk": "ilRisk", "pool_meta": "poolMeta", "reward_tokens": "rewardTokens"}
    plain = ("pool", "chain", "project", "symbol", "apy", "stablecoin")
    expected = [{**{name: row[name] for name in plain}, **{mine: row[theirs] for mine, theirs in names.items()}} for row in json.loads(body)["data"]]
    assert oracle.differences(rows, expected, ("pool",)) == []
    assert json.loads(rows[0]["underlying_tokens"]) == ["0x0000000000000000000000000000000000000000"]


def test_defillama_prices(tmp_path: Path) -> None:
    body = recording("defillama/test_query_multiple_current_prices_False_.i0.json")
    _, rows, _ = landed_rows(tmp_path, "defillama_prices", lambda path, query: Answer(body), {})
    expected = [
        {"coin": coin, **{name: row[name] for name in ("symbol", "price", "confidence")}, "at": oracle.moment(row["timestamp"])}
        for coin, row in json.loads(body)["coins"].items()
    ]
    assert oracle.differences(rows, expected, ("coin",)) == []


def test_whale_alert(tmp_path: Path) -> None:
    """24 transfers, then an answer without a list."""
    first, end = recording("whale/whalealert_transactions_24.json"), recording("whale/whalealert_devbay_8.json")
    report, rows, queries = landed_rows(tmp_path, "whale_alert", lambda path, query: Answer(end if "cursor" in query else first), {})

    def owner(side: Mapping[str, Any]) -> str | None:
        return None if side.get("owner") in (None, "", "unknown") else side["owner"]

    expected = [
        {
            **{name: row[name] for name in ("id", "blockchain", "symbol", "hash", "transaction_count")}, "amount": float(row["amount"]),
            "amount_usd": float(row["amount_usd"]), "at": oracle.moment(row["timestamp"]), "from_address": row["from"].get("address"),
            "from_owner": owner(row["from"]), "to_owner": owner(row["to"]), "to_address": row["to"].get("address"),
        }  # fmt: skip
        for row in json.loads(first)["transactions"]
    ]
    assert (report.status, report.read, report.quarantined) == ("ok", 24, 0), report.errors
    assert oracle.differences(rows, expected, ("blockchain", "id")) == []
    assert queries[1]["cursor"] == json.loads(first)["cursor"] and queries[1]["start"] == queries[0]["start"] == str(int(NOW.timestamp()) - 600)


def test_whale_alert_error(tmp_path: Path) -> None:
    body = recording("whale/401__whalealert_devbay_2.json")
    report, _, _ = landed_rows(tmp_path, "whale_alert", lambda path, query: Answer(body, 401), {})
    assert report.status == "failed" and "invalid api_key" in str(report.to_json())


def test_etherscan(tmp_path: Path) -> None:
    """One address with a transaction, one without: `status: 0`, and no error."""
    full, none = recording("whale/test_has_activity.i0.json"), recording("whale/test_has_activity.i1.json")
    report, rows, queries = landed_rows(tmp_path, "etherscan_transactions", lambda path, query: Answer(full if query["address"].startswith("0x952") else none), {})
    expected = [
        {
            "hash": row["hash"], "block": int(row["blockNumber"]), "position": int(row["transactionIndex"]), "at": oracle.moment(int(row["timeStamp"])),
            "from_address": row["from"], "to_address": row["to"], "gas_used": int(row["gasUsed"]), "failed": row["isError"] == "1",
        }  # fmt: skip
        for row in json.loads(full)["result"]
    ]
    assert (report.status, report.quarantined, len(queries)) == ("ok", 0, 2), report.errors
    assert oracle.differences(rows, expected, ("hash",)) == []
    assert str(rows[0]["wei"]) == "58111783231682072"


@pytest.mark.parametrize("text", ["Invalid API Key (#err2)|FR7-", "Max daily rate limit reached. 110000 (100%) of 100000/day"])
def test_etherscan_error(tmp_path: Path, text: str) -> None:
    body = json.dumps({"status": "0", "message": "NOTOK", "result": text}).encode()
    report, _, _ = landed_rows(tmp_path, "etherscan_transactions", lambda path, query: Answer(body), {})
    assert report.status == "failed" and text in str(report.to_json())


def test_etherscan_walks_by_block(tmp_path: Path) -> None:
    """Pages of three over seven transactions, two of them in one block: the block a page ends in is asked for again."""
    sample = json.loads(recording("whale/test_has_activity.i0.json"))["result"][0]
    txs = [{**sample, "hash": f"0x{i}", "blockNumber": str(block), "functionName": "daily Max rate limit"} for i, block in enumerate((5, 6, 7, 7, 8, 9, 10))]

    def answering(path: str, query: Mapping[str, str]) -> Answer:
        found = [tx for tx in txs if int(tx["blockNumber"]) >= int(query["startblock"])][: int(query["offset"])]
        return Answer(json.dumps({"status": "1", "message": "OK", "result": found}).encode())

    changes = {"size: 10000": "size: 3", ', "0x3C69Bc9B9681683890ad82953Fe67d13Cd91D5EE"': ""}
    report, rows, queries = landed_rows(tmp_path, "etherscan_transactions", answering, changes)
    assert [query["startblock"] for query in queries] == ["0", "7", "8", "10"]
    assert report.status == "ok" and sorted(row["hash"] for row in rows) == [f"0x{i}" for i in range(7)]


def test_reddit_hot(tmp_path: Path) -> None:
    """With a token that is there already: 102 posts for a limit of 100; the listing's end is a null `after`."""
    listing = json.loads(recording("reddit/TestSubredditListings.test_hot.i1.json"))
    listing["data"]["after"] = None
    body = json.dumps(listing).encode()
    changes = {"[wallstreetbets, stocks, investing, CryptoCurrency]": "[askreddit]"}
    with serving(lambda path, query: Answer(body)) as traffic:
        api = {"auth:\n": "auth: {bearer: a-token}\n", "  oauth2:\n": "", **{line: "" for line in oauth_lines()}}
        project(tmp_path, "reddit_hot", traffic.url, changes=changes, api_changes=api)
        with landing(tmp_path, NOW) as landed:
            report = landed.run("reddit_hot")
            rows = landed.rows("reddit_hot")
    posts = [child["data"] for child in listing["data"]["children"]]
    expected = [
        {
            "name": post["name"], "subreddit": post["subreddit"], "title": post["title"], "score": post["score"], "comments": post["num_comments"],
            "author": None if post["author"] == "[deleted]" else post["author"], "created_at": oracle.moment(int(post["created_utc"])),
            "edited": json.dumps(post["edited"]), "text": post["selftext"],
        }  # fmt: skip
        for post in posts
    ]
    assert (report.status, report.read, report.quarantined) == ("ok", len(posts), 0), report.errors
    assert oracle.differences(rows, oracle.latest(expected, ("name",)), ("name",)) == []


def oauth_lines() -> list[str]:
    return [line for line in (ROOT / "apis.d/reddit.yaml").read_text().splitlines(keepends=True) if line.startswith("    ")]


def test_x_user_tweets(tmp_path: Path) -> None:
    """Two tweets of the shortest form and a token; behind it nothing but `meta`."""
    body = recording("twitter/test_client_get_users_tweets.i0.json")

    def answering(path: str, query: Mapping[str, str]) -> Answer:
        return Answer(b'{"meta":{"result_count":0}}' if "pagination_token" in query else body)

    report, rows, queries = landed_rows(tmp_path, "x_user_tweets", answering, {', "44196397"': ""})
    expected = [{"id": tweet["id"], "text": tweet["text"], "user_id": "783214"} for tweet in json.loads(body)["data"]]
    assert (report.status, report.read) == ("ok", 2), report.errors
    assert oracle.differences([{**row, "id": str(row["id"])} for row in rows], expected, ("id",)) == []
    assert queries[1]["pagination_token"] == json.loads(body)["meta"]["next_token"]


def test_x_goes_on_behind_the_newest_post(tmp_path: Path) -> None:
    """Ids are beyond 2^53, and the next run asks from the greatest on, to the last digit."""
    body = recording("twitter/test_client_get_users_tweets.i0.json")
    newest = json.loads(body)["meta"]["newest_id"]

    def answering(path: str, query: Mapping[str, str]) -> Answer:
        return Answer(b'{"meta":{"result_count":0}}' if "pagination_token" in query or query["since_id"] == newest else body)

    with serving(answering) as traffic:
        project(tmp_path, "x_user_tweets", traffic.url, changes={', "44196397"': ""})
        with landing(tmp_path, NOW) as landed:
            assert (landed.run("x_user_tweets").landed, landed.run("x_user_tweets").status) == (2, "empty")
    assert [query["since_id"] for _, query in traffic.seen] == ["1", "1", newest]


@pytest.mark.capability("Errors: X's monthly cap", spec="errors: [{status: 429, path: title, equals: UsageCapExceeded, then: stop}]")
def test_x_monthly_cap(tmp_path: Path) -> None:
    """429 that no wait ends: the feed stops, and no account is asked for again."""
    body = recording("twitter/429__usage_cap_exceeded.json")
    report, _, queries = landed_rows(tmp_path, "x_user_tweets", lambda path, query: Answer(body, 429), {})
    assert report.status == "failed" and "Monthly product cap" in str(report.to_json())
    assert {query["since_id"] for query in queries} == {"1"} and len(queries) <= 2
