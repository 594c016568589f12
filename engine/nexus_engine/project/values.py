"""`each: {name: {file: ...}}`: values out of a file of the project, in its order, as texts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.tree import parse, plain

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".yaml", ".yml")
SPECS = ("sources.d", "apis.d", "sinks.d")
"""Folders whose files are no lists of values: none of them is what was meant."""
Row = tuple[str, dict[str, str | None]]
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


class BadValues(Exception):
    """A file that does not give the values. ``key``: which key of the spec says what is wrong (`file`, `column`, `with.x`)."""

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint


def read_values(root: Path, file: str, column: str, beside: Mapping[str, str], max_rows: int) -> list[Row]:
    """(value, {name: other column}) of each row; a value that comes again is left out.

    Args:
        column: "" for the only one.
        beside: names -> columns.
        max_rows: more different values are an error.

    Raises:
        BadValues: there is no such file or column, it cannot be read, a value is missing, or there is none at all.
    """
    path = _inside(root, file)
    found: dict[str, dict[str, str | None]] = {}
    try:
        for number, row in _rows(path):
            value = _cell(row, column, "column", number)
            if value is None or not value.strip():
                raise BadValues("file", f"its {_place(path)} {number} has no value" + (f" in the column `{column}`" if column else ""))
            if value not in found:
                found[value] = {name: _cell(row, other, f"with.{name}", number) for name, other in beside.items()}
            if len(found) > max_rows:
                raise BadValues("file", f"it has more than {max_rows} different values", "limits.max_partitions in nexus.yaml bounds them")
    except OSError as error:
        raise BadValues("file", f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadValues("file", "it is not UTF-8 text") from None
    except csv.Error as error:
        raise BadValues("file", f"it is no CSV: {error}") from None
    if not found:
        raise BadValues("file", "it has no values")
    return list(found.items())


def _inside(root: Path, file: str) -> Path:
    home = root.resolve()
    path = (home / file).resolve()
    if not path.is_relative_to(home) or Path(file).is_absolute():
        raise BadValues("file", "a file of values is one of the project, named from its folder")
    if path.suffix not in KINDS:
        raise BadValues("file", f"a file of values ends in one of {', '.join(KINDS)}")
    if not path.is_file():
        beside = path.parent.glob("*") if path.parent.is_dir() else ()
        names = [str(other.relative_to(home)) for other in beside if other.suffix in KINDS and other.parent.name not in SPECS]
        near = nearest(file, names)
        raise BadValues("file", "there is no such file in the project", f"did you mean `{near}`?" if near else f"it would be {path}")
    return path


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """(line or item, from 1; its columns). A list of plain values has one column without a name."""
    if path.suffix in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, dialect="excel-tab" if path.suffix == ".tsv" else "excel", strict=True)
            for row in reader:
                yield reader.line_num, {name: text for name, text in row.items() if name is not None}
    elif path.suffix in (".jsonl", ".ndjson"):
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _json_row(line, number)
    else:
        yield from enumerate(_yaml_rows(path), 1)


def _json_row(line: str, number: int) -> dict[str, str | None]:
    """The leaves of a JSON object: texts without their quotes, everything else as it is written."""
    try:
        return {name: _json_text(bytes(item)) for name, item in _raw.decode(line).items()}
    except msgspec.DecodeError:
        raise BadValues("file", f"its line {number} is no JSON object") from None


def _json_text(item: bytes) -> str | None:
    text = item.strip()
    if text == b"null":
        return None
    return msgspec.json.decode(text, type=str) if text[:1] == b'"' else text.decode()


def _yaml_rows(path: Path) -> Iterator[dict[str, str | None]]:
    node, problems = parse(path.read_text(encoding="utf-8-sig"), path.name)
    items: Any = plain(node) if node is not None else None
    if problems or not isinstance(items, list):
        first = problems[0][1] if problems else None
        raise BadValues("file", f"its line {first.line}: {first.message}" if first else "expected a list in it")
    for number, item in enumerate(items, 1):
        row = item if isinstance(item, dict) else {"": item}
        if any(isinstance(value, (list, dict)) for value in row.values()):
            raise BadValues("file", f"its item {number} is neither a value nor a mapping of values")
        yield row


def _cell(row: Mapping[str, str | None], column: str, key: str, number: int) -> str | None:
    if not column:
        if len(row) == 1:
            return next(iter(row.values()))
        raise BadValues("column", f"the file has {len(row)} columns: say which", f"there are {', '.join(row)}")
    if column not in row:
        near = nearest(column, row)
        there = "there are " + ", ".join(row) if any(row) else "its items are plain values"
        raise BadValues(key, f"row {number} of the file has no column `{column}`", f"did you mean `{near}`?" if near else there)
    return row[column]


def _place(path: Path) -> str:
    return "item" if path.suffix in (".yaml", ".yml") else "line"
