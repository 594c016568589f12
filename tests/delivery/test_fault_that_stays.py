"""A page that is still broken in the second run, for each paging that a token, link or key leads on: what landed is not landed again, and
the rest comes once the page is mended. What cannot be promised is told in the run's report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from raw_server import RawServer, Request, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

ROWS, SIZE, AT = 24, 5, 10  # the third page of five is broken
PAGINGS = {"keyset": "keyset: {from: id, param: after}", "token": "cursor: next, param: token", "header": "header: X-Next, param: token", "next": "next: link", "link": "link: next"}  # fmt: skip
FAULTS = {"status": answer({"error": "bad"}, 400), "shape": answer({"oops": 1}), "rule": answer({"error": "maintenance"})}
FEED = """
name: {name}
source:
  endpoint: {url}/{name}
  params: {{since: "{{{{ window.start }}}}"}}
  paginate: {{{paging}}}
  errors: [{{path: error, then: fail}}]
  records: rows
cursor: {{field: id, initial: "0"}}
fields: {{id: UInt32}}
target: {{table: m.{name}}}
"""


class Api:
    """Rows behind ``since``, oldest first. ``era``: whose tokens it knows; another's are refused."""

    def __init__(self) -> None:
        self.era, self.healed = 1, False

    def __call__(self, request: Request) -> Any:
        query = request.query
        era, _, text = query.get("token", f"{self.era}-0").partition("-")
        if int(era) != self.era:
            return answer({"message": "unknown token"}, 410)
        start = int(query["after"]) if "after" in query else int(text)
        if start == AT and not self.healed:
            return FAULTS[request.path.rpartition("_")[2]]
        rows = [{"id": n} for n in range(int(query["since"]) + 1, ROWS + 1)]
        token = f"{self.era}-{start + SIZE}" if start + SIZE < len(rows) else None
        link = f"?since={query['since']}&token={token}" if token else None
        headers = {"X-Next": token, "Link": f"<{link}>; rel=next"} if token else {}
        return answer({"rows": rows[start : start + SIZE], "next": token, "link": link}, headers=headers)


@contextlib.contextmanager
def opened(root: Path, texts: Mapping[str, str]) -> Iterator[Callable[[str], tuple[RunReport, list[int]]]]:
    """A session over these feeds: runs one of them, and reads its table."""
    (root / "sources.d").mkdir()
    for name, text in texts.items():
        (root / "sources.d" / f"{name}.yaml").write_text(text)
    registry = build_registry()
    project = Project.load(root, registry=registry)
    feeds = load_feeds(project, registry)
    assert not feeds.problems, feeds.problems
    with Session.open(project, registry) as session:

        def run(name: str) -> tuple[RunReport, list[int]]:
            report = session.run(feeds.plans[name])
            assert report.closes(), report
            return report, [row["id"] for row in session.engine.rows(f"SELECT id FROM m.{name} ORDER BY id")]

        yield run


@pytest.mark.fault("F2: statuses that last", behaviour="the pages before land once, however often the feed is run; the rest lands when the page is mended")
@pytest.mark.capability("Incremental: resume by page inside a window", spec="paginate: {link: next}")
def test_a_page_that_stays_broken_lands_nothing_twice(tmp_path: Path) -> None:
    api = Api()
    names = [f"{paging}_{fault}" for paging in PAGINGS for fault in FAULTS if paging in ("keyset", "token") or fault == "status"]
    with RawServer(api) as server:
        texts = {name: FEED.format(name=name, url=server.url, paging=PAGINGS[name.partition("_")[0]]) for name in names}
        with opened(tmp_path, texts) as run:

            def runs() -> dict[str, tuple[str, list[str], list[int]]]:
                found = {name: run(name) for name in names}
                return {name: (report.status, report.warnings, ids) for name, (report, ids) in found.items()}

            before = list(range(1, AT + 1))
            for era in (1, 1, 2):  # in the third run what leads to the page has expired, too
                api.era = era
                assert runs() == dict.fromkeys(names, ("failed", [], before))
            api.healed = True
            assert runs() == dict.fromkeys(names, ("ok", [], list(range(1, ROWS + 1))))


@pytest.mark.parametrize("key", ["", ", key: [id]"], ids=["no key", "a key"])
def test_pages_that_changed_in_the_middle_of_a_window_are_read_again_and_the_report_says_so(key: str, tmp_path: Path) -> None:
    rows = [{"id": n} for n in range(1, 11)]
    broken = [True]

    def script(request: Request) -> Any:
        start = int(request.query["offset"])
        return answer(b"", 404) if start == 6 and broken else answer({"rows": rows[start : start + 3]})

    with RawServer(script) as server:
        text = FEED.format(name="changed", url=server.url, paging="offset: offset").replace("m.changed", f"m.changed{key}")
        with opened(tmp_path, {"changed": text}) as run:
            assert run("changed")[1] == [1, 2, 3, 4, 5, 6]
            broken.clear()
            rows.insert(1, {"id": 99})
            report, ids = run("changed")
    whole = [*range(1, 11), 99]
    assert ids == sorted(whole if key else [*whole, 1, 2, 3, 4, 5, 6])
    (warning,) = report.warnings
    assert "page 2 is no longer what had landed" in warning
