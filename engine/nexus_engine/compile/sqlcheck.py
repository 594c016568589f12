"""The user's SQL, checked and rebuilt: scalar functions only, names bound, nothing that reads a table, a file, a clock or the network.

An expression is taken apart twice: sqlglot's tree gives syntax errors and the columns; the tokens give the text that goes on. Each
token is written again by this module, so a difference between two lexers cannot smuggle anything in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nexus_engine.clickhouse.quoting import ident
from nexus_engine.compile.scalar_functions import ANY_CASE, CASE_SENSITIVE
from nexus_engine.compile.select import Step
from nexus_engine.spec.spelling import nearest

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

Bind = Callable[[tuple[str, ...]], str]
_OPERATORS = {
    "and", "or", "not", "in", "like", "ilike", "between", "case", "when", "then", "else", "end", "is", "null", "as", "cast", "interval",
    "div", "mod", "extract", "exists", "any", "all", "distinct",
}  # fmt: skip
_TYPES = {
    "decimal", "decimal32", "decimal64", "decimal128", "decimal256", "fixedstring", "datetime", "datetime64", "enum8", "enum16", "enum",
    "lowcardinality", "nullable", "array", "map", "tuple",
}  # fmt: skip
_REFUSED = {
    "select": "a subquery", "from": "FROM", "with": "WITH", "union": "UNION", "over": "a window function", "settings": "SETTINGS",
    "into": "INTO", "outfile": "OUTFILE", "exists": "EXISTS", "distinct": "DISTINCT", "global": "GLOBAL", "table": "a table",
}  # fmt: skip
_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_NUMBER = re.compile(r"\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|0[xXbB][0-9a-fA-F]+")
_SYMBOL = re.compile(r"[-+*/%=<>!|?:,.()\[\]]+")


def expression(written: str, bind: Bind) -> str:
    """The expression with every column replaced by ``bind(its dotted parts)``, in brackets.

    Raises:
        ValueError: `line L, column C: ...`: a syntax error, a function or construct that is not allowed, or what ``bind`` raises.
    """
    return f"({_rebuilt(written, _tokens(written), bind, (1, 1))})"


def transform(written: str, names: Sequence[str]) -> Step:
    """`SELECT ... FROM input [ARRAY JOIN a AS b, ...] [WHERE ...]` over the columns ``names``.

    Raises:
        ValueError: as :func:`expression`; another clause; an output without a name or twice the same.
    """
    tokens = _tokens(written)
    select, rest = _clauses(written, tokens)
    known = {name: ident(name) for name in names}
    explode = []
    for piece in _split(rest.get("array join", [])):
        name, part = _named(piece, written)
        if not name:
            raise _error(piece[0], "ARRAY JOIN needs a name: `ARRAY JOIN tags AS tag`")
        explode.append((name, _part(written, part, _binder(known))))
    inside = {**known, **{name: ident(name) for name, _ in explode}}
    items: dict[str, str] = {}
    every: dict[str, str] = {}  # what `*` gives; a name of its own takes the place of one of these
    for piece in _split(select):
        if [token.text for token in piece] == ["*"]:
            every = known
            continue
        name, part = _named(piece, written)
        if not name:
            raise _error(piece[0], "this output needs a name: add `AS <field>`")
        if name in items:
            raise _error(piece[0], f"`{name}` comes out twice")
        items[name] = _part(written, part, _binder(inside))
    where = _part(written, rest["where"], _binder(inside)) if "where" in rest else ""
    return Step({**every, **items}, where, tuple(explode))


def _binder(known: dict[str, str]) -> Bind:
    def bind(parts: tuple[str, ...]) -> str:
        if parts[0] not in known:
            near = nearest(parts[0], known)
            raise ValueError(f"`input` has no column `{parts[0]}`" + (f", did you mean {near}?" if near else f"; there are {', '.join(known)}"))
        return known[parts[0]] + "".join(f".{part if part.isdigit() else ident(part)}" for part in parts[1:])

    return bind


def _tokens(written: str) -> list[Token]:
    from sqlglot import tokenize
    from sqlglot.errors import SqlglotError

    try:
        tokens = tokenize(written, dialect="clickhouse")
    except SqlglotError as error:
        raise ValueError(f"line 1, column 1: {_plain(str(error))}") from None
    if not tokens:
        raise ValueError("line 1, column 1: an expression is missing")
    return tokens


def _clauses(written: str, tokens: list[Token]) -> tuple[list[Token], dict[str, list[Token]]]:
    """The tokens of SELECT's items, and of the clauses after `FROM input`."""
    if tokens[0].text.lower() != "select":
        raise _error(tokens[0], "a transform is `SELECT ... FROM input`")
    starts: list[tuple[str, int, int]] = []  # clause, first token of its word, first token of its content
    depth = 0
    for n, token in enumerate(tokens):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        word = token.text.lower()
        if depth or n == 0 or token.token_type.name in ("STRING", "IDENTIFIER"):
            continue
        if word in ("from", "where", "prewhere", "group", "having", "order", "limit", "union", "join", "settings", "format", "qualify"):
            starts.append((word, n, n + 1))
        elif word == "array" and n + 1 < len(tokens) and tokens[n + 1].text.lower() == "join":
            starts.append(("array join", n, n + 2))
    starts = [start for n, start in enumerate(starts) if not (start[0] == "join" and n and starts[n - 1][1] == start[1] - 1)]
    if not starts:
        raise _error(tokens[-1], "a transform reads `FROM input` and nothing else")
    ends = [start[1] for start in starts[1:]] + [len(tokens)]
    clauses = {word: tokens[first:end] for (word, _, first), end in zip(starts, ends, strict=True)}
    for word, at, _ in starts:
        if word not in ("from", "where", "array join"):
            raise _error(tokens[at], f"{word.upper()} does not work in a transform: rows are taken one by one")
    source = clauses.pop("from", [])
    if [token.text for token in source] != ["input"]:
        raise _error(source[0] if source else tokens[-1], "a transform reads `FROM input` and nothing else")
    return tokens[1 : starts[0][1]], clauses


