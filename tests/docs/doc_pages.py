"""Fenced blocks and tables of the documentation, with the page and line they stand on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "plugins").rglob("README.md"))]
_FENCE = re.compile(r"^(```+)([^\n`]*)\n(.*?)^\1\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """``words`` follow the language on the fence: ```` ```yaml feed sources.d/x.yaml ```` has ("feed", "sources.d/x.yaml")."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def place_in_project(self) -> str:
        """Of a block of the kind `file`."""
        return self.words[1]

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _FENCE.finditer(text):
        words = match[2].split()
        yield Block(page, text.count("\n", 0, match.start()) + 1, words[0] if words else "", tuple(words[1:]), match[3])


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks, which may hold what looks like a link or a table."""
    return _FENCE.sub("", page.read_text())


def tables(text: str) -> Iterator[list[list[str]]]:
    """Each table as rows of cells, header first, the rule left out."""
    for match in re.finditer(r"(?:^\|.*\|[ ]*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]] for line in match[0].splitlines()]
        yield [rows[0], *rows[2:]]
