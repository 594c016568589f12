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


@pytest.mark.capability("Budgets: a used-up quota stops with what is left to do, and goes on", spec="quota: [1000/day]")
@pytest.mark.capability("Budgets: plan shows requests, time and quota", spec="nexus-engine plan FEED --from 2020-01-01 --to 2021-01-01")
def test_a_run_stops_at_the_quota_and_goes_on_when_it_renews(days, api):
    words = ("days", "--from", "2020-01-01", "--to", "2020-02-01")
    [quota] = as_json(command(days, "plan", *words, "--json"))["quotas"]
    assert quota == {"quota": "5/month", "used": 0, "left": 5, "needed": 8, "credits": False, "renewals": 1}
    assert "5/month: 0 used, 5 left now, 8 needed; it must renew 1 times" in command(days, "plan", *words).stdout

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
    assert quota == {"quota": "5/month", "used": 5, "left": 0, "needed": 3, "credits": False, "renewals": 1}
    assert command(days, "run", *words).returncode == 1
    assert len(api.asked) == 5  # used up is used up, also in the next process

    store = Store.open(days / "data" / "state.db")
    store.save(f"quota:5/month:{api.url}", (0.0, 5.0))  # as if it were the month before
    store.close()
    api.body = json.dumps({"rows": [{"day": f"2020-01-{n:02}", "v": n} for n in (5, 6, 7)]}).encode()
    done = command(days, "run", *words, "--json")
    assert done.returncode == 0, done.stderr
    assert len(api.asked) == 8
    assert len(set(api.asked)) == 4  # two series, four windows, none asked twice
    assert all(api.asked.count(path) == 2 for path in set(api.asked))

    other = ("days", "--from", "2020-03-01", "--to", "2020-03-31")
    expected = as_json(command(days, "plan", *other, "--json"))
    assert (expected["left"], expected["requests_expected"], expected["rows_expected"], expected["runs"]) == (6, 6, 18, 1)


@pytest.mark.capability("Budgets: plan of the next run", spec="nexus-engine plan FEED")
def test_plan_tells_what_the_next_run_takes(days, api):
    path = days / "sources.d" / "days.yaml"
    path.write_text(path.read_text().replace("quota: [5/month]", "quota: [30/month, 900/day]\n  cost: 7\n  rate: 2/min"))
    expected = as_json(command(days, "plan", "days", "--json"))["expected"]
    assert (expected["requests"], expected["requests_expected"], expected["rows_expected"], expected["least_s"]) == (6, None, None, 120)
    assert expected["quotas"][0] == {"quota": "30/month", "used": 0, "left": 30, "needed": 42, "credits": True, "renewals": 1}
    assert expected["quotas"][1]["renewals"] == 0
    path.write_text(path.read_text().replace("\n  rate: 2/min", ""))
    api.body = json.dumps({"rows": [{"day": f"2024-01-{n:02}", "v": n} for n in (5, 6, 7)]}).encode()
    assert command(days, "run", "days", "--once").returncode == 1  # four of six requests
    path.write_text(path.read_text().replace("30/month", "300/month"))
    assert command(days, "run", "days", "--once").returncode == 0
    text = command(days, "plan", "days").stdout
    assert "requests  at least" in text and "as in the last run" in text
    assert "300/month: 21 used, 279 left now" in text, text
    assert "900/day: 49 used, 851 left now" in text, text
    expected = as_json(command(days, "plan", "days", "--json"))["expected"]
    assert expected["rows_expected"] == 3 * expected["requests"] > 0
    assert expected["requests_expected"] == expected["requests"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("quota: [5/week]", "a quota like 1000/day or 100000/month"),
        ("quota: [0/day]", "a quota like 1000/day or 100000/month"),
        ("cost: 5", "`cost` counts against a `quota`, and there is none"),
        ("quota: [4/day]\n  cost: 5", "one request costs 5, more than the whole quota of 4/day"),
        ("timeout: 0s", "with 0 no answer is ever read"),
        ("max_body: 0B", "with 0 no answer is ever read"),
        ("format: {csv: {encoding: latn-1}}", "the encoding 'latn-1' is not known"),
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
