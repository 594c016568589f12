"""`quarantine replay FEED`, as a user runs it."""

import json

from cli_projects import as_json, command


def test_replay(project, api):
    path = project.feed("days")
    text = path.read_text()
    path.write_text(text + "validate: [{expect: between, field: v, max: 2}]\nmax_refused: 1\n")
    assert command(project.root, "run", "days", "--once").returncode == 0
    assert len(as_json(command(project.root, "quarantine", "list", "--json"))) == 3
    path.write_text(text + "validate: [{expect: between, field: v, max: 4}]\nmax_refused: 1\n")
    asked = len(api.asked)
    done = command(project.root, "quarantine", "replay", "days")
    assert done.returncode == 0, done.stderr
    assert "2 of 3 records left the quarantine" in done.stderr
    assert len(api.asked) == asked
    [left] = as_json(command(project.root, "quarantine", "list", "--json"))
    assert json.loads(left["raw"])["v"] == "4.5"
    done = command(project.root, "quarantine", "replay", "days", "--id", "99", "--json")
    assert done.returncode == 1
    assert "record 99 is not in the quarantine of days" in as_json(done)["runs"][0]["errors"][0]["what"]
