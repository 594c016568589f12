"""Servers that imitate the APIs of docs/comparison.md: their auth, paging, filters and errors, over small data made by rule.

Each refuses what the API would refuse (a wrong key, an unknown path, a page token nobody gave) and fails once on its way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

from raw_server import Raw, Request, answer

Rows = list[dict[str, Any]]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def at(days: float, hours: float = 0) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days, hours=hours)


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Api:
    """One imitated API. ``trouble``: request path -> the answer it gets the first time; ``url``: where it runs."""

    url: str = ""
    trouble: dict[str, Raw] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Raw:
        if (wrong := self.refused(request)) is not None:
            return wrong
        if request.path in self.trouble:
            return self.trouble.pop(request.path)
        reply = self.reply(request)
        if reply is None:
            self.unknown.append(f"{request.method} {request.target}")
            return answer({"message": "no such path"}, 404)
        return reply

    def refused(self, request: Request) -> Raw | None:
        return None

    def in_vain(self) -> list[str]:
        """Requests of the second runs that nothing can come of."""
        return []

    def reply(self, request: Request) -> Raw | None:
        raise NotImplementedError


class TokenApi(Api):
    """OAuth2: gives tokens for ``grant``; each is good for ``uses`` requests, as one that was revoked. ``client`` is None where id and
    secret stand in the form."""

    path, grant, uses = "/token", {}, 1000
    client: tuple[str, str] | None = ("id", "secret")
    given = 0
    good = ""
    left = 0

    def refused(self, request: Request) -> Raw | None:
        if request.path == self.path:
            form = dict(parse_qsl(request.body.decode()))
            if request.method != "POST" or request.headers.get("authorization") != (basic(*self.client) if self.client else None):
                return answer({"error": "invalid_client"}, 401)
            if {**form, **self.grant} != form:
                return answer({"error": "unsupported_grant_type", "form": sorted(form)}, 400)
            self.given += 1
            self.good, self.left = f"access-token-{self.given}", self.uses
            return answer({"access_token": self.good, "token_type": "bearer", "expires_in": 3600})
        if not self.good or request.headers.get("authorization") != f"Bearer {self.good}" or self.left == 0:
            return answer({"message": "token expired"}, 401)
        self.left -= 1
        return None


def keyed(right: Callable[[Request], bool]) -> Callable[[Api, Request], Raw | None]:
    return lambda self, request: None if right(request) else answer({"error": "invalid key"}, 401)


def cut(rows: Rows, start: int, size: int) -> tuple[Rows, int]:
    """(the page, where the next one starts or 0)."""
    return rows[start : start + size], start + size if start + size < len(rows) else 0


# --------------------------------------------------------------------------------------------------------------- finnhub


class Finnhub(Api):
    """A key in the query; a list per symbol, filtered by from and to."""

    filings = [
        {"accessNumber": f"{symbol}-{n:03}", "symbol": symbol, "cik": f"{n:010}", "form": ("10-K", "10-Q", "4")[n % 3], "filedDate": f"{at(20 * n):%Y-%m-%d %H:%M:%S}",
         "acceptedDate": f"{at(20 * n, 5):%Y-%m-%d %H:%M:%S}", "reportUrl": f"https://sec.example/{n}", "filingUrl": f"https://sec.example/i/{n}"}
        for symbol in ("AAPL", "MSFT") for n in range(7)
    ]  # fmt: skip
    insiders = [
        {"symbol": symbol, "name": f"Officer {n}", "share": 1000 * n, "change": -50 * n, "filingDate": f"{at(9 * n + 2):%Y-%m-%d}",
         "transactionDate": f"{at(9 * n):%Y-%m-%d}", "transactionCode": "SP"[n % 2], "transactionPrice": 100.25 + n}
        for symbol in ("AAPL", "MSFT") for n in range(5)
    ]  # fmt: skip
    quotes = {s: {"c": 261.74 + n, "d": 1.5, "dp": None, "h": 263.31, "l": 260.68, "o": 261.07, "pc": 259.45, "t": 1767225600 + n} for n, s in enumerate(("AAPL", "MSFT"))}
    refused = keyed(lambda request: request.query.get("token") == "finnhub-key")

    def reply(self, request: Request) -> Raw | None:
        query = request.query
        match request.path:
            case "/api/v1/stock/filings":
                datetime.strptime(query["from"], "%Y-%m-%d %H:%M:%S")
                rows = [row for row in self.filings if row["symbol"] == query["symbol"] and query["from"] <= row["filedDate"] <= query["to"]]
                return answer(sorted(rows, key=lambda row: row["filedDate"], reverse=True))
            case "/api/v1/stock/insider-transactions":
                rows = [r for r in self.insiders if r["symbol"] == query["symbol"] and query["from"] <= r["transactionDate"] <= query["to"]]
                return answer({"data": rows, "symbol": query["symbol"]})
            case "/api/v1/quote":
                return answer(self.quotes[query["symbol"]])
        return None


# ---------------------------------------------------------------------------------------------------------------- paypal


class PayPal(TokenApi):
    """OAuth2 client credentials; pages numbered in the query, also of a POST; a list whose next id asks for more."""

    path, client, grant, uses = "/v1/oauth2/token", ("paypal-id", "paypal-secret"), {"grant_type": "client_credentials"}, 40
    transactions = [
        {"transaction_info": {"transaction_id": f"T{n:04}", "transaction_updated_date": at(2 * n, 3).strftime("%Y-%m-%dT%H:%M:%S+0000"),
                              "transaction_amount": {"currency_code": "USD", "value": f"{n}.50"}}, "payer_info": {"email_address": f"p{n}@example.com"} if n % 3 else {}}
        for n in range(14)
    ]  # fmt: skip
    invoices = [{"id": f"INV-{n}", "status": "PAID", "detail": {"invoice_number": f"#{n:03}"}, "amount": {"currency_code": "EUR", "value": f"{n}.10"}} for n in range(8)]
    payments = [{"id": f"PAY-{n}", "state": "approved", "intent": "sale", "update_time": iso(at(1.5 * n)), "transactions": [{"amount": {"total": f"{n}.99"}}]} for n in range(11)]

    def reply(self, request: Request) -> Raw | None:
        query = request.query
        match request.path, request.method:
            case "/v1/reporting/transactions", "GET":
                if query["end_date"] > iso(at(10_000)) or query["fields"] != "all":
                    return answer({"message": "INVALID_REQUEST"}, 400)
                rows = [r for r in self.transactions if query["start_date"] <= r["transaction_info"]["transaction_updated_date"].replace("+0000", "Z") <= query["end_date"]]
                return self.numbered("transaction_details", rows, query, 2)
            case "/v2/invoicing/search-invoices", "POST":
                assert json.loads(request.body)["creation_date_range"]["start"] == "2026-01-01"
                return self.numbered("items", self.invoices, query, 3)
            case "/v1/payments/payment", "GET":
                rows = [row for row in self.payments if query["start_time"] <= row["update_time"] <= query["end_time"]]
                start = next((n for n, row in enumerate(rows) if row["id"] == query.get("start_id")), 0)
                page, following = cut(rows, start, min(2, int(query["count"])))
                return answer({"payments": page, "count": len(page), "next_id": rows[following]["id"] if following else ""})
        return None

    def numbered(self, name: str, rows: Rows, query: dict[str, str], most: int) -> Raw:
        size = min(most, int(query["page_size"]))
        page, _ = cut(rows, (int(query["page"]) - 1) * size, size)
        return answer({name: page, "total_items": len(rows), "total_pages": -(-len(rows) // size), "page": int(query["page"])})


# ------------------------------------------------------------------------------------------------------------------ gong


class Gong(Api):
    """Basic; a cursor under `records`, in the query of a GET and in the body of a POST; 404 where nothing is found."""

    calls = [{"id": f"7{n:05}", "title": f"Call {n}" if n % 2 else None, "started": at(n, 1).isoformat(timespec="milliseconds"), "duration": 60 * n, "primaryUserId": f"u{n % 3}"} for n in range(8)]
    scorecards = [{"answeredScorecardId": f"s{n}", "callId": f"7{n % 8:05}", "answers": [{"questionId": "q1", "score": n}]} for n in range(5)]
    refused = keyed(lambda request: request.headers.get("authorization") == basic("gong-key", "gong-secret"))

    def reply(self, request: Request) -> Raw | None:
        body = json.loads(request.body) if request.body else {}
        asked = body if request.method == "POST" and request.path != "/v2/calls/transcript" else request.query
        match request.path, request.method:
            case "/v2/calls", "GET":
                start, end = asked.get("fromDateTime", ""), asked.get("toDateTime", "9")
                name, rows = "calls", [row for row in self.calls if start[:19] <= row["started"][:19] <= end[:19]]
            case "/v2/stats/activity/scorecards", "POST":
                assert body["filter"] == {"callFromDate": "2020-01-01"}
                name, rows = "answeredScorecards", self.scorecards
            case "/v2/calls/transcript", "POST":
                name, rows = "callTranscripts", [self.transcript(call) for call in body["filter"]["callIds"]]
            case _:
                return None
        if not rows:
            return answer({"errors": ["nothing was found"]}, 404)
        page, following = cut(rows, int(str(asked.get("cursor", "c0"))[1:]), 3)
        told = {"totalRecords": len(rows), "currentPageSize": len(page), **({"cursor": f"c{following}"} if following else {})}
        return answer({"requestId": "r", "records": told, name: page})

    @staticmethod
    def transcript(call: str) -> dict[str, Any]:
        return {"callId": call, "transcript": [{"speakerId": "1", "sentences": [{"start": 0, "text": f"Hello from {call}"}]}]}


# ------------------------------------------------------------------------------------------------------------- pinterest


class Pinterest(TokenApi):
    """OAuth2 by refresh token; bookmarks; a wait told by a header; 409 for a board that has nothing to give."""

    path, client = "/v5/oauth/token", ("pin-id", "pin-secret")
    grant = {"grant_type": "refresh_token", "refresh_token": "pin-refresh-token"}
    boards = [{"id": f"b{n}", "name": f"Board {n}", "owner": {"username": "me"}, "pin_count": 3} for n in range(5)]

    @staticmethod
    def pins(board: str) -> Rows:
        return [{"id": f"{board}-p{n}", "title": f"Pin {n}" if n else None, "created_at": iso(at(n))[:-1]} for n in range(3)]

    def reply(self, request: Request) -> Raw | None:
        parts = request.path.split("/")[2:]
        match parts:
            case ["boards"]:
                rows = self.boards
            case ["boards", board, "pins"]:
                if board == "b4":
                    return answer({"code": 4170, "message": "no catalog"}, 409)
                rows = self.pins(board)
            case _:
                return None
        page, following = cut(rows, int(request.query.get("bookmark", "0")), 2)
        return answer({"items": page, "bookmark": str(following) if following else None})


# -------------------------------------------------------------------------------------------------------------- metabase


class Metabase(Api):
    """A login whose answer is a session; listings of listings; one object per dashboard. The first session ends early."""

    sessions = 0
    left = 0
    cards = [{"id": n, "name": f"Card {n}", "display": "table", "collection": {"name": "Sales"} if n % 2 else None, "archived": n == 3} for n in range(5)]
    users = [{"id": n, "email": f"u{n}@example.com", "common_name": None if n else "Root"} for n in range(3)]
    collections = [{"id": "root", "name": "Our analytics"}, {"id": 7, "name": "Sales"}, {"id": 8, "name": "Empty"}]
    items = {"root": [1], "7": [2, 3], "8": []}

    @staticmethod
    def dashboard(number: int) -> dict[str, Any]:
        return {"id": number, "name": f"Board {number}", "archived": False, "dashcards": [{"id": 10 * number, "card_id": number}]}

    def refused(self, request: Request) -> Raw | None:
        if request.path == "/api/session":
            assert json.loads(request.body) == {"username": "metabase-user", "password": "metabase-password"}
            self.sessions += 1
            self.left = 2 if self.sessions == 1 else 1000
            return answer({"id": f"session-{self.sessions}"})
        if request.headers.get("x-metabase-session") != f"session-{self.sessions}" or not self.left:
            return answer("Unauthenticated", 401)
        self.left -= 1
        return None

    def reply(self, request: Request) -> Raw | None:
        match request.path.split("/")[2:]:
            case ["card"]:
                return answer(self.cards)
            case ["user"]:
                return answer({"data": self.users, "total": len(self.users)})
            case ["collection"]:
                return answer(self.collections)
            case ["collection", name, "items"]:
                assert request.query == {"models": "dashboard"}
                return answer({"data": [{"id": n, "model": "dashboard"} for n in self.items[name]], "total": len(self.items[name])})
            case ["dashboard", number]:
                return answer(self.dashboard(int(number)))
        return None


# ---------------------------------------------------------------------------------------------------------------- stripe


class Stripe(Api):
    """A bearer key; newest first; from the last id on; `has_more`."""

    transactions = [
        {"id": f"txn_{n:03}", "object": "balance_transaction", "created": int(at(30 * n).timestamp()), "amount": 1000 * n - 300, "fee": 30, "net": 1000 * n - 330,
         "currency": "usd", "type": "charge", "status": "available"}
        for n in range(9)
    ]  # fmt: skip
    refused = keyed(lambda r: r.headers.get("authorization") == "Bearer stripe-key" and r.headers.get("stripe-version") == "2022-11-15")

    def reply(self, request: Request) -> Raw | None:
        if request.path != "/v1/balance_transactions":
            return None
        low, high = int(request.query["created[gte]"]), int(request.query["created[lte]"])
        rows = sorted((row for row in self.transactions if low <= row["created"] <= high), key=lambda row: row["created"], reverse=True)
        after = request.query.get("starting_after")
        start = [row["id"] for row in rows].index(after) + 1 if after else 0
        page, following = cut(rows, start, min(4, int(request.query["limit"])))
        return answer({"object": "list", "data": page, "has_more": bool(following), "url": request.path})


# ---------------------------------------------------------------------------------------------------------------- github


class GitHub(Api):
    """A bearer token; numbered pages that only the Link header leads to; comments below each issue."""

    issues = [
        {"id": 9000 + n, "number": n, "title": f"Issue {n}", "user": {"login": f"dev{n % 2}"}, "labels": [{"name": "bug"}] if n % 2 else [], "state": "open",
         "updated_at": iso(at(280 + 3 * n))}
        for n in range(1, 8)
    ]  # fmt: skip
    refused = keyed(lambda request: request.headers.get("authorization") == "Bearer github-token")

    @staticmethod
    def comments(number: int) -> Rows:
        return [{"id": number * 100 + n, "user": {"login": "dev1"}, "body": f"Comment {n} on {number}", "created_at": iso(at(281, n))} for n in range(number % 4)]

    def reply(self, request: Request) -> Raw | None:
        match request.path.split("/")[1:]:
            case ["repos", "dlt-hub", "dlt", "issues"]:
                rows = [row for row in self.issues if row["updated_at"] >= request.query.get("since", "")]
                rows = sorted(rows, key=lambda row: row["updated_at"], reverse=True)
            case ["repos", "dlt-hub", "dlt", "issues", number, "comments"]:
                rows = self.comments(int(number))
            case _:
                return None
        number, size = int(request.query.get("page", 1)), min(2, int(request.query.get("per_page", 30)))
        page, following = cut(rows, (number - 1) * size, size)
        query = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "page")
        link = f'<{self.url}{request.path}?{query}&page={number + 1}>; rel="next", <{self.url}{request.path}?{query}&page=9>; rel="last"'
        return answer(page, headers={"Link": link} if following else {})


# --------------------------------------------------------------------------------------------------------------- pokeapi


class PokeApi(Api):
    """No key; the next page's whole URL, and a count."""

    def rows(self, kind: str) -> Rows:
        return [{"name": f"{kind}-{n}", "url": f"https://pokeapi.co/api/v2/{kind}/{n}/"} for n in range(1, {"pokemon": 12, "berry": 5, "location": 3}[kind])]

    def reply(self, request: Request) -> Raw | None:
        kind = request.path.removeprefix("/api/v2/")
        if kind not in ("pokemon", "berry", "location"):
            return None
        rows, start = self.rows(kind), int(request.query.get("offset", 0))
        page, following = cut(rows, start, 4)
        link = f"{self.url}{request.path}?offset={following}&limit=4" if following else None
        return answer({"count": len(rows), "next": link, "previous": None, "results": page})


