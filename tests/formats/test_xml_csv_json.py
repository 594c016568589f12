"""Bodies to flat records: what each format reads, and what it refuses by name and place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexus_engine.contract.records import Want
from nexus_plugins.formats.csv.format import CsvFormat, CsvOptions
from nexus_plugins.formats.json.format import JsonFormat, JsonOptions
from nexus_plugins.formats.xml.format import XmlFormat, XmlOptions

NS = {"d": "urn:d", "m": "urn:m"}
ATOM = """<?xml version="1.0" encoding="{0}"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:d="urn:d" xmlns:m="urn:m"><title>rates</title>
<entry><id>1</id><link rel="self" href="u1"/><link href="u2"/>
<content><m:properties><d:DATE m:type="Edm.DateTime">1990-01-02T00:00:00</d:DATE><d:BC> 7.83 </d:BC><d:NONE m:null="true"/></m:properties></content></entry>
<entry><id>é</id><content><m:properties><d:DATE>1990-01-03T00:00:00</d:DATE><d:BC><![CDATA[7<8]]></d:BC><d:NONE></d:NONE></m:properties></content></entry>
</feed>"""
LEAVES = ("id", "link/@href", "content/m:properties/d:DATE", "content/m:properties/d:BC", "content/m:properties/d:NONE",
          "content/m:properties/d:DATE/@m:type", "absent/x")  # fmt: skip
ROWS = [
    ["1", "u1", "1990-01-02T00:00:00", "7.83", None, "Edm.DateTime", None],
    ["é", None, "1990-01-03T00:00:00", "7<8", "", None, None],
]


def xml(body, records, leaves, content_type="", **namespaces):
    form = XmlFormat(XmlOptions(namespaces=namespaces))
    pieces = list(form.pieces(body, content_type=content_type, want=Want(records, tuple(leaves))))
    assert len(pieces) == 1
    return json.loads(pieces[0])


@pytest.mark.capability("Formats: XML and Atom: namespaces, attributes", spec='format: {xml: {inside: content/properties, namespaces: {d: "urn:d"}}}\nrecords: feed/entry')
@pytest.mark.parametrize("records", ["feed/entry", "entry", "/feed/entry"])
@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "windows-1252"])
def test_an_atom_feed(records, encoding):
    body = ATOM.format(encoding).encode(encoding)
    assert xml(body, records, LEAVES, **NS) == [dict(zip(LEAVES, row, strict=True)) for row in ROWS]


@pytest.mark.capability("Formats: charset from header, BOM or declaration", spec="format: xml\nrecords: feed/entry")
def test_the_server_names_the_charset_where_the_document_does_not():
    assert xml("<r>é</r>".encode("latin-1"), ".", ["."], "application/xml; charset=ISO-8859-1") == [{".": "é"}]
    assert xml(ATOM.format("utf-8").encode(), "entry", ["id"], "text/xml; charset=us-ascii")[1] == {"id": "é"}


@pytest.mark.capability("Formats: XML and Atom: namespaces, attributes", spec='format: {xml: {namespaces: {d: "urn:d"}}}\nrecords: feed/d:entry')
def test_names_without_prefix_match_in_any_namespace_and_with_one_only_in_theirs():
    body = b'<r xmlns:a="urn:a" xmlns:b="urn:b"><e><a:x>1</a:x><b:x>2</b:x></e></r>'
    assert xml(body, "e", ["x", "b:x"], b="urn:b") == [{"x": "1", "b:x": "2"}]


@pytest.mark.parametrize(
    ("body", "records", "rows"),
    [
        (b"<feed></feed>", "feed/entry", []),
        (b"<a><b/></a>", "a/b/c", []),
        (b"<a><b/></a>", "b/c", []),
        (b"<a><b>1</b></a>", "a/b", [{".": "1"}]),
        (b"<a>1</a>", ".", [{".": "1"}]),
        (b"<a>1</a>", "a", [{".": "1"}]),
        (b"<a><b><c>1</c></b><b><c>2</c><x><c>no</c></x></b></a>", "a/b/c", [{".": "1"}, {".": "2"}]),
    ],
)
def test_where_records_are(body, records, rows):
    assert xml(body, records, ["."]) == rows


@pytest.mark.parametrize(
    ("body", "records", "error", "says"),
    [
        (b"<Error><Code>AccessDenied</Code></Error>", "feed/entry", LookupError, "root element is <Error>"),
        (b"<Error/>", "entry", LookupError, "no `entry` under the root element <Error>"),
        (b"<a/>", "a/b/c", LookupError, "absent"),
        (b"", ".", ValueError, "not XML"),
        (b"<a><b></a>", ".", ValueError, "not XML: mismatched tag, line 1"),
        (b"<a>", ".", ValueError, "not XML"),
        (b"<a>&b;</a>", ".", ValueError, "not XML: undefined entity"),
        (b"<a>" * 80, ".", ValueError, "more than 64 deep"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', ".", ValueError, "declares entities"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', ".", ValueError, "declares entities"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', ".", ValueError, "not XML|encoding"),
        (b"<a>\xff</a>", ".", ValueError, "not XML"),
    ],
)
def test_xml_that_is_refused(body, records, error, says):
    with pytest.raises(error, match=says):
        xml(body, records, ["."])


def test_a_prefix_that_is_not_known():
    with pytest.raises(ValueError, match="'q:x' has a prefix"):
        xml(b"<a/>", ".", ["q:x"])


def rows(body, leaves, content_type="text/csv", **options):
    form = CsvFormat(CsvOptions(**options))
    (piece,) = form.pieces(body, content_type=content_type, want=Want(".", tuple(leaves)))
    return json.loads(piece)


@pytest.mark.capability("Formats: CSV and TSV: dialect, comments, header elsewhere", spec='format: {csv: {delimiter: ";", comment: "#", skip: 2}}')
@pytest.mark.parametrize(
    ("body", "options", "records"),
    [
        (b"a,b\n1,2\n", {}, [{"b": "2", "a": "1"}]),
        (b"\xef\xbb\xbfa,b\r\n1,\r\n\r\n,2", {}, [{"b": "", "a": "1"}, {"b": "2", "a": ""}]),
        (b'a,b\n"1,\n""x""",2\n', {}, [{"b": "2", "a": '1,\n"x"'}]),
        (b"# made today\n1|2\n# end\n", {"delimiter": "|", "comment": "#", "columns": ("a", "b")}, [{"b": "2", "a": "1"}]),
        (b"Title\n\na;b\n1;'2'\n", {"delimiter": ";", "quote": "'", "skip": 2}, [{"b": "2", "a": "1"}]),
        (b'a\tb\n"1\t2\n', {"delimiter": "\t", "quote": ""}, [{"b": "2", "a": '"1'}]),
        (b'a,b\n1,"x\n# y\nz"\n2,w\n# end\n', {"comment": "#"}, [{"b": "x\n# y\nz", "a": "1"}, {"b": "w", "a": "2"}]),
        (b'a,b\n1,"x\n# y"\n', {"comment": "#"}, [{"b": "x\n# y", "a": "1"}]),
        (b'a,b\n"1\nTotal",2\n# "\n\nTotal,"2\nx\n', {"comment": "#", "until": "Total"}, [{"b": "2", "a": "1\nTotal"}]),
        (b'a,b\n1,x\\\n# y\n', {"comment": "#", "escape": "\\"}, [{"b": "x\n# y", "a": "1"}]),
        (b'a,b\n1,"2\n#3,"4\n5,6\n', {"comment": "#", "quote": ""}, [{"b": '"2', "a": "1"}, {"b": "6", "a": "5"}]),
        (b'# made\n#a,b\n# 0\n1,2\n', {"comment": "#", "header": "#a", "optional": ("a",)}, [{"b": "2", "a": None}]),
        (b'x,"\n"a\n",b\n1,2\n# 3\n', {"comment": "#", "header": '"a'}, [{"b": "2", "a": "1"}]),
        ("a,b\né,2\n".encode("latin-1"), {"encoding": "latin-1"}, [{"b": "2", "a": "é"}]),
        (b"a,b\n", {}, []),
        (b"a\n1\n", {"optional": ("b",)}, [{"b": None, "a": "1"}]),
    ],
)
def test_csv(body, options, records):
    assert rows(body, ["b", "a"], **options) == records


