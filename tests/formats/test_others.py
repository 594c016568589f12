"""What no leaf names: none of it, that of the first records, or all."""

from __future__ import annotations

import io
import json

import pytest
from nexus_engine.contract.records import SOME_RECORDS, Want
from nexus_plugins.formats.csv.format import CsvFormat, CsvOptions
from nexus_plugins.formats.fwf.format import FwfFormat, FwfOptions
from nexus_plugins.formats.xml.format import XmlFormat, XmlOptions

LINES = 25


def csv_body(lines=LINES):
    return "a,b , c,\n" + "".join(f"{n},{n}b, {n}c ,\n" for n in range(lines))


def fwf_body():
    return "NAME  CIK  DAY\n" + "".join(f"n{n:<4} {n:<4} d{n}\n" for n in range(LINES))


def xml_body():
    return "<r>" + "".join(f'<e k="{n}"><a>{n}</a><b><c>{n}</c></b></e>' for n in range(LINES)) + "</r>"


FORMATS = {
    "csv": (CsvFormat(CsvOptions()), csv_body, ("a",), lambda n: {"b": f"{n}b", "c": f" {n}c ", "": ""}, "."),
    "fwf": (FwfFormat(FwfOptions()), fwf_body, ("CIK",), lambda n: {"NAME": f"n{n}", "DAY": f"d{n}"}, "."),
    "xml": (XmlFormat(XmlOptions()), xml_body, ("a",), lambda n: {"@k": str(n), "b/c": str(n)}, "e"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_none_some_and_all(name):
    form, body, leaves, other, records = FORMATS[name]

    def read(others):
        (piece,) = form.pieces(body().encode(), content_type="", want=Want(records, leaves, others))
        return json.loads(piece)

    bare = [{leaves[0]: str(n)} for n in range(LINES)]
    assert read("none") == bare
    whole = [{**record, **other(n)} for n, record in enumerate(bare)]
    assert read("all") == whole
    assert read("some") == whole[:SOME_RECORDS] + bare[SOME_RECORDS:]


@pytest.mark.parametrize("name", ["csv", "fwf"])
def test_each_piece_begins_with_some(name):
    form, body, leaves, other, _ = FORMATS[name]
    pieces = [json.loads(piece.text) for piece in form.stream(io.BytesIO(body().encode()), content_type="", want=Want(".", leaves, "some"), size=90)]
    assert len(pieces) > 1
    seen = 0
    for piece in pieces:
        for n, record in enumerate(piece):
            assert (len(record) > 1) == (n < SOME_RECORDS)
            assert record == {leaves[0]: str(seen), **(other(seen) if n < SOME_RECORDS else {})}
            seen += 1
    assert seen == LINES


def test_columns_of_one_name_are_left_out_and_cannot_all_be_kept():
    body, form = b"a,x,x\n1,2,3\n", CsvFormat(CsvOptions())
    assert json.loads(next(form.pieces(body, content_type="", want=Want(".", ("a",), "some")))) == [{"a": "1"}]
    with pytest.raises(ValueError, match="'x' more than once"):
        list(form.pieces(body, content_type="", want=Want(".", ("a",), "all")))


def test_elements_below_inside_and_what_is_null():
    body = b"""<feed xmlns="urn:a" xmlns:d="urn:d" xmlns:m="urn:m"><entry><id>1</id><content type="x"><m:p>
      <d:A>1</d:A><d:B m:null="true"/><d:C k="1">3</d:C><d:C>4</d:C><d:D m:null="true"/><d:E><d:F>7</d:F></d:E><d:G/><d:H h="9"/></m:p></content></entry></feed>"""
    (piece,) = XmlFormat(XmlOptions(inside="content/p")).pieces(body, content_type="", want=Want("feed/entry", ("A", "B"), "all"))
    assert json.loads(piece) == [{"A": "1", "B": None, "C": "3", "C/@k": "1", "D": None, "E/F": "7", "G": "", "H/@h": "9"}]
    (piece,) = XmlFormat(XmlOptions(namespaces={"d": "urn:d"})).pieces(body, content_type="", want=Want("feed/entry", ("id", "content/p/d:A", "content/p/C/@k"), "all"))
    assert json.loads(piece) == [{
        "id": "1", "content/p/d:A": "1", "content/p/C/@k": "1", "content/@type": "x", "content/p/B": None, "content/p/C": "3", "content/p/D": None,
        "content/p/E/F": "7", "content/p/G": "", "content/p/H/@h": "9"}]  # fmt: skip
