"""`archive`, `reparse`, and `trace` of a feed that keeps its answers."""

import json
import random
import resource
import string
import subprocess
import threading

from cli_projects import argv, as_json, command


def kept(project, *, wide=False, key=", key: [id]"):
    path = project.feed("days")
    text = path.read_text() + "archive: true\n"
    if wide:
        text = text.replace("v: Float64", "v: Float64, twice: {type: Float64, sql: 'v * 2'}")
    path.write_text(text.replace(", key: [id]", key))


def test_a_row_leads_to_its_answer_and_its_body(project, api):
    kept(project)
    assert command(project.root, "run", "days", "--once").returncode == 0
    [found] = as_json(command(project.root, "trace", "t.days", "--where", "id IN (1, 3)", "--json"))
    [answer] = found["answers"]
    assert (answer["method"], answer["status"], answer["url"], answer["page"], answer["rows"]) == ("GET", 200, f"{api.url}/days", 1, [1, 3])
    text = command(project.root, "trace", "t.days", "--where", "id IN (0, 1, 3)").stdout
    assert f"GET 200 {api.url}/days" in text and f"body     sha256 {answer['sha256']}, {answer['size']} bytes" in text
    assert (text.count("\n"), answer["at"] in text, answer["file"].endswith(f"{answer['sha256']}.zst")) == (8, True, True)
    body = command(project.root, "trace", "t.days", "--where", "id = 1", "--body", text=False)
    assert (body.returncode, body.stdout) == (0, api.body)


def test_a_body_that_is_not_there(project, api):
    project.feed("days")
    command(project.root, "run", "days", "--once")
    done = command(project.root, "trace", "t.days", "--where", "id = 1", "--body")
    assert done.returncode == 1 and "no body is kept" in done.stderr and "to do:" in done.stderr
    kept(project)
    api.body = json.dumps({"rows": [{"id": 1, "v": 9}]}).encode()
    command(project.root, "run", "days", "--once")
    [answer] = as_json(command(project.root, "trace", "t.days", "--where", "v = 9", "--json"))[0]["answers"]
    (project.root / answer["file"]).unlink()
    done = command(project.root, "trace", "t.days", "--where", "v = 9", "--body")
    assert done.returncode == 1 and "error: a body of the archive is missing" in done.stderr and answer["file"] in done.stderr


def test_of_several_bodies_one_is_asked_for(project, api):
    kept(project)
    for value in (1, 2):
        api.body = json.dumps({"rows": [{"id": 1, "v": value}]}).encode()
        command(project.root, "run", "days", "--once")
    both = command(project.root, "trace", "t.days", "--where", "id = 1", "--body")
    assert (both.returncode, both.stdout, "these rows came from 2 bodies" in both.stderr) == (1, "", True)
    hint = both.stderr.split("add to --where: ")[1].split(" (the newest)")[0]
    assert command(project.root, "trace", "t.days", "--where", f"id = 1 {hint}", "--body", text=False).stdout == api.body
    spec = project.root / "sources.d" / "days.yaml"
    spec.write_text(spec.read_text().replace("v: Float64", "raw: {type: Float64, from: v}, v: {type: Float64, sql: raw + 1}"))
    before = as_json(command(project.root, "trace", "t.days", "--where", "v = 2", "--json"))[0]["batch_id"]
    assert command(project.root, "reparse", "days").returncode == 0
    assert f"page     1, first read in batch {before}\n" in command(project.root, "trace", "t.days", "--where", "v = 3").stdout


def test_what_is_kept_is_listed(project, api):
    kept(project)
    assert "no answer is kept" in command(project.root, "archive").stderr
    for _ in range(2):
        command(project.root, "run", "days", "--once")
    [found] = as_json(command(project.root, "archive", "--json"))
    assert (found["feed"], found["answers"], found["bodies"], found["bytes"]) == ("days", 2, 1, len(api.body))
    assert found["on_disk"] > 0 and found["oldest"] < found["newest"]
    assert "days" in command(project.root, "archive", "days").stdout
    assert as_json(command(project.root, "archive", "other", "--json")) == []


def test_reparse_asks_nothing(project, api):
    kept(project)
    command(project.root, "run", "days", "--once")
    kept(project, wide=True)
    asked = len(api.asked)
    done = command(project.root, "reparse", "days", "--json")
    [report] = as_json(done)["runs"]
    assert (done.returncode, report["trigger"], report["landed"], report["requests"], len(api.asked)) == (0, "reparse", 5, 0, asked)
    assert as_json(command(project.root, "query", "SELECT max(twice) AS m FROM t.days_latest", "--json")) == [{"m": 9.0}]
    assert "unchanged" in command(project.root, "reparse", "days", "--since", "1d").stdout
    assert [run["trigger"] for run in as_json(command(project.root, "runs", "--feed", "days", "--json"))] == ["reparse", "reparse", "once"]


def test_a_reparse_that_cannot_be_says_why(project):
    kept(project, key="")
    for words, what in ((["days"], "has no `key`"), (["dais"], "did you mean days?")):
        done = command(project.root, "reparse", *words)
        assert done.returncode in (1, 2) and what in done.stderr + done.stdout, done.stderr
    kept(project)
    assert "no answer of it is kept" in command(project.root, "reparse", "days").stderr
    command(project.root, "run", "days", "--once")
    mistyped = command(project.root, "reparse", "days", "--since", "yesterday")
    assert mistyped.returncode == 2
    assert "is no time" in mistyped.stderr
    triggers = [run["trigger"] for run in as_json(command(project.root, "runs", "--feed", "days", "--json"))]
    assert triggers == ["once"], "what could not be begun is no failed run"
    assert command(project.root, "status").returncode == 0


def test_reparse_goes_to_the_owner(project, api):
    kept(project)
    command(project.root, "run", "days", "--once")
    kept(project, wide=True)
    with subprocess.Popen(argv("run"), cwd=project.root, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as owner:
        assert "runs 0 of 1 feeds" in owner.stderr.readline()
        threading.Thread(target=owner.stderr.read, daemon=True).start()
        assert as_json(command(project.root, "reparse", "days", "--json"))["runs"][0]["landed"] == 5
        owner.terminate()
        assert owner.wait(30) == 0


def test_a_disk_that_fills_up_while_an_answer_is_kept(project, api):
    kept(project)
    noise = "".join(random.Random(0).choices(string.ascii_letters + string.digits + "+/", k=6_000_000))
    api.body = json.dumps({"rows": [{"id": 1, "v": "1.5", "pad": noise}]}).encode()
    limit = 3_000_000
    done = command(project.root, "run", "days", "--once", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode == 1
    assert "no space is left" in done.stderr and "data/archive" in done.stderr and "bug" not in done.stderr, done.stderr
    again = as_json(command(project.root, "run", "days", "--once", "--json"))["runs"][0]
    assert (again["status"], again["landed"]) == ("ok", 1)
    assert [path.suffix for path in (project.root / "data" / "archive").rglob("*") if path.is_file()] == [".zst"]
