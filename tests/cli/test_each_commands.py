"""`plan`, `preview` and `run --each` of feeds whose partitions a file, a table or a listing says, as a user runs them."""

import json

import pytest
from cli_projects import as_json, command

FEED = """\
name: days
source:
  endpoint: "{url}/days/{{{{ each.series }}}}"
  params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
  each: {{series: {each}}}
  rate: 60/min
  records: rows
cursor: {{field: day, initial: 2024-01-01, step: 10d}}
fields: {{series: {{from: each.series, type: String}}, day: Date, v: UInt32}}
target: {{table: t.days, key: [series, day]}}
"""
LISTING = "{{request: {{endpoint: '{url}/all'}}, records: rows, column: name}}"
RANGE = ("days", "--from", "2020-01-01", "--to", "2020-01-11")


@pytest.fixture
def days(project, api):
    def write(each):
        (project.root / "sources.d" / "days.yaml").write_text(FEED.format(url=api.url, each=each.format(url=api.url)))
        return project.root

    api.body = json.dumps({"rows": [{"day": "2020-01-05", "v": 1, "name": "A"}]}).encode()
    return write


def test_plan_shows_where_values_come_from_and_how_many_a_file_has(days):
    root = days("{{file: series.csv}}")
    (root / "series.csv").write_text("id\nA\nB\n")
    facts = as_json(command(root, "plan", "days", "--json"))
    assert (facts["each"], facts["partitions"], facts["partitions_sure"]) == ({"series": "the file series.csv"}, ["series=A", "series=B"], True)
    assert "each      series: from the file series.csv" in command(root, "plan", "days").stdout
    assert len(as_json(command(root, "plan", *RANGE, "--json"))["partitions"]) == 2


def test_plan_of_a_listing_asks_nothing_and_says_what_it_cannot_know(days, api):
    root = days(LISTING)
    text = command(root, "plan", "days").stdout
    assert "each      series: from a listing: " in text
    assert "partitions are found when the run starts; 0 have a position" in text
    found = as_json(command(root, "plan", *RANGE, "--json"))
    assert (found["partitions"], found["warnings"]) == ([], ["only partitions that have a position are counted; the run reads the others of `each` too"])
    assert api.asked == []
    done = command(root, "run", *RANGE, "--each", "series=A", "--json")
    assert (done.returncode, as_json(done)["runs"][0]["landed"]) == (0, 1), done.stderr
    done = command(root, "run", *RANGE, "--each", "series=B")
    assert done.returncode != 0
    assert "no partition has this value now" in done.stderr


def test_preview_takes_the_values_that_it_cannot_look_for(days, api):
    root = days("{{from: t.names.name}}")
    (root / "sources.d" / "names.yaml").write_text(
        f'name: names\nsource: {{endpoint: "{api.url}/all", records: rows}}\nfields: {{name: String}}\ntarget: {{table: t.names, key: [name]}}\n'
    )
    done = command(root, "preview", "days")
    assert done.returncode == 1
    assert "the values of each.series are in the table t.names, which is not open here" in done.stderr
    assert "--each series=..." in done.stderr
    done = command(root, "preview", "days", "--each", "series=A")
    assert (done.returncode, "2020-01-05" in done.stdout) == (0, True), done.stderr
    assert [path.split("?")[0] for path in api.asked] == ["/days/A"]
    assert command(root, "preview", "days", "--each", "series").returncode == 2
