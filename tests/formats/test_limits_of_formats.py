"""Limits that formats have: what is as large is read, what is larger is an error that says how large it may be."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from nexus_engine.contract.records import Want
from nexus_engine.host.unpack import Unpacking
from nexus_plugins.formats.csv.format import CsvFormat, CsvOptions
from nexus_plugins.formats.jsonl.format import JsonlFormat, JsonlOptions


def test_a_csv_field():
    form = CsvFormat(CsvOptions())
    want = Want(".", ("a",))
    [record] = json.loads(next(form.pieces(b"a,b\n1," + b"x" * 8_000_000 + b"\n", content_type="", want=want)))
    assert record == {"a": "1"}
    with pytest.raises(ValueError, match=r"line 2: field larger than field limit \(8000000\)"):
        next(form.pieces(b"a,b\n1," + b"x" * 8_000_001 + b"\n", content_type="", want=want))


class Endless(io.RawIOBase):
    """A body that is one line of JSON; ``left`` bytes still come."""

    def __init__(self, size):
        self.left = size

    def read(self, size=-1):
        part = b'"' + b"x" * (min(size, self.left) - 1)
        self.left -= len(part)
        return part if self.left else part[:-1] + b'"'


def test_a_json_line():
    """The line's end is looked for in whole parts, so a line may be longer by one of them."""
    form = JsonlFormat(JsonlOptions())
    body = Endless(66_000_000)
    with pytest.raises(ValueError, match="a line is longer than 64,000,000 bytes"):
        next(form.stream(body, content_type="", want=Want(".", ()), size=1_000_000))
    assert 500_000 < body.left < 2_000_001


def test_members_of_a_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number:05}.csv", "a\n1\n" if number == 7 else "a\n")
    form = Unpacking(CsvFormat(CsvOptions()), "zip", "0*.csv")
    pieces = form.pieces(out.getvalue(), content_type="", want=Want(".", ("a",)))
    assert [json.loads(piece) for piece in pieces if piece != b"[]"] == [[{"a": "1"}]]
    with pytest.raises(LookupError, match="10001 members of the zip match"):
        next(Unpacking(CsvFormat(CsvOptions()), "zip", "*.csv").pieces(out.getvalue(), content_type="", want=Want(".", ("a",))))
