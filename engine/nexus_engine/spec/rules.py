"""The rules of `validate:` by name: what each is called, and which keys it needs. What they mean in SQL is in ``compile``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class RuleForm:
    """``needs`` are keys that must be there, of ``one_of`` at least one, ``may`` others that fit; `expect`, `severity` and
    (for rules by row) `mostly` always fit. ``per`` says whether it judges each row or the batch as a whole."""

    full: str
    per: Literal["row", "batch"]
    needs: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


_VALUES = "expect_column_values_to_"

RULES: Final[dict[str, RuleForm]] = {
    "between": RuleForm(f"{_VALUES}be_between", "row", ("field",), ("min", "max")),
    "not_null": RuleForm(f"{_VALUES}not_be_null", "row", ("field",)),
    "null": RuleForm(f"{_VALUES}be_null", "row", ("field",)),
    "in_set": RuleForm(f"{_VALUES}be_in_set", "row", ("field", "values")),
    "not_in_set": RuleForm(f"{_VALUES}not_be_in_set", "row", ("field", "values")),
    "match_regex": RuleForm(f"{_VALUES}match_regex", "row", ("field", "regex")),
    "not_match_regex": RuleForm(f"{_VALUES}not_match_regex", "row", ("field", "regex")),
    "length_between": RuleForm("expect_column_value_lengths_to_be_between", "row", ("field",), ("min", "max")),
    "greater": RuleForm("expect_column_pair_values_a_to_be_greater_than_b", "row", ("fields",)),
    "equal": RuleForm("expect_column_pair_values_to_be_equal", "row", ("fields",)),
    "expression": RuleForm("expect_expression", "row", ("sql",)),
    "unique": RuleForm(f"{_VALUES}be_unique", "batch", (), ("field", "fields")),
    "row_count": RuleForm("expect_table_row_count_to_be_between", "batch", (), ("min", "max")),
    "freshness": RuleForm("expect_freshness", "batch", ("field", "within")),
    "mean_between": RuleForm("expect_column_mean_to_be_between", "batch", ("field",), ("min", "max")),
    "sum_between": RuleForm("expect_column_sum_to_be_between", "batch", ("field",), ("min", "max")),
    "min_between": RuleForm("expect_column_min_to_be_between", "batch", ("field",), ("min", "max")),
    "max_between": RuleForm("expect_column_max_to_be_between", "batch", ("field",), ("min", "max")),
}

_FULL: Final[dict[str, str]] = {form.full: name for name, form in RULES.items()} | {
    "expect_compound_columns_to_be_unique": "unique",
}


def short_name(expect: str) -> str | None:
    """The short name of a rule given by either name; None when there is no such rule."""
    return expect if expect in RULES else _FULL.get(expect)


def known_names() -> tuple[str, ...]:
    return (*RULES, *_FULL)
