"""What people and programs see: one line per problem, the line of the file with a caret, no value of a secret."""

import json

import pytest
from spec_material import registry
from test_broken_specs import Surroundings

from nexus_engine.spec.loader import load_text
from nexus_engine.spec.problems import Problem, mask_secrets, path_text, render, to_json
from nexus_engine.spec.spelling import distance, nearest

HEAD = "name: x\nsource: {endpoint: 'https://x.org', each: {s: [A, B]}}\ncursor: {field: d, initial: 2020-01-01}\n"
TAIL = "fields: {d: Date, v: Float64}\ntarget: {table: a.b, key: d}\n"

MISTAKES = [  # (what replaces or follows the sound feed, path, code, word in message or suggestion)
    ("schedule: {cron: '0 9 * *'}", "schedule.cron", "wrong-value", "five cron fields"),
    ("schedule: {cron: '0 9 * * *', every: 15m}", "schedule.every", "exclusive", "only one"),
    ("schedule: {timezone: UTC}", "schedule", "missing-key", "one of"),
    ("schedule: streem", "schedule", "wrong-value", "did you mean `stream`?"),
    ("validate: [{expect: betwen, field: v, min: 1}]", "validate[0].expect", "unknown-name", "did you mean `between`?"),
    ("validate: [{expect: in_set, field: v}]", "validate[0].values", "missing-key", "needs `values`"),
    ("validate: [{expect: between, field: v}]", "validate[0].min", "missing-key", "`min` or `max`"),
    ("validate: [{expect: not_null, field: vv}]", "validate[0].field", "unknown-name", "did you mean `v`?"),
    ("validate: [{expect: not_null, field: v, max: 3}]", "validate[0].max", "exclusive", "does not fit"),
    ("validate: [{expect: unique, fields: [d, w]}]", "validate[0].fields[1]", "unknown-name", "no such field"),
    ("validate: [{expect: not_null, field: v, severity: wran}]", "validate[0].severity", "wrong-value", "did you mean `warn`?"),
    ("validate: [{expect: not_null, field: v, mostly: 1.5}]", "validate[0].mostly", "wrong-value", "expected a number of at most 1"),
    ("transform: [{sql: SELECT 1, plugin: shout}]", "transform[0].plugin", "exclusive", "only one"),
    ("transform: [{plugin: shuot}]", "transform[0].plugin", "unknown-name", "did you mean `shout`?"),
    ("transform: [{plugin: shout, lod: true}]", "transform[0].lod", "unknown-key", "did you mean `loud`?"),
    ("max_refused: 2", "max_refused", "wrong-value", "expected a number of at most 1"),
    ("archive: {keep: 0s}", "archive.keep", "wrong-value", "more than no time"),
    ("archive: {kep: 1d}", "archive.kep", "unknown-key", "did you mean `keep`?"),
    ("archive: {max_size: 1}", "archive.max_size", "wrong-value", "a size like"),
    ("archive: sometimes", "archive", "wrong-value", "true or false or a mapping"),
    ("description: '{{ vars.x }}'", None, None, None),
]

FIELDS = [
    ("{type: Float64, from: v, sql: d + 1}", "fields.v.sql", "exclusive", "only one"),
    ("{type: Float64, from: each.t}", "fields.v.from", "unknown-name", "did you mean `each.s`?"),
    ("{type: Float64, from: run.startedat}", "fields.v.from", "unknown-name", "did you mean `run.started_at`?"),
    ("{type: Float64, from: 'a..b'}", "fields.v.from", "path", "character"),
    ("{type: Float64, from: 'a[].b'}", "fields.v.from", "path", "only `records` goes over a list with [] (at character 2)"),
    ("{type: Float64, from: 'a[b=].c[x'}", "fields.v.from", "path", "a number or member=text and ] must follow [ at character 8"),
    ("Flaot64", "fields.v", "type", "Float64"),
    ("{type: Float64, value: '{{ each.ss }}'}", "fields.v.value", "template-name", "did you mean `each.s`?"),
    ("{type: Float64, value: '{{ secrets.K }}'}", "fields.v.value", "template-name", "not known in this place"),
    ("{type: Float64, value: '{{ vars.plce }}'}", "fields.v.value", "template-name", "did you mean `vars.place`?"),
    ("{type: Float64, value: '{{ each.s | uper }}'}", "fields.v.value", "template", "there is no filter `uper`did you mean `upper`?"),
    ("{type: '{{ vars.place }}'}", "fields.v.type", "template-place", "not read in this place"),
    ("{type: Float64, from: '{{ each.s }}'}", "fields.v.from", "template-place", "not read in this place"),
]