def _split(tokens: list[Token]) -> list[list[Token]]:
    """The pieces between commas that are in no bracket."""
    pieces: list[list[Token]] = [[]] if tokens else []
    depth = 0
    for token in tokens:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        if token.text == "," and depth == 0 and token.token_type.name == "COMMA":
            pieces.append([])
        else:
            pieces[-1].append(token)
    if any(not piece for piece in pieces):
        raise _error(tokens[0], "an item is missing beside a comma")
    return pieces


def _named(piece: list[Token], written: str) -> tuple[str, list[Token]]:
    """(name, the expression's tokens) of `expr AS name`, or of a column alone."""
    if len(piece) > 2 and piece[-2].text.lower() == "as":
        return piece[-1].text, piece[:-2]
    alone = len(piece) == 1 and piece[0].token_type.name not in ("STRING", "NUMBER") and (
        piece[0].token_type.name == "IDENTIFIER" or re.fullmatch(r"[A-Za-z_]\w*", piece[0].text)
    )  # fmt: skip
    return (piece[0].text if alone else ""), piece


def _part(written: str, tokens: list[Token], bind: Bind) -> str:
    """A stretch of tokens of a longer text, as an expression."""
    if not tokens:
        raise ValueError("line 1, column 1: an expression is missing")
    text = written[tokens[0].start : tokens[-1].end + 1]
    return f"({_rebuilt(text, _tokens(text), bind, (tokens[0].line, tokens[0].col - len(tokens[0].text) + 1))})"


