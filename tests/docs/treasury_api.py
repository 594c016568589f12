"""A small fiscaldata: average interest rates over HTTP on loopback, with the real API's filter, pages and texts."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

API = "https://api.fiscaldata.treasury.gov"
PATH = "/services/api/fiscal_service/v2/accounting/od/avg_interest_rates"
SECURITIES = (
    ("Marketable", "Treasury Bills"), ("Marketable", "Treasury Notes"), ("Marketable", "Treasury Bonds"),
    ("Non-marketable", "Domestic Series"), ("Non-marketable", "Government Account Series"),
)  # fmt: skip


def rates() -> list[dict[str, str]]:
    """A row per month and security: all texts; a null is the text "null"."""
    months = [f"{year}-{month:02}-28" for year in range(2001, 2027) for month in range(1, 13)][1:310]
    return [
        {
            "record_date": date, "security_type_desc": kind, "security_desc": security,
            "avg_interest_rate_amt": "null" if security == "Domestic Series" and date < "2004" else f"{2 + (at * 7 + n) % 400 / 100:.3f}",
        }
        for at, date in enumerate(months)
        for n, (kind, security) in enumerate(SECURITIES)
    ]  # fmt: skip


ROWS = rates()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != PATH:
            self._answer(404, {"error": "Not Found"})
            return
        bounds = dict(text.removeprefix("record_date:").split(":") for text in query.get("filter", "record_date:gte:").split(","))
        found = [row for row in ROWS if bounds.get("gte", "") <= row["record_date"] <= bounds.get("lte", "9")]
        number, size = int(query.get("page[number]", 1)), int(query.get("page[size]", 100))
        pages = max(1, -(-len(found) // size))
        meta = {"count": len(found[(number - 1) * size : number * size]), "total-count": len(found), "total-pages": pages}
        self._answer(200, {"data": found[(number - 1) * size : number * size], "meta": meta})

    def _answer(self, status: int, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class TreasuryApi:
    """A context manager; ``url`` takes the place of :data:`API`."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
