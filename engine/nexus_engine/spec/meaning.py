"""What the parts of a feed say about each other: fields, cursor, target, rules, schedule. Each check runs only where what it
reads is sound, so that one mistake stays one problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nexus_engine.clickhouse.types import parse_type
from nexus_engine.contract.paths import parse_field_path, parse_path, parse_record_path
from nexus_engine.contract.records import Records, way_of
from nexus_engine.spec.model import (
    CAPTURED,
    ArchiveSpec,
    CursorSpec,
    EachSource,
    FieldSpec,
    RuleSpec,
    ScheduleSpec,
    StepSpec,
    TargetSpec,
    Values,
)
from nexus_engine.spec.places import TemplateCheck
from nexus_engine.spec.report import Report
from nexus_engine.spec.rules import RULES, RuleForm, known_names, short_name
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.tree import Listing, Node, Path, find, plain
from nexus_engine.spec.tree import Mapping as MappingNode

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_TABLE_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127}){2}")
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\.[A-Za-z_][A-Za-z0-9_]{0,127}")
_CRON = re.compile(r"[0-9A-Za-z*/,\-?#]{1,60}( +[0-9A-Za-z*/,\-?#]{1,60}){4}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_SQL_DEPTH: Final = 50
_SQL_CHARS: Final = 20_000
_LINEAGE: Final = ("_nexus_batch", "_nexus_row")
ROOTS_OF_FROM: Final = ("each", "run", "window", "feed", "body")


@dataclass
class Blocks:
    """The typed blocks of a feed that could be read; None or absent where they could not."""

    root: MappingNode
    records: Records | str | None = None
    each: Mapping[str, Values] | None = None
    schedule: ScheduleSpec | str | None = None
    cursor: CursorSpec | None = None
    fields: dict[str, FieldSpec] | None = None  # those that are sound
    transform: tuple[StepSpec, ...] | None = None
    rules: dict[int, RuleSpec] | None = None
    target: TargetSpec | None = None
    archive: bool | ArchiveSpec | None = None


def check_sql(report: Report, blocks: Blocks) -> None:
    """SQL is of bounded length and depth: what reads it has no bounds of its own."""
    fields, rules, steps = blocks.fields or {}, blocks.rules or {}, blocks.transform or ()
    for name, field in fields.items():
        _bounded_sql(report, ("fields", name, "sql"), field.sql)
    for i, rule in rules.items():
        _bounded_sql(report, ("validate", i, "sql"), rule.sql)
    for i, step in enumerate(steps):
        _bounded_sql(report, ("transform", i, "sql"), step.sql)
    if blocks.target is not None:
        target = blocks.target
        for key in ("engine", "partition_by", "ttl"):
            _bounded_sql(report, ("target", key), getattr(target, key))
        for key, texts in (("order_by", target.order_by), ("indexes", target.indexes)):
            for i, text in enumerate(texts):
                _bounded_sql(report, ("target", key, i), text)


def _bounded_sql(report: Report, path: Path, text: str) -> None:
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    if deepest > _SQL_DEPTH or len(text) > _SQL_CHARS:
        limits = f"{_SQL_DEPTH} brackets deep and {_SQL_CHARS} characters long"
        report.add(path, "too-deep", f"SQL may be at most {limits}")


def check_meaning(report: Report, blocks: Blocks, templates: TemplateCheck, sinks: Collection[str] | None) -> None:
    """All checks of this module, block by block."""
    _check_each(report, blocks)
    check_sql(report, blocks)
    check_records(report, ("source", "records"), blocks.records)
    for name, field in (blocks.fields or {}).items():
        _check_field(report, ("fields", name), name, field, templates, blocks.records)
    columns = _columns(report, blocks)
    if blocks.cursor is not None:
        _check_cursor(report, blocks.cursor, columns)
    for i, rule in (blocks.rules or {}).items():
        # after a transform the columns are its own: the engine's description of the query judges those names
        _check_rule(report, ("validate", i), rule, None if blocks.transform != () else columns)
    if blocks.target is not None:
        _check_target(report, blocks.target, None if blocks.transform != () else columns, sinks)
    if isinstance(blocks.schedule, ScheduleSpec):
        _check_schedule(report, blocks.schedule)
    if isinstance(blocks.archive, ArchiveSpec):
        for name, words in (("keep", "how long an answer is kept is more than no time"), ("max_size", "the size of the archive is more than no bytes")):
            if not getattr(blocks.archive, name):
                report.add(("archive", name), "wrong-value", words, "without an archive: `archive: false`")
    for i, step in enumerate(blocks.transform or ()):
        if report.clean("transform", i):
            _one_of(report, ("transform", i), {"sql": step.sql, "plugin": step.plugin}, required=True)


def _columns(report: Report, blocks: Blocks) -> tuple[str, ...] | None:
    """The names under `fields:`, also of those with a mistake inside; None when they are not known."""
    node, _, _ = find(blocks.root, ("fields",))
    if not isinstance(node, MappingNode) or node is blocks.root or report.is_bad(("fields",)):
        return None
    return (*node.entries, *_captured(blocks.root))


def _captured(root: MappingNode) -> tuple[str, ...]:
    """The column of `new_fields: capture`, if there is one."""
    words = plain(root.entries["new_fields"].value) if "new_fields" in root.entries else ""
    name = words.get("capture") if isinstance(words, dict) else CAPTURED if words == "capture" else None
    return (name,) if isinstance(name, str) else ()


def _check_each(report: Report, blocks: Blocks) -> None:
    each = blocks.each or {}
    taken = set(each)
    for name, values in each.items():
        path = ("source", "each", name)
        if not _NAME.fullmatch(name):
            report.add(path, "wrong-value", "a name of `each` is a letter, then letters, digits and _", at_key=True)
        elif isinstance(values, EachSource):
            _check_each_source(report, path, values, taken)
        elif not values:
            report.add(path, "wrong-value", "expected at least one value")
        elif len(set(values)) != len(values):
            first = next(i for i, value in enumerate(values) if value in values[:i])
            report.add((*path, first), "wrong-value", "this value is in the list already")


def _check_each_source(report: Report, path: Path, each: EachSource, taken: set[str]) -> None:
    """One place the values come from, with what goes with it. ``taken``: names under `each.`; those of `with` are added."""
    given = {"file": each.file, "from": each.from_, "request": each.request if each.request is not None else None}
    before = len(report.problems)
    _one_of(report, path, given, required=report.clean(*path))
    if len(report.problems) > before:
        return
    for key, value, fits in (
        ("column", each.column, not each.from_), ("records", each.records != ".", each.request is not None),
        ("format", each.format, each.request is not None),
    ):  # fmt: skip
        if value and not fits:
            hint = "`from` names the column: database.table.column" if key == "column" else ""
            report.add((*path, key), "exclusive", f"`{key}` does not go with `{'from' if each.from_ else 'file'}`", hint, at_key=True)
    if each.request is not None and not each.column:
        report.add((*path, "column"), "missing-key", "`request` needs `column`: the path of the value in a record of the listing")
    if each.request is not None and each.column:
        _check_path(report, (*path, "column"), each.column)
    if each.from_ and not _TABLE_COLUMN.fullmatch(each.from_):
        report.add((*path, "from"), "wrong-value", "expected `database.table.column`, all of letters, digits and _")
    for name, column in each.with_.items():
        if not _NAME.fullmatch(name):
            report.add((*path, "with", name), "wrong-value", "a name under `each` is a letter, then letters, digits and _", at_key=True)
        elif name in taken:
            report.add((*path, "with", name), "wrong-value", f"`each.{name}` has a meaning already", at_key=True)
        elif each.request is not None:
            _check_path(report, (*path, "with", name), column)
        taken.add(name)


def check_records(report: Report, path: Path, records: Records | str | None) -> None:
    """The path parses, and at most one shape is named."""
    if records is None:
        return
    if isinstance(records, str):
        _check_path(report, path, records, parse_record_path)
        return
    _check_path(report, (*path, "path"), records.path, parse_record_path)
    for i, text in enumerate(records.optional):
        _check_path(report, (*path, "optional", i), text)
    _one_of(report, path, {"zip": records.zip, "columns": records.columns, "by": records.by, "one": records.one})
    if not report.clean(*path):
        return
    way = way_of(records)
    if records.one and way.nested:
        report.add((*path, "one"), "exclusive", "a `path` with [] or {name} leads to each record; `one` is for a path without", at_key=True)
    if records.except_ and len(way.names) != 1:
        message = "`except` leaves keys out of the one object that `by` or a {name} in the `path` goes over"
        report.add((*path, "except"), "exclusive", message, at_key=True)
    if len(set(way.names)) < len(way.names):
        report.add((*path, "by"), "wrong-value", "a {name} in the `path` has this name already")


def _check_path(report: Report, path: Path, text: str, parse: Callable[[str], object] = parse_path) -> None:
    try:
        parse(text)
    except ValueError as error:
        more = ", [] goes over a list, {name} over an object" if parse is parse_record_path else ""
        more = ", a list is picked from by a[name=text].b" if parse is parse_field_path else more
        report.add(path, "path", str(error), f'a path is a.b[0].c; a name with other characters is quoted: a."b c"{more}')


def _one_of(report: Report, path: Path, given: Mapping[str, Any], *, required: bool = False) -> None:
    """At most one of the keys (with ``required`` exactly one) is given; reported at the second."""
    names = [name for name, value in given.items() if value not in (None, "", (), False)]
    listed = ", ".join(f"`{name}`" for name in given)
    if len(names) > 1:
        node, _, _ = find(report.root, path) if report.root else (None, 0, 0)
        order = [name for name in node.entries if name in names] if isinstance(node, MappingNode) else names
        report.add((*path, order[1]), "exclusive", f"only one of {listed} may be given", at_key=True)
    elif required and not names:
        report.add(path, "missing-key", f"one of {listed} must be given")


def _check_field(
    report: Report, path: Path, name: str, field: FieldSpec, templates: TemplateCheck, records: Records | str | None
) -> None:
    if not _NAME.fullmatch(name) or name in _LINEAGE:
        message = "a column's name is a letter or _, then letters, digits and _"
        report.add(path, "wrong-value", message if name not in _LINEAGE else "this name belongs to the engine", at_key=True)
    try:
        parse_type(field.type)
    except (ValueError, RecursionError) as error:
        where = (*path, "type") if isinstance(find(report.root, path)[0], MappingNode) else path  # type: ignore[arg-type]
        report.add(where, "type", str(error) if isinstance(error, ValueError) else "this type is nested too deep")
    _one_of(report, path, {"from": field.from_, "value": field.value, "sql": field.sql})
    if field.from_:
        _check_from(report, (*path, "from"), field.from_, templates)
        _check_parent(report, (*path, "from"), field.from_, records)


def _check_parent(report: Report, path: Path, text: str, records: Records | str | None) -> None:
    """`parent.` has a meaning where the records' path says how it goes over lists and objects."""
    if records is None or not text.startswith("parent.") or not report.clean("source", "records") or not report.clean(*path):
        return
    way = way_of(Records(path=records) if isinstance(records, str) else records)
    try:
        if way.is_parent(text):
            way.parent(text)
    except ValueError as error:
        report.add(path, "path", str(error))


