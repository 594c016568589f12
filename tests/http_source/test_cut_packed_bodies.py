"""Bodies that are compressed files and end where the server closed the connection: only the file itself says whether it is whole."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import zipfile

import pytest
from nexus_engine.contract.records import Records
from nexus_engine.errors import PageError, RetryLater
from raw_server import Raw, RawServer, answer
from source_bench import Feed

CHANCE = random.Random(7)
ROWS = [{"id": str(n), "v": f"{CHANCE.random()}"} for n in range(6000)]
CSV = b"id,v\n" + b"".join(f"{row['id']},{row['v']}\n".encode() for row in ROWS)
JSON = json.dumps(ROWS).encode()


def zipped(data, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a/1.csv", data)
    return out.getvalue()


PACK = {"gzip": gzip.compress, "bz2": bz2.compress, "zip": zipped}


def closed(body):
    """An answer without a length: the end of the connection ends it."""
    return Raw([b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n" + body])


def feed_on(server, kind, format, **options):
    return Feed({"endpoint": f"{server.url}/rows", **options}, Records(), format=format, leaves=("id", "v"), compression=kind)


@pytest.mark.fault("F7: a compressed file cut without a Content-Length", behaviour="its end is looked for before a row of it lands; asks again, up to `retry.attempts`")
@pytest.mark.parametrize("format", ["csv", "json"])  # read in pieces, and as a whole
@pytest.mark.parametrize("kind", PACK)
def test_a_cut_file_is_asked_for_again_and_gives_nothing(kind, format):
    packed = PACK[kind](CSV if format == "csv" else JSON)
    cuts = iter([packed[:-5], packed[: len(packed) // 2]])
    with RawServer(lambda _: closed(next(cuts, packed))) as server:
        feed = feed_on(server, kind, format)
        assert [row["id"] for body in feed.bodies() for row in body or ()] == [row["id"] for row in ROWS]
        assert len(server.requests) == 3
    with RawServer(lambda _: closed(packed[:-5])) as server:
        feed = feed_on(server, kind, format, retry={"attempts": "3"})
        with pytest.raises(RetryLater, match=rf"the {kind} body of {len(packed) - 5:,} bytes .*cut.* \(3 attempts\)") as caught:
            feed.read()
        assert (len(server.requests), feed.got) == (3, [])
        assert str(caught.value).isascii() and "records" not in str(caught.value)


def test_a_post_that_acts_is_not_sent_again_for_a_cut_file():
    for kind, body in (("gzip", gzip.compress(JSON)[:-5]), ("", JSON[:-5])):
        with RawServer(lambda _: closed(body)) as server:  # noqa: B023  asked at once
            with pytest.raises(PageError, match="cut|truncated"):
                feed_on(server, kind, "json", method="POST").read()
            assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (zipped(CSV + b"1,2,3\n"), "zip", r"a/1\.csv, line 6002: 3 fields; the header has 2"),
        (zipped(CSV, zipfile.ZIP_STORED).replace(b"\n0,", b"\n9,", 1), "zip", r"the member 'a/1\.csv' of the zip \([\d,]+ bytes in it\) is damaged"),
        (gzip.compress(CSV)[:-5], "gzip", r"the gzip body of [\d,]+ bytes is damaged or was cut"),
        (gzip.compress(CSV), "zip", "the body is not a zip file, which `compression` says it is"),
    ],
)
def test_nothing_of_a_compressed_body_is_in_a_message(body, kind, says):
    with RawServer(lambda _: answer(body)) as server:
        with pytest.raises(PageError, match=says) as caught:
            feed_on(server, kind, "csv").read()
        assert caught.value.body == ""
        assert str(caught.value).isascii() and "body begins" not in str(caught.value)
        assert len(server.requests) == 1


def test_an_error_in_the_place_of_a_compressed_file_is_shown():
    with RawServer(lambda _: answer({"error": "no such day"})) as server:
        with pytest.raises(PageError, match="not a gzip file.*no such day"):
            feed_on(server, "gzip", "csv").read()
        with pytest.raises(PageError, match="the answer is an error: no such day"):
            feed_on(server, "gzip", "csv", errors=[{"path": "error"}]).read()
