"""`trace TABLE --where`: from landed rows to batch, run and requests."""

import sqlite3
import time

import pytest

from cli_projects import as_json, command
from raw_server import RawServer, answer

LABELS = ("error: ", "  where:  ", "  engine: ", "  to do:  ")


@pytest.mark.capability("Raw archive: trace from a row to its request", spec="nexus-engine trace macro.rates --where \"day = '2024-01-02'\"")
def test_rows_lead_to_their_batch_run_and_requests(project, api):
    project.feed("days")
    assert command(project.root, "run", "days", "--once").returncode == 0
    [found] = as_json(command(project.root, "trace", "t.days", "--where", "id IN (1, 3) -- two", "--json"))
    assert [(row["id"], row["v"]) for row in found["rows"]] == [(1, 1.5), (3, 3.5)]
    assert (found["batch"]["rows"], found["batch"]["feed"], found["run"]["status"], found["why"]) == (5, "days", "ok", "")
    assert found["batch"]["done_at"] and found["batch"]["windows"][0]["counts"]["read"] == 5
    assert [(r["method"], r["status"], r["url"]) for r in found["requests"]] == [("GET", 200, f"{api.url}/days")]
    batch, run, [request] = found["batch"], found["run"], found["requests"]
    assert command(project.root, "trace", "t.days", "--where", "id = 3").stdout == (
        "row      id 3 (t.days, row 3 of its batch)\n"
        f"batch    {found['batch_id']}, 5 rows of feed days, landed {batch['done_at']}\n"
        f"run      {run['run_id']} (once, ok), begun {run['started_at']}\n"
        f"request  {request['at']} GET 200 {api.url}/days\n"
    )
    assert batch["key"] == ["id"]


PAGED = """\
name: pages
source: {{endpoint: "{url}/p", records: rows, paginate: {{page: page, pages: pages}}}}
archive: {archive}
fields: {{id: UInt64, v: Float64}}
target: {{table: t.pages}}
"""


def test_each_request_has_its_own_time_and_which_one_it_was_is_said_only_when_it_is_known(project):
    def page(request):
        number = int(request.query["page"])
        time.sleep(0.02)  # times are kept in milliseconds
        return answer({"rows": [{"id": number, "v": 1.5}], "pages": 3})

    with RawServer(page) as server:
        feed = project.root / "sources.d" / "pages.yaml"
        feed.write_text(PAGED.format(url=server.url, archive="false"))
        assert command(project.root, "run", "pages", "--once").returncode == 0
        [found] = as_json(command(project.root, "trace", "t.pages", "--where", "id = 2", "--json"))
        times = [request["at"] for request in found["requests"]]
        assert (len(set(times)), times) == (3, sorted(times))
        assert found["run"]["started_at"][:19] <= times[0][:19] and times[-1] < found["batch"]["staged_at"]
        text = command(project.root, "trace", "t.pages", "--where", "id = 2").stdout
        assert f"request  one of 3: nexus-engine runs show {found['run']['run_id']}" in text
        assert "row      id 2, v 1.5 (t.pages, row 1 of its batch)" in text

        feed.write_text(PAGED.format(url=server.url, archive="true"))
        assert command(project.root, "run", "pages", "--once").returncode == 0
        text = command(project.root, "trace", "t.pages", "--where", "id = 2").stdout
        first, second = text.split("\n\n")
        assert "request  one of 3" in first and "body" not in first
        assert f"GET 200 {server.url}/p?page=2\npage     2\nbody     sha256 " in second


def test_what_cannot_be_followed_is_told_in_four_parts(project):
    nothing = command(project.root, "trace", "t.days", "--where", "id = 1")
    assert (nothing.returncode, "nothing has landed yet: run a feed first" in nothing.stderr) == (2, True)
    project.feed("days")
    command(project.root, "run", "days", "--once")
    for table, where, code, parts in (
        ("t.days_latest", "id = 1", 2, ("t.days_latest is a view: its rows do not say", "t.days_latest", "nothing was followed", "nexus-engine trace t.days --where")),
        ("t.dayz", "id = 1", 2, ("there is no table t.dayz", "the tables of", "nothing was followed", "did you mean t.days?")),
        ("other.things", "id = 1", 2, ("there is no table other.things", "the tables of", "nothing was followed", "its tables: t.days")),
        ("t.days", "id = 99", 1, ("no row of t.days matches", "--where id = 99", "nothing was followed", 'nexus-engine query "SELECT * FROM t.days LIMIT 10"')),
        ("t.days", "idd = 1", 1, ("the condition cannot be used: Unknown", "--where idd = 1", "nothing was followed", "the columns of t.days: id, v")),
        ("t.days", "id =", 1, ("the condition cannot be used: it is not valid SQL", "--where id =", "nothing was followed", "the columns of t.days: id, v")),
    ):  # fmt: skip
        done = command(project.root, "trace", table, "--where", where)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        lines = done.stderr.splitlines()
        assert [line[: len(label)] for line, label in zip(lines, LABELS, strict=True)] == list(LABELS)
        for line, part in zip(lines, parts, strict=True):
            assert part in line
    assert "feed days lands in t.days" in command(project.root, "trace", "days", "--where", "1").stderr
    wrong = as_json(command(project.root, "trace", "t.dayz", "--where", "1", "--json"))
    assert (wrong["error"]["do"], wrong["error"]["exit_code"]) == ("did you mean t.days?", 2)


def test_more_rows_than_are_followed(project):
    project.feed("days")
    command(project.root, "run", "days", "--once")
    done = command(project.root, "trace", "t.days", "--where", "1", "--limit", "4")
    assert (done.returncode, done.stdout.count("row      ")) == (0, 4)
    assert "more rows match than the first 4" in done.stderr
    assert "more rows" not in command(project.root, "trace", "t.days", "--where", "1", "--limit", "5").stderr


def test_each_batch_apart(project, api):
    project.feed("days")
    command(project.root, "run", "days", "--once")
    api.body = b'{"rows": [{"id": 2, "v": 9}, {"id": 7, "v": 7}]}'
    command(project.root, "run", "days", "--once")
    found = as_json(command(project.root, "trace", "t.days", "--where", "id IN (1, 2, 7)", "--json"))
    assert [sorted(row["id"] for row in item["rows"]) for item in found][-1] == [2, 7]
    assert found[0]["run"]["run_id"] != found[-1]["run"]["run_id"]


def test_what_is_not_known_is_said(project):
    project.feed("days")
    command(project.root, "run", "days", "--once")
    with sqlite3.connect(project.root / "data" / "state.db") as state:
        state.execute("DELETE FROM batch")
    done = command(project.root, "trace", "t.days", "--where", "id = 1")
    assert (done.returncode, "not in the history any more" in done.stderr) == (0, True)
    refused = command(project.root, "trace", "t.days", "--where", "1) SETTINGS readonly = 0 --", "--json")
    assert refused.returncode == 1