def _check_from(report: Report, path: Path, text: str, templates: TemplateCheck) -> None:
    root, dot, rest = text.partition(".")
    if not dot or root not in ROOTS_OF_FROM:
        _check_path(report, path, text, parse_field_path)
    elif root == "body":
        _check_path(report, path, rest, parse_field_path)
    elif root == "window" and templates.window is False:
        report.add(path, "unknown-name", "there is no window: this feed has no `cursor`")
    else:
        known = templates.known(root)
        if known is not None and rest not in known:
            near = nearest(rest, known)
            hint = f"did you mean `{root}.{near}`?" if near else ("known: " + ", ".join(f"{root}.{k}" for k in known) if known else "")
            report.add(path, "unknown-name", f"this name is not known under `{root}`", hint)


def _known_field(report: Report, path: Path, name: str, columns: Collection[str]) -> None:
    if name not in columns and report.clean(*path):
        near = nearest(name, columns)
        report.add(path, "unknown-name", "no such field under `fields`", f"did you mean `{near}`?" if near else "")


def _check_cursor(report: Report, cursor: CursorSpec, columns: Collection[str] | None) -> None:
    """A field, or something beside the records together with its type."""
    path = ("cursor",)
    _one_of(report, path, {"field": cursor.field, "from": cursor.from_}, required=report.clean(*path))
    if cursor.field and columns is not None:
        _known_field(report, (*path, "field"), cursor.field, columns)
    if cursor.field and cursor.type and not cursor.from_:
        report.add((*path, "type"), "exclusive", "a field has its type under `fields`; `type` goes with `from`", at_key=True)
    if not cursor.from_ or cursor.field:
        return
    root, _, name = cursor.from_.partition(".")
    if cursor.from_ != "window.end" and not (root == "header" and _HEADER.fullmatch(name)):
        near = nearest(root, ("header", "window"))
        hint = "did you mean `window.end`?" if near == "window" else f"did you mean `header.{name}`?" if near and name else ""
        report.add((*path, "from"), "unknown-name", "expected `window.end` or `header.<name of a response header>`", hint)
    if not cursor.type:
        report.add((*path, "type"), "missing-key", "`from` needs `type`: date, datetime, number or text")


