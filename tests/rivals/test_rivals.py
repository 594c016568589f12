"""The configs of docs/comparison.md as our specs, each run against a server that imitates its API: every landed cell is compared with
what the server has, an error stands in the way, and asking again changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import api_servers as apis
import pytest
from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

PROJECT = Path(__file__).resolve().parents[2] / "docs/rivals"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BUSY = answer({"error": "API limit reached"}, 429, {"Retry-After": "0"})
DOWN = answer("<html>Bad Gateway</html>", 502)
SECRETS = {
    "FINNHUB_KEY": "finnhub-key", "PAYPAL_ID": "paypal-id", "PAYPAL_SECRET": "paypal-secret", "GONG_KEY": "gong-key", "GONG_SECRET": "gong-secret",
    "PINTEREST_ID": "pin-id", "PINTEREST_SECRET": "pin-secret", "PINTEREST_REFRESH": "pin-refresh-token", "METABASE_USER": "metabase-user",
    "METABASE_PASSWORD": "metabase-password", "STRIPE_KEY": "stripe-key", "GITHUB_TOKEN": "github-token", "TRIPLETEX_TOKEN": "tripletex-token",
    "ALPACA_KEY": "alpaca-key", "ALPACA_SECRET": "alpaca-secret", "ZOOM_ID": "zoom-id", "ZOOM_SECRET": "zoom-secret", "ZOOM_ACCOUNT": "zoom-account",
    "SENTRY_TOKEN": "sentry-token", "TWILIO_SID": "AC0", "TWILIO_TOKEN": "twilio-token",
    "FYLR_ID": "fylr-id", "FYLR_SECRET": "fylr-secret", "FYLR_USER": "fylr-user", "FYLR_PASSWORD": "fylr-password",
}  # fmt: skip


def moment(text: str) -> str:
    return text.replace("T", " ")[:19]


def fine(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")


def text_of(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def epoch(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


Expect = Callable[[Any], Iterator[tuple[Any, ...]]]


def filings(api: Any) -> Iterator[tuple[Any, ...]]:
    for r in api.filings:
        yield r["accessNumber"], r["symbol"], r["cik"], r["form"], r["filedDate"], r["acceptedDate"], r["reportUrl"], r["filingUrl"]


def transactions(api: Any) -> Iterator[tuple[Any, ...]]:
    for r in api.transactions:
        info, payer = r["transaction_info"], r["payer_info"].get("email_address")
        yield info["transaction_id"], moment(info["transaction_updated_date"]), info["transaction_amount"]["value"], payer, info["transaction_amount"]["currency_code"]


def dashboards(api: Any) -> Iterator[tuple[Any, ...]]:
    for collection, numbers in api.items.items():
        for number in numbers:
            found = api.dashboard(number)
            yield number, found["name"], collection, text_of(found["dashcards"]), False


def customers(api: Any) -> Iterator[tuple[Any, ...]]:
    for r in api.customers:
        objects = [text_of(r[name]) for name in ("accountManager", "department", "deliveryAddress", "category1", "category2", "category3")]
        yield r["id"], r["name"], r["email"], *objects


def meetings(api: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for user in api.users:
        for meeting in api.meetings(user["id"]):
            yield user["id"], meeting


FEEDS: dict[str, dict[str, Expect]] = {
    "finnhub": {
        "finnhub_filings": filings,
        "finnhub_insiders": lambda api: (tuple(r.values())[:7] + (r["transactionPrice"],) for r in api.insiders),
        "finnhub_quotes": lambda api: ((s, epoch(q["t"]), q["c"], q["d"], q["dp"], q["h"], q["l"], q["o"], q["pc"]) for s, q in api.quotes.items()),
    },
    "paypal": {
        "paypal_transactions": transactions,
        "paypal_invoices": lambda api: ((r["id"], r["status"], r["detail"]["invoice_number"], r["amount"]["value"], "EUR") for r in api.invoices),
        "paypal_payments": lambda api: (
            (r["id"], r["state"], r["intent"], moment(r["update_time"]), r["transactions"][0]["amount"]["total"]) for r in api.payments
        ),
    },
    "gong": {
        "gong_calls": lambda api: ((r["id"], r["title"], f"{moment(r['started'])}.000", r["duration"], r["primaryUserId"]) for r in api.calls),
        "gong_scorecards": lambda api: ((r["answeredScorecardId"], r["callId"], text_of(r["answers"])) for r in api.scorecards),
        "gong_transcripts": lambda api: ((r["id"], text_of(api.transcript(r["id"])["transcript"])) for r in api.calls),
    },
    "pinterest": {
        "pinterest_boards": lambda api: ((r["id"], r["name"], r["owner"]["username"], r["pin_count"]) for r in api.boards),
        "pinterest_pins": lambda api: ((b["id"], r["id"], r["title"], moment(r["created_at"])) for b in api.boards[:4] for r in api.pins(b["id"])),
    },
    "metabase": {
        "metabase_cards": lambda api: ((r["id"], r["name"], r["display"], (r["collection"] or {}).get("name"), r["archived"]) for r in api.cards),
        "metabase_users": lambda api: (tuple(r.values()) for r in api.users),
        "metabase_dashboards": dashboards,
    },
    "stripe": {
        "stripe_balance_transactions": lambda api: (
            (r["id"], epoch(r["created"]), r["amount"], r["fee"], r["net"], r["currency"], r["type"], r["status"]) for r in api.transactions
        ),
    },
    "github": {
        "github_issues": lambda api: ((r["id"], r["number"], r["title"], r["user"]["login"], text_of(r["labels"]), moment(r["updated_at"])) for r in api.issues),
        "github_issue_comments": lambda api: (
            (c["id"], i["id"], c["user"]["login"], c["body"], moment(c["created_at"])) for i in api.issues for c in api.comments(i["number"])
        ),
    },
    "pokeapi": {f"pokeapi_{kind}": lambda api, kind=kind: (tuple(r.values()) for r in api.rows(kind)) for kind in ("pokemon", "berry", "location")},
    "tripletex": {
        "tripletex_customers": customers,
        "tripletex_contacts": lambda api: ((r["id"], r["firstName"], r["lastName"], text_of(r["department"])) for r in api.contacts),
    },
    "alpaca": {
        "alpaca_bars": lambda api: ((s, moment(b["t"]), *list(b.values())[1:]) for s in ("NVDA", "TSLA") for b in api.bars(s)),
    },
    "zoom": {
        "zoom_users": lambda api: (tuple(r.values()) for r in api.users),
        "zoom_meetings": lambda api: ((user, m["id"], m["topic"], moment(m["start_time"])) for user, m in meetings(api)),
        "zoom_registrants": lambda api: ((m["id"], *r.values()) for _, m in meetings(api) if m["id"] % 2 == 0 for r in api.registrants(m["id"])),
        "zoom_polls": lambda api: ((m["id"], f"p{m['id']}", "How was it?") for _, m in meetings(api) if m["id"] % 2),
    },
    "sentry": {
        "sentry_issues": lambda api: ((r["id"], r["title"], r["level"], r["count"], fine(r["lastSeen"])) for r in api.issues),
        "sentry_projects": lambda api: ((r["id"], r["slug"], r["name"], fine(r["dateCreated"])) for r in api.projects),
        "sentry_releases": lambda api: ((r["id"], r["version"], r["newGroups"], fine(r["dateCreated"])) for r in api.releases),
    },
    "twilio": {
        "twilio_accounts": lambda api: ((r["sid"], r["friendly_name"], r["status"], f"2026-01-{n + 1:02} 00:00:00") for n, r in enumerate(api.accounts)),
        "twilio_addresses": lambda api: (tuple(r.values()) for a in api.accounts if a["sid"] != "AC3" for r in api.addresses(a["sid"])),
        "twilio_applications": lambda api: (tuple(r.values()) for a in api.accounts if a["sid"] != "AC3" for r in api.applications(a["sid"])),
        "twilio_alerts": lambda api: ((r["sid"], moment(r["date_generated"]), *list(r.values())[2:]) for r in api.alerts),
    },
    "fylr": {
        "fylr_items": lambda api: ((r["_system_object_id"], moment(r["_last_modified"]), r["item"]["title"], text_of(r["_tags"])) for r in api.items),
    },
}

# api -> (server, its address in the specs, path -> the answer it gives the first time)
SERVERS: dict[str, tuple[type[apis.Api], dict[str, str], dict[str, Any]]] = {
    "finnhub": (apis.Finnhub, {"https://finnhub.io": ""}, {"/api/v1/stock/filings": BUSY, "/api/v1/quote": DOWN}),
    "paypal": (apis.PayPal, {"https://api-m.paypal.com": ""}, {"/v1/reporting/transactions": DOWN, "/v1/payments/payment": BUSY}),
    "gong": (apis.Gong, {"https://api.gong.io": ""}, {"/v2/calls": BUSY, "/v2/calls/transcript": DOWN}),
    "pinterest": (
        apis.Pinterest, {"https://api.pinterest.com": ""}, {"/v5/boards/b1/pins": answer({"code": 8}, 429, {"X-RateLimit-Reset": "0"})},
    ),
    "metabase": (apis.Metabase, {"https://metabase.example.com": ""}, {"/api/user": DOWN}),
    "stripe": (apis.Stripe, {"https://api.stripe.com": ""}, {"/v1/balance_transactions": BUSY}),
    "github": (apis.GitHub, {"https://api.github.com": ""}, {"/repos/dlt-hub/dlt/issues": DOWN, "/repos/dlt-hub/dlt/issues/3/comments": DOWN}),
    "pokeapi": (apis.PokeApi, {"https://pokeapi.co": ""}, {"/api/v2/pokemon": DOWN}),
    "tripletex": (apis.Tripletex, {"https://api-test.tripletex.tech": ""}, {"/v2/customer": BUSY}),
    "alpaca": (apis.Alpaca, {"https://data.alpaca.markets": ""}, {"/v2/stocks/TSLA/bars": BUSY}),
    "zoom": (apis.Zoom, {"https://api.zoom.us": "", "https://zoom.us": ""}, {"/v2/users/u1/meetings": DOWN}),
    "sentry": (apis.Sentry, {"https://sentry.io": ""}, {"/api/0/organizations/acme/releases/": BUSY}),
    "twilio": (
        apis.Twilio, {"https://api.twilio.com": "", "https://monitor.twilio.com": ""},
        {"/2010-04-01/Accounts/AC1/Addresses.json": answer({"code": 20003}, 401), "/v1/Alerts": BUSY},
    ),
    "fylr": (apis.Fylr, {"https://example.fylr.io": ""}, {"/api/v1/search": DOWN}),
}  # fmt: skip


@contextmanager
def project(name: str, root: Path, url: str) -> Iterator[tuple[Session, dict[str, Plan]]]:
    shutil.copytree(PROJECT, root, dirs_exist_ok=True)
    bases = ", ".join(f'"{address}": "{url}"' for address in SERVERS[name][1])
    (root / "nexus.yaml").write_text(f"base_urls: {{{bases}}}\nretry: {{base: 10ms}}\n")
    registry = build_registry()
    loaded = Project.load(root, registry=registry)
    feeds = load_feeds(loaded, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(loaded, registry, now=lambda: NOW) as session:
        yield session, dict(feeds.plans)


def landed(session: Session, table: str) -> list[tuple[str, ...]]:
    columns = [row["name"] for row in session.engine.rows(f"DESCRIBE TABLE {table}") if not row["name"].startswith("_nexus")]
    return sorted(tuple(cell(row[name]) for name in columns) for row in session.engine.rows(f"SELECT {', '.join(columns)} FROM {table}"))


def cell(value: Any) -> str:
    """A value as both sides write it: numbers by their worth, the rest by its text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(Decimal(str(value)).normalize())
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return str(Decimal(value).normalize())
    return str(json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value)


