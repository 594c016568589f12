"""One feed of five pages over real sockets, whose third page is a fault until the server is healed; each run is a session of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raw_server import Raw, RawServer, Request, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

PAGES, AT = 5, 3
OPTIONS = {
    "endpoint": "{scheme}://api.nexus.invalid/rows",
    "paginate": "{{page: page, limit: {{param: limit, size: 3}}, total: count}}",
    "retry": "{{attempts: 1, base: 10ms}}",
    "timeout": "20s",
    "records": "rows",
}


def rows(page: int) -> list[dict[str, Any]]:
    return [{"id": page * 10 + n, "v": n + 0.5} for n in range(3)]


def ids(pages: range) -> list[int]:
    return [row["id"] for page in pages for row in rows(page)]


WHOLE = ids(range(1, PAGES + 1))


def page_of(request: Request) -> int:
    return int(request.query.get("page", 1))


def good(request: Request, **more: Any) -> Raw:
    """The page asked for, with every word that any paging looks at."""
    page = page_of(request)
    body = {"count": len(WHOLE), "rows": rows(page) if page <= PAGES else [], "next": str(page + 1) if page < PAGES else None}
    body["link"] = f"/rows?page={page + 1}" if page < PAGES else None
    return answer({**body, **more})


@dataclass
class World:
    """A project of one feed. ``base`` is where its requests go instead of api.nexus.invalid."""

    root: Path
    options: dict[str, str]
    scheme: str = "http"
    quarantine: list[Any] = field(default_factory=list)

    def write(self, base: str) -> None:
        (self.root / "sources.d").mkdir(exist_ok=True)
        lines = "".join(f"  {key}: {text.format(scheme=self.scheme)}\n" for key, text in {**OPTIONS, **self.options}.items())
        fields = "fields: {id: UInt32, v: Nullable(Float64)}\ntarget: {table: m.faulty}\n"
        (self.root / "sources.d" / "faulty.yaml").write_text(f"name: faulty\nsource:\n{lines}{fields}")
        (self.root / "nexus.yaml").write_text(f'base_urls: {{"{self.scheme}://api.nexus.invalid": "{base}"}}\n')

    def run(self, base: str) -> tuple[RunReport, list[int], Any]:
        """(report, ids in the table, the stored position)."""
        self.write(base)
        registry = build_registry()
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        with Session.open(project, registry) as session:
            report = session.run(feeds.plans["faulty"])
            position = session.store.positions("faulty").get("", {})
            self.quarantine = session.store.quarantine("faulty")
            assert not session.store.staged()
            landed = [row["id"] for row in session.engine.rows("SELECT id FROM m.faulty ORDER BY id")]
        assert report.closes(), report
        assert not list((self.root / "data" / "raw").iterdir())
        assert not list((self.root / "data" / "spool").iterdir())
        return report, landed, position


Script = Callable[[Request], Raw]


class Api:
    """Answers every page; page three by ``fault`` until ``healed``."""

    def __init__(self, fault: Script | None = None) -> None:
        self.fault, self.healed = fault, False

    def __call__(self, request: Request) -> Raw:
        if self.fault is not None and not self.healed and (page_of(request) == AT or request.path != "/rows"):
            return self.fault(request)
        return good(request)


def asked(server: RawServer) -> list[int]:
    """The pages asked for since the last look."""
    pages = [page_of(request) for request in server.requests]
    server.requests.clear()
    return pages