def _named_fields(report: Report, path: Path, names: tuple[str, ...], columns: Collection[str]) -> None:
    """The fields a list names; a single scalar stands for a list of one."""
    node: Node = find(report.root, path)[0]  # type: ignore[arg-type]
    for i, name in enumerate(names):
        _known_field(report, (*path, i) if isinstance(node, Listing) else path, name, columns)


def _check_rule(report: Report, path: Path, rule: RuleSpec, columns: Collection[str] | None) -> None:
    name = short_name(rule.expect)
    if name is None:
        near = nearest(rule.expect, known_names())
        hint = f"did you mean `{near}`?" if near else "known: " + ", ".join(RULES)
        report.add((*path, "expect"), "unknown-name", "no rule of this name", hint)
        return
    form = RULES[name]
    _check_rule_keys(report, path, name, form, rule)
    if columns is not None:
        if rule.field:
            _known_field(report, (*path, "field"), rule.field, columns)
        _named_fields(report, (*path, "fields"), rule.fields, columns)


def _check_rule_keys(report: Report, path: Path, name: str, form: RuleForm, rule: RuleSpec) -> None:
    node = find(report.root, path)[0]  # type: ignore[arg-type]
    given = set(node.entries) if isinstance(node, MappingNode) else set()
    bad = {key for key in (*form.needs, *form.one_of) if report.is_bad((*path, key))}
    for key in form.needs:
        if key not in given and key not in bad:
            report.add((*path, key), "missing-key", f"the rule `{name}` needs `{key}`")
    if form.one_of and not given & set(form.one_of) and not bad:
        listed = " or ".join(f"`{key}`" for key in form.one_of)
        report.add((*path, form.one_of[0]), "missing-key", f"the rule `{name}` needs {listed}")
    fitting = {"expect", "severity", *form.needs, *form.one_of, *form.may, *(("mostly",) if form.per == "row" else ())}
    for key in sorted(given - fitting):
        report.add((*path, key), "exclusive", f"`{key}` does not fit the rule `{name}`", at_key=True)