SOURCES = [
    ("{endpoint: 'https://x.org', plugin: htp}", "source.plugin", "unknown-name", "did you mean `http`?"),
    ("{api: exampel, path: x}", "source.api", "unknown-name", "did you mean `example`?"),
    ("{endpoint: 'https://x.org', format: jsn}", "source.format", "unknown-name", "did you mean `json`?"),
    ("{endpoint: 'https://x.org', format: {json: {x: 1}}}", "source.format.json.x", "unknown-key", "not known"),
    ("{endpoint: 'https://x.org', records: {path: a, zip: true, one: true}}", "source.records.one", "exclusive", "only one"),
    ("{endpoint: 'https://x.org', records: 'a['}", "source.records", "path", "character"),
    ("{endpoint: 'https://x.org', records: 'a[].b[x]'}", "source.records", "path", "a number or nothing and ] must follow [ at character 6"),
    ("{endpoint: 'https://x.org', records: 'a.{b'}", "source.records", "path", "a name and } must follow { at character 3"),
    ("{endpoint: 'https://x.org', records: '{b}.{b}[]'}", "source.records", "path", "stands in it twice"),
    ("{endpoint: 'https://x.org', records: 'a[b=c].d[]'}", "source.records", "path", "only a field can pick from a list with [b=c] (at character 2)"),
    ("{endpoint: 'https://x.org', records: {path: 'a[]', one: true}}", "source.records.one", "exclusive", "is for a path without"),
    ("{endpoint: 'https://x.org', records: {path: 'a[]', except: [b]}}", "source.records.except", "exclusive", "leaves keys out of the one object"),
    ("{endpoint: 'https://x.org', records: {path: 'a.{k}', by: k}}", "source.records.by", "wrong-value", "has this name already"),
    ("{endpoint: 'https://x.org', records: {path: a, exept: [b]}}", "source.records.exept", "unknown-key", "did you mean `except`?"),
    ("{endpoint: 'https://x.org', paginate: {cursor: 'a[]', param: p}}", "source.paginate", "wrong-value", "only records goes over a list with []"),
    ("{endpoint: 'https://x.org', auth: {haeder: {X: y}}}", "source.auth.haeder", "unknown-name", "did you mean `header`?"),
    ("{endpoint: 'https://x.org', auth: {basic: {usrname: y}}}", "source.auth.basic.usrname", "unknown-key", "did you mean `username`?"),
    ("{endpoint: 'https://x.org', auth: {oauth2: {token_url: 'https://x.org/t', grant: refresh_token}}}", "source.auth.oauth2.refresh_token", "plugin-option", "needs"),
    ("{endpoint: 'https://x.org', auth: {oauth2: {token_url: 'https://x.org/t', grant: pasword}}}", "source.auth.oauth2.grant", "wrong-value", "`password`"),
    ("{endpoint: 'https://x.org', auth: {login: {url: 'https://x.org/t', token: a, cookies: b}}}", "source.auth.login", "plugin-option", "exactly one"),
    ("{endpoint: 'ftp://x.org/a'}", "source.endpoint", "wrong-value", "a URL of http or https"),
    ("{endpoint: '127.0.0.1/a'}", "source.endpoint", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'https:///a'}", "source.endpoint", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'x.org/{{ vars.place }}'}", "source.endpoint", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'ftp://{{ vars.place }}'}", "source.endpoint", "wrong-value", "a URL of http or https"),
    ("{base_url: 'htp://x.org', path: a}", "source.base_url", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'https://x.org', each: {s: {request: {endpoint: x.org}, column: a}}}", "source.each.s.request.endpoint", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'https://x.org', auth: {login: {url: x.org/login, token: a}}}", "source.auth.login.url", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'https://x.org', auth: {oauth2: {token_url: 'x.org:443/token'}}}", "source.auth.oauth2.token_url", "wrong-value", "a URL of http or https"),
    ("{endpoint: 'https://x.org', auth: {login: {url: 'https://x.org/t', token: data..token}}}", "source.auth.login.token", "plugin-option", "not a path: a name is missing at character 6"),
    ("{endpoint: 'https://x.org', auth: {oauth2: {token_url: 'https://x.org/t', client_id: c, token: 'a..b'}}}", "source.auth.oauth2.token", "plugin-option", "not a path: a name is missing at character 3"),
    ("{endpoint: 'https://x.org', errors: [{path: a}, {status: 413, then: smaller_page}]}", "source.errors[1].then", "plugin-option", "needs `paginate.limit`"),
    ("{endpoint: 'https://x.org', paginate: {page: p}, errors: [{status: 413, then: smaller_page}]}", "source.errors[0].then", "plugin-option", "needs `paginate.limit`"),
    ("{endpoint: 'https://x.org', errors: [{status: 700}]}", "source.errors[0].status", "wrong-value", "a whole number of at most 599"),
    ("{endpoint: 'https://x.org', errors: [{path: a, equals: '{{ vars.place }}'}, {status: 700}]}", "source.errors[1].status", "wrong-value", "a whole number of at most 599"),
    ("{endpoint: 'https://x.org', paginate: {cursor: next}}", "source.paginate", "wrong-value", "param goes with"),
    ("{endpoint: 'https://x.org', paginate: {keyset: {from: id}}}", "source.paginate.keyset", "wrong-value", "exactly one"),
    ("{endpoint: 'https://x.org', paginate: {page: p, stop_when: short_pge}}", "source.paginate.stop_when", "wrong-value", "`short_page`"),
    ("{endpoint: 'https://x.org', errors: [{status: 403, then: notyet}]}", "source.errors[0].then", "wrong-value", "`not_yet`"),
    ("{endpoint: 'https://x.org', errors: [{path: a, after: 3s}]}", "source.errors[0]", "wrong-value", "retry"),
    ("{endpoint: 'https://x.org', errors: [{status: 403, older_than: soon}]}", "source.errors[0].older_than", "wrong-value", "a duration like"),
    ("{endpoint: 'https://x.org', errors: [{status: 404}, {status: 403, older_than: 3d}]}", "source.errors[1].older_than", "plugin-option", "this feed has no `cursor`"),
    ("{endpoint: 'https://x.org', each: {s: []}}", "source.each.s", "wrong-value", "at least one"),
    ("{endpoint: 'https://x.org', each: {s: [A, A]}}", "source.each.s[1]", "wrong-value", "already"),
    ("{endpoint: 'https://x.org', rate: '{{ vars.plase }}'}", "source.rate", "template-name", "did you mean `vars.place`?"),
    ("{endpoint: 'https://x.org', rate: '{{ secrets.R }}'}", "source.rate", "secret-place", "may not stand here"),
    ("{endpoint: 'https://x.org', params: {'{{ each.s }}': 1}}", 'source.params."{{ each.s }}"', "template-place", "keys are not rendered"),
    ("{endpoint: 'https://x.org', params: {a: '{{ vars.place }}'}, paginate: {page: p, next: n}}", "source.paginate", "wrong-value", "exactly one"),
    ("{endpoint: 'https://x.org', params: {a: '{{ vars.place }}'}, errors: [{then: fail}]}", "source.errors[0]", "wrong-value", "needs"),
    ("{each: {s: [A]}}", "source", "plugin-option", "endpoint"),
    ("{endpoint: 'https://x.org', format: {csv: {delimiter: ';;'}}}", "source.format.csv.delimiter", "wrong-value", "expected text of at most 1 character"),
    ("{endpoint: 'https://x.org', format: {csv: {skip: -1}}}", "source.format.csv.skip", "wrong-value", "a whole number of at least 0"),
    ("{endpoint: 'https://x.org', format: {csv: {header: a, columns: [a]}}}", "source.format.csv", "wrong-value", "without the header line"),
    ("{endpoint: 'https://x.org', format: {fwf: {columns: {a: {start: 1}, b: {start: 2}}}}}", "source.format.fwf.columns", "plugin-option", "has no `width`"),
    ("{endpoint: 'https://x.org', concurrency: 0}", "source.concurrency", "wrong-value", "expected a whole number of at least 1"),
    ("{endpoint: 'https://x.org', quota: [[1]]}", "source.quota[0]", "wrong-type", "a quota like 1000/day or 100000/month, found a list"),
    ("{endpoint: 'https://x.org', retry: {attempts: 1.5}}", "source.retry.attempts", "wrong-value", "expected a whole number"),
    ("{endpoint: 'https://x.org', paginate: {limit: {size: 0}}}", "source.paginate.limit.param", "missing-key", "`param`"),
]