# ------------------------------------------------------------------------------------------------------------- tripletex


class Tripletex(Api):
    """Basic with a token; an offset, a size and the size of the whole."""

    customers = [
        {"id": n, "name": f"Kunde {n}", "email": None if n % 2 else f"k{n}@example.no", "accountManager": {"id": n} if n % 3 else None, "department": None,
         "deliveryAddress": {"id": n, "city": "Oslo"}, "category1": None, "category2": None, "category3": {"id": 1}}
        for n in range(1, 8)
    ]  # fmt: skip
    contacts = [{"id": n, "firstName": f"Kari {n}", "lastName": "Nordmann", "department": {"id": 2} if n % 2 else None} for n in range(1, 6)]
    refused = keyed(lambda request: request.headers.get("authorization") == basic("0", "tripletex-token"))

    def reply(self, request: Request) -> Raw | None:
        rows = {"/v2/customer": self.customers, "/v2/contact": self.contacts}.get(request.path)
        if rows is None:
            return None
        start, size = int(request.query.get("from", 0)), min(3, int(request.query.get("count", 1000)))
        page, _ = cut(rows, start, size)
        return answer({"fullResultSize": len(rows), "from": start, "count": len(page), "values": page})


# ---------------------------------------------------------------------------------------------------------------- alpaca


