"""`validate:`: Great Expectations' names into SQL. Row rules make a row good or refused; batch rules are counted over the good rows
of the mapped file and judged. A null passes every row rule but not_null, as there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from nexus_engine.clickhouse.quoting import ident, literal
from nexus_engine.clickhouse.types import INTEGER_BITS, CHType
from nexus_engine.compile.guards import guard
from nexus_engine.compile.sqltext import constant_text
from nexus_engine.spec.model import RuleSpec

_FULL = "expect_column_values_to_"
ROW_RULES = (
    "not_null", "between", "in_set", "not_in_set", "match_regex", "not_match_regex", "value_lengths_between", "null", "sql",
)  # fmt: skip
BATCH_RULES = (
    "unique", "compound_unique", "increasing", "row_count_between", "freshness", "mean_between", "min_between", "max_between",
    "sum_between",
)  # fmt: skip
_ALIASES = {
    "not_be_null": "not_null",
    "be_not_null": "not_null",
    "be_null": "null",
    "be_between": "between",
    "be_in_set": "in_set",
    "not_be_in_set": "not_in_set",
    "be_unique": "unique",
    "be_increasing": "increasing",
    "row_count": "row_count_between",
    "value_lengths": "value_lengths_between",
    "expect_column_value_lengths_to_be_between": "value_lengths_between",
    "expect_compound_columns_to_be_unique": "compound_unique",
    "expect_table_row_count_to_be_between": "row_count_between",
    "expect_column_mean_to_be_between": "mean_between",
    "expect_column_min_to_be_between": "min_between",
    "expect_column_max_to_be_between": "max_between",
    "expect_column_sum_to_be_between": "sum_between",
}


class RuleVerdict(msgspec.Struct, frozen=True):
    """What a batch rule says: ``message`` is one sentence with the numbers. ``severity`` `quarantine` never comes out of here: a
    rule about the batch cannot say which rows are guilty, so it fails the feed."""

    rule: str
    severity: Literal["warn", "fail"]
    ok: bool
    message: str


class BatchRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over a batch: ``counts`` are SQL aggregates by name; the rule holds when the value is within ``low`` and ``high``,
    or, for a share, when ``failed`` rows are at most ``1 - mostly`` of ``rows``."""

    rule: str
    severity: Literal["warn", "fail"]
    value: str = ""  # aggregate, text
    within: str = ""  # SQL of 1 when the value is right, over the same rows
    failed: str = ""  # aggregate: rows that fail a row rule
    mostly: float = 1.0
    bounds: str = ""


def rule_name(written: str) -> str:
    """The short name.

    Raises:
        ValueError: unknown; names the nearest.
    """
    short = written.removeprefix(_FULL)
    name = _ALIASES.get(written) or _ALIASES.get(short) or short
    if name in ROW_RULES or name in BATCH_RULES:
        return name
    known = [*ROW_RULES, *BATCH_RULES]
    near = difflib.get_close_matches(short, [*known, *_ALIASES], 1)
    raise ValueError(f"unknown rule `{written}`" + (f", did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"))


def constant(kind: CHType, text: str) -> str:
    """A bound, as a constant of the field's type: exact like any cell. A float bound meets an integer column as a decimal.

    Integers take decimal bounds too (`max: 1e7`, `0.5`), so they are read as Float64 when they are not whole.
    """
    if kind.bare.name in INTEGER_BITS:
        return f"ifNull({guard(CHType('Int256'), constant_text(text)).value}, 0)" if _whole(text) else f"toFloat64({literal(text)})"
    if kind.bare.name == "Decimal":
        return f"toDecimal256({literal(text)}, {_fraction_digits(text)})" if _plain(text) else f"toFloat64({literal(text)})"
    return guard(kind, constant_text(text)).value


def _plain(text: str) -> bool:
    return text.lstrip("+-").replace(".", "", 1).isdigit()


def _whole(text: str) -> bool:
    try:
        return float(text) == int(float(text)) and ("e" in text.lower() or "." not in text)
    except (ValueError, OverflowError):
        return False


def _fraction_digits(text: str) -> int:
    return len(text.partition(".")[2])


def row_check(name: str, rule: RuleSpec, kinds: Mapping[str, CHType], sql: str = "") -> str:
    """SQL of 1 when a row passes, never null.

    Raises:
        ValueError: the rule lacks what it needs.
    """
    if name == "sql":
        if not sql:
            raise ValueError("`sql` needs `sql:`, a boolean expression over the fields")
        return f"ifNull(toBool({sql}), 0)"
    kind = kinds[rule.field]
    column = ident(rule.field)
    if name in ("not_null", "null"):
        return f"is{'Not' if name == 'not_null' else ''}Null({column})"
    if name == "between":
        return f"ifNull({_between(column, lambda bound: constant(kind, bound), rule)}, 1)"
    if name == "value_lengths_between":
        return f"ifNull({_between(f'lengthUTF8(toString({column}))', str_number, rule)}, 1)"
    if name in ("in_set", "not_in_set"):
        if not rule.values:
            raise ValueError(f"`{name}` needs `values`")
        inside = " OR ".join(f"{column} = {constant(kind, value)}" for value in rule.values)
        if kind.bare.name == "String":
            inside = f"{column} IN ({', '.join(map(literal, rule.values))})"
        return f"ifNull({'NOT ' if name == 'not_in_set' else ''}({inside}), 1)"
    if not rule.regex:
        raise ValueError(f"`{name}` needs `regex`")
    return f"ifNull({'NOT ' if name == 'not_match_regex' else ''}match(toString({column}), {literal(rule.regex)}), 1)"


