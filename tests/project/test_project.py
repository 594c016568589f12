"""A project's files: defaults, environments, secrets, and problems as data."""

import pickle

import pytest

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.project.project import Project
from nexus_engine.project.secrets import Secrets, read_env_file

FEED = """\
name: {name}
source:
  endpoint: https://api.example.com/x
  params: {{key: "{{{{ secrets.EXAMPLE_KEY }}}}"}}
fields: {{a: String}}
target: {{table: db.{name}}}
"""


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_an_empty_folder_is_a_project(tmp_path, registry):
    project = Project.load(tmp_path, None, registry=registry)
    assert (project.problems, project.data_dir, project.sink, project.concurrency) == ((), tmp_path / "data", "clickhouse", 4)
    assert project.sinks["clickhouse"].plugin == "clickhouse"
    assert project.feeds() == []
    assert load_feeds(project, registry).problems == []


def test_an_environment_replaces_settings_and_no_feed_is_edited(tmp_path, registry, monkeypatch):
    write(
        tmp_path,
        {
            "nexus.yaml": "data_dir: d\nvars: {a: one, b: two}\nretry: {attempts: 3}\nlimits: {max_body: 1MB}\n"
            "environments:\n  prod: {sink: server, vars: {a: three}, timeout: 5s, base_urls: {'https://x.org': 'http://127.0.0.1:9'}}\n",
            "sinks.d/server.yaml": "name: server\nplugin: clickhouse\ndriver: embedded\n",
        },
    )
    plain = Project.load(tmp_path, "", registry=registry)
    assert (plain.sink, plain.vars, plain.data_dir, plain.defaults.retry.attempts) == ("clickhouse", {"a": "one", "b": "two"}, tmp_path / "d", 3)
    assert plain.defaults.max_body == 1_000_000
    prod = Project.load(tmp_path, "prod", registry=registry)
    assert (prod.env, prod.sink, prod.vars, prod.base_urls) == ("prod", "server", {"a": "three", "b": "two"}, {"https://x.org": "http://127.0.0.1:9"})
    assert float(prod.defaults.timeout) == 5
    monkeypatch.setenv("NEXUS_ENV", "prod")
    assert Project.load(tmp_path, None, registry=registry).env == "prod"
    wrong = Project.load(tmp_path, "prd", registry=registry)
    assert [(p.code, p.suggestion) for p in wrong.problems] == [("unknown-name", "did you mean `prod`?")]


def test_every_file_is_checked_and_positioned(tmp_path, registry):
    write(
        tmp_path,
        {
            "nexus.yaml": "data_dir: data\nsnik: x\n",
            "apis.d/good.yaml": "name: good\nbase_url: https://api.example.com\nrate: 10/s\n",
            "apis.d/bad.yaml": "name: bad\nbase_url: https://api.example.com\nrat: 10/s\n",
            "apis.d/odd.yaml": "name: even\nbase_url: https://api.example.com\n",
            "sinks.d/other.yaml": "name: other\nplugin: clickhuse\n",
        },
    )
    project = Project.load(tmp_path, "", registry=registry)
    found = [(p.file.rsplit("/", 2)[-2:], p.line, p.code, p.suggestion) for p in project.problems]
    assert [(file[-1], line, code) for file, line, code, _ in found] == [
        ("nexus.yaml", 2, "unknown-key"), ("bad.yaml", 3, "unknown-key"), ("odd.yaml", 1, "file-name"), ("other.yaml", 2, "unknown-name"),
    ]  # fmt: skip
    assert found[1][3] == "did you mean `rate`?"
    assert found[3][3] == "did you mean `clickhouse`?"
    assert set(project.apis) == {"good"}
    assert project.broken == {"apis.d/bad", "apis.d/odd", "sinks.d/other"}


def test_the_api_is_merged_under_the_feed(tmp_path, registry):
    write(
        tmp_path,
        {
            "apis.d/example.yaml": "name: example\nbase_url: https://api.example.com\nparams: {a: '1', b: '2'}\nheaders: {X: y}\nrate: 10/s\nrecords: data\nformat: json\n",
            "sources.d/one.yaml": "name: one\nsource: {api: example, path: x, params: {b: '3'}, rate: 5/s}\nfields: {a: String}\ntarget: {table: db.one}\n",
            "sources.d/two.yaml": "name: two\nsource: {api: example, path: y, records: rows}\nfields: {a: String}\ntarget: {table: db.two, sink: clickhouse}\n",
        },
    )
    loaded = load_feeds(Project.load(tmp_path, "", registry=registry), registry)
    assert loaded.problems == []
    one, two = loaded.specs["one"].source, loaded.specs["two"].source
    assert one.options == {"base_url": "https://api.example.com", "path": "x", "params": {"a": "1", "b": "3"}, "headers": {"X": "y"}, "rate": "5/s"}
    assert (one.records, two.records, one.format) == ("data", "rows", "json")
    assert loaded.plans["one"].spec_file.endswith("sources.d/one.yaml")


def test_a_broken_api_is_told_once_and_takes_only_its_feeds(tmp_path, registry):
    write(
        tmp_path,
        {
            "apis.d/example.yaml": "name: example\nbase_url: https://api.example.com\nrat: 10/s\n",
            "sources.d/one.yaml": "name: one\nsource: {api: example, path: x}\nfields: {a: String}\ntarget: {table: db.one}\n",
            "sources.d/two.yaml": "name: two\nsource: {endpoint: https://x.org}\nfields: {a: String}\ntarget: {table: db.two}\n",
            "sources.d/three.yaml": "name: three\nsource: {api: exmple, path: x}\nfields: {a: String}\ntarget: {table: db.three}\n",
        },
    )
    loaded = load_feeds(Project.load(tmp_path, "", registry=registry), registry)
    assert set(loaded.plans) == {"two"}
    assert [(p.file.rsplit("/", 1)[-1], p.path, p.code) for p in loaded.problems] == [
        ("example.yaml", "rat", "unknown-key"), ("three.yaml", "source.api", "unknown-name"),
    ]  # fmt: skip


