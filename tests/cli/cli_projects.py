"""Projects on disk, and the command as a user runs it: in a process of its own where it opens the embedded engine."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

FEED = """\
name: {name}
source: {{endpoint: "{url}/{name}", records: rows}}
{schedule}fields: {{id: UInt32, v: Float64}}
target: {{table: t.{name}, key: [id]}}
"""


def command(folder, *args, env=None, **words):
    """The command's process, finished: returncode, stdout, stderr."""
    words = {"capture_output": True, "text": True, "timeout": 120, **words}
    return subprocess.run(argv(*args), cwd=folder, env={**os.environ, **(env or {})}, check=False, **words)


def argv(*args):
    return [sys.executable, "-m", "nexus_engine.cli.main", *map(str, args)]


def as_json(done):
    """The one JSON document on stdout."""
    return json.loads(done.stdout)


class Api(ThreadingHTTPServer):
    """Answers any path with five rows. ``hold`` cleared: answers wait until it is set again. ``body`` replaces the answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.asked = []
        self.arrived = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.body = json.dumps({"rows": [{"id": i, "v": f"{i}.5"} for i in range(5)]}).encode()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.arrived.set()
        self.server.hold.wait(60)
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(self.server.body)))
            self.end_headers()
            self.wfile.write(self.server.body)
        except OSError:
            pass

    def log_message(self, format, *args):
        pass


@pytest.fixture
def api():
    server = Api()
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path, api):
    """An empty project, and a function that adds feeds of :class:`Api` to it."""
    (tmp_path / "sources.d").mkdir()
    (tmp_path / "nexus.yaml").write_text("name: test\n")

    def feed(name, schedule=""):
        text = FEED.format(name=name, url=api.url, schedule=f"schedule: {schedule}\n" if schedule else "")
        path = tmp_path / "sources.d" / f"{name}.yaml"
        path.write_text(text)
        return path

    return ProjectFolder(tmp_path, feed)


@dataclass
class ProjectFolder:
    root: Path
    feed: object


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """The project that `init` makes, run once from its recording."""
    root = tmp_path_factory.mktemp("example") / "my-feeds"
    made = command(root.parent, "init", root)
    assert made.returncode == 0, made.stderr
    done = command(root, "run", "debt_to_penny", "--once", "--replay", "sources.d/recordings/debt_to_penny", "--json")
    assert done.returncode == 0, done.stderr
    return root