def _check_target(report: Report, target: TargetSpec, columns: Collection[str] | None, sinks: Collection[str] | None) -> None:
    if not _TABLE.fullmatch(target.table):
        message = "expected `database.table`, both of letters, digits and _"
        report.add(("target", "table"), "wrong-value", message)
    if target.sink and sinks is not None and target.sink not in sinks:
        near = nearest(target.sink, sinks)
        hint = f"did you mean `{near}`?" if near else "known: " + ", ".join(sorted(sinks))
        report.add(("target", "sink"), "unknown-name", "no such sink in sinks.d/", hint)
    if target.mode == "versioned" and not target.key and report.clean("target"):
        report.add(("target", "mode"), "missing-key", f"the mode `{target.mode}` needs `key`")
    if columns is not None:
        _named_fields(report, ("target", "key"), target.key, columns)
        _named_fields(report, ("target", "order_by"), tuple(c for c in target.order_by if _NAME.fullmatch(c)), columns)


def _check_schedule(report: Report, schedule: ScheduleSpec) -> None:
    path = ("schedule",)
    _one_of(report, path, {"cron": schedule.cron, "every": schedule.every}, required=report.clean(*path))
    if schedule.cron:
        from croniter import croniter

        if not _CRON.fullmatch(schedule.cron.strip()) or not croniter.is_valid(schedule.cron):
            report.add((*path, "cron"), "wrong-value", "expected five cron fields: minute hour day month weekday", 'like "0 9 * * 1-5"')
    if schedule.timezone != "UTC":
        _check_timezone(report, (*path, "timezone"), schedule.timezone)
    if schedule.every is not None and schedule.every < 1:
        report.add((*path, "every"), "wrong-value", "expected at least 1s")


def _check_timezone(report: Report, path: Path, name: str) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = nearest(name, available_timezones())
        hint = f"did you mean `{near}`?" if near else "an IANA name like America/New_York"
        report.add(path, "unknown-name", "no such time zone", hint)