class Alpaca(Api):
    """Two keys in headers; a token for the next page; bars from a start on."""

    refused = keyed(lambda r: (r.headers.get("apca-api-key-id"), r.headers.get("apca-api-secret-key")) == ("alpaca-key", "alpaca-secret"))

    @staticmethod
    def bars(symbol: str) -> Rows:
        base = {"NVDA": 130.0, "TSLA": 400.0}[symbol]
        return [{"t": iso(at(0, n / 60)), "o": base + n, "h": base + n + 1, "l": base + n - 1, "c": base + n + 0.5, "v": 100 * n, "n": n, "vw": base + n + 0.25} for n in range(9)]

    def reply(self, request: Request) -> Raw | None:
        match request.path.split("/")[1:]:
            case ["v2", "stocks", symbol, "bars"]:
                rows = [row for row in self.bars(symbol) if row["t"] >= request.query["start"]]
                page, following = cut(rows, int(request.query.get("page_token", "0")), min(4, int(request.query["limit"])))
                return answer({"bars": page, "symbol": symbol, "next_page_token": str(following) if following else None})
        return None


# ------------------------------------------------------------------------------------------------------------------ zoom


class Zoom(TokenApi):
    """OAuth2 for an account; tokens for pages; users, their meetings, what hangs below each; 400 where a meeting has none."""

    path, client = "/oauth/token", ("zoom-id", "zoom-secret")
    grant = {"grant_type": "account_credentials", "account_id": "zoom-account"}
    users = [{"id": f"u{n}", "email": f"u{n}@example.com", "type": 1 + n % 2} for n in range(3)]

    @staticmethod
    def meetings(user: str) -> Rows:
        return [{"id": 100 * int(user[1:]) + n, "topic": f"Talk {n}", "start_time": iso(at(n))} for n in range(1, 4)]

    @staticmethod
    def registrants(meeting: int) -> Rows:
        return [{"id": f"r{meeting}{n}", "email": f"r{n}@example.com"} for n in range(meeting % 3)]

    def reply(self, request: Request) -> Raw | None:
        match request.path.split("/")[2:]:
            case ["users"]:
                name, rows = "users", self.users
            case ["users", user, "meetings"]:
                name, rows = "meetings", self.meetings(user)
            case ["meetings", meeting, "registrants"]:
                if int(meeting) % 2:
                    return answer({"code": 200, "message": f"Registration has not been enabled for this meeting: {meeting}."}, 400)
                name, rows = "registrants", self.registrants(int(meeting))
            case ["meetings", meeting, "polls"]:
                if int(meeting) % 2 == 0:
                    return answer({"code": 4400, "message": "polls are off"}, 400)
                name, rows = "polls", [{"id": f"p{meeting}", "title": "How was it?"}]
            case _:
                return None
        page, following = cut(rows, int(request.query.get("next_page_token") or 0), 2)
        return answer({"page_size": 2, "next_page_token": str(following) if following else "", name: page})


