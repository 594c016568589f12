"""Templates: what renders, what is refused, and that nothing costs much."""

import json
import pickle

import pytest

from nexus_engine.contract.secret import Secret
from nexus_engine.spec.templates import FILTER_NAMES, Template, TemplateError, names, render_options

SCOPE = {
    "each": {"series": "DGS10", "n": "7"},
    "run": {"started_at": "2026-11-23 20:45:06", "id": "r1"},
    "window": {"start": "2026-11-01", "end": None},
    "vars": {"place": "Zürich"},
    "secrets": {"KEY": Secret("s3cr3t-value", "KEY"), "ODD": Secret("x}\nurl: 'null' {{ each.n }}", "ODD")},
    "feed": {"name": "f"},
}

RENDERED = [
    ("plain text", "plain text"),
    ("a { b } {% c %}", "a { b } {% c %}"),
    ("{{ each.series }}", "DGS10"),
    ("{{each.series}}/{{ feed.name }}\n", "DGS10/f\n"),
    ("{{ window.start | date('%Y') }}", "2026"),
    ("{{ window.start | date('%Y-%m') }}", "2026-11"),
    ("{{ window.start | quarter }}", "4"),
    ("{{ window.start | epoch }}", "1793491200"),
    ("{{ window.start | epoch_ms }}", "1793491200000"),
    ("{{ window.start | epoch_us }}", "1793491200000000"),
    ("{{ '2026-11-01T00:00:00.123456789Z' | epoch_us }}", "1793491200123456"),
    ("{{ '2026-11-01 01:00:00.123456789+01:00' | epoch_ns }}", "1793491200123456789"),
    ("{{ '2026-11-01T00:00:00.9' | epoch_ns }}", "1793491200900000000"),
    ("{{ '1969-12-31T23:59:59.999999999Z' | epoch_ns }}", "-1"),
    ("{{ '1969-12-31T23:59:59.5Z' | epoch }}", "-1"),
    ("{{ (1793491200 | epoch_ns) - 1 }}", "1793491199999999999"),
    ("{{ run.started_at | date('%H:%M') }}", "20:45"),
    ("{{ each.series | lower }}", "dgs10"),
    ("{{ vars.place | upper | urlencode }}", "Z%C3%9CRICH"),
    ("{{ each.n | int + 1 }}", "8"),
    ("{{ window.end | default('open') }}", "open"),
    ("{{ 'a' ~ each.n ~ 'b' }}", "a7b"),
    ("{{ 'x' if each.n == '7' else 'y' }}", "x"),
    ("{{ each.series | replace('DGS', '') }}", "10"),
    ("{{ secrets.KEY }}", "s3cr3t-value"),
    ("{{ secrets.ODD }}", "x}\nurl: 'null' {{ each.n }}"),
]


@pytest.mark.capability("Incremental: a time as cursor: epoch, ISO 8601, a format", spec="params: {from: \"{{ window.start | epoch_ms }}\", to: \"{{ window.end | date('%Y%m%d') }}\"}")
@pytest.mark.parametrize(("text", "expected"), RENDERED)
def test_renders(text, expected):
    assert Template.parse(text).render(SCOPE) == expected


REFUSED = [
    "{{ x }}", "{{ config.items }}", "{{ each.series.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ each['series'] }}",
    "{{ lipsum(n=20000) }}", "{{ range(99999999) }}", "{{ cycler('a') }}", "{% for i in [1,2] %}{{ i }}{% endfor %}",
    "{% set x = 1 %}{{ x }}", "{% macro m() %}{% endmacro %}{{ m() }}", "{% include 'x' %}{{ each.n }}", "{% import 'x' as y %}{{ y.z }}",
    "{{ 'a' * 100000000 }}", "{{ 2 ** 999999 }}", "{{ '%99999999s' % 'a' }}", "{{ '{0.__class__}'.format(1) }}",
    "{{ each.series | attr('x') }}", "{{ each.series | xmlattr }}", "{{ each.series | urlize }}", "{{ each.series | pprint }}", "{{ [1, 2] }}",
    "{{ {'a': 1} }}", "{{ each.series is defined }}", "{{ each.series", "{{ }}", "{{ each.series | }}", "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "{{ 1" + " + 1" * 500 + " }}",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused_before_anything_runs(text):
    with pytest.raises(TemplateError) as caught:
        names(text)
    assert "100000000" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["{{ each.nothing }}", "{{ window.end }}", "{{ each.series | int }}", "{{ window.start | date('%999999d') }}", "{{ secrets.MISSING }}", "{{ each.series | epoch }}"],
)
def test_refused_when_rendered(text):
    with pytest.raises(TemplateError) as caught:
        Template.parse(text).render(SCOPE)
    assert "DGS10" not in str(caught.value)


def test_output_is_bounded():
    scope = {"each": {"x": "a" * 1000}}
    blown_up = "{{ each.x " + "| replace('a', 'aaaaaaaaaa')" * 6 + " }}"
    with pytest.raises(TemplateError):
        Template.parse(blown_up).render(scope)
    with pytest.raises(TemplateError):
        Template.parse("{{ each.x }}" * 70).render(scope)


def test_a_missing_secret_says_what_to_do():
    with pytest.raises(TemplateError, match="set the environment variable MISSING, or put it in .env"):
        Template.parse("{{ secrets.MISSING }}").render(SCOPE)


def test_names_and_parts():
    assert names("{{ each.a }}{{ vars.b | lower }}") == {("each", "a"), ("vars", "b")}
    assert Template.parse("a{{ each.x }}b").parts == ("a", ("each", "x"), "b")
    assert Template.parse("{{ each.x | lower }}").parts is None
    assert "default" in FILTER_NAMES


def test_options_render_scalars_only():
    options = {"a": ["{{ each.n }}", 1, None, True], "{{ each.n }}": {"b": "x{{ each.series }}"}}
    assert render_options(options, SCOPE) == {"a": ["7", 1, None, True], "{{ each.n }}": {"b": "xDGS10"}}


def test_a_secret_shows_nothing():
    secret = Secret("s3cr3t-value", "KEY")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr({"a": secret}), repr([secret])]
    shown += [pickle.dumps(secret).decode("latin-1"), pickle.loads(pickle.dumps(secret)).reveal(), json.dumps(secret, default=str)]
    assert all("s3cr3t" not in text for text in shown)
    assert secret.reveal() == "s3cr3t-value"
    assert not hasattr(secret, "__dict__")
