"""A project with one feed of large bodies in JSON lines."""

from __future__ import annotations

from pathlib import Path

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.run import Limits
from nexus_engine.deliver.session import Session
from nexus_engine.events import Observers
from nexus_engine.project.project import Project

FEED = """
name: trades
source:
  endpoint: {url}/trades
  params: {{series: "{{{{ each.series }}}}"}}
  each: {{series: [a, b]}}
  format: jsonl
  records: {{empty: [absent]}}
{more}fields:
  series: {{type: String, from: each.series}}
  id: UInt32
  price: Float64
  text: String
validate:
  - {{expect: between, field: price, min: 0}}
target: {{table: m.trades{key}}}
"""


class World:
    def __init__(self, root: Path, url: str, key: str = "", more: str = "", limits: Limits = Limits(batch_bytes=2 << 20)) -> None:  # noqa: B008
        self.root, self.limits = root, limits
        (root / "sources.d").mkdir()
        (root / "sources.d" / "trades.yaml").write_text(FEED.format(url=url, key=key, more=more))

    def run(self, seen=None):
        """(report, rows in the table by series, the quarantine). ``seen`` is told every event."""
        registry = build_registry()
        project = Project.load(self.root, registry=registry)
        feeds = load_feeds(project, registry)
        assert not feeds.problems, feeds.problems
        plan = feeds.plans["trades"]
        assert plan.source.want.lines
        with Session.open(project, registry, observers=Observers(seen or (lambda event: None))) as session:
            session.limits = self.limits
            report = session.run(plan)
            assert report.closes()
            ids = {
                series: [row["id"] for row in session.engine.rows(f"SELECT id FROM m.trades WHERE series = '{series}' ORDER BY id")]
                for series in "ab"
            }
            return report, ids, session.store.quarantine("trades")


def body(first: int, count: int, bad: dict[int, bytes] | None = None) -> bytes:
    """About 1 kB a line. ``bad``: lines in the place of records."""
    return b"".join(
        (bad or {}).get(n) or b'{"id":%d,"price":"1.5","text":"%s"}\n' % (n, bytes([97 + n % 26]) * 1000) for n in range(first, first + count)
    )