@pytest.mark.parametrize(
    ("body", "options", "error", "says"),
    [
        (b"a,b\n1,2\n3\n", {}, ValueError, "line 3: 1 fields; the header has 2"),
        (b"a,b\n1,2,3\n", {}, ValueError, "line 2: 3 fields"),
        (b"# x\na,b\n1,2\n# y\n# z\n3\n", {"comment": "#"}, ValueError, "line 6: 1 fields"),
        (b'Note\n# x\na,b\n"1\n# in a field",2\n# y\n3\n', {"comment": "#", "header": "a,"}, ValueError, "line 7: 1 fields"),
        (b'# x\na,b\n# y\n1,"2"3\n', {"comment": "#"}, ValueError, "line 4: "),
        (b'a,b\n1,"2\nTotal,3\n', {"until": "Total"}, ValueError, "line 3: unexpected end of data"),
        (b"a,c\n1,2\n", {}, ValueError, "no column 'b'; it has: a, c"),
        (b"a,b,b\n1,2,3\n", {}, ValueError, "'b' more than once"),
        (b'a,b\n1,"2', {}, ValueError, "line 2: unexpected end of data"),
        (b'a,b\n1,"2"3\n', {}, ValueError, "line 2"),
        (b"a,b\n1,\xff\n", {}, ValueError, "not utf-8: byte 6"),
        (b"a,b\n", {"encoding": "klingon"}, ValueError, "not known"),
        (b"", {}, LookupError, "empty"),
        (b'{"error": "no"}', {}, ValueError, "no column"),
    ],
)
def test_csv_that_is_refused(body, options, error, says):
    with pytest.raises(error, match=says):
        rows(body, ["b", "a"], **options)