def test_missing_secrets_are_problems_and_leave_the_plan(tmp_path, registry, monkeypatch):
    monkeypatch.delenv("EXAMPLE_KEY", raising=False)
    write(tmp_path, {"sources.d/one.yaml": FEED.format(name="one")})
    project = Project.load(tmp_path, "", registry=registry)
    loaded = load_feeds(project, registry)
    assert [(p.line, p.code) for p in loaded.problems] == [(4, "secret-missing")]
    assert "EXAMPLE_KEY" in loaded.problems[0].suggestion
    assert (set(loaded.plans), loaded.unset, loaded.invalid) == ({"one"}, {"one": ("EXAMPLE_KEY",)}, [])
    assert load_feeds(project.for_replay(), registry).problems == []
    (tmp_path / ".env").write_text("EXAMPLE_KEY=abc\n")
    assert load_feeds(Project.load(tmp_path, "", registry=registry), registry).problems == []
    monkeypatch.setenv("EXAMPLE_KEY", "from the environment")
    assert Project.load(tmp_path, "", registry=registry).secrets("EXAMPLE_KEY").reveal() == "from the environment"


def test_files_that_are_no_feeds_and_names_that_differ(tmp_path, registry, monkeypatch):
    monkeypatch.setenv("EXAMPLE_KEY", "k")
    write(
        tmp_path,
        {
            "sources.d/one.yaml": FEED.format(name="one"),
            "sources.d/one.test.yaml": "recording: r\n",
            "sources.d/.one.yaml.swp": "x",
            "sources.d/two.yaml": FEED.format(name="one"),
            "sources.d/three.yml": FEED.format(name="three"),
            "sources.d/four.yaml": "name: four\nsource: [",
        },
    )
    loaded = load_feeds(Project.load(tmp_path, "", registry=registry), registry)
    assert set(loaded.plans) == {"one"}
    assert sorted((p.file.rsplit("/", 1)[-1], p.code) for p in loaded.problems) == [
        ("four.yaml", "yaml-syntax"), ("three.yml", "file-name"), ("two.yaml", "file-name"),
    ]  # fmt: skip


def test_what_the_compiler_finds_gets_its_place(tmp_path, registry):
    feed = "name: one\nsource: {endpoint: https://x.org}\nfields:\n  a: Float64\n  b:\n    type: Float64\n    sql: noSuchFunction(a)\ntarget: {table: db.one}\n"
    write(tmp_path, {"sources.d/one.yaml": feed})
    loaded = load_feeds(Project.load(tmp_path, "", registry=registry), registry)
    assert [(p.line, p.path) for p in loaded.problems] == [(7, "fields.b.sql")]
    assert loaded.plans == {}


def test_a_plugin_that_did_not_load_is_named_with_its_reason(tmp_path):
    registry = build_registry(extra=["no_such_module_at_all"])
    write(tmp_path, {"sources.d/one.yaml": "name: one\nsource: {plugin: no_such_module_at_all}\nfields: {a: String}\ntarget: {table: db.one}\n"})
    loaded = load_feeds(Project.load(tmp_path, "", registry=registry), registry)
    assert [p.code for p in loaded.problems] == ["plugin-failed"]
    assert "ModuleNotFoundError" in loaded.problems[0].message


def test_env_file(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# comment\nA=1\nexport B='two words'\nC=\"x=y\"\n D = d # said\nbroken\nE=\n$F=1\n")
    assert read_env_file(path) == {"A": "1", "B": "two words", "C": "x=y", "D": "d", "E": ""}
    assert read_env_file(tmp_path / "none") == {}


def test_secrets_are_asked_for_by_name():
    secrets = Secrets({"A": "from file", "B": "b"}, {"A": "from env", "HOME": "/root"})
    assert secrets("A").reveal() == "from env"
    assert secrets["HOME"].reveal() == "/root"
    assert "NOPE" not in secrets and list(secrets) == ["A", "B"]
    assert {secret.name for secret in secrets.known()} == {"A", "B", "HOME"}
    with pytest.raises(KeyError):
        secrets("NOPE")
    assert secrets.for_replay()("NOPE").reveal() == "placeholder-NOPE"
    assert "from" not in repr(secrets) + repr(dict(secrets)) + str(pickle.dumps(dict(secrets)))


def test_the_address_of_an_api_is_judged_in_its_file_and_its_rules_are_no_mistake_of_a_feed(tmp_path, registry):
    api = "name: x\nbase_url: {url}\nerrors: [{{status: 413, then: smaller_page}}]\n"
    feed = "name: a\nsource: {api: x, path: b}\nfields: {a: String}\ntarget: {table: t.a}\n"
    write(tmp_path, {"apis.d/x.yaml": api.format(url="htp://x.org"), "sources.d/a.yaml": feed})
    [problem] = Project.load(tmp_path, None, registry=registry).problems
    assert (problem.path, problem.line, problem.code) == ("base_url", 2, "wrong-value")
    assert problem.message == "expected a URL of http or https, like https://api.example.com/v1"
    write(tmp_path, {"apis.d/x.yaml": api.format(url='"https://{{ vars.host }}/v1"'), "nexus.yaml": "vars: {host: x.org}\n"})
    project = Project.load(tmp_path, None, registry=registry)
    assert (*project.problems, *load_feeds(project, registry).problems) == ()
