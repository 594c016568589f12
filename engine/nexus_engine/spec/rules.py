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


_VALUES: Final = "expect_column_values_to_"
_BOUNDS: Final = ("min", "max")

RULES: Final[dict[str, RuleForm]] = {
    "between": RuleForm(f"{_VALUES}be_between", "row", ("field",), _BOUNDS),
    "not_null": RuleForm(f"{_VALUES}not_be_null", "row", ("field",)),
    "null": RuleForm(f"{_VALUES}be_null", "row", ("field",)),
    "in_set": RuleForm(f"{_VALUES}be_in_set", "row", ("field", "values")),
    "not_in_set": RuleForm(f"{_VALUES}not_be_in_set", "row", ("field", "values")),
    "match_regex": RuleForm(f"{_VALUES}match_regex", "row", ("field", "regex")),
    "not_match_regex": RuleForm(f"{_VALUES}not_match_regex", "row", ("field", "regex")),
    "value_lengths_between": RuleForm("expect_column_value_lengths_to_be_between", "row", ("field",), _BOUNDS),
    "sql": RuleForm("", "row", ("sql",)),
    "unique": RuleForm(f"{_VALUES}be_unique", "batch", (), ("field", "fields"), ("mostly",)),
    "compound_unique": RuleForm("expect_compound_columns_to_be_unique", "batch", ("fields",), (), ("mostly",)),
    "increasing": RuleForm(f"{_VALUES}be_increasing", "batch", ("field",), (), ("mostly",)),
    "row_count_between": RuleForm("expect_table_row_count_to_be_between", "batch", (), _BOUNDS),
    "freshness": RuleForm("", "batch", ("field", "within")),
    "mean_between": RuleForm("expect_column_mean_to_be_between", "batch", ("field",), _BOUNDS),
    "min_between": RuleForm("expect_column_min_to_be_between", "batch", ("field",), _BOUNDS),
    "max_between": RuleForm("expect_column_max_to_be_between", "batch", ("field",), _BOUNDS),
    "sum_between": RuleForm("expect_column_sum_to_be_between", "batch", ("field",), _BOUNDS),
}

_ALIASES: Final[dict[str, str]] = {
    **{form.full: name for name, form in RULES.items() if form.full},
    "row_count": "row_count_between",
    "value_lengths": "value_lengths_between",
}


def short_name(expect: str) -> str | None:
    """The short name of a rule given by any of its names; None when there is no such rule."""
    return expect if expect in RULES else _ALIASES.get(expect)


def known_names() -> tuple[str, ...]:
    return (*RULES, *_ALIASES)
