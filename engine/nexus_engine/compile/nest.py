"""What lies between a body and its records: lists and objects to go over, parents that fields read, parallel arrays at the end.

:meth:`Nest.pieces` takes a container apart into texts of one record each, :meth:`Nest.joined` puts such texts together again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from nexus_engine.compile.rawjson import at, encode, is_null, listed, members, object_of, placed
from nexus_engine.contract.paths import Each, Entry, FieldPath, Plain, parse_path
from nexus_engine.contract.records import Records, way_of


def unpicked(path: FieldPath) -> Plain:
    """The path as far as it is plain: of a list that is picked from, all is kept."""
    plain: list[str | int] = []
    for step in path:
        if not isinstance(step, (str, int)):
            break
        plain.append(step)
    return tuple(plain)


def _shared(path: FieldPath, steps: Plain) -> int:
    """How many steps of a parent's path the way takes too."""
    return next((n for n, (mine, its) in enumerate(zip(path, steps, strict=False)) if mine != its), min(len(path), len(steps)))


class Nest:
    """The way of one feed. ``leaves`` are ``Want.leaves``: parents among them are kept beside the records.

    The text of a record is the element of the first level, cut down to that record; a list as the first level is left out of it.
    """

    def __init__(self, records: Records, leaves: Sequence[str] = ()) -> None:
        self.way = way_of(records)
        self._zip = records.zip
        self._optional = set(map(parse_path, records.optional))
        self._except = frozenset(records.except_)
        self._arrays = [leaf for leaf in leaves if not self.way.is_parent(leaf)]
        self._steps: list[Each | Entry | str | int] = []
        self._parents: dict[int, list[Plain]] = {}  # by the number of the step before which the value stands
        self._first = type(self.way.levels[0].over) if self.way.levels else None
        starts: list[int] = [0]
        for level in self.way.levels:
            self._steps += [level.over, *level.then]
            starts.append(len(self._steps) - len(level.then))
        for leaf in leaves:
            if self.way.is_parent(leaf):
                number, path = self.way.parent(leaf)
                if number:
                    shared = _shared(path, self.way.levels[number - 1].then)
                    self._parents.setdefault(starts[number] + shared, []).append(unpicked(path[shared:]))

    @property
    def plain(self) -> bool:
        """The records are the elements of one list, as they stand there."""
        return len(self._steps) == 1 and isinstance(self._steps[0], Each) and not self._zip

    def pieces(self, value: bytes, *, bare: bool = False, lost: bool = False) -> Iterator[bytes]:
        """Each record of the first level's container.

        Args:
            bare: the records alone.
            lost: a parent that was not kept is an error.

        Raises:
            LookupError: names such a parent.
            ValueError: a container is another one than the way says.
        """
        listed_first = not bare and self._first is Each
        for piece in self._below(value, 0, bare, lost):
            yield piece[1:-1] if listed_first else piece

    def _below(self, value: bytes, n: int, bare: bool, lost: bool) -> Iterator[bytes]:
        if n == len(self._steps):
            yield from self.zipped(value) if self._zip else (value,)
            return
        step = self._steps[n]
        if isinstance(step, Each):
            for item in [] if is_null(value) else listed(value):
                for piece in self._below(item, n + 1, bare, lost):
                    yield piece if bare else b"[" + piece + b"]"
        elif isinstance(step, Entry):
            for key, item in {} if is_null(value) else members(value).items():
                if key not in self._except:
                    for piece in self._below(bytes(item), n + 1, bare, lost):
                        yield piece if bare else b"{" + encode(key) + b":" + piece + b"}"
        else:
            head, tail = (b"", b"") if bare else self._around(value, n, step, lost)
            for piece in self._below(self._next(value, step, n), n + 1, bare, lost):
                yield head + piece + tail

    def _next(self, value: bytes, step: str | int, n: int) -> bytes:
        """What a plain step leads to; null where it is absent. Behind the last level that is a record of nothing but nulls."""
        try:
            return b"null" if is_null(value) else at(value, (step,))
        except LookupError:
            return b"null"

    def _around(self, value: bytes, n: int, step: str | int, lost: bool) -> tuple[bytes, bytes]:
        """What stands before and behind a record in the value that encloses it: parents that fields read, and the step itself."""
        kept = b""
        for path in self._parents.get(n, ()):
            try:
                found = b"null" if is_null(value) else at(value, path)
            except LookupError:
                if lost:
                    raise LookupError(f"parent.{'.'.join(map(str, path))}") from None
                found = b"null"
            kept = placed(kept, path, found)
        if isinstance(step, int):
            return b"[" + b"null," * step, b"]"
        return (kept[:-1] + b"," if kept else b"{") + encode(step) + b":", b"}"

    def joined(self, kept: Sequence[bytes]) -> bytes:
        """The first level's container with these records, as :meth:`pieces` gave them.

        Raises:
            ValueError: one is not of this way.
        """
        if self._first is Each:
            if len(self._steps) == 1 and not self._zip:
                return b"[" + b",".join(kept) + b"]"
            kept = [b"[" + piece + b"]" for piece in kept]
        return self._joined(kept, 0)

    def _joined(self, kept: Sequence[bytes], n: int) -> bytes:
        if n == len(self._steps):
            if self._zip:
                return self._unzipped(kept)
            if len(kept) != 1:
                raise ValueError("several records in the place of one")
            return kept[0]
        step = self._steps[n]
        if isinstance(step, Each):
            return b"[" + b",".join(self._joined([item], n + 1) for piece in kept for item in listed(piece)) + b"]"
        if isinstance(step, Entry):
            entries = [(key, bytes(item)) for piece in kept for key, item in members(piece).items()]
            runs = [(key, [item for _, item in run]) for key, run in groupby(entries, lambda entry: entry[0])]
            return b"{" + b",".join(encode(key) + b":" + self._joined(items, n + 1) for key, items in runs) + b"}"
        if isinstance(step, int):
            rows = [listed(piece) for piece in kept]
            if any(len(row) != step + 1 for row in rows):
                raise ValueError("a list of another length")
            return b"[" + b",".join([*rows[0][:-1], self._joined([row[-1] for row in rows], n + 1)]) + b"]"
        objects = [members(piece) for piece in kept]
        if any(step not in found for found in objects):
            raise ValueError(f"no {step!r} in what encloses the record")
        beside = {key: bytes(item) for key, item in objects[0].items() if key != step}
        return object_of({**beside, step: self._joined([bytes(found[step]) for found in objects], n + 1)})

    def zipped(self, value: bytes) -> Iterator[bytes]:
        """One object per index of the parallel arrays, ``{leaf path: value}``.

        Raises:
            ValueError: arrays differ in length, or one is missing that is not optional; names them.
        """
        arrays = self._present(value)
        if arrays and (missing := [leaf for leaf in self._arrays if leaf not in arrays and parse_path(leaf) not in self._optional]):
            raise ValueError(f"there is no array {', '.join(missing)}; when it may be absent, name it under `optional`")
        lengths = {leaf: len(items) for leaf, items in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError("parallel arrays differ in length: " + ", ".join(f"{leaf} {count}" for leaf, count in lengths.items()))
        names = [encode(leaf.strip('"')) for leaf in arrays]
        for row in zip(*arrays.values(), strict=True):
            yield b"{" + b",".join(name + b":" + item for name, item in zip(names, row, strict=True)) + b"}"

    def _present(self, value: bytes) -> dict[str, list[bytes]]:
        """The parallel arrays by their path; what is absent, null or empty has nothing to say."""
        arrays: dict[str, list[bytes]] = {}
        if is_null(value):
            return arrays
        for leaf in self._arrays or [f'"{key}"' for key, item in members(value).items() if bytes(item).lstrip()[:1] == b"["]:
            try:
                found = at(value, parse_path(leaf))
            except LookupError:
                continue
            if not is_null(found) and (items := listed(found)):
                arrays[leaf] = items
        return arrays

    def arrays(self, value: bytes, kept: Sequence[bytes]) -> dict[str, bytes]:
        """The arrays of ``value`` with only what ``kept`` holds, by their path."""
        rows = [members(record) for record in kept]
        return {leaf: b"[" + b",".join(bytes(row[leaf.strip('"')]) for row in rows) + b"]" for leaf in self._present(value)}

    def _unzipped(self, kept: Sequence[bytes]) -> bytes:
        """The parallel arrays of these rows."""
        rows, value = [members(record) for record in kept], b""
        for name in rows[0]:
            if any(name not in row for row in rows):
                raise ValueError("rows of different arrays")
            path = next((parse_path(leaf) for leaf in self._arrays if leaf.strip('"') == name), (name,))
            value = placed(value, path, b"[" + b",".join(bytes(row[name]) for row in rows) + b"]")
        return value or b"{}"