# ---------------------------------------------------------------------------------------------------------------- sentry


class Sentry(Api):
    """A bearer token; newest first; the Link header always has a next page, and says whether anything is on it."""

    issues = [{"id": str(700 + n), "title": f"KeyError {n}", "level": ("error", "info")[n % 2], "count": str(3 * n), "lastSeen": f"{iso(at(20 * n))[:-1]}.{n:06}Z"} for n in range(1, 8)]
    projects = [{"id": str(n), "slug": f"shop-{n}", "name": f"Shop {n}", "dateCreated": f"{iso(at(9 * n))[:-1]}.000{n}00Z"} for n in range(1, 6)]
    releases = [{"id": 40 + n, "version": f"1.{n}.0", "newGroups": n % 3, "dateCreated": f"{iso(at(3 * n))[:-1]}.500000Z"} for n in range(9)]
    refused = keyed(lambda request: request.headers.get("authorization") == "Bearer sentry-token")

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.asked: list[str] = []

    def reply(self, request: Request) -> Raw | None:
        match request.path.split("/")[3:]:
            case ["projects", "acme", "shop", "issues", ""]:
                newer = request.query["query"].removeprefix("lastSeen:>")
                rows, date = [row for row in self.issues if row["lastSeen"][:19] > newer[:19]], "lastSeen"
            case ["organizations", "acme", "projects" | "releases" as kind, ""]:
                rows, date = getattr(self, kind), "dateCreated"
            case _:
                return None
        self.asked.append(f"{request.path}?{request.query.get('cursor', '')}")
        rows = sorted(rows, key=lambda row: row[date], reverse=True)
        start = int(request.query.get("cursor", "0:0:0").split(":")[1])
        page, more = rows[start : start + 2], start + 2 < len(rows)
        query = "&".join(f"{name}={quote(value)}" for name, value in request.query.items() if name != "cursor")
        link = ", ".join(
            f'<{self.url}{request.path}?{query}&cursor=0:{to}:{way}>; rel="{name}"; results="{str(there).lower()}"; cursor="0:{to}:{way}"'
            for name, to, way, there in (("previous", max(0, start - 2), 1, start > 0), ("next", start + 2, 0, more))
        )
        return answer(page, headers={"Link": link})

    def in_vain(self) -> list[str]:
        """Behind a page with something that is known, nothing is new."""
        return [page for number, page in enumerate(self.asked) if page in self.asked[:number] and not page.endswith("?")]


