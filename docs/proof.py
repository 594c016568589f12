"""The two tables of proof: what a spec can say, and what happens at each fault, each with the tests that show it.

The rows come from markers on test functions, read from their source (nothing is imported or run)::

    @pytest.mark.capability("Paging: offset", spec="paginate: {offset: skip}")
    @pytest.mark.fault("F4: an answer that drips", behaviour="ends at the deadline of the whole request")

``CLAUSES`` and ``FAULTS`` are what must be shown. One without a test is a row that says so, and stands in ``NOT_THERE``.
"""

# ruff: noqa: INP001  beside a script, not a package

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
NOT_THERE_TEXT = "*not there*"

CLAUSES: dict[str, tuple[str, ...]] = {
    "Auth": (
        "key in a header", "key in the query", "key in a cookie", "bearer", "basic", "OAuth2 client credentials", "OAuth2 refresh token",
        "OAuth2 password", "a login whose answer gives a token", "a login whose answer sets a cookie", "several named credentials per API",
    ),
    "Requests": (
        "GET with a query", "POST with a JSON body", "POST with a form", "templated headers", "templated path segments",
        "each value is encoded on its own", "repeated parameters", "bracketed parameters",
    ),
    "Paging": (
        "page numbers", "offset", "a cursor in the body", "a cursor in a header", "the next URL: absolute, relative, a piece of a query",
        "Link header (RFC 8288)", "keyset: from the last record on", "walking by date", "the total is told", "the number of pages is told",
        "ends at an empty page", "ends at a short page", "ends without a token", "ends by a declared flag",
        "newest first: ends at what was read before", "smaller pages on a declared error", "pages side by side, in order", "guard against circles",
        "a limit of pages", "what arrives is compared with the total",
    ),
    "Incremental": (
        "cursor from a field", "the position is a response header of the last page", "the position is the end of the window that was asked", "a number as cursor", "a date as cursor",
        "a time as cursor: epoch, ISO 8601, a format", "windows in steps", "lookback", "delay", "end", "inclusive and exclusive bounds",
        "a position for each partition", "resume by page inside a window", "a full answer without paging is an error",
    ),
    "Fan-out": (
        "a list", "products of lists", "values from a file of the project (CSV, TSV, JSON lines, YAML)",
        "values from a landed table's column, read when the run starts", "parent -> child, fields of the parent on the child",
        "one partition's error holds back no other", "bounded concurrency",
    ),
    "Formats": (
        "JSON", "JSON lines", "CSV and TSV: dialect, comments, header elsewhere", "fixed width", "XML and Atom: namespaces, attributes",
        "gzip, bz2, zstd, zip members by glob", "charset from header, BOM or declaration", "a content type that lies",
        "a body larger than memory", "lines land while their body still comes",
    ),
    "Shapes": (
        "parallel arrays with optional columns", "a list of lists", "an object by id or date", "meta and rows",
        "lists and objects inside each other, with the keys and parents of each record", "key/value lists pivoted", "one record per body", "a bare scalar", "XBRL facts",
    ),
    "Errors": (
        "told by status", "told by header", "told by path and value", "told by pattern", "retry after a time, a header, a field", "wait for the reset",
        "treat as empty", "skip the partition", "end of pages", "not yet: try at the next run", "stop the feed",
        "Etherscan's status 0", "World Bank's message", "SEC's 403 on an unpublished day", "SEC's 503 at the end of getcurrent",
        "X's monthly cap", "a model that is loading",
    ),
    "Budgets": (
        "rate and concurrency of an API, shared by its feeds", "kept over restarts", "learned from headers, in every dialect", "daily and monthly quotas",
        "credits, a request costs more than one", "credits told by the answer", "rate per API and credential", "plan shows requests, time and quota", "a used-up quota stops with what is left to do, and goes on",
    ),
    "Conditional polling": ("ETag, Last-Modified and content hash",),
    "Raw archive": (
        "each answer kept, compressed, by its hash, with its request", "retention by age and by size, oldest first",
        "kept answers parsed again by today's spec, nothing asked", "trace from a row to its request",
    ),
    "Backfill": ("a range with a position of its own", "an interrupted one goes on", "progress", "replace a range"),
    "Drift": ("new, missing and retyped fields recorded and told once per run", "each kind for itself: recorded only, told, or refused", "what no field reads kept as JSON, each value in its own text"),
    "Quarantine replay": ("records through the mended spec", "the books close"),
}

