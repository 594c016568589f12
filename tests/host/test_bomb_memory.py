"""A gzip bomb costs little memory: it is noticed while it streams. In a process of its own, whose peak is its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import gzip, resource, sys
sys.path.insert(0, sys.argv[1])
from raw_server import RawServer, answer
from nexus_engine.contract.host import HttpRequest
from nexus_engine.contract.policy import Policy
from nexus_engine.errors import StopFeed
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor

out = __import__("io").BytesIO()
with gzip.GzipFile(fileobj=out, mode="wb") as packed:
    for _ in range(400):
        packed.write(bytes(1_000_000))
with RawServer(lambda request: answer(out.getvalue() if request.path == "/bomb" else b"{}", headers={"Content-Encoding": "gzip"} if request.path == "/bomb" else {})) as server:
    http = HttpHost(Redactor()).for_feed("f", policy=Policy())
    http.send(HttpRequest("GET", server.url + "/ok"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        http.send(HttpRequest("GET", server.url + "/bomb"))
    except StopFeed as error:
        assert "200 times its size" in error.what, error
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.fault("F8: a gzip bomb, nested encodings", behaviour="400 MB of zeros in 390 kB cost less than 64 MB of memory")
def test_a_bomb_is_never_in_memory() -> None:
    servers = Path(__file__).resolve().parents[1] / "servers"
    done = subprocess.run([sys.executable, "-c", CHILD, str(servers)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64_000, "kB"
