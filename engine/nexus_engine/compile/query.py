r"""The Query: the one ClickHouse query of a feed, as plain data, and the statements around it.

Texts hold markers (``\0raw\0``, ``\0run_id\0``) where a path or a value of the run goes; a NUL never stands in SQL that
`clickhouse.quoting` wrote, so nothing in a spec can look like one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.side import ONE_BLOCK
from nexus_engine.clickhouse.spool import spool_type
from nexus_engine.clickhouse.types import parse_type
from nexus_engine.compile import compare
from nexus_engine.compile.layout import LINES, Layout
from nexus_engine.compile.nodes import LEAF
from nexus_engine.compile.reasons import Reasons
from nexus_engine.compile.rules import BatchRule, RuleVerdict, judge, rule_counts

RUN_NAMES = ("run_started_at", "run_id", "feed")
SETTINGS: Mapping[str, str | int] = {
    # numbers, bools and containers arrive as the text the source wrote
    "input_format_json_read_numbers_as_strings": 1,
    "input_format_json_read_bools_as_strings": 1,
    "input_format_json_read_arrays_as_strings": 1,
    "input_format_json_read_objects_as_strings": 1,
    "input_format_json_try_infer_named_tuples_from_objects": 0,
    "input_format_json_throw_on_bad_escape_sequence": 0,
    "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
    "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
    "input_format_skip_unknown_fields": 1,
    "input_format_null_as_default": 1,
    "input_format_json_max_depth": 1000,
    # ClickHouse's parallel parsing scans the whole text once more to cut it: a third of the query's CPU. One reader with blocks
    # of bounded size keeps the other core busy with the guards, and memory low (a line is a whole page).
    "input_format_parallel_parsing": 0,
    "input_format_max_block_size_bytes": 4 << 20,
    # An expression that was seen three times is compiled to machine code: 50 ms, which the rows of a batch do not give back.
    "compile_expressions": 0,
    "compile_aggregate_expressions": 0,
    "compile_sort_description": 0,
    "precise_float_parsing": 1,
    "date_time_input_format": "'basic'",
    "parsedatetime_parse_without_leading_zeros": 1,
    "formatdatetime_parsedatetime_m_is_month_name": 1,
    "formatdatetime_f_prints_single_zero": 0,
    "formatdatetime_f_prints_scale_number_of_digits": 0,
    "formatdatetime_format_without_leading_zeros": 0,
    "session_timezone": "'UTC'",
    "short_circuit_function_evaluation": "'enable'",
    "engine_file_truncate_on_insert": 1,
    "output_format_arrow_string_as_string": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 0,
    "output_format_arrow_date_as_uint16": 0,
    # files that live for a second: compressing them costs a quarter of a CPU second per million rows
    "output_format_arrow_compression_method": "'none'",
    "output_format_decimal_trailing_zeros": 0,
    "date_time_output_format": "'simple'",
    "cast_keep_nullable": 0,
    "prefer_column_name_to_alias": 1,
    "join_use_nulls": 0,
    "transform_null_in": 0,
}
_SETTINGS_SQL = "\nSETTINGS " + ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
_MARKER = re.compile("\0([a-z_0-9]+)\0")


class OutColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the mapped file. ``spool`` is its type there: Nullable where the target's type can be."""

    name: str
    type: str
    run: bool = False

    @property
    def spool(self) -> str:
        kind = spool_type(parse_type(self.type))
        return str(kind) if kind.container or kind.name == "Nullable" else f"Nullable({kind})"

    @property
    def landed(self) -> str:
        """SQL of the value of a good row as the target has it."""
        kind, name = parse_type(self.type), ident(self.name)
        plain = spool_type(kind)
        value = name if str(plain) == self.spool else f"assumeNotNull({name})"
        return value if plain == kind else f"CAST({value}, {literal(self.type)})"


