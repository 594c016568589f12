"""Problems in files, as data: all of them at once, each with file, line, column, path, code and message.

A message names keys and says what was expected; it never quotes the value that stood there, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

_SECRET = re.compile(
    r"""(?i)((?:api[_-]?key|apikey|token|secret|passw(?:or)?d|authorization|bearer)[\w-]*["']?\s*:\s*)"""
    r"""(?!["']?\{\{)("[^"]*"?|'[^']*'?|[^\s,}{][^,}]*)"""
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LONGEST_LINE = 160


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake. ``line`` and ``col`` count from 1; ``path`` is the place in the file's structure (`fields.value.type`)."""

    file: str
    line: int
    col: int
    path: str
    code: str
    message: str
    suggestion: str = ""
    source_line: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.col}  {self.path or '.'}  {self.code}  {self.message}"
        return f"{text}; {self.suggestion}" if self.suggestion else text


def mask_secrets(line: str) -> str:
    """A line of a file as it may be shown: what follows a key that sounds secret is masked, templates are kept."""
    return printable(_SECRET.sub(r"\1***", line))


def printable(text: str) -> str:
    """Text for a terminal or a log line: characters that control either are replaced."""
    return _CONTROL.sub("\ufffd", text)


def shown_line(text: str, line: int) -> str:
    """Line ``line`` of ``text``, masked and bounded; empty when there is none."""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
        if start == 0:
            return ""
    end = text.find("\n", start)
    return mask_secrets(text[start : end if end >= 0 else len(text)].rstrip("\r")[: _LONGEST_LINE * 8])


def render(problems: Iterable[Problem]) -> str:
    """Text for people: one line per problem, then the line of the file with a caret under the column."""
    parts: list[str] = []
    for problem in problems:
        parts.append(str(problem))
        if problem.source_line.strip():
            parts.extend(_caret(problem))
    return "\n".join(parts)


def _caret(problem: Problem) -> list[str]:
    line, col = problem.source_line.replace("\t", " "), problem.col
    if len(line) > _LONGEST_LINE:
        start = max(0, min(col - _LONGEST_LINE // 2, len(line) - _LONGEST_LINE))
        line, col = line[start : start + _LONGEST_LINE], col - start
    return [f"    {line}", f"    {' ' * max(0, min(col - 1, len(line)))}^"]


def to_json(problems: Sequence[Problem]) -> bytes:
    """The same for programs: a JSON list."""
    return msgspec.json.encode(list(problems))


def path_text(path: Sequence[str | int]) -> str:
    """``("fields", "a b", 0)`` -> ``fields."a b"[0]``; ``nexus_engine.contract.records.parse_path`` reads it back."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            plain = step and not any(char in '.["' for char in step)
            name = step if plain else '"' + step.replace('"', "'") + '"'
            text += f".{name}" if text else name
    return printable(text)