# ---------------------------------------------------------------------------------------------------------------- twilio


class Twilio(Api):
    """Basic; the next page as a path, at one host, and as a whole URL at the other; what an account does not have is a 404."""

    accounts = [{"sid": f"AC{n}", "friendly_name": f"Account {n}", "status": "active", "date_created": at(n).strftime("%a, %d %b %Y %H:%M:%S +0000")} for n in range(5)]
    alerts = [
        {"sid": f"NO{n}", "date_generated": iso(at(-100 * n)), "error_code": str(11200 + n), "log_level": "error", "alert_text": f"sourceComponent=140{n}"} for n in range(7)
    ]  # fmt: skip
    refused = keyed(lambda request: request.headers.get("authorization") == basic("AC0", "twilio-token"))

    @staticmethod
    def addresses(account: str) -> Rows:
        return [{"sid": f"AD{account[2:]}{n}", "account_sid": account, "friendly_name": f"Office {n}", "city": "Oslo", "iso_country": "NO"} for n in range(3)]

    @staticmethod
    def applications(account: str) -> Rows:
        return [{"sid": f"AP{account[2:]}{n}", "account_sid": account, "friendly_name": f"App {n}", "voice_url": None if n else "https://example.com/voice"} for n in range(2)]

    def reply(self, request: Request) -> Raw | None:
        query = request.query
        start, size = int(query.get("Page", 0)), min(2, int(query["PageSize"]))
        match request.path.split("/")[1:]:
            case ["2010-04-01", "Accounts.json"]:
                name, rows = "accounts", self.accounts
            case ["2010-04-01", "Accounts", account, "Addresses.json" | "Applications.json" as kind]:
                name = kind.removesuffix(".json").lower()
                if account == "AC3":
                    return answer({"code": 20404, "message": "not found"}, 404)
                rows = getattr(self, name)(account)
            case ["v1", "Alerts"]:
                name, rows = "alerts", [row for row in self.alerts if query["StartDate"] <= row["date_generated"] <= query["EndDate"]]
            case _:
                return None
        page, following = cut(rows, start, size)
        path = f"{request.path}?{'&'.join(f'{name}={quote(value)}' for name, value in {**query, 'Page': str(following)}.items())}" if following else None
        if name == "alerts":
            return answer({name: page, "meta": {"page_size": size, "next_page_url": path and f"https://monitor.twilio.com{path}"}})
        return answer({name: page, "page_size": size, "next_page_uri": path})