def str_number(text: str) -> str:
    """A number as SQL.

    Raises:
        ValueError: it is none.
    """
    return repr(float(text)) if "." in text or "e" in text.lower() else str(int(text))


def _between(column: str, bound: Any, rule: RuleSpec) -> str:
    parts = [f"{column} >= {bound(rule.min)}"] if rule.min is not None else []
    parts += [f"{column} <= {bound(rule.max)}"] if rule.max is not None else []
    if not parts:
        raise ValueError(f"`{rule.expect}` needs `min`, `max` or both")
    return " AND ".join(parts)


def batch_rule(name: str, rule: RuleSpec, kinds: Mapping[str, CHType], label: str) -> BatchRule:
    """A rule over the batch. Severity `quarantine` becomes `fail`: no single row is guilty.

    Raises:
        ValueError: the rule lacks what it needs.
    """
    severity: Literal["warn", "fail"] = "warn" if rule.severity == "warn" else "fail"
    bounds = f"{rule.min if rule.min is not None else '..'} to {rule.max if rule.max is not None else '..'}"
    if name in ("unique", "compound_unique"):
        names = rule.fields or ((rule.field,) if rule.field else ())
        columns = ", ".join(map(ident, names))
        if not names:
            raise ValueError(f"`{name}` needs `field` or `fields`")
        return BatchRule(rule=label, severity=severity, failed=f"count() - uniqExact({columns})", mostly=rule.mostly)
    column = ident(rule.field) if rule.field else ""
    if name == "row_count_between":
        return BatchRule(rule=label, severity=severity, value="count()", within=_between("count()", str_number, rule), bounds=bounds)
    if not column:
        raise ValueError(f"`{name}` needs `field`")
    if name == "increasing":
        pairs = f"arraySort(x -> (x.1, x.2), groupArray((_p, _i, {column})))"
        falls = f"arrayCount((a, b) -> a.3 < b.3, arrayPopFront({pairs}), arrayPopBack({pairs}))"
        return BatchRule(rule=label, severity=severity, failed=falls, mostly=rule.mostly)
    if name == "freshness":
        if rule.within is None:
            raise ValueError("`freshness` needs `within`, such as 2d")
        age = f"dateDiff('second', toDateTime64(max({column}), 0, 'UTC'), toDateTime64(\0run_started_at\0, 0, 'UTC'))"
        return BatchRule(
            rule=label, severity=severity, value=f"max({column})", bounds=f"at most {rule.within.text} before the run",
            within=f"count() = 0 OR {age} <= {int(rule.within)}",
        )  # fmt: skip
    aggregate = f"{'avg' if name == 'mean_between' else name.partition('_')[0]}({column})"
    bound = str_number if name == "mean_between" or kinds[rule.field].bare.name != "Decimal" else lambda text: f"toFloat64({literal(text)})"
    if name in ("min_between", "max_between"):
        within = _between(aggregate, lambda text: constant(kinds[rule.field], text), rule)
    else:
        within = _between(f"toFloat64({aggregate})", bound, rule)
    return BatchRule(rule=label, severity=severity, value=aggregate, within=f"ifNull({within}, 1)", bounds=bounds)


def share_rule(check: str, rule: RuleSpec, label: str) -> BatchRule:
    """A row rule that is judged over the batch: `mostly` below 1, or a severity other than quarantine."""
    severity: Literal["warn", "fail"] = "warn" if rule.severity == "warn" else "fail"
    return BatchRule(rule=label, severity=severity, failed=f"countIf(NOT ({check}))", mostly=rule.mostly)


def rule_counts(rules: Sequence[BatchRule]) -> str:
    """The SELECT items: `rows`, then per rule its failed rows, or its value and whether it is right."""
    items = ["count() AS rows"]
    for n, rule in enumerate(rules):
        if rule.failed:
            items.append(f"{rule.failed} AS failed_{n}")
        else:
            items += [f"toString({rule.value}) AS value_{n}", f"toUInt8({rule.within}) AS ok_{n}"]
    return ", ".join(items)


def judge(rules: Sequence[BatchRule], row: Mapping[str, Any]) -> list[RuleVerdict]:
    """The verdicts, in the order of the spec."""
    rows = int(row["rows"])
    verdicts = []
    for n, rule in enumerate(rules):
        if rule.failed:
            failed = int(row[f"failed_{n}"])
            ok = rows == 0 or (rows - failed) / rows >= rule.mostly
            needed = "" if rule.mostly == 1 else f", {rule.mostly:.1%} must pass"
            message = f"{rule.rule}: {failed} of {rows} rows fail{needed}"
        else:
            ok = bool(int(row[f"ok_{n}"]))
            message = f"{rule.rule}: {row[f'value_{n}']}, allowed is {rule.bounds}"
        verdicts.append(RuleVerdict(rule.rule, rule.severity, ok, message))
    return verdicts