def problems_of(text):
    return load_text(text, file="x.yaml", registry=registry(), project=Surroundings()).problems


def check(text, path, code, word):
    problems = problems_of(text)
    if path is None:
        assert all(p.code == "template-place" for p in problems), render(problems)
        return
    assert [(p.path, p.code) for p in problems] == [(path, code)], render(problems)
    assert word in problems[0].message + problems[0].suggestion
    assert problems[0].source_line


@pytest.mark.parametrize(("extra", "path", "code", "word"), MISTAKES)
def test_mistakes_of_a_feed(extra, path, code, word):
    check(HEAD + TAIL + extra + "\n", path, code, word)


@pytest.mark.parametrize(("field", "path", "code", "word"), FIELDS)
def test_mistakes_of_a_field(field, path, code, word):
    check(HEAD + f"fields:\n  d: Date\n  v: {field}\ntarget: {{table: a.b, key: d}}\n", path, code, word)


@pytest.mark.parametrize(("sql", "fits"), [
    ("(" * 50 + "1" + ")" * 50, True), ("(" * 51 + "1" + ")" * 51, False), ("1" + " " * 19_999, True), ("1" + " " * 20_000, False),
])  # fmt: skip
def test_sql_of_a_field_has_an_end(sql, fits):
    feed = HEAD + f"fields:\n  d: Date\n  v: {{type: UInt8, sql: '{sql}'}}\ntarget: {{table: a.b, key: d}}\n"
    if fits:
        assert problems_of(feed) == []
    else:
        check(feed, "fields.v.sql", "too-deep", "50 brackets deep and 20000 characters long")


