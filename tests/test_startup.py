"""Commands that only print must not pay for what only a run needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from nexus_engine.cli.main import COMMANDS

HEAVY = {"chdb", "pyarrow", "pandas", "numpy", "httpx", "sqlalchemy", "jinja2", "jsonschema", "sqlglot", "rich", "croniter"}
PROBE = """
import sys
from nexus_engine.cli.main import main
sys.argv = ["nexus-engine", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
finally:
    print("LOADED", *sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split("LOADED", 1)[1].split())
    assert not loaded & HEAVY
