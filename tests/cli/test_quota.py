"""A quota in a whole run: it stops with what is left to do, and goes on where it was when the quota renews."""

import json

import pytest
from cli_projects import as_json, command
from nexus_engine.state.store import Store

FEED = """\
name: days
source:
  endpoint: "{url}/days"
  params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
  each: {{series: [A, B]}}
  quota: [5/month]
  concurrency: 1
  records: rows
cursor: {{field: day, initial: 2024-01-01, step: 10d, end: 2024-01-31}}
fields: {{series: {{from: each.series, type: String}}, day: Date, v: UInt32}}
target: {{table: t.days, key: [series, day]}}
"""


@pytest.fixture
def days(project, api):
    (project.root / "sources.d" / "days.yaml").write_text(FEED.format(url=api.url))
    api.body = json.dumps({"rows": [{"day": "2020-01-05", "v": 1}]}).encode()
    return project.root


def test_a_run_stops_at_the_quota_and_goes_on_when_it_renews(days, api):
    words = ("days", "--from", "2020-01-01", "--to", "2020-02-01")
    [quota] = as_json(command(days, "plan", *words, "--json"))["quotas"]
    assert quota == {"quota": "5/month", "left": 5, "renewals": 1}
    assert "5/month: 5 left now; it must renew 1 times" in command(days, "plan", *words).stdout

    done = command(days, "run", *words, "--json")
    [report] = as_json(done)["runs"]
    assert done.returncode == 1
    assert [error["kind"] for error in report["errors"]] == ["BudgetSpent"]
    assert "5/month is used up" in report["errors"][0]["what"]
    assert "renews at" in report["errors"][0]["do"]
    assert any(text.startswith("left to do: 1 of 2 partitions: series=B") for text in report["warnings"]), report["warnings"]
    assert len(api.asked) == 5
    assert report["closes"]

    [quota] = as_json(command(days, "plan", *words, "--json"))["quotas"]
    assert quota == {"quota": "5/month", "left": 0, "renewals": 1}
    assert command(days, "run", *words).returncode == 1
    assert len(api.asked) == 5  # used up is used up, also in the next process

    store = Store.open(days / "data" / "state.db")
    store.save(f"quota:5/month:{api.url}", (0.0, 5.0))  # as if it were the month before
    store.close()
    done = command(days, "run", *words, "--json")
    assert done.returncode == 0, done.stderr
    assert len(api.asked) == 8
    assert len(set(api.asked)) == 4  # two series, four windows, none asked twice
    assert all(api.asked.count(path) == 2 for path in set(api.asked))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("quota: [5/week]", "a quota like 1000/day or 100000/month"),
        ("quota: [0/day]", "a quota like 1000/day or 100000/month"),
        ("cost: 5", "`cost` counts against a `quota`, and there is none"),
        ("quota: [4/day]\n  cost: 5", "one request costs 5, more than the whole quota of 4/day"),
        ("quota: [4/day]\n  cost: much", "a whole number"),
        ("quota: [4/day]\n  cost: {heder: x}", "did you mean `header`?"),
        ("quota: [4/day]\n  cost: {header: x, path: y}", "a header and a path are two places"),
        ("quota: [4/day]\n  cost: {path: 'a[x'}", "is "),
        ("budget: {dialect: twitter}", "dialect"),
        ("budget: {remaining: x-left}", "remaining and reset go together"),
        ("budget: {dialect: x, remaining: x-left}", "needs dialect, or remaining and reset"),
        ("budget: {remainin: x-left, reset: x-reset}", "remaining"),
        ("budget: {remaining: x-left, reset: x-reset, reset_as: minutes}", "epoch"),
    ],
)
def test_wrong_words_are_told_before_anything_runs(days, api, words, says):
    path = days / "sources.d" / "days.yaml"
    path.write_text(path.read_text().replace("quota: [5/month]", words))
    done = command(days, "validate-config")
    assert done.returncode == 2
    assert says in done.stdout + done.stderr
    assert f"days.yaml:{6 + words.count(chr(10))}" in done.stdout + done.stderr
    assert api.asked == []