FAULTS: tuple[str, ...] = (
    "F1: Retry-After in every form", "F1: a wait longer than allowed", "F2: statuses that pass", "F2: statuses that last", "F2: a POST that acts",
    "F3: credentials refused", "F4: an answer that drips", "F4: a server that never answers", "F5: a body shorter than its Content-Length, a chunk cut",
    "F6: a body cut without a Content-Length", "F7: a gzip body cut", "F8: a gzip bomb, nested encodings", "F9: a body over its limit, an endless body",
    "F9: a flood of headers", "F10: invalid JSON, NaN", "F10: 1e400", "F10: duplicate keys", "F10: deep nesting", "F10: invalid UTF-8", "F10: a BOM",
    "F11: a redirect loop", "F11: a redirect to another origin", "F11: from https to http", "F12: a certificate that expired, of another host, self-signed",
    "F12: plain HTTP where TLS is due", "F13: a name that does not resolve", "F13: a resolver that hangs", "F13: connection refused",
    "F13: connection reset", "F13: a black hole", "F14: the next page is the same page", "F14: an empty page with a next one",
    "F14: a cursor that goes backwards", "F14: pages without end", "F15: a new field", "F15: a missing field", "F15: a changed type", "F15: null where a value is due",
    "F30: the page of yesterday again", "F30: fewer records than the total told",
    "5.3: link-local and metadata addresses", "5.3: a private address out of an answer", "5.3: a name that changes its address (DNS rebinding)",
    "5.3: what is no http URL", "5.4: secrets to another origin by redirect", "5.4: secrets to another origin by a next URL or Link",
    "5.4: a token to another origin", "5.10: every limit is met",
)  # fmt: skip

NOT_THERE: frozenset[str] = frozenset(
    {
        "Drift: new, missing and retyped fields recorded and told once per run",
        "Drift: each kind for itself: recorded only, told, or refused",
    }
)


@dataclass
class Row:
    """One line of a table. ``said``: spec lines, or behaviours; ``tests``: (path below tests/, function)."""

    text: str
    said: list[str] = field(default_factory=list)
    tests: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """One marker on one test function. ``said`` is its ``spec`` or its ``behaviour``."""

    kind: str
    text: str
    said: str
    path: str
    function: str

    @property
    def group(self) -> str:
        return self.text.partition(":")[0]


def marks(root: Path = TESTS) -> list[Mark]:
    """Every marker of the two kinds, in the order of files and lines.

    Raises:
        ValueError: a marker that is not two constant texts.
    """
    found = []
    for path in sorted(root.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found += [_mark(call, kind, path.relative_to(root).as_posix(), node.name) for call, kind in _marking(node)]
    return found


def _marking(function: ast.FunctionDef) -> Iterator[tuple[ast.Call, str]]:
    for call in function.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("capability", "fault"):
            yield call, call.func.attr


def _mark(call: ast.Call, kind: str, path: str, function: str) -> Mark:
    word = "spec" if kind == "capability" else "behaviour"
    said = {keyword.arg: keyword.value for keyword in call.keywords}.get(word)
    texts = [node.value for node in (*call.args[:1], said) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if len(texts) != 2 or ":" not in texts[0]:
        raise ValueError(f"tests/{path}:{call.lineno}: {kind} takes a text `Group: what` and {word}=, both constants")
    mark = Mark(kind, texts[0], texts[1], path, function)
    if kind == "capability" and mark.group not in CLAUSES:
        raise ValueError(f"tests/{path}:{call.lineno}: {mark.group!r} is no group; there are {', '.join(CLAUSES)}")
    return mark


def capability_rows(found: Iterable[Mark]) -> list[Row]:
    """A row for each clause, then those of what is shown besides, group by group."""
    due = [f"{group}: {clause}" for group, clauses in CLAUSES.items() for clause in clauses]
    rows = _rows(due, [mark for mark in found if mark.kind == "capability"])
    order = list(CLAUSES)
    return sorted(rows, key=lambda row: order.index(row.text.partition(":")[0]))


def fault_rows(found: Iterable[Mark]) -> list[Row]:
    """In the order of the catalogue's numbers; what has none comes last."""

    def place(row: Row) -> tuple[int, int]:
        number = re.match(r"(F|5\.)(\d+):", row.text)
        return ("F", "5.", "").index(number[1] if number else ""), int(number[2]) if number else 0

    return sorted(_rows(FAULTS, [mark for mark in found if mark.kind == "fault"]), key=place)


def _rows(due: Iterable[str], found: Iterable[Mark]) -> list[Row]:
    rows = {text: Row(text) for text in due}
    for mark in found:
        row = rows.setdefault(mark.text, Row(mark.text))
        if mark.said not in row.said:
            row.said.append(mark.said)
        if (mark.path, mark.function) not in row.tests:
            row.tests.append((mark.path, mark.function))
    return list(rows.values())


def capabilities() -> str:
    """The table of docs/capabilities.md."""
    lines: list[str] = []
    group = ""
    for row in capability_rows(marks()):
        head, _, what = row.text.partition(": ")
        if head != group:
            group = head
            lines += ["", f"## {group}", "", "| a spec can say | in these lines | shown by |", "| --- | --- | --- |"]
        lines.append(_line(what, [_code(text) for text in row.said], row))
    return "\n".join(lines)


def faults() -> str:
    """The table of docs/faults.md."""
    lines = ["| fault | what the engine does | shown by |", "| --- | --- | --- |"]
    return "\n".join(lines + [_line(row.text, row.said, row) for row in fault_rows(marks())])


def _line(what: str, said: list[str], row: Row) -> str:
    shown = "<br>".join(f"[{Path(path).name}::{function}](../tests/{path})" for path, function in row.tests)
    return f"| {_cell(what)} | {_cell('<br>'.join(said))} | {shown or NOT_THERE_TEXT} |"


def _code(text: str) -> str:
    return "<br>".join(f"`{line}`" for line in text.strip().splitlines())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
