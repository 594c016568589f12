"""JSON lines, fixed width, charsets, compressed bodies: what is read, in which pieces, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import zipfile
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexus_engine.contract.format import Cut, Streaming
from nexus_engine.contract.lines import picked_lines, spread_lines
from nexus_engine.contract.records import Want
from nexus_engine.host.body import Limits
from nexus_engine.host.unpack import Unpacking
from nexus_plugins.formats.csv.format import CsvFormat, CsvOptions
from nexus_plugins.formats.fwf.format import FwfFormat, FwfOptions, Place
from nexus_plugins.formats.json.format import JsonFormat, JsonOptions
from nexus_plugins.formats.jsonl.format import JsonlFormat, JsonlOptions

ALL = Want(".", ())
JSONL = JsonlFormat(JsonlOptions())
INDEX = (
    "Description:  Daily Index\nComments:  \n\nForm Type   Company Name            CIK\n-----------------\n"
    "10-Q        ADAMS, INC.  & CO       2178\n\n4           ÅPPLE INC.              320193 \n8-K\n"
)


def streamed(form, body, size=10, content_type="", want=ALL):
    return list(form.stream(io.BytesIO(body), content_type=content_type, want=want, size=size))


@pytest.mark.capability("Formats: JSON lines", spec="format: jsonl")
def test_each_line_is_a_record_with_its_own_text():
    body = b'{"a": 1.50, "b":"x\\u00e9"}\r\n\r\n  [1, 2]\n"s"\nnull'
    assert list(JSONL.pieces(body, content_type="", want=ALL)) == [b'[{"a": 1.50, "b":"x\\u00e9"},[1, 2],"s",null]']


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=30), max_size=3), min_size=1, max_size=30), st.integers(1, 200))
def test_pieces_are_the_lines_whatever_their_size(records, size):
    body = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
    pieces = streamed(JSONL, body, size)
    assert [record for piece in pieces for record in json.loads(piece.text)] == records
    assert [piece.records for piece in pieces] == [len(json.loads(piece.text)) for piece in pieces]
    assert [record for piece in streamed(JSONL, body[:-1], size) for record in json.loads(piece.text)] == records


@pytest.mark.capability("Formats: charset from header, BOM or declaration", spec="format: {jsonl: {encoding: latin-1}}")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_json_lines_in_other_charsets(encoding):
    body = '{"a":"é"}\n{"a":2}\n'.encode(encoding)
    named = "application/x-ndjson; charset=ISO-8859-1" if encoding == "latin-1" else ""
    found = [json.loads(piece.text) for piece in streamed(JSONL, body, 7, named)]
    assert sum(found, []) == [{"a": "é"}, {"a": 2}]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a":1}\n{"a":\n2}\n', "line 2 is not one JSON value"),
        (b'{"a":1}{"a":2}\n', "line 1 is not one JSON value"),
        (b"1\n1,2\n", "line 2 is not one JSON value"),
        (b'{"a":1}\n{"a":', "line 2 is not one JSON value: Input data was truncated"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_lines_that_are_refused(body, says):
    with pytest.raises(ValueError, match=says):
        streamed(JSONL, body, 1000)
    with pytest.raises(ValueError, match=says):
        streamed(JSONL, body, 3)


def test_line_ends_of_windows_and_blank_lines():
    body = b"".join(b'{"a":%d}\r\n' % n for n in range(50))
    assert [json.loads(piece.text) for piece in streamed(JSONL, body, 10_000)] == [[{"a": n} for n in range(50)]]
    assert [piece.records for piece in streamed(JSONL, body + b"\n\r\n" + body, 10_000)] == [100]


@given(st.lists(st.sampled_from([b"", b"1", b"22", b"x" * 50, b"7 "])), st.booleans(), st.integers(1, 30))
def test_lines_by_their_numbers_and_some_at_even_distances(lines, ended, most):
    there = [*lines, b"last"]
    text = b"\n".join(there) + b"\n" * ended
    numbers = list(range(0, len(there), 2))
    assert picked_lines(text, numbers) == [there[number].strip() for number in numbers]
    with pytest.raises(IndexError):
        picked_lines(text, [len(there)])
    some = spread_lines(text, most)
    assert some[0] == there[0].strip()
    assert len(some) <= most
    assert set(some) <= {line.strip() for line in there}


def test_as_many_values_as_lines_but_not_one_on_each_are_no_list():
    with pytest.raises(ValueError):
        [json.loads(piece.text) for piece in streamed(JSONL, b'{"a":1,\n"b":2}\n3 4\n', 1000)]


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\n"])
def test_no_line_at_all_is_no_silent_zero(body):
    with pytest.raises(LookupError, match="not one line"):
        streamed(JSONL, body)


def fixed(body, leaves=("Form Type", "Company Name", "CIK"), **options):
    return json.loads(next(FwfFormat(FwfOptions(**options)).pieces(body.encode(), content_type="", want=Want(".", tuple(leaves)))))


@pytest.mark.capability("Formats: fixed width", spec='format: {fwf: {after: "---"}}')
def test_columns_by_the_header_line():
    rows = fixed(INDEX, after="-----")
    assert rows == [
        {"Form Type": "10-Q", "Company Name": "ADAMS, INC.  & CO", "CIK": "2178"},
        {"Form Type": "4", "Company Name": "ÅPPLE INC.", "CIK": "320193"},
        {"Form Type": "8-K", "Company Name": "", "CIK": ""},
    ]
    assert fixed("Name  No\nab    1\n", ("Name", "No")) == [{"Name": "ab", "No": "1"}]
    assert fixed(INDEX.split("10-Q")[0], after="---") == []


@pytest.mark.capability("Formats: fixed width", spec="format: {fwf: {columns: {form: {start: 0, width: 12}, company: {start: 12, width: 62}}}}")
def test_columns_by_their_places():
    places = {"form": Place(width=12), "name": Place(start=12, width=24), "cik": Place()}
    assert fixed(INDEX, ("cik", "form"), after="---", columns=places)[0] == {"cik": "2178", "form": "10-Q"}
    assert fixed("x\n#\nab12\n", ("n", "gone"), skip=1, comment="#", columns={"a": Place(width=2), "n": Place()}, optional=("gone",)) == [
        {"n": "12", "gone": None}
    ]


@pytest.mark.parametrize(
    ("body", "options", "error", "says"),
    [
        ("a  b\n", {"after": "---"}, LookupError, "no line begins with '---'"),
        ("", {}, LookupError, "header line is absent"),
        ("a  a\n1  2\n", {}, ValueError, "twice"),
        ("a  b\n1\t2\n", {}, ValueError, "line 2 holds a tab"),
        ("a  b\n1  2\n", {}, ValueError, "no column 'x'; there are: a, b"),
    ],
)
def test_fixed_width_that_is_refused(body, options, error, says):
    with pytest.raises(error, match=says):
        fixed(body, ("x",) if "no column" in says else ("a",), **options)
    with pytest.raises(ValueError, match="only the last may leave out"):
        FwfOptions(columns={"a": Place(), "b": Place()})


def test_flat_formats_stream_the_same_rows():
    rows = "".join(f"{n},{n * 7}\n" for n in range(1000))
    form = CsvFormat(CsvOptions())
    assert isinstance(form, Streaming)
    body = b"a,b\n" + rows.encode()
    pieces = streamed(form, body, 500, want=Want(".", ("b",)))
    whole = json.loads(next(form.pieces(body, content_type="", want=Want(".", ("b",)))))
    assert len(pieces) > 5
    assert sum((json.loads(piece.text) for piece in pieces), []) == whole
    widths = FwfFormat(FwfOptions(after="-----"))
    assert [piece.records for piece in streamed(widths, INDEX.encode(), 1, want=Want(".", ("CIK",)))] == [1, 1, 1]


@pytest.mark.capability("Formats: CSV and TSV: dialect, comments, header elsewhere", spec='format: {csv: {delimiter: "\\t", header: "Date", until: Total, trim: true}}')
@pytest.mark.parametrize(
    ("body", "options", "wanted"),
    [
        ("Title\nNote: x\nDate,V\n1,2\nTotal,2\n", {"header": "Date,", "until": "Total"}, [{"V": "2"}]),
        ("V,W\n a , b\n", {"trim": True}, [{"V": "a"}]),
        ('V,W\n"a\\"b",1\n', {"escape": "\\"}, [{"V": 'a"b'}]),
        ("V\tW\nx\ty\n", {"delimiter": "\t"}, [{"V": "x"}]),
    ],
)
def test_dialects(body, options, wanted):
    form = CsvFormat(CsvOptions(**options))
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert json.loads(next(form.pieces(body.encode(encoding), content_type="", want=Want(".", ("V",))))) == wanted


def test_a_header_line_that_is_not_there():
    with pytest.raises(LookupError, match="no line begins with 'Date'"):
        next(CsvFormat(CsvOptions(header="Date")).pieces(b"a\n1\n", content_type="", want=ALL))


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return out.getvalue()


PACK = {"gzip": gzip.compress, "bz2": bz2.compress, "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True), "zip": lambda data: zipped(x=data)}


@pytest.mark.capability("Formats: gzip, bz2, zstd, zip members by glob", spec="compression: zstd\nformat: jsonl")
@pytest.mark.parametrize("kind", PACK)
def test_packed_bodies_and_cut_ones(kind):
    body = b"".join(b'{"a":%d}\n' % (n * 7919) for n in range(20_000))
    form = Unpacking(JSONL, kind)
    packed = PACK[kind](body)
    assert isinstance(form, Streaming)
    pieces = streamed(form, packed, 50_000)
    assert len(pieces) > 3
    assert b",".join(piece.text[1:-1] for piece in pieces) == body.strip().replace(b"\n", b",")
    form.require_end(io.BytesIO(packed))
    for cut in (packed[:-3], packed[: len(packed) // 2], packed[:2], b""):
        for look in (lambda: streamed(form, cut, 50_000), lambda: form.require_end(io.BytesIO(cut))):  # noqa: B023  called at once
            with pytest.raises(Cut, match=f"the {kind} body of {len(cut):,} bytes .*(damaged|cut)" if cut else "empty.*cut"):
                look()
    for other in (b"<html>", b'{"error": "no such day"}'):
        with pytest.raises(ValueError, match=f"^the body is not a {kind} file, which `compression` says it is$") as caught:
            streamed(form, other, 50_000)
        assert not isinstance(caught.value, Cut)
    whole = Unpacking(JsonFormat(JsonOptions()), kind)
    assert not isinstance(whole, Streaming)
    assert list(whole.pieces(PACK[kind](b"[1]"), content_type="", want=ALL)) == [b"[1]"]
    small = Unpacking(JSONL, kind, limits=replace(Limits(), max_decompressed=1000))
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        streamed(small, packed, 50_000)


@pytest.mark.capability("Formats: gzip, bz2, zstd, zip members by glob", spec='compression: {zip: "*.csv"}\nformat: csv')
def test_members_of_a_zip():
    body = zipped(b_csv="a\n2\n", a_csv="a\n1\n", readme_txt="no")
    form = Unpacking(CsvFormat(CsvOptions()), "zip", "*.csv")
    pieces = list(form.pieces(body, content_type="", want=Want(".", ("a",))))
    assert [json.loads(piece) for piece in pieces] == [[{"a": "1"}], [{"a": "2"}]]
    with pytest.raises(LookupError, match="no members of the zip match '\\*.xml'; it has: a.csv, b.csv, readme.txt"):
        list(Unpacking(CsvFormat(CsvOptions()), "zip", "*.xml").pieces(body, content_type="", want=ALL))


def test_what_is_wrong_in_a_member_names_it():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/0.csv", b"# 1\nid,v\n1,2\n")
        archive.writestr("a/1.csv", b"# 1\nid,v\n1,2\n# 4\n# 5\n1,2,3\n")
    body = out.getvalue()
    form = Unpacking(CsvFormat(CsvOptions(comment="#")), "zip", "a/*")

    def whole(body, leaf):
        return list(form.pieces(body, content_type="", want=Want(".", (leaf,))))

    def in_pieces(body, leaf):
        return streamed(form, body, 10, want=Want(".", (leaf,)))

    for look in (whole, in_pieces):
        with pytest.raises(ValueError, match=r"^a/1\.csv, line 6: 3 fields; the header has 2$"):
            look(body, "id")
        with pytest.raises(ValueError, match=r"^a/0\.csv: the header has no column 'x'; it has: id, v$"):
            look(body, "x")
        with pytest.raises(Cut, match=r"^the member 'a/1\.csv' of the zip \(27 bytes in it\) is damaged.*CRC"):
            look(body.replace(b"1,2,3\n", b"1,2,4\n"), "id")
