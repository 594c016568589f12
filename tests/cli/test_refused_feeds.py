"""What `validate-config` rejects, no command starts or plans: the same problems with their places, exit code 2, nothing asked."""

import pytest
from cli_projects import as_json, command
from nexus_engine.cli.failures import guarded
from nexus_engine.cli.main import group
from test_service import service

FEED = """\
name: days
source: {{endpoint: "{url}/days", params: {{from: "{{{{ window.start }}}}"}}, records: rows}}
cursor: {{field: day, initial: 2024-01-01, step: 10d}}
archive: true
fields:
  day: Date
  n: {{type: UInt32, sql: "toDate(day, 1, 2)"}}
target: {{table: t.days, key: [day]}}
"""
PLACE = "sources.d/days.yaml:7:26  fields.n.sql  bad-sql  "
RANGE = ("--from", "2024-01-01", "--to", "2024-02-01")
WORDS = [
    ("plan", "days"), ("plan", "days", "--sql"), ("plan", "days", *RANGE), ("plan", "days", *RANGE, "--replace"), ("preview", "days"),
    ("run", "days"), ("run", "days", "--once"), ("run", "days", *RANGE), ("run", "days", *RANGE, "--replace", "--yes"),
    ("run", "days", *RANGE, "--replace"), ("reparse", "days"), ("quarantine", "replay", "days"), ("drift", "days"), ("drift", "days", "--accept"),
    ("ddl", "days"), ("ddl", "days", "--diff"), ("ddl", "days", "--apply"), ("ddl",), ("state", "adopt", "days"), ("validate-config", "days"),
]


@pytest.fixture
def days(project, api, monkeypatch):
    (project.root / "sources.d" / "days.yaml").write_text(FEED.format(url=api.url))
    monkeypatch.chdir(project.root)
    return project.root


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_what_clickhouse_does_not_accept(days, api, capfd, words):
    """It is found only by the embedded engine, which describes the query of the feed."""
    assert guarded(group, list(words)) == 2
    told = "".join(capfd.readouterr())
    assert told.count(PLACE) == 1 and "Expected 1 mandatory argument" in told, told
    assert told.count("^\n") == 1, "the line, with a caret under the column"
    assert api.asked == [] and not (days / "data" / "state.db").exists()


def test_it_is_a_problem_of_the_feeds_test_too(days, api):
    (days / "sources.d" / "days.test.yaml").write_text("recording: recordings/days\n")
    done = command(days, "test")
    assert (done.returncode, api.asked) == (1, [])
    assert PLACE in done.stdout


def test_a_broken_sink_has_its_problem_and_no_default_takes_its_place(project, api):
    project.feed("prices")
    (project.root / "sinks.d").mkdir()
    (project.root / "sinks.d" / "clickhouse.yaml").write_text("name: clickhouse\ndriver: embedded\ntimeuot: 5s\n")
    for words in (("plan", "prices"), ("run", "prices", "--once"), ("validate-config", "prices")):
        done = command(project.root, *words)
        assert done.returncode == 2, words
        assert "sinks.d/clickhouse.yaml:3:1  timeuot  unknown-key" in done.stdout + done.stderr
    assert api.asked == []


def test_validate_config_of_one_feed_tells_the_secrets_of_its_api_that_it_uses(project, api):
    (project.root / "apis.d").mkdir()
    (project.root / "apis.d" / "shop.yaml").write_text(
        f'name: shop\nbase_url: "{api.url}"\n'
        'credentials:\n  one: {bearer: "{{ secrets.SHOP_ONE }}"}\n  two: {bearer: "{{ secrets.SHOP_TWO }}"}\n'
    )
    path = project.feed("prices")
    path.write_text(path.read_text().replace(f'endpoint: "{api.url}/prices"', "api: shop, path: prices, credential: two"))
    for words in (("validate-config", "prices"), ("run", "prices", "--once")):
        done = command(project.root, *words)
        told = done.stdout + done.stderr
        assert (done.returncode, told.count("secret-missing")) == (2, 1), told
        assert "apis.d/shop.yaml:5:21  credentials.two.bearer  secret-missing  the secret SHOP_TWO is not set" in told
    for words in (("validate-config", "prices", "--no-secrets"), ("validate-config", "--no-secrets"), ("plan", "prices")):
        assert command(project.root, *words).returncode == 0, words
    assert command(project.root, "run", "prices", "--once", env={"SHOP_TWO": "x"}).returncode == 0
    assert api.asked == ["/prices"]


def test_of_all_feeds_the_others_run(days, api, project):
    project.feed("good")
    done = command(days, "run", "--once", "--json")
    assert [report["feed"] for report in as_json(done)["runs"]] == ["good"]
    assert PLACE in done.stderr and "the 1 other feed(s) run" in done.stderr
    assert api.asked == ["/good"]


def test_a_service_keeps_the_version_before_and_refuses_the_broken_one_by_name(project, api):
    path = project.feed("prices", "{every: 1h}")
    with service(project.root) as running:
        running.wait("RunFinished", "prices", status="ok")
        path.write_text(path.read_text().replace("v: Float64", 'v: {type: Float64, sql: "toDate(id, 1, 2)"}'))
        [event] = running.wait("FeedLoaded", "prices", change="broken")
        assert "bad-sql" in event["message"] and "goes on with the version before" in event["message"]
        asked = list(api.asked)
        done = command(project.root, "run", "prices", "--once")
        assert done.returncode == 2 and "fields.v.sql  bad-sql" in done.stderr
        assert api.asked == asked
        running.stop()
