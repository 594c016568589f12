"""`trace TABLE --where`: from landed rows to batch, run and requests."""

import sqlite3

import pytest

from cli_projects import as_json, command


@pytest.mark.capability("Raw archive: trace from a row to its request", spec="nexus-engine trace FEED")
def test_rows_lead_to_their_batch_run_and_requests(project, api):
    project.feed("days")
    assert command(project.root, "run", "days", "--once").returncode == 0
    [found] = as_json(command(project.root, "trace", "t.days", "--where", "id IN (1, 3) -- two", "--json"))
    assert [(row["id"], row["v"]) for row in found["rows"]] == [(1, 1.5), (3, 3.5)]
    assert (found["batch"]["rows"], found["batch"]["feed"], found["run"]["status"], found["why"]) == (5, "days", "ok", "")
    assert found["batch"]["done_at"] and found["batch"]["windows"][0]["counts"]["read"] == 5
    assert [(r["method"], r["status"], r["url"]) for r in found["requests"]] == [("GET", 200, f"{api.url}/days")]
    text = command(project.root, "trace", "t.days", "--where", "v > 3").stdout
    assert "batch    5 rows of feed days" in text and f"GET 200 {api.url}/days" in text


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
    assert command(project.root, "trace", "t.days", "--where", "id = 99").returncode == 1
    assert command(project.root, "trace", "days", "--where", "1").returncode == 2
    refused = command(project.root, "trace", "t.days", "--where", "1) SETTINGS readonly = 0 --", "--json")
    assert refused.returncode == 1
