"""Every command on the project that `init` makes: what it prints for people, and that --json is one JSON document."""

import csv
import io
import json

import pytest
from cli_projects import as_json, command
from nexus_engine.cli.failures import guarded
from nexus_engine.cli.main import COMMANDS, group


def test_help_lines_are_the_commands_own():
    for name, (_, line) in COMMANDS.items():
        own = group.get_command(None, name).help
        assert " ".join(own.split("\n\n")[0].split()) == line, name


def test_init_makes_a_project_that_is_sound_and_tested(example):
    done = command(example, "test", "--json")
    [case] = as_json(done)
    assert (done.returncode, case["failures"]) == (0, []), done.stderr
    assert command(example, "validate-config").stdout == "1 feed: no problem found\n"
    assert command(example, "schema", "--check").returncode == 0


def test_init_overwrites_nothing(example):
    done = command(example.parent, "init", example)
    assert done.returncode == 1
    assert "is not empty" in done.stderr


LIGHT = [
    ("runs",), ("quarantine", "list"), ("quarantine", "show", "1"), ("state", "show"), ("state", "export"), ("status",), ("plugins",),
    ("plugins", "show", "http"), ("plan", "debt_to_penny"), ("plan", "debt_to_penny", "--sql"), ("validate-config", "--no-engine"),
    ("schema", "--check"), ("ddl",),
]
WITH_ENGINE = [
    ("doctor", "--offline"), ("query", "select 1 as one"), ("trace", "macro.debt_to_penny", "--where", "1"),
    ("ddl", "--diff"), ("state", "adopt", "debt_to_penny"),
    ("preview", "debt_to_penny", "--replay", "sources.d/recordings/debt_to_penny"),
]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_json_is_one_document_and_text_is_not_empty(example, words, capfd):
    assert guarded(group, [*words, "--project", str(example)]) == 0
    assert capfd.readouterr().out.strip()
    assert guarded(group, [*words, "--project", str(example), "--json"]) == 0
    out = capfd.readouterr().out
    json.loads(out)
    assert out.count("\n") == 1


@pytest.mark.parametrize("words", WITH_ENGINE, ids=" ".join)
def test_the_same_where_the_engine_is_opened(example, words):
    done = command(example, *words, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    assert done.stdout.count("\n") == 1


def test_runs_show(example):
    [run] = as_json(command(example, "runs", "--json"))
    assert (run["feed"], run["status"], run["report"]["landed"], run["report"]["closes"]) == ("debt_to_penny", "ok", 3, True)
    shown = as_json(command(example, "runs", "show", run["run_id"], "--json"))
    assert [request["status"] for request in shown["requests"]] == [200]
    assert shown["books"][0]["counts"]["read"] == 4
    text = command(example, "runs", "show", run["run_id"]).stdout
    assert "api.fiscaldata.treasury.gov" in text


def test_query_formats(example):
    sql = "select date, total from macro.debt_to_penny order by date limit 2"
    rows = [{"date": "2024-01-02", "total": "34001548236762.43"}, {"date": "2024-01-03", "total": "34007110236014.62"}]
    assert as_json(command(example, "query", sql, "--json")) == rows
    assert list(csv.DictReader(io.StringIO(command(example, "query", sql, "--format", "csv").stdout))) == rows
    assert command(example, "query", sql).stdout.splitlines()[0].split() == ["date", "total"]
    arrow = command(example, "query", sql, "--format", "arrow", text=False).stdout
    import pyarrow as pa

    assert pa.ipc.open_stream(arrow).read_all().num_rows == 2
    assert as_json(command(example, "query", "--json", input="select toUInt256('1' || repeat('0', 60)) as n")) == [{"n": 10**60}]


@pytest.mark.parametrize(("sql", "what"), [
    ("drop table macro.debt_to_penny", "a query cannot begin with DROP"),
    ("select * from numbers(20000)", "Limit for result exceeded"),
    ("select * from nowhere.t", "nowhere"),
    ("select file('/etc/passwd')", "reaches outside the tables"),
])
def test_query_refusals(example, sql, what):
    done = command(example, "query", sql, "--json")
    assert done.returncode == 1
    assert what in as_json(done)["error"]["what"]


def test_ddl_is_written_and_checked(example):
    assert command(example, "ddl").returncode == 0
    path = example / "ddl" / "macro.debt_to_penny.sql"
    text = path.read_text()
    assert "CREATE TABLE IF NOT EXISTS `macro`.`debt_to_penny`" in text
    path.write_text(text + "-- changed\n")
    done = command(example, "ddl", "--check")
    assert (done.returncode, done.stdout) == (1, "stale ddl/macro.debt_to_penny.sql\n")
    assert command(example, "ddl").stdout == "wrote ddl/macro.debt_to_penny.sql\n"
    assert command(example, "ddl", "--check").returncode == 0


def test_a_project_is_found_upwards(example):
    assert command(example / "sources.d", "validate-config", "--no-engine").returncode == 0
    assert command("/", "validate-config", "--no-engine", "--project", example).returncode == 0
    assert command("/", "validate-config", "--no-engine", env={"NEXUS_PROJECT": str(example)}).returncode == 0


@pytest.mark.capability("Paging: a feed without the paging of its API", spec="paginate: null")
def test_null_in_a_feed_drops_what_its_api_says(project, api):
    (project.root / "apis.d").mkdir()
    (project.root / "apis.d" / "shop.yaml").write_text(
        f'name: shop\nbase_url: "{api.url}"\npaginate: {{cursor: next, param: after}}\nrate: 120/min\nrecords: rows\n'
    )
    api.body = json.dumps({"rows": [{"id": 1, "v": 1}], "next": "x"}).encode()
    path = project.feed("prices")
    for words, code, asked in (("", 1, ["/prices", "/prices?after=x"]), (", paginate: null, rate: null", 0, ["/prices"])):
        api.asked.clear()
        path.write_text(f"name: prices\nsource: {{api: shop, path: prices{words}}}\nfields: {{id: UInt32, v: Float64}}\ntarget: {{table: t.prices}}\n")
        done = command(project.root, "run", "prices", "--once", env={"NEXUS_ENV": ""})
        assert (done.returncode, api.asked) == (code, asked), done.stderr
        assert command(project.root, "state", "reset", "prices", "--yes").returncode in (0, 1)
        assert command(project.root, "plan", "prices").returncode == 0
