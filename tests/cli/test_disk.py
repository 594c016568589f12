"""The disk does not do what the engine needs: one clear message, nothing lost, and the next start goes on."""

import json
import resource

import pytest
from cli_projects import as_json, command

MESSAGE = ("error: ", "  where:  ", "  engine: ", "  to do:  ")


def test_a_disk_that_fills_up_while_pages_are_staged(project, api):
    project.feed("prices")
    api.body = json.dumps({"rows": [{"id": i, "v": "1.5", "pad": "x" * 100} for i in range(100_000)]}).encode()
    limit = 3_000_000  # bytes per file: the stage of this page does not fit
    done = command(project.root, "run", "prices", "--once", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode == 1
    shown = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert shown[0].startswith("error: no space is left to write"), done.stderr
    assert tuple(line[: len(start)] for line, start in zip(shown, MESSAGE)) == MESSAGE
    status = as_json(command(project.root, "status", "--json"))
    assert [row["state"] for row in status["feeds"]] == ["failed"]
    again = as_json(command(project.root, "run", "prices", "--once", "--json"))["runs"][0]
    assert (again["status"], again["landed"]) == ("ok", 100_000)


@pytest.mark.parametrize("words", [["run", "prices", "--once"], ["run"], ["status"], ["query", "select 1"]])
def test_a_file_where_the_data_folder_should_be(project, words):
    project.feed("prices")
    (project.root / "data").write_text("not a folder")
    done = command(project.root, *words)
    assert done.returncode == 1
    assert "bug" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and "data" in done.stderr
    assert (project.root / "data").read_text() == "not a folder"


def test_rows_that_wait_for_a_feed_that_is_gone_are_shown(project):
    path = project.feed("prices")
    killed = command(project.root, "run", "prices", "--once", env={"NEXUS_CRASH_AT": "insert.before"})
    assert killed.returncode == -9
    path.unlink()
    done = command(project.root, "status")
    assert done.returncode == 0
    assert "staged: 5 rows of prices, which has no file here: the next start delivers them" in done.stderr
    assert as_json(command(project.root, "status", "--json"))["staged_without_file"] == {"prices": 5}
    assert "5" in command(project.root, "query", "SELECT count() FROM t.prices").stdout
    assert as_json(command(project.root, "status", "--json"))["staged_without_file"] == {}
