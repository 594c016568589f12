"""The packages of plugins.md are installed and used: as written there, through the command line."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from doc_pages import ROOT, blocks

PAGE = list(blocks(ROOT / "docs/plugins.md"))
PYTHON = {block.kind: block.text for block in PAGE if block.language == "python"}
KINDS = ("formats", "auth", "transformers", "sinks")
FEED = """
name: piped
source:
  endpoint: http://127.0.0.1:{port}/trades.txt
  format: {{pipes: {{separator: ";"}}}}
  auth: {{signed: {{key: docs, secret: "{{{{ secrets.DOCS_SECRET }}}}"}}}}
fields:
  id: UInt64
  price: Decimal(18, 2)
transform: [{{plugin: positive, column: price}}]
target: {{table: market.piped, sink: folder}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the page's whole package by pip, its shorter plugins beside it."""
    source, site = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    for name in ("setup.py", "nexus_jsonl.py"):
        (source / name).write_text(PYTHON[name])
    argv = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    info = site / "nexus_docs-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nexus-docs\nVersion: 0.1\n")
    points = [f"docs_{kind} = docs_{kind}" for kind in KINDS]
    (info / "entry_points.txt").write_text("\n".join(["[nexus_engine]", *points]) + "\n")
    for kind in KINDS:
        (site / f"docs_{kind}.py").write_text(PYTHON[kind])
    return site


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "sources.d").mkdir()
    (tmp_path / "sinks.d").mkdir()
    (tmp_path / "nexus.yaml").write_text("name: docs\n")
    return tmp_path


def engine(site: Path, project: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "DOCS_SECRET": "a-secret-of-the-docs"}
    argv = [sys.executable, "-m", "nexus_engine.cli.main", *words]
    done = subprocess.run(argv, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_whole_package_lands_its_rows(site: Path, project: Path) -> None:
    [feed] = [block for block in PAGE if block.kind == "plugin"]
    (project / feed.words[1]).write_text(feed.text)
    (project / "inbox").mkdir()
    (project / "inbox/1.jsonl").write_text('{"id": 1, "price": 91250.10}\n{"id": 2, "price": 12345678901234.89}\n')
    (project / "inbox/2.jsonl").write_text('{"id": 3, "price": 1}\n')
    assert "jsonl" in engine(site, project, "plugins")
    assert "which files" in engine(site, project, "plugins", "show", "jsonl")
    engine(site, project, "validate-config")
    [run] = json.loads(engine(site, project, "run", "trades", "--once", "--json"))["runs"]
    assert (run["status"], run["landed"]) == ("ok", 3)
    rows = engine(site, project, "query", "SELECT id, toString(price) AS price FROM market.trades ORDER BY id", "--format", "csv")
    assert rows == "id,price\n1,91250.1\n2,12345678901234.89\n3,1\n"


def test_the_whole_package_is_short() -> None:
    assert len(PYTHON["setup.py"].splitlines()) + len(PYTHON["nexus_jsonl.py"].splitlines()) < 45


def test_a_page_is_read_again_only_after_its_position(site: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("nexus_jsonl_example", site / "nexus_jsonl.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": name}) + "\n")

    def read(position: Any) -> list[tuple[Any, bool]]:
        request = type("Request", (), {"options": module.JsonlOptions(folder=str(tmp_path)), "position": position})
        return [(payload.position, payload.last) for payload in module.JsonlSource().read(request)]

    assert read(None) == [("a.jsonl", False), ("b.jsonl", False), ("c.jsonl", True)]
    assert read("b.jsonl") == [("c.jsonl", True)]
    assert read("c.jsonl") == []


@pytest.fixture
def api() -> Iterator[tuple[int, list[dict[str, str]]]]:
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            body = b"id;price\n1;91250.10\n2;0\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, seen
    server.shutdown()
    server.server_close()


def test_a_format_an_auth_method_a_transformer_and_a_sink(
    site: Path, project: Path, api: tuple[int, list[dict[str, str]]]
) -> None:
    port, seen = api
    (project / "sources.d/piped.yaml").write_text(FEED.format(port=port))
    (project / "sinks.d/folder.yaml").write_text("name: folder\nplugin: folder\nfolder: out\n")
    engine(site, project, "validate-config")
    [run] = json.loads(engine(site, project, "run", "piped", "--once", "--json"))["runs"]
    assert (run["read"], run["landed"], run["filtered"]) == (2, 1, 1)
    headers = {name.lower(): value for name, value in seen[0].items()}
    assert headers["x-key"] == "docs"
    assert len(headers["x-signature"]) == 64
    [file] = (project / "out/market.piped").iterdir()
    header, row = file.read_text().splitlines()
    assert header == '"id","price","_nexus_row"'
    assert row.startswith("1,91250.10,")
