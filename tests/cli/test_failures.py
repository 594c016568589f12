"""How commands end when something is wrong: exit codes and the texts people see. No traceback for a user's mistake."""

import os

import pytest
from cli_projects import as_json, command

GOLDEN = {
    "no project": (["validate-config"], 2, """\
error: this is no project: there is neither nexus.yaml nor sources.d/
  where:  {root}
  engine: nothing ran
  to do:  go to a project, name one with --project, or make one: nexus-engine init my-feeds
"""),
    "unknown command": (["statuss"], 2, """\
Usage: nexus-engine [OPTIONS] COMMAND [ARGS]...
Try 'nexus-engine --help' for help.

Error: No such command 'statuss'. Did you mean 'status'?
"""),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_outside_a_project(tmp_path, name):
    args, code, text = GOLDEN[name]
    done = command(tmp_path, *args)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", text.format(root=tmp_path))


def test_an_unknown_feed_names_the_nearest(project):
    project.feed("prices")
    for words in (["plan", "price"], ["run", "price", "--once"], ["preview", "price"]):
        done = command(project.root, *words)
        assert (done.returncode, done.stderr) == (2, f"""\
error: there is no feed called 'price'
  where:  {project.root}/sources.d
  engine: nothing ran
  to do:  did you mean prices?
"""), words


def test_a_broken_feed_is_shown_with_its_line(project):
    path = project.feed("prices")
    path.write_text(path.read_text().replace("target:", "targets_:"))
    done = command(project.root, "run", "prices", "--once")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0].startswith("sources.d/prices.yaml:4:1  targets_  unknown-key")
    assert lines[1:3] == [f"    {path.read_text().splitlines()[3]}", "    ^"]
    assert "error: 1 problem in the configuration" in done.stderr
    problems = as_json(command(project.root, "run", "prices", "--once", "--json"))["error"]["problems"]
    assert [(p["line"], p["code"]) for p in problems] == [(4, "unknown-key")]
    assert command(project.root, "validate-config", "--no-engine").returncode == 2


def test_one_broken_feed_does_not_stop_the_others(project):
    project.feed("good")
    project.feed("bad").write_text("name: bad\n")
    done = command(project.root, "run", "--once", "--json")
    assert done.returncode == 0
    assert [run["feed"] for run in as_json(done)["runs"]] == ["good"]
    assert "sources.d/bad.yaml:1:1" in done.stderr


def test_a_broken_nexus_yaml_stops_everything(project):
    (project.root / "nexus.yaml").write_text("data_dirs: x\n")
    done = command(project.root, "status")
    assert done.returncode == 2
    assert "nexus.yaml:1:1  data_dirs  unknown-key" in done.stderr
    assert not (project.root / "data").exists()


def test_an_unknown_environment(project):
    done = command(project.root, "runs", "--env", "prod")
    assert done.returncode == 2
    assert "the chosen environment" in done.stderr


def test_exit_codes_of_runs(project, api):
    """0 ok, 3 some feeds failed, 1 all of them."""
    project.feed("good")
    bad = project.feed("bad")
    bad.write_text(bad.read_text().replace("records: rows", "records: nothing.here"))
    done = command(project.root, "run", "--once", "--json")
    assert done.returncode == 3
    found = {run["feed"]: run for run in as_json(done)["runs"]}
    assert (found["good"]["status"], found["bad"]["status"]) == ("ok", "failed")
    shown = command(project.root, "run", "bad", "--once")
    assert shown.returncode == 1
    assert "error: bad" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert command(project.root, "run", "good", "--once").returncode == 0
    status = command(project.root, "status", "--json")
    assert status.returncode == 1
    assert {row["feed"]: row["state"] for row in as_json(status)["feeds"]} == {"bad": "failed", "good": "ok"}


def test_a_secret_that_is_not_set(project):
    path = project.feed("prices")
    path.write_text(path.read_text().replace("records:", 'params: {key: "{{ secrets.NEXUS_TEST_UNSET }}"}, records:'))
    done = command(project.root, "run", "prices", "--once")
    assert done.returncode == 2
    assert "NEXUS_TEST_UNSET" in done.stderr
    assert command(project.root, "validate-config").returncode == 2
    assert command(project.root, "validate-config", "--no-secrets").returncode == 0


def test_record_then_replay_without_the_secret(project, api):
    path = project.feed("prices")
    path.write_text(path.read_text().replace("records:", 'auth: {query: {key: "{{ secrets.NEXUS_TEST_KEY }}"}}, records:'))
    secret = {"NEXUS_TEST_KEY": "canary-3f9a-key"}
    done = command(project.root, "run", "prices", "--once", "--record", "tapes", env=secret)
    assert done.returncode == 0, done.stderr
    tape = (project.root / "tapes" / "prices.yaml").read_text()
    assert "canary" not in tape
    assert "canary" not in done.stdout + done.stderr
    asked = len(api.asked)
    again = command(project.root, "run", "prices", "--once", "--replay", "tapes", "--json")
    assert again.returncode == 0, again.stderr
    assert as_json(again)["runs"][0]["unchanged"] == 5
    assert len(api.asked) == asked
    assert "canary" not in command(project.root, "runs", "show", as_json(command(project.root, "runs", "--json"))[1]["run_id"]).stdout


def test_record_needs_once(project):
    project.feed("prices")
    done = command(project.root, "run", "--record", "tapes")
    assert done.returncode == 2
    assert "--record and --replay go with --once" in done.stderr


def test_a_bug_is_one_line_and_a_file(project):
    """A folder where the state should be: nothing a user's file could cause."""
    (project.root / "data" / "state.db").mkdir(parents=True)
    done = command(project.root, "runs")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 5


def test_the_reader_may_leave(example):
    read, write = os.pipe()
    os.close(read)
    done = command(example, "runs", capture_output=False, stdout=write)
    os.close(write)
    assert done.returncode == 0


def test_a_feed_test_that_fails_says_what_differs(project):
    project.feed("prices")
    command(project.root, "run", "prices", "--once", "--record", "sources.d/recordings/prices")
    test = project.root / "sources.d" / "prices.test.yaml"
    test.write_text("recording: recordings/prices\ntotals: {read: 5, landed: 5}\nrows:\n  - {id: '3', v: '3.5'}\n")
    assert command(project.root, "test").returncode == 0
    test.write_text("recording: recordings/prices\ntotals: {read: 6}\nrows:\n  - {id: '3', v: '4.5'}\n  - {id: '3', w: '1'}\nrefused: [{reason: cast}]\n")
    done = command(project.root, "test", "prices")
    assert done.returncode == 1
    assert [line.strip() for line in done.stdout.splitlines()[1:]] == [
        "read: expected 6, got 5",
        "no row {id: 3, v: 4.5}; there is one with id: 4",
        "row {id: 3, w: 1}: there is no column w",
        "no record with '' was refused for 'cast'; reasons were: none",
    ]


def test_a_preview_that_a_run_would_stop_at_fails(project, api):
    project.feed("prices")
    assert command(project.root, "preview", "prices").returncode == 0
    api.body = b'{"rows": [{"id": 1, "v": "n/a"}, {"id": 2, "v": "n/a"}, {"id": 3, "v": 1}]}'
    done = command(project.root, "preview", "prices")
    assert done.returncode == 1
    assert "a run would stop here: more than max_refused 0.5 of the records are refused" in done.stderr