@pytest.mark.parametrize(("source", "path", "code", "word"), SOURCES)
def test_mistakes_of_a_source(source, path, code, word):
    check(f"name: x\nsource: {source}\nfields: {{d: Date}}\ntarget: {{table: a.b}}\n", path, code, word)


RIGHT = [
    "{endpoint: '{{ vars.place }}/a'}",
    "{endpoint: 'http{{ vars.place }}'}",
    "{endpoint: 'HTTPS://{{ vars.place }}.org:8080/a?b=ftp://c'}",
    "{endpoint: 'https://x.org', auth: {login: {url: 'https://{{ vars.place }}/t', token: '{{ vars.place }}'}}}",
    "{endpoint: 'https://x.org', paginate: {page: p, limit: {param: n, size: 10}}, errors: [{status: 413, then: smaller_page}]}",
    "{endpoint: 'https://x.org', format: {fwf: {columns: {a: {width: 5}, b: {start: 5, width: 4}, c: {start: 10}}}}}",
]


@pytest.mark.parametrize("source", RIGHT)
def test_what_is_no_mistake_of_a_source(source):
    assert problems_of(f"name: x\nsource: {source}\nfields: {{d: Date}}\ntarget: {{table: a.b}}\n") == []


WORDS = [  # (template, the word that is wrong, its column in `<template>`, what was meant)
    ("{{ secret.K }}", "`secret` begins no name", 4, "did you mean `secrets.K`?"),
    ("a/{{ eahc.s }}", "`eahc` begins no name", 6, "did you mean `each.s`?"),
    ("{{ each.sereis }}", "`each.sereis` is not known", 4, "did you mean `each.series`?"),
    ("{{ each.series }}-{{each.sereis}}", "`each.sereis` is not known", 21, "did you mean `each.series`?"),
    ("{{ window.begin | date }}", "`window.begin` is not known", 4, "did you mean `window.start`?"),
    ("{{ window.until }}", "`window.until` is not known", 4, "did you mean `window.end`?"),
    ("{{ run.time }}", "`run.time` is not known", 4, "did you mean `run.started_at`?"),
    ("{{ vars.plcae }}", "`vars.plcae` is not known", 4, "did you mean `vars.place`?"),
    ("{{ feed.nmae }}", "`feed.nmae` is not known", 4, "did you mean `feed.name`?"),
    ("{{ window.start | epcoh }}", "there is no filter `epcoh`", 19, "did you mean `epoch`?"),
    ("{{ each.series | uper | lower }}", "there is no filter `uper`", 18, "did you mean `upper`?"),
    ("{{ each.series | pprint }}", "there is no filter `pprint`", 18, "there are date, epoch"),
    ("{{ series }}", "`series` is a bare name", 4, "did you mean `each.series`?"),
    ("{{ strat }}", "`strat` is a bare name", 4, "did you mean `window.start`?"),
    ("{{ each['series'] }}", "a root, a dot and one word", 4, "write `each.series`"),
    ("{{ each.series.name }}", "a root, a dot and one word", 4, "write `each.series`"),
    ("{{ each.series }} {{ each.series |", "this is not a template", 19, ""),
]


