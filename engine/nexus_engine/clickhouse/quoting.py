"""Names and texts into SQL, and nothing out of them: the only place where either is quoted."""

from __future__ import annotations

_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "`": "\\`", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)


def ident(name: str) -> str:
    """A name in backticks: backslash first, then the backtick with a backslash (doubling it alone is injectable).

    Raises:
        ValueError: the name is empty or holds a lone surrogate: ClickHouse cannot name it.
    """
    if not name:
        raise ValueError("a name is empty")
    return f"`{_escaped(name)}`"


def literal(text: str) -> str:
    """A String literal.

    Raises:
        ValueError: the text holds a lone surrogate: it is not UTF-8.
    """
    return f"'{_escaped(text)}'"


def _escaped(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not UTF-8 at character {error.start + 1}") from None
    return text.translate(_ESCAPES)
