"""`status` is what a monitor calls: its exit code says whether somebody should look."""

from cli_projects import as_json, command
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
