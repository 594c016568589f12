"""The feeds of docs/examples: short, and each lands its recording on the production path, without any secret set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from doc_pages import ROOT

EXAMPLES = ROOT / "docs/examples/sources.d"
FEEDS = sorted(path for path in EXAMPLES.glob("*.yaml") if not path.name.endswith(".test.yaml"))


def test_each_lands_its_recording() -> None:
    secrets = {name for path in FEEDS for name in re.findall(r"secrets\.(\w+)", path.read_text())}
    environment = {name: value for name, value in os.environ.items() if name not in secrets}
    argv = [sys.executable, "-m", "nexus_engine.cli.main", "test", "--project", str(EXAMPLES.parent), "--json"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {result["feed"] for result in json.loads(done.stdout)} == {path.stem for path in FEEDS}


def test_each_is_short() -> None:
    """At most 18 lines that say something: the line for editors and the description are for people."""
    said = {path.name: [line for line in path.read_text().splitlines() if not line.startswith(("#", "description:"))] for path in FEEDS}
    assert {name: len(lines) for name, lines in said.items() if len(lines) > 18} == {}


def test_recordings_are_what_their_script_writes() -> None:
    script = Path(__file__).parents[1] / "tools/make_examples.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
