"""`run FEED --from --to`, `plan FEED --from --to` and what `status` says, as a user runs them, against a real server."""

import json

import pytest
from cli_projects import as_json, command

FEED = """\
name: days
source:
  endpoint: "{url}/days"
  params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
  each: {{series: [A, B]}}
  rate: 60/min
  records: rows
cursor: {{field: day, initial: 2024-01-01, step: 10d}}
fields: {{series: {{from: each.series, type: String}}, day: Date, v: UInt32}}
target: {{table: t.days, key: [series, day]}}
"""


@pytest.fixture
def days(project, api):
    (project.root / "sources.d" / "days.yaml").write_text(FEED.format(url=api.url))
    api.body = json.dumps({"rows": [{"day": "2020-01-05", "v": 1}]}).encode()
    return project.root


@pytest.mark.capability("Budgets: plan shows requests, time and quota", spec="nexus-engine plan FEED --from 2020-01-01 --to 2021-01-01")
@pytest.mark.capability("Backfill: progress", spec="nexus-engine status")
def test_plan_and_run_and_status(days, api):
    words = ("days", "--from", "2020-01-01", "--to", "2020-02-01")
    found = as_json(command(days, "plan", *words, "--json"))
    assert (found["windows"], found["done"], found["requests"], found["warnings"]) == (8, 0, 8, [])
    assert found["partitions"][0]["first"][0] == "2020-01-01..2020-01-11"
    text = command(days, "plan", *words).stdout
    assert "at least 8 (one per window" in text and "2020-01-31..2020-02-01" in text

    done = command(days, "run", *words, "--each", "series=B", "--json")
    [report] = as_json(done)["runs"]
    assert (done.returncode, report["trigger"], report["windows"], report["landed"]) == (0, "backfill", 4, 1), done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(e["done"], e["total"]) for e in events if e["event"] == "WindowsDone"] == [(4, 4)]
    assert "from=2020-01-31&to=2020-02-01" in api.asked[-1]
    assert as_json(command(days, "plan", *words, "--json"))["left"] == 4

    asked = len(api.asked)
    again = command(days, "run", *words, "--each", "series=B")
    assert again.returncode == 0 and "this backfill is done" in again.stderr
    assert len(api.asked) == asked


def test_status_shows_what_is_not_done(days, api):
    api.body = b'{"rows": [{"day": "2020-01-05", "v": "no number"}]}'
    assert command(days, "run", "days", "--from", "2020-01-01", "--to", "2020-02-01").returncode == 1
    api.body = b'{"rows": []}'
    assert command(days, "run", "days", "--from", "2020-01-01", "--to", "2020-01-11").returncode == 0
    assert command(days, "state", "set", "days", '{"cursor": "2020-01-11"}', "--partition", "backfill 2020-01-01..2020-01-11|series=A").returncode == 0
    assert command(days, "state", "set", "days", '{"cursor": "2020-01-05"}', "--partition", "backfill 2020-01-01..2020-01-11|series=B").returncode == 0
    done = command(days, "status")
    assert "backfill: days 2020-01-01..2020-01-11 stands at 2020-01-05, 1 of 2 partitions done" in done.stderr
    [feed] = as_json(command(days, "status", "--json"))["feeds"]
    assert (feed["partitions"], feed["position"], len(feed["backfills"])) == (0, None, 1)


@pytest.mark.parametrize("words", [("--from", "2020-01-01"), ("--each", "series=A"), ("--to", "2020-01-01")])
def test_half_a_range_is_a_usage_error(days, words):
    done = command(days, "run", "days", *words)
    assert done.returncode == 2
    assert "--from and --to" in done.stderr


def test_a_wrong_range_is_told_and_nothing_is_asked(days, api):
    done = command(days, "run", "days", "--from", "2020-01-01", "--to", "2020-02-01", "--each", "series=C", "--json")
    assert done.returncode == 2
    assert "is not one of its values" in as_json(done)["error"]["what"]
    assert api.asked == []


def test_replacing_asks_says_how_many_rows_and_can_be_told_not_to(days, api):
    words = ("days", "--from", "2020-01-01", "--to", "2020-01-11")
    assert command(days, "run", *words).returncode == 0
    assert command(days, "run", *words).stderr.count("this backfill is done") == 1
    assert as_json(command(days, "plan", *words, "--replace", "--json"))["replaces"] == 2
    assert "2 rows that t.days has of the range now" in command(days, "plan", *words, "--replace").stdout
    api.body = json.dumps({"rows": [{"day": "2020-01-07", "v": 2}]}).encode()
    asked = len(api.asked)

    done = command(days, "run", *words, "--replace", input="n\n")
    assert (done.returncode, len(api.asked)) == (130, asked), done.stderr
    assert "2 rows of t.days are in the range" in done.stderr and "nothing was read or removed" in done.stderr
    for more in ((), ("--json",)):
        done = command(days, "run", *words, "--replace", *more, input="")
        told = done.stdout + done.stderr
        assert (done.returncode, len(api.asked), "interrupted" in told) == (2, asked, False)
        assert "asks for a confirmation" in told and "--yes answers it; nothing was read or removed" in told

    done = command(days, "run", *words, "--replace", input="y\n")
    assert (done.returncode, len(api.asked)) == (0, asked + 2), done.stderr
    assert "2 rows removed" in done.stderr
    [report] = as_json(command(days, "run", *words, "--replace", "--yes", "--json"))["runs"]
    assert (report["trigger"], report["removed"], report["landed"]) == ("replace", 2, 2)
    assert as_json(command(days, "query", "SELECT toString(day) AS day, count() AS n FROM t.days GROUP BY 1", "--json")) == [{"day": "2020-01-07", "n": 2}]


def test_status_shows_a_replacing_that_is_not_done(days, api):
    api.body = b'{"rows": [{"day": "2020-01-05", "v": 1}]}'
    words = ("days", "--from", "2020-01-01", "--to", "2020-01-21")
    assert command(days, "run", *words).returncode == 0
    done = command(days, "run", *words, "--replace", "--yes", env={"NEXUS_CRASH_AT": "replace.before"})
    assert done.returncode == -9
    assert "replace: days 2020-01-01..2020-01-21 is read; old rows are not removed yet" in command(days, "status").stderr
    done = command(days, "run", *words, "--replace", "--yes")
    assert "2 rows removed" in done.stderr, done.stderr
    assert "replace: days" not in command(days, "status").stderr
