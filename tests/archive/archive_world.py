"""A project whose feeds keep their answers, and the small server they ask."""

import hashlib
import pyarrow as pa
from raw_server import Raw, answer

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.deliver.reparse import Reparse
from nexus_engine.deliver.session import Session
from nexus_engine.project.project import Project

FEED = """
name: {name}
source:
  endpoint: {url}/{name}
  {source}
{more}
archive: {archive}
"""
PLAIN = """
fields: {id: UInt32, v: String}
target: {table: a.rows, key: [id]}
"""


class World:
    """``answers``: path -> function of the request."""

    def __init__(self, root, url):
        self.root = root
        self.url = url
        (root / "sources.d").mkdir()
        self.data = root / "data"
        self.limits = None

    def feed(self, name="rows", source="records: rows", more=PLAIN, archive="true"):
        text = FEED.format(name=name, url=self.url, source=source, more=more, archive=archive)
        (self.root / "sources.d" / f"{name}.yaml").write_text(text)

    def open(self):
        registry = build_registry()
        self.project = Project.load(self.root, registry=registry)
        loaded = load_feeds(self.project, registry)
        assert not loaded.problems, loaded.problems
        self.plans = loaded.plans
        return Session.open(self.project, registry)

    def run(self, name="rows", mover=None, trigger="once"):
        with self.open() as session:
            if self.limits:
                session.limits = self.limits
            report = session.run(self.plans[name], mover=mover, trigger=trigger)
            self.positions = session.store.positions(name)
            self.quarantine = session.store.quarantine(name)
            self.kept = [body for reading in session.store.readings(name) for body in session.store.answers(reading)]
            try:
                self.rows = [tuple(row.values()) for row in session.engine.rows("SELECT * FROM a.rows ORDER BY ALL")]
                self.batches = session.engine.rows("SELECT _nexus_batch, _nexus_row, * FROM a.rows ORDER BY ALL")
            except Exception:  # noqa: BLE001  no table yet
                self.rows, self.batches = [], []
        assert report.closes(), report
        print(report.status, report.errors, report.warnings)  # shown when a test fails
        return report

    def reparse(self, name="rows", since=""):
        return self.run(name, Reparse(since).job, "reparse")

    def bodies(self):
        """What is on disk: hash -> body; each file is what its name says."""
        found = {}
        for path in sorted((self.data / "archive").rglob("*.zst")):
            with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as stream:
                body = stream.read()
            assert hashlib.sha256(body).hexdigest() == path.stem
            found[path.stem] = body
        return found


def says(server, *bodies):
    """The server answers these, one after the other, whatever is asked; a function is called with the request."""
    left = list(bodies)

    def script(request):
        body = left.pop(0) if left else answer("nothing more", status=404)
        return body(request) if callable(body) else body if isinstance(body, Raw) else answer(body)

    server.script = script
