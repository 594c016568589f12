"""The nearest known name for one that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def distance(a: str, b: str, most: int) -> int:
    """Edits (insert, delete, replace, swap of neighbours) from ``a`` to ``b``; ``most + 1`` when there are more than ``most``."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name at most two edits away (one, for names of up to three letters), or "". Ties: the one that begins alike."""
    if len(word) > 100:
        return ""
    best, best_rank = "", (3, True, "")
    lowered = word.lower()
    for name in known:
        if name == word:
            continue
        most = 1 if len(name) <= 3 else 2
        edits = 0 if name.lower() == lowered else distance(word, name, most)
        rank = (edits, name[:1] != word[:1], name)
        if edits <= most and rank < best_rank:
            best, best_rank = name, rank
    return best
