"""For every key of the generated source schema: missing, misspelt by one edit, wrong type, given twice. Each is exactly one
problem, on that key's line, with the right suggestion where there is one."""

import copy

import pytest
from spec_material import edited, keys, line_of, places, registry, required, schema_at, text_of, variants

from nexus_engine.spec.files import ApiFile
from nexus_engine.spec.loader import load_text
from nexus_engine.spec.spelling import distance


class Surroundings:
    """The part of a project that a feed may refer to."""

    vars = {"place": "here"}
    secrets = {}
    apis = {"example": ApiFile(name="example", base_url="https://api.example.com")}
    sinks = {"clickhouse": None}
    sink = "clickhouse"
    broken = frozenset()


def problems_of(text):
    return load_text(text, file="feed.yaml", registry=registry(), project=Surroundings()).problems


def the_one(text):
    problems = problems_of(text)
    assert len(problems) == 1, "\n".join(map(str, problems)) + "\n" + text
    problem = problems[0]
    assert problem.file == "feed.yaml" and problem.col >= 1 and problem.message and problem.code
    return problem


def test_the_feeds_themselves_are_sound():
    for feed in variants():
        text, _ = text_of(feed)
        loaded = load_text(text, file="feed.yaml", registry=registry(), project=Surroundings())
        assert loaded.problems == [], text
        assert loaded.spec is not None


def test_every_key_of_the_schema_stands_in_one_of_them():
    assert [path for path in keys() if not any(True for _ in places(path))] == []


def alone(path):
    """Whether it is the only key of its mapping: without it, nothing is there to be reported."""
    return len(path) > 1 and len(schema_at(path[:-1]).get("properties", {})) == 1


@pytest.mark.parametrize("path", [path for path in keys() if required(path) and not alone(path)], ids=".".join)
def test_missing(path):
    for feed, real in places(path):
        broken = edited(feed, real, lambda node, key: {name: value for name, value in node.items() if name != key} or {"description": "x"})
        text, lines = text_of(broken)
        problem = the_one(text)
        assert problem.code == "missing-key"
        assert f"`{path[-1]}`" in problem.message
        if len(real) > 1:
            parent = line_of(lines, real[:-1]) if real[:-1] in lines else next(n for n, p in enumerate(lines, 1) if p and p[: len(real) - 1] == real[:-1])
            assert problem.line == parent
        else:
            assert problem.line == 1


def misspellings(word, known):
    """One-edit mistakes of a word that are no other key, and nearer to it than to any other key."""
    letters = "xq_"
    edits = {word[:i] + word[i + 1 :] for i in range(len(word))}
    edits |= {word[:i] + c + word[i:] for i in range(len(word) + 1) for c in letters}
    edits |= {word[:i] + c + word[i + 1 :] for i in range(len(word)) for c in letters}
    edits |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    others = [name for name in known if name != word]
    found = sorted(e for e in edits if e and e not in known and all(distance(e, name, 2) > 1 for name in others))
    return found[:: len(found) // 20 + 1]  # about twenty, spread over all of them


def known_beside(path):
    if len(path) == 1:
        return [key[0] for key in keys() if len(key) == 1]
    return [key[-1] for key in keys() if len(key) == len(path) and key[:-1] == path[:-1]]


@pytest.mark.parametrize("path", keys(), ids=".".join)
def test_misspelt_by_one_edit(path):
    wrong_words = misspellings(path[-1], known_beside(path))
    assert wrong_words, f"every misspelling of {path[-1]} is near another key"
    for number, (feed, real) in enumerate(places(path)):
        for wrong in wrong_words if number == 0 else wrong_words[:2]:
            broken = edited(feed, real, lambda node, key, wrong=wrong: {(wrong if name == key else name): value for name, value in node.items()})
            text, lines = text_of(broken)
            problem = the_one(text)
            assert problem.code == "unknown-key", text
            assert problem.line == line_of(lines, (*real[:-1], wrong))
            assert problem.suggestion == f"did you mean `{path[-1]}`?", (wrong, problem.suggestion)


def wrong_types(schema):
    types = schema.get("type", [])
    if not types:
        return
    if "object" not in types:
        yield {"a": {"b": "c"}}
    if "array" not in types:
        yield [["a"]]
    if "string" not in types:
        yield "text"
    elif "pattern" in schema:
        yield "?!"


@pytest.mark.parametrize("path", keys(), ids=".".join)
def test_wrong_type(path):
    schema = schema_at(path)
    for feed, real in places(path):
        for value in wrong_types(schema):
            broken = edited(feed, real, lambda node, key, value=value: {**node, key: value})
            text, lines = text_of(broken)
            problem = the_one(text)
            assert problem.line == line_of(lines, real), f"{problem}\n{text}"
            assert problem.code in ("wrong-type", "wrong-value")
            assert "?!" not in problem.message


@pytest.mark.parametrize("path", keys(), ids=".".join)
def test_given_twice(path):
    for feed, real in places(path):
        broken = edited(feed, real, lambda node, key: {**node, key + "\0": copy.deepcopy(node[key])})
        text, lines = text_of(broken)
        problem = the_one(text)
        assert problem.code == "yaml-duplicate"
        assert problem.line == line_of(lines, real, 2)


TWELVE = """\
name: twelve
descripton: one
enabled: perhaps
source:
  endpoint: https://api.example.com/x
  params: {a: "{{ each.serie }}", b: "{{ vars.nothing }}"}
  each: {series: [A, B]}
  recrods: rows
  rate: 120 a minute
schedule: {cron: "0 25 * * *", timezone: America/New_Yorc}
cursor: {field: dat, lookback: 30 days}
fields:
  date: Date
  value: Flaot64
target: {table: macro, key: [date]}
"""


def test_a_spec_with_twelve_mistakes_reports_twelve():
    problems = problems_of(TWELVE)
    assert [(p.line, p.path) for p in problems] == [
        (2, "descripton"), (3, "enabled"), (6, "source.params.a"), (6, "source.params.b"), (8, "source.recrods"), (9, "source.rate"),
        (10, "schedule.cron"), (10, "schedule.timezone"), (11, "cursor.field"), (11, "cursor.lookback"), (14, "fields.value"),
        (15, "target.table"),
    ], "\n".join(map(str, problems))  # fmt: skip
