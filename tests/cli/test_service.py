"""`nexus-engine run` as a service: signals, forwarding, files that change, kill -9. A real process, a real API on loopback."""

import json
import os
import signal
import subprocess
import threading
from contextlib import contextmanager

import pytest
from cli_projects import argv, as_json, command


class Service:
    """A running service; its events as they come."""

    def __init__(self, root, *words):
        self.process = subprocess.Popen(
            argv("run", "--debug", *words), cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self.lines = []
        self._seen = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            with self._seen:
                self.lines.append(line)
                self._seen.notify_all()

    def events(self, name="", feed=""):
        found = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in found if name in ("", event["event"]) and feed in ("", event["feed"])]

    def wait(self, name, feed="", count=1, **wanted):
        """The first ``count`` events that are as wanted."""

        def found():
            return [e for e in self.events(name, feed) if all(e.get(key) == value for key, value in wanted.items())]

        with self._seen:
            assert self._seen.wait_for(lambda: len(found()) >= count or self.process.poll() is not None, 60), "".join(self.lines)
        assert len(found()) >= count, "".join(self.lines)
        return found()[:count]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def service(root, *words):
    running = Service(root, *words)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def rows(project, table):
    return as_json(command(project.root, "query", f"select count() as n, uniqExact(id) as ids from {table}", "--json"))[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_idle_ends_with_0(project, number):
    project.feed("a", "{every: 1h}")
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        assert running.stop(number) == 0
    assert not (project.root / "data" / "nexus.sock").exists()


@pytest.mark.capability("Raw archive: retention by age and by size, oldest first", spec="archive: {keep: 90d, max_size: 10GB}")
def test_the_start_makes_room_in_the_archive_of_a_feed_that_does_not_run(project):
    project.feed("later").open("a").write("archive: true\n")
    assert command(project.root, "run", "later", "--once").returncode == 0
    files = list((project.root / "data" / "archive").rglob("*.zst"))
    project.feed("later", "{cron: '0 0 1 1 *'}").open("a").write("archive: {keep: 10ms}\n")
    project.feed("now", "{every: 1h}")
    with service(project.root) as running:
        running.wait("RunFinished", "now", status="ok")
        assert running.events("RunStarted", "later") == []
        assert len(files) == 1 and not files[0].exists()
        assert running.stop() == 0


def test_a_signal_during_a_fetch_stops_the_run_and_the_next_start_goes_on(project, api):
    project.feed("a", "{every: 1h}")
    api.hold.clear()
    with service(project.root) as running:
        assert api.arrived.wait(30)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
    api.hold.set()
    assert [run["status"] for run in as_json(command(project.root, "runs", "--json"))] == ["stopped"]
    assert command(project.root, "status").returncode == 0
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        assert running.stop() == 0
    assert rows(project, "t.a") == {"n": 5, "ids": 5}


def test_a_second_signal_ends_at_once(project, api):
    project.feed("a", "{every: 1h}")
    api.hold.clear()
    with service(project.root) as running:
        assert api.arrived.wait(30)
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_killed_and_started_again(project):
    project.feed("a", "{every: 1s}")
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        running.stop(signal.SIGKILL)
    assert (project.root / "data" / "nexus.sock").exists()
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        assert running.stop() == 0
    assert rows(project, "t.a") == {"n": 5, "ids": 5}


def test_commands_are_forwarded_to_the_owner(project):
    project.feed("a", "{every: 1h}")
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        assert rows(project, "t.a") == {"n": 5, "ids": 5}
        done = command(project.root, "run", "a", "--once", "--json")
        assert done.returncode == 0, done.stderr
        assert [(run["trigger"], run["unchanged"]) for run in as_json(done)["runs"]] == [("socket", 5)]
        assert f"forwarded to process {running.process.pid}" in done.stderr
        assert command(project.root, "run", "nothing", "--once").returncode == 2
        reset = command(project.root, "state", "reset", "a", "--yes", "--json")
        assert reset.returncode in (0, 1), reset.stderr
        status = as_json(command(project.root, "status", "--json"))
        assert status["owner"] == running.process.pid
        assert status["feeds"][0]["next_run"]
        refused = command(project.root, "run", "a", "--once", "--record", "tapes")
        assert refused.returncode == 1
        assert f"process {running.process.pid} owns it" in refused.stderr
        assert command(project.root, "ddl", "--diff").returncode == 0
        second = command(project.root, "run")
        assert second.returncode == 1
        assert str(running.process.pid) in second.stderr
        assert running.stop() == 0


def test_files_take_effect_while_it_runs(project):
    """Added, changed, broken, mended, renamed, removed: each is told, and does what it should."""
    path = project.feed("a", "{every: 1s}")
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        other = project.feed("b", "{every: 1s}")
        running.wait("FeedLoaded", "b", change="added")
        running.wait("RunFinished", "b", status="ok")

        whole = path.read_text()
        path.write_text(whole[: len(whole) // 2])
        [broken] = running.wait("FeedLoaded", "a", change="broken")
        assert "sources.d/a.yaml:" in broken["message"]
        before = len(running.events("RunFinished", "a"))
        running.wait("RunFinished", "a", count=before + 2)
        assert len(running.events("FeedLoaded", "a")) == 1

        path.write_text(whole.replace("{id: UInt32, v: Float64}", "{id: UInt32, v: Float64, w: {type: String, value: x}}"))
        running.wait("FeedLoaded", "a", change="changed")

        other.unlink()
        running.wait("FeedLoaded", "b", change="removed")
        assert running.stop() == 0
    columns = as_json(command(project.root, "query", "describe table t.a", "--json"))
    assert [column["name"] for column in columns][:2] == ["id", "v"]


def test_a_renamed_feed_is_not_ingested_again(project):
    path = project.feed("a", "{every: 1s}")
    path.write_text(path.read_text() + "cursor: {field: id, initial: 0}\n")
    with service(project.root) as running:
        running.wait("RunFinished", "a", status="ok")
        text = path.read_text().replace("name: a", "name: z")
        path.unlink()
        (project.root / "sources.d" / "z.yaml").write_text(text)
        [told] = running.wait("FeedLoaded", "z", change="renamed")
        assert "nexus-engine state rename a z" in told["message"]
        [refused] = running.wait("RunFinished", "z", status="failed")
        assert "feed z is feed a under another name" in refused["error"]
        renamed = command(project.root, "state", "rename", "a", "z")
        assert (renamed.returncode, renamed.stdout) == (0, "a is now z\n"), renamed.stderr
        running.wait("RunFinished", "z", status="ok")
        assert rows(project, "t.a") == {"n": 5, "ids": 5}
        assert running.stop() == 0


def test_only_some_feeds(project):
    project.feed("a", "{every: 1s}")
    project.feed("b", "{every: 1s}")
    with service(project.root, "b") as running:
        running.wait("RunFinished", "b", count=2)
        assert running.events("RunStarted", "a") == []
        assert running.stop() == 0


def test_an_owner_that_hangs_is_told_from_none(project, tmp_path):
    """A process that holds the lock but does not listen: the second is refused and told who it is."""
    from nexus_engine.deliver.lock import OwnerLock

    project.feed("a")
    (project.root / "data").mkdir()
    with OwnerLock(project.root / "data" / "nexus.lock"):
        done = command(project.root, "run", "a", "--once", "--json")
    assert done.returncode == 1
    error = as_json(done)["error"]
    assert (error["kind"], error["what"]) == ("Locked", f"process {os.getpid()} owns this data folder")