class Check(msgspec.Struct, frozen=True):
    """One expression of the user's: ``select`` is what the engine is asked to describe, ``path`` the key in the spec."""

    path: str
    select: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Every statement a run needs. ``run`` mappings hold `run_started_at` (`YYYY-MM-DD HH:MM:SS`, UTC), `run_id`, `feed`.

    Columns of the mapped file: `_p` UInt32 payload number, `_i` UInt32 record number in the payload, from 0 (an index
    into `compile.raw.records_of`), `_nexus_row` UInt32 unique 0..n-1, `_ok` UInt8 (to land), `_filtered` UInt8 (taken
    out by a transform); neither of both: refused, then the target's columns.
    """

    select: str
    reasons: str
    named: Reasons = Reasons()
    lines: str = ""  # as `select`, over a file of JSON lines; empty where their records cannot be read alone
    side: str = ""  # as `lines`, `_i` the number of the line in the file; empty for a target with a key, and where
    # transforms may make no row of a record, or several
    members: tuple[tuple[str, str], ...] = ()  # that `lines` reads of a record, with their types
    keys: tuple[str, ...] = ()  # what `lines` reads of a partition and its window
    columns: tuple[OutColumn, ...]
    key: tuple[str, ...] = ()
    cursor: str = ""  # SQL over the mapped columns: Nullable(String)
    rules: tuple[BatchRule, ...] = ()
    checks: tuple[Check, ...] = ()

    def map_sql(self, raw: Path, out: Path, run: Mapping[str, str]) -> str:
        """Stage file to mapped Arrow file: all records."""
        return f"INSERT INTO FUNCTION file({literal(str(out))}, 'Arrow')\n{self.select_sql(raw, run)}"

    def map_lines_sql(
        self, raw: Path, out: Path, run: Mapping[str, str], keys: Mapping[str, str | None], firsts: Mapping[int, int],
        layout: Layout | None = None,
    ) -> str:
        """File of JSON lines to mapped Arrow file: all records.

        Args:
            keys: by names of `keys`.
            firsts: by payload number, the number of its first record in the file, ascending.
            layout: of all lines, here and in :meth:`side_sql`: the statement fails where one has another. For :attr:`flat` records.
        """
        values = {"firsts": str(list(firsts.values())), "numbers": str(list(firsts))}
        rows = filled(self._over_lines(self.lines, layout), raw, {**run, **values, **self._key_values(keys)})
        return f"INSERT INTO FUNCTION file({literal(str(out))}, 'Arrow')\n{rows}{_SETTINGS_SQL}"

    def side_sql(
        self, raw: Path, table: str, batch_id: str, run: Mapping[str, str], keys: Mapping[str, str | None], layout: Layout | None = None,
        threads: int = 1,
    ) -> str:
        """File of JSON lines to the side table of a batch (as SQL): the good records, `_nexus_row` the numbers of their lines. The
        statement reads as many rows as there are records."""
        names = [ident(column.name) for column in self.columns]
        rows = filled(self._over_lines(self.side, layout), raw, {**run, **self._key_values(keys)})
        settings = ", ".join(f"{name}={literal(value) if isinstance(value, str) else value}" for name, value in {**ONE_BLOCK, "max_threads": threads}.items())
        return (
            f"INSERT INTO {table} ({', '.join([*names, '_nexus_batch', '_nexus_row'])})\n"
            f"SELECT {', '.join([*(column.landed for column in self.columns), f'toUUID({literal(batch_id)})', '_i'])}\n"
            f"FROM (\n{rows}\n) WHERE _ok{_SETTINGS_SQL}, {settings}"
        )

    @property
    def flat(self) -> bool:
        """Whether `lines` reads single values of a record only."""
        return bool(self.members) and all(kind == LEAF for _, kind in self.members)

    def _over_lines(self, select: str, layout: Layout | None) -> str:
        if layout is not None:
            return select.replace(LINES, layout.relation([name for name, _ in self.members]))
        return select.replace(LINES, staged(", ".join(f"{ident(name)} {kind}" for name, kind in self.members)))

    def _key_values(self, keys: Mapping[str, str | None]) -> dict[str, str | None]:
        return {f"k{n}": keys[name] for n, name in enumerate(self.keys)}

    def only(self, condition: str) -> Query:
        """The same over rows for which ``condition`` holds, SQL over the mapped columns; others are taken out as a transform takes them out.
        (Which leaves no side table: it could not tell them from those that are refused.)"""

        def marked(select: str) -> str:
            return (
                f"SELECT * REPLACE (toUInt8(_ok AND {condition}) AS _ok, toUInt8(_filtered OR (_ok AND NOT {condition})) AS _filtered)\n"
                f"FROM (\n{select}\n)"
            )

        return msgspec.structs.replace(self, select=marked(self.select), lines=self.lines and marked(self.lines), side="")

    def select_sql(self, raw: Path, run: Mapping[str, str]) -> str:
        """The same SELECT, for people and for describing."""
        return filled(self.select, raw, run) + _SETTINGS_SQL

    def refused_rows_sql(self, mapped: str) -> str:
        """Rows `_p, _i` of the refused records, in order. ``mapped``, here and below: what :meth:`mapped` gives."""
        return f"SELECT DISTINCT _p, _i FROM {mapped} WHERE NOT _ok AND NOT _filtered ORDER BY _p, _i{_SETTINGS_SQL}"

    def refused_sql(self, raw: Path, run: Mapping[str, str]) -> str:
        """A row of each record for :meth:`reasons_of`, with `_p` and `_i`."""
        return filled(self.reasons, raw, run) + _SETTINGS_SQL

    def reasons_of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Each `<field>: <code>: <text>`; none of a record that is good."""
        return self.named.of(row)

    def stats_sql(self, mapped: str, *, ends: bool = False) -> str:
        """Rows `_p, read, ok, filtered, cursor_max` (text or null), one per payload that has records; with ``ends`` also
        `first_row` and `last_row` of its good ones."""
        cursor = f"toString(maxIf({self.cursor}, _ok))" if self.cursor else "CAST(NULL, 'Nullable(String)')"
        numbers = ", minIf(_nexus_row, _ok) AS first_row, maxIf(_nexus_row, _ok) AS last_row" if ends else ""
        return (
            f"SELECT _p, count() AS read, countIf(_ok) AS ok, countIf(_filtered) AS filtered, "
            f"{cursor} AS cursor_max{numbers}\nFROM {mapped} GROUP BY _p ORDER BY _p{_SETTINGS_SQL}"
        )

    def rules_sql(self, mapped: str, run: Mapping[str, str] | None = None) -> str | None:
        """One row of counts for :meth:`judge_rules`; None when no rule is about the batch. ``run`` is needed by `freshness`."""
        if not self.rules:
            return None
        counts = filled(rule_counts(self.rules), None, run or {})
        return f"SELECT {counts}\nFROM {mapped} WHERE _ok{_SETTINGS_SQL}"

    def judge_rules(self, row: Mapping[str, Any]) -> list[RuleVerdict]:
        """What the batch rules say of the counts."""
        return judge(self.rules, row)

    def compare_sql(self, mapped: str, out: Path, current: str | None, ages: Path | None = None) -> str:
        """Mapped file to a file of verdicts: one row for the last good row of each key. For a target with a key. ``ages``: a file
        of `compile.compare.age_file`, for answers that are parsed again."""
        rows = compare.verdicts(mapped, self.columns, self.key, current, compare.age_file(ages) if ages else None)
        return f"INSERT INTO FUNCTION file({literal(str(out))}, 'Arrow')\n{rows}{_SETTINGS_SQL}"

    def compare_counts_sql(self, verdicts: Path) -> str:
        """Rows `_p, new, revised, unchanged`, one per payload; good rows that are in none of them were superseded."""
        return compare.counts(compare.verdict_file(verdicts)) + _SETTINGS_SQL

    def finish_sql(self, mapped: str, out: Path, verdicts: Path) -> str:
        """Mapped file to the spool: target columns and `_nexus_row`, less unchanged and superseded rows. Where every good row
        lands, the mapped file is a spool file itself."""
        rows = compare.rows_to_land(mapped, self.columns, compare.verdict_file(verdicts))
        return f"INSERT INTO FUNCTION file({literal(str(out))}, 'Arrow')\n{rows}{_SETTINGS_SQL}"

    def mapped(self, path: Path) -> str:
        """The mapped file as a relation, with its types stated: nothing is left to inference."""
        columns = ", ".join(f"{ident(column.name)} {column.spool}" for column in self.columns)
        structure = f"_p UInt32, _i UInt32, _nexus_row UInt32, _ok UInt8, _filtered UInt8, {columns}"
        return f"file({literal(str(path))}, 'Arrow', {literal(structure)})"

    def mapped_aside(self, table: str, firsts: Mapping[int, int]) -> str:
        """The good rows in a side table, as :meth:`mapped` has them. ``firsts`` as in :meth:`map_lines_sql`."""
        starts, numbers = list(firsts.values()), list(firsts)
        names = ", ".join(ident(column.name) for column in self.columns)  # `*` leaves out what is MATERIALIZED there
        p = f"toUInt32(transform(roundDown(_nexus_row, {starts}) AS _nexus_first, {starts}, {numbers}, -1)) AS _p"
        return f"(SELECT {p}, toUInt32(_nexus_row - _nexus_first) AS _i, _nexus_row, toUInt8(1) AS _ok, toUInt8(0) AS _filtered, {names} FROM {table})"

    @staticmethod
    def numbers_sql(table: str) -> str:
        """The numbers of the lines of a side table's rows, in any order: one column."""
        return f"SELECT _nexus_row FROM {table} SETTINGS max_threads = 1"


def staged(structure: str) -> str:
    """SQL of the file `raw` (a marker) as JSON of that structure."""
    return f"file(\0raw\0, 'JSONEachRow', {literal(structure)})"


def filled(text: str, raw: Path | None, run: Mapping[str, str | None]) -> str:
    """The text with its markers replaced by literals.

    Raises:
        KeyError: ``run`` lacks a name the query needs.
    """
    values = {**run, **({"raw": str(raw)} if raw is not None else {})}
    return _MARKER.sub(lambda m: _value(values[m[1]]), text)


def _value(text: str | None) -> str:
    return "NULL" if text is None else literal(text)
