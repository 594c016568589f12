"""docs/comparison.md: ours are at most a third of Airbyte's lines and no more than dlt's, and cover what the APIs ask for."""

from __future__ import annotations

import sys

import pytest
from doc_pages import ROOT

sys.path.insert(0, str(ROOT / "docs"))

import rivals  # noqa: E402


@pytest.mark.parametrize("rival", rivals.RIVALS, ids=lambda rival: rival.name)
def test_ours_are_short(rival: rivals.Rival) -> None:
    assert len(rival.ours) > 1
    assert rival.our_lines <= rival.allowed


def test_blank_lines_and_comments_do_not_count() -> None:
    assert rivals.count("# a\n\na: 1  # b\n  # c\n  - b\n") == 2


def test_each_file_belongs_to_one_of_them() -> None:
    files = [path for path in rivals.PROJECT.rglob("*.yaml") if path.parent.name in ("apis.d", "sources.d")]
    assert sorted(files) == sorted(path for rival in rivals.RIVALS for path in rival.ours)
    tools = [rival.tool for rival in rivals.RIVALS]
    assert tools.count("Airbyte") >= 5
    assert tools.count("dlt") >= 5


def test_each_kind_of_auth_and_paging_is_in_a_config_or_told_to_be_in_none() -> None:
    """Read from the specs: a kind that a spec begins or ceases to say, and one that the engine learns, is noticed here."""
    said = frozenset().union(*(rival.kinds for rival in rivals.RIVALS))
    asked = set(rivals.asked_for())
    assert len(asked) >= 17
    assert asked - said == set(rivals.NOT_SAID)
    assert {kind for kind in said if kind.startswith("auth: ")} <= asked


def test_what_else_an_api_asks_for_is_in_a_config() -> None:
    said = frozenset().union(*(rival.kinds for rival in rivals.RIVALS))
    wanted = {
        "paginate: total", "paginate: pages", "paginate: more", "paginate: into", "paginate: limit", "stop_when: seen", "stop_when: empty_page",
        "each: a list", "each: request", "method: POST", "json", "cursor: step", "cursor: lookback", "cursor: bounds",
        "errors: after_header", "errors: matches", "errors: then empty", "errors: then skip", "errors: then retry", "errors: then fail",
    }  # fmt: skip
    assert wanted - said == set()
