"""Pages whose records are behind lists and objects: counted right, and nothing that is absent on the way is lost without a word."""

from __future__ import annotations

import json

import pytest
from nexus_engine.contract.records import Records
from nexus_engine.errors import PageError
from raw_server import RawServer, answer
from source_bench import Feed

PAGES = [
    {"total": 5, "data": [{"id": 1, "points": [{"n": 1}, {"n": 2}]}, {"id": 2, "points": []}]},
    {"total": 5, "data": [{"id": 3, "points": [{"n": 3}, {"n": 4}]}]},
    {"total": 5, "data": [{"id": 4, "points": [{"n": 5}]}, {"id": 5, "points": []}]},
    {"total": 5, "data": []},
]


def test_pages_are_counted_by_their_records():
    def api(request):
        return answer(PAGES[min(int(dict(request.query).get("offset", 0)) + 1, 5) // 2])

    with RawServer(api) as server:
        words = {"paginate": {"offset": "offset", "total": "total"}}
        feed = Feed({"endpoint": server.url, **words}, "data[].points[]")
        assert feed.bodies() == PAGES[:3]
        for n, payload in enumerate(feed.read()[:-1]):
            assert Feed({"endpoint": server.url, **words}, "data[].points[]").bodies(payload.position) == PAGES[n + 1 : 3]


def test_a_total_of_what_encloses_the_records_is_another_number():
    """Each answer tells of 3 orders, whose 4 lines are the records: said in docs/spec.md, for nobody but the API's author can know."""
    orders = [{"lines": [{"n": 1}, {"n": 2}]}, {"lines": [{"n": 3}]}, {"lines": [{"n": 4}]}]

    def api(request):
        page = int(dict(request.query)["page"]) - 1
        return answer({"total": 3, "orders": orders[page : page + 1]})

    with RawServer(api) as server:
        words = {"page": "page"}
        assert len(Feed({"endpoint": server.url, "paginate": words}, "orders[].lines[]").bodies()) == 4, "the fourth is empty"
        counted = Feed({"endpoint": server.url, "paginate": {"page": "page", "total": "total"}}, "orders[].lines[]").bodies()
        assert [len(body["orders"]) for body in counted] == [1, 1], "two orders have three lines: it ends before the third"


def test_from_the_last_record_or_its_key_on():
    days = {f"2024-01-{day:02}": {"rows": [{"n": day}]} for day in range(1, 8)}

    def api(request):
        after = dict(request.query).get("after", "")
        return answer({"days": dict([(day, rows) for day, rows in days.items() if day > after][:3])})

    with RawServer(api) as server:
        got = Feed({"endpoint": server.url, "paginate": {"keyset": {"from": "day", "param": "after"}}}, "days.{day}.rows[]").bodies()
    assert [day for body in got if body for day in body["days"]] == list(days)


def test_equal_records_under_other_keys_are_no_repeated_page():
    def api(request):
        page = int(dict(request.query).get("page", 1))
        return answer({"days": {f"2024-01-{page:02}": {"rows": [{"n": 0}]}} if page < 4 else {}})

    with RawServer(api) as server:
        assert len([body for body in Feed({"endpoint": server.url, "paginate": {"page": "page"}}, "days.{day}.rows[]").bodies() if body]) == 3


WRONG = [
    ("data[].points[]", (), {"data": [{"points": [{}]}, {"id": 2}]}, "points is absent in item 1; when that means no records, say `empty: [absent]`"),
    ("data[].points[]", ("null",), {"data": [{"id": 2}]}, "points is absent in item 0"),
    ("data[].points[]", ("absent",), {"data": [{"points": None}]}, 'points is null in item 0; when that means no records, say `empty: ["null"]`'),
    ("facts.{t}.{c}.units.{u}[]", (), {"facts": {"x": {"Cash": {"label": "l"}}}}, "units is absent in `Cash`"),
    ("data[].attributes", ("absent",), {"data": [{"id": 1}]}, "attributes is absent in item 0"),
    ("data[].a[0].rows[]", (), {"data": [{"a": []}]}, "a.0.rows is absent in item 0"),
    ("data[].points[]", ("absent", "null"), {"data": {"points": []}}, "is an object, not a list"),
    ("{k}[]", ("absent", "null"), {"last": 5, "k": []}, "expected a list, found a whole number at `*`"),
    ("data[].points[]", ("absent", "null"), {"data": [{"points": {"a": 1}}]}, "expected a list or null, found an object at `[0].points`"),
    ("data[].points[]", (), {"dat": []}, "is absent from the body"),
    ("data.{k}", (), {"data": [1]}, "is a list, not an object"),
]


@pytest.mark.parametrize(("path", "empty", "body", "says"), WRONG, ids=[str(n) for n in range(len(WRONG))])
def test_what_is_absent_or_of_another_kind_is_an_error(path, empty, body, says):
    with RawServer(lambda _: answer(body)) as server, pytest.raises(PageError) as caught:
        Feed({"endpoint": server.url}, Records(path=path, empty=empty)).read()
    assert says in caught.value.what, caught.value.what


FINE = [
    (Records(path="data[].points[]", empty=("absent", "null")), {"data": [{"id": 2}, {"points": None}, {"points": []}, {"points": [{}]}]}, True),
    (Records(path="data[].points[]", empty=("absent",)), {"data": [{"id": 2}, {"points": []}]}, False),
    (Records(path="data[].points[]"), {"data": []}, False),
    (Records(path="{k}[]", except_=("last",)), {"k": [{}], "last": 5}, True),
    (Records(path="{k}[]", except_=("last",)), {"k": [], "last": 5}, False),
    (Records(path="{k}.v[]", except_=("last",)), {"k": {"v": [{}]}, "last": 5}, True),
    (Records(path="{k}", zip=True, except_=("last",)), {"k": {"t": [1]}, "last": 5}, True),
    (Records(path="data[].a[1].rows[]"), {"data": [{"a": [0, {"rows": [{}]}]}]}, True),
    (Records(path="data[].attributes"), {"data": [{"attributes": {"a": 1}}, {"attributes": None}]}, True),
    (Records(path="data[].a[0].attributes"), {"data": [{"a": [{"attributes": {"a": 1}}]}]}, True),
    (Records(path="data[].a.b.c[]", empty=("null",)), {"data": [{"a": None}, {"a": {"b": {"c": [{}]}}}]}, True),
    (Records(path="[][]", columns=("a",)), [[[1], [2]], [[3]]], True),
    (Records(path=".", one=True), 42, True),
]


@pytest.mark.parametrize(("records", "body", "there"), FINE, ids=[str(n) for n in range(len(FINE))])
def test_what_is_declared_is_fine(records, body, there):
    with RawServer(lambda _: answer(body)) as server:
        [payload] = Feed({"endpoint": server.url}, records, leaves=("t",) if records.zip else ()).read()
    assert (json.loads(payload.body) if there else payload.body) == (body if there else b"")


def test_a_key_of_another_kind_is_named_with_what_to_do():
    with RawServer(lambda _: answer({"k": [], "last": 5})) as server, pytest.raises(PageError) as caught:
        Feed({"endpoint": server.url}, Records(path="{k}[]")).read()
    assert "here: expected a list, found a whole number at `*`; a key that is no entry goes under `except`" in caught.value.what


def test_an_item_of_another_kind_is_told_in_the_words_of_the_spec():
    with RawServer(lambda _: answer({"a": [[1], 2]})) as server, pytest.raises(PageError) as caught:
        Feed({"endpoint": server.url}, Records(path="a[][]", columns=("x",))).read()
    assert "does not lead to records here: expected a list, found a whole number at `[1]` (page 1" in caught.value.what