@pytest.mark.parametrize(("text", "message", "column", "hint"), WORDS)
def test_a_word_of_a_template_is_pointed_at_and_its_nearest_name_is_given(text, message, column, hint):
    """`column` counts in the text; it stands in quotes behind `    q: "`, or on a line of its own in a block."""
    feed = "name: x\nsource:\n  endpoint: 'https://x.org'\n  each: {series: [A]}\n  params:\n" + "%s" + TAIL + "cursor: {field: d, initial: 2020-01-01}\n"
    for written, line, before in ((f'    q: "{text}"\n', 6, 8), (f"    p: 1\n    q: |\n      first {{ line\n      {text}\n", 9, 6)):
        [problem] = problems_of(feed % written)
        assert message in problem.message and hint in problem.suggestion, str(problem)
        assert (problem.path, problem.line, problem.col) == ("source.params.q", line, before + column), render([problem])
        assert render([problem]).splitlines()[-1].index("^") == 4 + before + column - 1


@pytest.mark.parametrize(("records", "field", "path", "word"), [
    ("'a[].b[]'", "parent.parent.parent.x", "fields.v.from", "2 named steps lead to a record"),
    ("'[].{k}'", "parent.x", "fields.v.from", "no named steps lead to a record"),
    ("'a[].b[]'", "parent.b", "fields.v.from", "leads into the records"),
    ("'a[].b[]'", "parent.c[", "fields.v.from", "at character 9"),
])  # fmt: skip
def test_what_encloses_a_record(records, field, path, word):
    check(f"name: x\nsource: {{endpoint: 'https://x.org', records: {records}}}\nfields:\n  v: {{type: String, from: '{field}'}}\ntarget: {{table: a.b}}\n", path, "path", word)


def test_the_first_window_needs_a_start():
    feed = "name: x\nsource: {endpoint: 'https://x.org', params: {from: '{{ window.start }}'}}\ncursor: {field: d}\nfields: {d: Date}\ntarget: {table: a.b}\n"
    check(feed, "source.params.from", "template-name", "initial")
    check(feed.replace("cursor: {field: d}\n", ""), "source.params.from", "template-name", "no `cursor`")


def test_rendering():
    problem = Problem(file="a/b.yaml", line=2, col=3, path="x.y", code="unknown-key", message="`y` is not known", suggestion="did you mean `z`?", source_line="  y: 1")
    assert render([problem]) == "a/b.yaml:2:3  x.y  unknown-key  `y` is not known; did you mean `z`?\n      y: 1\n      ^"
    assert json.loads(to_json([problem]))[0]["suggestion"] == "did you mean `z`?"


def test_a_long_line_is_cut_around_its_column():
    problem = Problem(file="a", line=1, col=3000, path="x", code="c", message="m", source_line="a" * 2999 + "B" + "c" * 3000)
    line, caret = render([problem]).split("\n")[1:]
    assert len(line) < 200
    assert line[caret.index("^")] == "B"


def test_values_of_secrets_are_never_shown():
    feed = HEAD.replace("each:", "auth: {header: {X-Api-Key: S3CRET-canary}}, apikey: S3CRET-canary, each:") + "api_token: S3CRET-canary\n" + TAIL
    shown = render(problems_of(feed)) + to_json(problems_of(feed)).decode()
    assert "unknown-key" in shown and "S3CRET" not in shown
    assert mask_secrets('password: "a b"') == "password: ***"
    assert mask_secrets('auth: {query: {api_key: "{{ secrets.K }}"}}') == 'auth: {query: {api_key: "{{ secrets.K }}"}}'


