"""Every command on a page is run, in page order, in a project made by the page itself; a loopback server stands in for the API.

A line of a ```` ```console ```` block that begins with `$` is a command. `# exit 3` at its end says how it must end (0 unless
said). A YAML block whose fence names a file is written to that file first.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, blocks
from treasury_api import API, TreasuryApi

WITH_COMMANDS = [page for page in PAGES if any(block.language == "console" for block in blocks(page))]
_EXIT = re.compile(r"\s+# exit (\d)$")


class Reader:
    """Someone who follows a page to the letter."""

    def __init__(self, home: Path, api: str) -> None:
        self.folder = home
        self._api = api

    def follow(self, page: Path) -> list[str]:
        """What did not end as the page says."""
        failures = []
        for block in blocks(page):
            if block.language == "yaml" and len(block.words) == 2:
                file = self.folder / block.words[1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)
            for line in block.text.splitlines() if block.language == "console" else ():
                if line.startswith("$ "):
                    failures += self._do(line[2:], block.place)
        return failures

    def _do(self, line: str, place: str) -> list[str]:
        stated = _EXIT.search(line)
        words = shlex.split(_EXIT.sub("", line))
        if words[0] == "cd":
            self.folder = self.folder / words[1]
            return []
        assert words[0] == "nexus-engine", f"{place}: {line}"
        environment = {**os.environ, "COLUMNS": "200"}
        argv = [sys.executable, "-m", "nexus_engine.cli.main", *words[1:]]
        done = subprocess.run(argv, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if words[1] == "init":
            self._stand_in(self.folder / words[2])
        wanted = int(stated[1]) if stated else 0
        return [] if done.returncode == wanted else [f"{place}: $ {line}\nexit {done.returncode}\n{done.stdout}{done.stderr}"]

    def _stand_in(self, project: Path) -> None:
        with (project / "nexus.yaml").open("a") as file:
            file.write(f'base_urls: {{"{API}": "{self._api}"}}\n')


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    with TreasuryApi() as api:
        failures = Reader(tmp_path, api.url).follow(page)
    assert not failures, "\n\n".join(failures)


def test_the_readme_has_commands() -> None:
    assert ROOT / "README.md" in WITH_COMMANDS
