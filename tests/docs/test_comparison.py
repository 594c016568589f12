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


def test_what_an_api_can_ask_for_is_covered() -> None:
    said = " ".join(rival.covers for rival in rivals.RIVALS)
    wanted = (
        "key in the query", "keys in headers", "bearer", "basic", "client credentials", "refresh token", "a login", "page numbers", "offset", "cursor in the body",
        "next page's URL", "Link header", "keyset", "JSON body of a POST", "parent -> child", "a list of symbols", "windows", "told by a header", "nested records",
    )  # fmt: skip
    assert [words for words in wanted if words not in said] == []
