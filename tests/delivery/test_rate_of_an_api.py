"""Five feeds on one API, a 429 in the middle, a restart: judged by the server's own log, through the whole engine."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from raw_server import RawServer, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

COUNT, PER_S, PAGES = 20, 1.0, 8

API = "name: one\nbase_url: {url}\nrate: 20/s\nconcurrency: 4\npaginate: {{page: page, pages: pages}}\n"
FEED = """
name: feed{n}
source: {{api: one, path: data{n}, records: data}}
fields: {{id: UInt32}}
target: {{table: r.t{n}}}
"""


@pytest.mark.capability("Budgets: rate and concurrency of an API, shared by its feeds", spec="rate: 120/min\nconcurrency: 4")
@pytest.mark.capability("Budgets: kept over restarts", spec="rate: 120/min")
def test_no_sliding_window_over_the_limit(tmp_path):
    lock, refused = threading.Lock(), []

    def script(request):
        page = int(request.query["page"])
        with lock:
            if page == 5 and not refused:
                refused.append(request)
                return answer("slow down", status=429, headers={"Retry-After": "1"})
        return answer({"pages": PAGES, "data": [{"id": page * 10 + n} for n in range(3)]})

    with RawServer(script) as server:
        (tmp_path / "apis.d").mkdir()
        (tmp_path / "sources.d").mkdir()
        (tmp_path / "apis.d" / "one.yaml").write_text(API.format(url=server.url))
        for n in range(5):
            (tmp_path / "sources.d" / f"feed{n}.yaml").write_text(FEED.format(n=n))
        for _ in range(2):  # the second session is a restart: what the first one spent still counts
            registry = build_registry()
            project = Project.load(tmp_path, registry=registry)
            feeds = load_feeds(project, registry)
            assert not feeds.problems, feeds.problems
            with Session.open(project, registry) as session, ThreadPoolExecutor(5) as pool:
                reports = list(pool.map(session.run, feeds.plans.values()))
            assert [(report.status, report.read) for report in reports] == [("ok", 3 * PAGES)] * 5
        times = sorted(request.at for request in server.requests)
    assert refused
    assert len(times) == 2 * 5 * PAGES + 1
    narrowest = min(times[n + COUNT] - times[n] for n in range(len(times) - COUNT))
    assert narrowest >= PER_S, f"{COUNT + 1} requests within {narrowest:.3f} s"
