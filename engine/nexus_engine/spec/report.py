"""Gathers the problems of one file, so that one mistake is one problem: what depends on a bad place is not judged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from nexus_engine.spec.problems import Problem, path_text, printable, shown_line
from nexus_engine.spec.tree import Node, Path, Scalar, find

MAX_PROBLEMS = 1000
SECRET_MISSING = "secret-missing"  # noqa: S105  the code of a problem; the file itself is right, its environment is not

_TEMPLATE = re.compile(r"\{\{.*?(?:\}\}|$)", re.DOTALL)


class Report:
    """Problems of one file by place. ``root`` gives positions; it is set once the tree is there."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.root: Node | None = None
        self._found: list[tuple[Path, Problem]] = []
        self._bad: set[Path] = set()
        self._bad_below: set[Path] = set()

    @property
    def problems(self) -> list[Problem]:
        """In the order of the file."""
        return sorted((problem for _, problem in self._found), key=lambda problem: (problem.line, problem.col))

    @property
    def fatal(self) -> bool:
        """Whether the file itself is wrong (a missing secret is not the file's fault)."""
        return any(problem.code != SECRET_MISSING for _, problem in self._found)

    def adopt(self, found: Iterable[tuple[Path, Problem]]) -> None:
        """Take over problems that the reader found while it built the tree."""
        for path, problem in found:
            self._found.append((path, problem))
            self._mark(path)

    def add(
        self, path: Path, code: str, message: str, suggestion: str = "", *, at_key: bool = False, near: str = "", word: str | None = None
    ) -> None:
        """A problem at ``path``; a second one at the same place is dropped.

        Args:
            at_key: point at the key, not at its value.
            near: the known name beside ``path`` that was probably meant: it counts as bad too, so that nothing
                says it is missing.
            word: a pattern of what in the templates of this text to point at; "" is the first template.
        """
        if path in self._bad or len(self._found) >= MAX_PROBLEMS:
            return
        assert self.root is not None
        node, line, col = find(self.root, path)
        if word is not None and isinstance(node, Scalar):
            line, col = self._word(node, line, col, word)
        if at_key and path:
            parent, _, _ = find(self.root, path[:-1])
            entry = getattr(parent, "entries", {}).get(path[-1])
            if entry is not None:
                line, col = entry.line, entry.col
        problem = Problem(
            file=self.file, line=line, col=col, path=path_text(path), code=code, message=printable(message),
            suggestion=printable(suggestion),
            source_line=shown_line(self.text, line),
        )  # fmt: skip
        self._found.append((path, problem))
        self._mark(path)
        if near:
            self._mark((*path[:-1], near))

    def _word(self, node: Scalar, line: int, col: int, word: str) -> tuple[int, int]:
        """Where the word stands in the templates of a text that begins there; the beginning, where it is written in another way."""
        start = sum(len(text) + 1 for text in self.text.split("\n", line - 1)[: line - 1]) + col - 1
        for piece in islice(_TEMPLATE.finditer(self.text, start), node.text.count("{{")):
            if found := re.compile(word).search(self.text, piece.start(), piece.end()):
                at = found.start(found.re.groups and 1)
                return self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at)
        return line, col

    def _mark(self, path: Path) -> None:
        self._bad.add(path)
        for end in range(len(path)):
            self._bad_below.add(path[:end])

    def clean(self, *path: str | int) -> bool:
        """Whether nothing is wrong at ``path``, below it, or at a place above it."""
        if not self._bad:
            return True
        if path in self._bad_below:
            return False
        return not any(path[:end] in self._bad for end in range(len(path) + 1))

    def is_bad(self, path: Path) -> bool:
        """Whether this very place has its problem already (or is what a misspelt neighbour was meant to be)."""
        return path in self._bad

    def clean_down_to(self, path: Path) -> bool:
        """Whether nothing is wrong at ``path`` itself or above it; below it there may be."""
        return not any(path[:end] in self._bad for end in range(len(path) + 1))
