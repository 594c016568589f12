"""Why a record was refused: the query says which test failed and of what text, here it is put into words. (Words made in SQL double the
time that ClickHouse takes to analyse the query, and few records are refused.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

SHOWN = 60  # characters of a value in a reason

# What a text failed at, in the array `casts`.
GOOD, BAD, MISSING = 0, 1, 2


class Reasons(msgspec.Struct, frozen=True, kw_only=True):
    """Names of what the arrays of a row of `Query.refused_sql` tell, in their order.

    `casts` and `texts`: of fields read from a text, one of GOOD, BAD and MISSING, and the text; `nulls`: of columns that need a value,
    1 where there is none; `broken` and `values`: of row rules, 1 where one does not hold, and the text of what it is about;
    `filtered`: 1 for a row that a transform took out.
    """

    casts: tuple[tuple[str, str], ...] = ()  # (field, type in words)
    nulls: tuple[str, ...] = ()  # columns
    rules: tuple[tuple[str, str], ...] = ()  # (field or "", name)

    def of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Every reason `<field>: <code>: <text>`; none of a good row."""
        cast = {
            name: f"{name}: null: no value" if told == MISSING else f'{name}: cast: "{_short(text)}" is no {kind}'
            for (name, kind), told, text in zip(self.casts, row["casts"], row["texts"], strict=True)
            if told == MISSING or (told == BAD and text is not None)
        }
        if row["filtered"] and not cast:
            return ()
        nulls = [f"{name}: null: no value" for name, null in zip(self.nulls, row["nulls"], strict=True) if null and name not in cast]
        rules = [
            f"{field or 'row'}: rule:{name}: {_short(value) if value is not None else 'null'}"
            for (field, name), broken, value in zip(self.rules, row["broken"], row["values"], strict=True)
            if broken
        ]
        return (*cast.values(), *nulls, *rules)


def _short(text: str) -> str:
    return f"{text[:SHOWN]}…" if len(text) > SHOWN else text