# ------------------------------------------------------------------------------------------------------------------ fylr


class Fylr(TokenApi):
    """OAuth2 by user and password, id and secret in the form; a search by POST, its offset, size and filter in the body."""

    path, client, uses = "/api/oauth2/token", None, 3
    grant = {"grant_type": "password", "username": "fylr-user", "password": "fylr-password", "scope": "offline", "client_id": "fylr-id", "client_secret": "fylr-secret"}
    items = [{"_system_object_id": 500 + n, "_last_modified": iso(at(10 * n)), "item": {"title": None if n == 2 else f"Mill {n}"}, "_tags": [{"_id": n}]} for n in range(8)]

    def reply(self, request: Request) -> Raw | None:
        if (request.path, request.method) != ("/api/v1/search", "POST"):
            return None
        body = json.loads(request.body)
        [wanted] = body["search"]
        if (body["objecttypes"], body["format"], wanted["type"], wanted["field"]) != (["item"], "long", "range", "_last_modified"):
            return answer({"error": "no such search"}, 400)
        rows = [row for row in self.items if row["_last_modified"] >= wanted["from"]]
        page, _ = cut(rows, body.get("offset", 0), min(3, body["limit"]))
        return answer({"objects": page, "count": len(rows), "offset": body.get("offset", 0), "limit": body["limit"]})
