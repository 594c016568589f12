"""`status` is what a monitor calls: its exit code says whether somebody should look."""

import subprocess

from cli_projects import argv, as_json, command
from nexus_engine.state.store import Store


def test_a_feed_that_is_overdue_is_stale(project):
    project.feed("prices", schedule="{every: 15m}")
    assert command(project.root, "run", "prices", "--once").returncode == 0
    store = Store.open(project.root / "data" / "state.db")
    for next_run, code, state in (("2999-01-01T00:00:00+00:00", 0, "ok"), ("2020-01-01T00:00:00+00:00", 1, "stale")):
        store.set_next_run("prices", next_run)
        done = command(project.root, "status", "--json")
        assert (done.returncode, [row["state"] for row in as_json(done)["feeds"]]) == (code, [state])
        assert as_json(done)["exit_code"] == code
    store.close()
    assert "stale" in command(project.root, "status").stdout


def test_a_run_whose_process_died_is_interrupted(project):
    """No engine has started since: nothing but the lock says that the run is over."""
    project.feed("prices")
    assert command(project.root, "run", "prices", "--once").returncode == 0
    store = Store.open(project.root / "data" / "state.db")
    store.start_run("20990101T000000-dead00", "prices", "once", "2099-01-01T00:00:00Z")
    store.close()
    done = command(project.root, "status", "--json")
    (row,) = as_json(done)["feeds"]
    assert (done.returncode, row["state"], row["last_status"]) == (1, "interrupted", "interrupted")
    shown = command(project.root, "status").stdout
    assert "interrupted" in shown
    assert "running" not in shown
    assert "landed then" in shown
    assert "interrupted" in command(project.root, "runs").stdout
    assert "interrupted" in command(project.root, "runs", "show", "20990101T000000-dead00").stdout


def test_a_run_that_is_killed_is_interrupted(project, api):
    """As above, by a real kill -9; looking at it writes nothing."""
    project.feed("prices")
    api.hold.clear()
    process = subprocess.Popen(argv("run", "prices", "--once"), cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert api.arrived.wait(60)
    assert [row["state"] for row in as_json(command(project.root, "status", "--json"))["feeds"]] == ["running"]
    process.kill()
    process.wait()
    found = [project.root / "data" / name for name in ("state.db", "state.db-wal")]
    before = [path.read_bytes() for path in found]
    done = command(project.root, "status", "--json")
    assert (done.returncode, [row["state"] for row in as_json(done)["feeds"]]) == (1, ["interrupted"])
    assert [run["status"] for run in as_json(command(project.root, "runs", "--json"))] == ["interrupted"]
    assert [path.read_bytes() for path in found] == before


def test_a_reset_that_cannot_ask_names_yes(project):
    project.feed("prices")
    for words in ((), ("--json",)):
        done = command(project.root, "state", "reset", "prices", *words, input="")
        told = done.stdout + done.stderr
        assert (done.returncode, "interrupted" in told) == (2, False)
        assert "asks for a confirmation" in told and "--yes answers it; no position was forgotten" in told
    assert command(project.root, "state", "reset", "prices", input="n\n").returncode == 130
    assert "no stored position" in command(project.root, "state", "reset", "prices", "--yes").stderr  # it did not ask


def test_values_that_a_table_cuts_are_told(project):
    project.feed("prices")
    done = command(project.root, "query", f"SELECT '{'x' * 61}' AS a, '{'y' * 60}' AS b")
    assert "1 value cut at 60 characters" in done.stderr
    assert "--format csv" in done.stderr
    assert "cut" not in command(project.root, "query", "SELECT 1 AS a").stderr
