"""The checked-in schemas are what the installed types give, are schemas, and accept the shipped files."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from nexus_engine.compile.rules import BATCH_RULES, ROW_RULES, rule_name
from nexus_engine.contract.registry import build_registry
from nexus_engine.spec import schema
from nexus_engine.spec.rules import RULES, known_names, short_name
from nexus_engine.spec.typeschema import expected

ROOT = Path(__file__).parents[2]
FILES = [
    *((path, "test" if path.name.endswith(".test.yaml") else "source") for path in sorted(ROOT.glob("sources.d/*.yaml"))),
    *((path, "api") for path in sorted(ROOT.glob("apis.d/*.yaml"))),
    *((path, "sink") for path in sorted(ROOT.glob("sinks.d/*.yaml"))),
    (ROOT / "nexus.yaml", "project"),
]


def test_checked_in_schemas_are_fresh():
    assert schema.stale(ROOT / "schemas", build_registry()) == [], "run: nexus-engine schema"


def test_writing_twice_writes_once(tmp_path):
    registry = build_registry()
    assert len(schema.write(tmp_path, registry)) == 5
    assert schema.write(tmp_path, registry) == []
    (tmp_path / "api.schema.json").write_text("{}")
    assert schema.stale(tmp_path, registry) == ["api.schema.json"]


def test_they_are_schemas_of_draft_2020_12_with_descriptions():
    for generated in schema.generate(build_registry()).values():
        assert generated["$schema"] == schema.DRAFT
        jsonschema.Draft202012Validator.check_schema(generated)
        for name, below in generated["properties"].items():
            assert below.get("description") or name in ("cursor", "target", "source"), name


@pytest.mark.parametrize(("path", "kind"), FILES, ids=lambda value: getattr(value, "name", value))
def test_an_editor_finds_nothing_wrong_with_shipped_files(path, kind):
    text = path.read_text()
    data = json.loads(json.dumps(yaml.load(text, Loader=yaml.BaseLoader if kind == "x" else yaml.SafeLoader), default=str))
    checker = jsonschema.Draft202012Validator(schema.generate(build_registry())[f"{kind}.schema.json"])
    assert [(list(error.absolute_path), error.validator) for error in checker.iter_errors(data)] == []


def test_an_editor_sees_a_misspelt_option():
    checker = jsonschema.Draft202012Validator(schema.generate(build_registry())["source.schema.json"])
    feed = {"name": "x", "source": {"endpont": "https://x"}, "fields": {"a": "Date"}, "target": {"table": "a.b"}}
    assert [list(error.absolute_path) for error in checker.iter_errors(feed)] == [["source"]]


def test_rule_names_are_the_compilers():
    assert set(RULES) == {*ROW_RULES, *BATCH_RULES}
    assert {name: short_name(name) for name in known_names()} == {name: rule_name(name) for name in known_names()}


def test_option_rows_describe_every_option():
    rows = schema.option_rows(build_registry().sources["http"].cls.options)
    assert all(key and what and description for key, what, _, description in rows)
    assert expected({"type": ["string"], "pattern": "x", "patternErrorMessage": "expected a rate"}) == "a rate"