@pytest.mark.parametrize("name", list(FEEDS))
def test_every_cell_lands_and_asking_again_changes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret, value in SECRETS.items():
        monkeypatch.setenv(secret, value)
    kind, _, trouble = SERVERS[name]
    api = kind(trouble=dict(trouble))
    with RawServer(api) as server:
        api.url = server.url
        with project(name, tmp_path, server.url) as (session, plans):
            for feed, expect in FEEDS[name].items():
                report = session.run(plans[feed])
                assert (report.status, report.errors, report.closes()) == ("ok", [], True), (feed, report.errors)
                wanted = sorted(tuple(cell(value) for value in row) for row in expect(api))
                assert landed(session, plans[feed].target.name) == wanted, feed
                assert len(wanted) > 1
            for feed in FEEDS[name]:
                report = session.run(plans[feed])
                assert (report.errors, report.landed) == ([], 0), feed
    assert (api.unknown, api.in_vain()) == ([], [])
    assert api.trouble == {}, "met on the way"


def test_every_feed_of_the_comparison_is_run() -> None:
    assert {path.stem for path in (PROJECT / "sources.d").glob("*.yaml")} == {feed for feeds in FEEDS.values() for feed in feeds}
    assert {path.stem for path in (PROJECT / "apis.d").glob("*.yaml")} == set(FEEDS)