def test_control_characters_do_not_reach_a_terminal():
    shown = render(problems_of(HEAD + TAIL + '"a\\e[31m\\nb": 1\n'))
    assert "\x1b" not in shown
    assert len([line for line in shown.splitlines() if line.startswith("x.yaml:")]) == 1


def test_spelling():
    assert [distance("abc", word, 2) for word in ("abc", "acb", "ab", "xbc", "abcde", "abcdef")] == [0, 1, 1, 1, 2, 3]
    assert nearest("recrods", ["records", "rate"]) == "records"
    assert nearest("zz", ["min", "max"]) == ""
    assert path_text(("fields", "a b", "from", 0, "x.y")) == 'fields.a b.from[0]."x.y"'


FRED = """\
# yaml-language-server: $schema=../schemas/source.schema.json
name: fred_daily
source:                                  # plugin: http is the default
  endpoint: https://api.stlouisfed.org/fred/series/observations
  params: {file_type: json, api_key: "{{ secrets.FRED_API_KEY }}", series_id: "{{ each.series }}", observation_start: "{{ window.start }}"}
  each: {series: [FEDFUNDS, DGS10, M2SL, UNRATE, CPIAUCSL]}
  paginate: {offset: offset, limit: {param: limit, size: 100000}, total: count}
  records: observations
schedule: {cron: "0 9 * * *", timezone: America/New_York}
cursor: {field: date, lookback: 30d, initial: 2000-01-01}
fields:
  indicator: {type: LowCardinality(String), from: each.series}
  date:      Date
  value:     {type: Nullable(Float64), missing: ["."]}
  timestamp: {type: DateTime, from: run.started_at}
validate:
  - {expect: between, field: value, min: -100, max: 1e7}
target: {table: macro.indicators, key: [indicator, date], partition_by: toYYYYMM(date)}
"""


def test_a_whole_feed_in_eighteen_lines():
    loaded = load_text(FRED, file="fred_daily.yaml", stem="fred_daily", registry=registry(), project=Surroundings())
    assert [problem.code for problem in loaded.problems] == ["secret-missing"]
    assert loaded.spec.fields["date"].type == "Date"
    assert (loaded.spec.validate[0].max, loaded.spec.cursor.initial, loaded.spec.target.sink) == ("1e7", "2000-01-01", "clickhouse")
    assert loaded.spec.source.options["paginate"] == {"offset": "offset", "limit": {"param": "limit", "size": "100000"}, "total": "count"}


def test_a_name_of_a_field_is_no_free_text():
    check(HEAD + "fields:\n  d: Date\n  value: {type: String, from: '{{ each.s }}'}\ntarget: {table: a.b, key: d}\n", "fields.value.from", "template-place", "not read")


CURSORS = [  # (what the source has besides its endpoint, the cursor's words, the target's, where the problem is)
    ("", "initial: 2020-01-01", "", "cursor.field"),
    (", params: {a: '{{ run.id }}'}", "lookback: 1d", "", "cursor.field"),
    (", paginate: {keyset: {from: d, param: after}}", "initial: 2020-01-01", "", "cursor.field"),
    ("", "initial: 2020-01-01, step: 1d", ", key: d", "cursor.step"),
    ("", "initial: 2020-01-01", ", key: d", ""),  # asks too much, and lands nothing twice: `plan` says it
    (", params: {a: '{{ window.start }}'}", "initial: 2020-01-01, step: 1d", "", ""),
    (", headers: {a: '{{ window.end | date(\"%Y\") }}'}", "initial: 2020-01-01, step: 1d", "", ""),
    (", paginate: {offset: o, stop_when: seen, seen: d}", "lookback: 1d", "", ""),
    (", paginate: {offset: o, stop_when: [empty_page, seen], seen: d}", "lookback: 1d", "", ""),
]


@pytest.mark.parametrize(("source", "cursor", "target", "path"), CURSORS)
def test_a_cursor_that_no_request_uses(source, cursor, target, path):
    text = f"name: x\nsource: {{endpoint: 'https://x.org'{source}}}\ncursor: {{field: d, {cursor}}}\nfields: {{d: Date}}\ntarget: {{table: a.b{target}}}\n"
    problems = problems_of(text)
    assert [(p.path, p.code) for p in problems] == ([(path, "cursor")] if path else []), render(problems)
    for problem in problems:
        assert problem.line == 3
        assert problem.source_line
        assert 'params: {since: "{{ window.start }}"}' in problem.suggestion