def _rebuilt(text: str, tokens: list[Token], bind: Bind, origin: tuple[int, int]) -> str:
    try:
        columns = _columns(text, origin)
        pieces: list[str] = []
        end = -1
        for n, token in enumerate(tokens):
            if token.start <= end:
                continue  # inside a column that was replaced
            column = columns.get(token.start)
            space = " " if pieces and token.start > end + 1 else ""
            if column is not None:
                parts, end = column
                try:
                    pieces.append(space + bind(parts))
                except ValueError as error:
                    raise _error(token, str(error)) from None
            else:
                following = tokens[n + 1].text if n + 1 < len(tokens) else ""
                pieces.append(space + _token(text, token, following))
                end = token.end
        return "".join(pieces)
    except _At as error:
        line, column_number = error.line + origin[0] - 1, error.column + (origin[1] - 1 if error.line == 1 else 0)
        raise ValueError(f"line {line}, column {column_number}: {error.what}") from None


class _At(ValueError):
    def __init__(self, line: int, column: int, what: str) -> None:
        super().__init__(f"line {line}, column {column}: {what}")
        self.line, self.column, self.what = line, column, what


def _error(token: Token, what: str) -> _At:
    return _At(token.line, max(token.col - len(token.text) + 1, 1), what)


def _columns(text: str, origin: tuple[int, int]) -> dict[int, tuple[tuple[str, ...], int]]:
    """Where each column begins -> (its parts, where it ends)."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree: Any = sqlglot.parse_one(text, dialect="clickhouse")
    except SqlglotError as error:
        first = (getattr(error, "errors", None) or [{}])[0]
        raise _At(first.get("line") or 1, first.get("col") or 1, _plain(first.get("description") or str(error))) from None
    for kind, name in ((exp.Query, "a subquery"), (exp.Window, "a window function"), (exp.Star, "`*`"), (exp.Command, "a statement")):
        if tree.find(kind):
            raise _At(1, 1, f"{name} does not work here: an expression over one row is due")
    if isinstance(tree, exp.Alias):
        raise _At(1, 1, "a name (`AS ...`) does not work here: the field's own name is taken")
    found = {}
    for column in tree.find_all(exp.Column):
        parts = column.parts
        if all("start" in part.meta for part in parts):
            found[parts[0].meta["start"]] = (tuple(part.name for part in parts), parts[-1].meta["end"])
    return found


def _token(text: str, token: Token, following: str) -> str:
    """One token written again."""
    written = text[token.start : token.end + 1]
    kind = token.token_type.name
    if written.startswith("'"):
        if not _STRING.fullmatch(written):
            raise _error(token, "this text literal is not understood")
        return written
    word = token.text
    if following == "(" and re.fullmatch(r"[A-Za-z_]\w*", word):
        _function(token, word)
        return word
    if kind == "IDENTIFIER":
        return ident(word)
    if re.fullmatch(r"[A-Za-z_]\w*", written):
        if written.lower() in _REFUSED:
            raise _error(token, f"{_REFUSED[written.lower()]} does not work here: an expression over one row is due")
        return written
    if _NUMBER.fullmatch(written) or (_SYMBOL.fullmatch(written) and "--" not in written and "/*" not in written):
        return written
    raise _error(token, f"`{written}` does not work here")


def _function(token: Token, name: str) -> None:
    low = name.lower()
    if low in _REFUSED:
        raise _error(token, f"{_REFUSED[low]} does not work here: an expression over one row is due")
    if name in CASE_SENSITIVE or low in ANY_CASE or low in _OPERATORS or low in _TYPES:
        return
    near = difflib.get_close_matches(name, CASE_SENSITIVE | ANY_CASE, 1, 0.75)
    hint = f", did you mean {near[0]}?" if near else ""
    raise _error(token, f"`{name}` is not a scalar function that works here{hint}")


def _plain(message: str) -> str:
    """The parser's message on one line, without its colours and position."""
    message = re.sub(r"\x1b\[[0-9;]*m", "", message).split("\n")[0]
    message = re.sub(r" for <class '[^']*'>", "", message)
    return re.sub(r"\s*Line \d+, Col: \d+\.?.*", "", message).strip()