@pytest.mark.capability("Formats: charset from header, BOM or declaration", spec="format: csv")
@pytest.mark.parametrize(
    ("body", "content_type", "options", "wanted"),
    [
        ("é".encode("latin-1"), "text/csv; charset=ISO-8859-1", {}, "é"),
        ("é".encode("cp1252"), 'text/csv; header=present; Charset="windows-1252"', {}, "é"),
        ("é".encode(), "text/csv", {}, "é"),
        ("é".encode(), "text/csv; charset=ISO-8859-1", {"encoding": "utf-8"}, "é"),  # what the spec says goes first
        ("é".encode(), "text/csv; charset=ISO-8859-1", {}, "Ã©"),
    ],
)
def test_the_server_names_the_charset_of_csv(body, content_type, options, wanted):
    assert rows(b"a,b\n1," + body + b"\n", ["b"], content_type, **options) == [{"b": wanted}]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_whatever_csv_writes_is_read_back(pairs):
    import csv
    import io

    pairs = [pair for pair in pairs if "\0" not in pair[0] + pair[1] and not any("\ud800" <= c <= "\udfff" for c in pair[0] + pair[1])]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("a", "b"), *pairs])
    got = rows(out.getvalue().encode(), ["a", "b"])
    assert [(row["a"], row["b"]) for row in got] == pairs


@given(st.lists(st.tuples(st.integers(0, 9), st.text('#"\n\r,xT', max_size=12)), min_size=1, max_size=8), st.lists(st.integers(0, 8), max_size=5))
def test_comments_between_rows_change_nothing_whatever_the_fields_hold(pairs, places):
    import csv
    import io

    def written(row):
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL if isinstance(row[0], int) else csv.QUOTE_MINIMAL).writerow(row)
        return out.getvalue()

    texts = [written(("a", "b")), *map(written, pairs)]
    for place in places:
        texts.insert(min(place, len(texts)), '# it\'s "a comment\r\n')
    body = "".join([*texts, 'T "the end\r\n', "1\r\n"]).encode()
    got = rows(body, ["a", "b"], comment="#", until="T")
    assert [(row["a"], row["b"]) for row in got] == [(str(a), b) for a, b in pairs]


@pytest.mark.capability("Formats: JSON", spec="format: json")
@pytest.mark.fault("F10: 1e400", behaviour="the text is kept as it came; no `Float64` takes it, so its record is refused")
@pytest.mark.fault("F10: a BOM", behaviour="is taken off")
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'\xef\xbb\xbf{"a": 1}', b'{"a": 1}'),
        ('{"a": "é"}'.encode("utf-16"), '{"a": "é"}'.encode()),
        ('{"a": "é"}'.encode("utf-16-be"), '{"a": "é"}'.encode()),
        (b' {"a": 1e400}\r\n', b' {"a": 1e400}\r\n'),
        (b"", b""),
    ],
)
def test_json_is_handed_on_as_it_came(body, text):
    assert list(JsonFormat(JsonOptions()).pieces(body, content_type="", want=Want(".", ()))) == [text]
