"""Which words of `cursor:` fit which field, and what becomes of them in the plan."""

import pytest
from compile_harness import plan_of

from nexus_engine.compile.problems import CompileError
from nexus_engine.contract.options import Span

FIELDS = {"n": "UInt64", "d": "Date", "t": "DateTime64(3)", "s": "String"}


def test_distances_of_a_number_and_of_a_time():
    plan = plan_of(FIELDS, cursor={"field": "n", "initial": "1", "end": "900", "step": "100", "lookback": "12", "bounds": "[]"}).cursor
    assert (plan.kind, plan.step_s, plan.lookback_s, plan.bounds) == ("number", 100.0, 12.0, "[]")
    plan = plan_of(FIELDS, cursor={"field": "t", "initial": "2026-01-01", "step": "1mo", "lookback": "2d", "delay": "90m"}).cursor
    assert (plan.step_months, plan.step_s, plan.lookback_s, plan.delay_s) == (1, 0, 172800.0, 5400.0)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"field": "n", "lookback": "1d"}, "lookback"),
        ({"field": "d", "lookback": "30"}, "lookback"),
        ({"field": "s", "lookback": "30d"}, "lookback"),
        ({"field": "t", "initial": "2026-01-01", "step": "100"}, "step"),
        ({"field": "t", "initial": "2026-01-01", "step": "0s"}, "step"),
        ({"field": "n", "initial": "1", "step": "100"}, "step"),
        ({"field": "n", "initial": "1", "end": "many"}, "end"),
        ({"field": "t", "initial": "hello"}, "initial"),
        ({"field": "t", "initial": "2026-13-45"}, "initial"),
        ({"field": "d", "initial": "5"}, "initial"),
        ({"field": "d", "initial": "2026-01-01", "end": "2026-02-30"}, "end"),
        ({"field": "n", "delay": "1h"}, "delay"),
        ({"field": "d", "bounds": "[]"}, "bounds"),
    ],
)
def test_words_that_do_not_fit_the_field(words, path):
    with pytest.raises(CompileError) as caught:
        plan_of(FIELDS, cursor=words)
    assert [problem.path for problem in caught.value.problems] == [f"cursor.{path}"]


@pytest.mark.parametrize("text", ["0.5", "-1", "1e3", "9007199254740993"])
def test_a_distance_of_a_number_is_a_whole_one(text):
    with pytest.raises(ValueError, match="a whole number"):
        Span(text)
    assert (float(Span("9007199254740992")), Span("12").counted) == (2.0**53, True)
