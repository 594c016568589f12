"""A feed's file is changed, broken, half-written, renamed and deleted during fetch, spool, insert and idle: the run under way
ends with the plan it began with, nothing is lost or landed twice, and the position is what the rows say."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROWS = [{"id": i, "v": f"{i}.5"} for i in range(1, 9)]
LANDED = [[row["id"], 1] for row in ROWS]
CHANGES = ("changed", "broken", "half_written", "renamed", "deleted")
PHASES = ("fetch", "spool", "insert", "landed", "idle")


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"rows": [*ROWS, {"id": 9, "v": "refused"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """What came of each case, by name: one process for all, because the embedded engine takes one folder per process."""
    root = tmp_path_factory.mktemp("reload")
    (root / "sources.d").mkdir()
    (root / "nexus.yaml").write_text("name: reload\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        script = Path(__file__).with_name("reload_child.py")
        url = f"http://127.0.0.1:{server.server_port}"
        done = subprocess.run([sys.executable, str(script), str(root), url], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
    finally:
        server.shutdown()
        server.server_close()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {case["name"]: case for case in found}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("change", CHANGES)
def test_the_run_under_way_ends_as_it_began(cases, change, phase):
    case = cases[f"{change}_{phase}"]
    assert (case["status"], case["landed"], case["rows"]) == ("ok", 8, LANDED)
    assert case["positions"] == {"": {"cursor": "8"}}
    told = {"changed": "changed", "broken": "broken", "half_written": "broken", "renamed": "renamed", "deleted": "removed"}[change]
    assert case["told"] == [[("z" if change == "renamed" else "") + case["name"], told]]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_lands_twice_afterwards(cases, change, phase):
    case = cases[f"{change}_{phase}"]
    assert case["after"]["rows"] in (LANDED, [[row["id"], 2] for row in ROWS] if change == "changed" else LANDED)
    again = case["again"]
    if change == "deleted":
        assert again == []
    elif change == "renamed":
        [[feed, status, landed, _, [error]]] = again
        assert (feed, status, landed) == (f"z{case['name']}", "failed", 0)
        assert f"is feed {case['name']} under another name" in error
    elif change == "changed":  # the new column makes every row a revision
        assert [run[1:3] for run in again] == [["ok", 8]]
    else:
        assert [run[1:4] for run in again] == [["ok", 0, 8]]
