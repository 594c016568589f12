"""Secrets by value, in every encoding they may take."""

from __future__ import annotations

import base64
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexus_engine.contract.host import HttpRequest
from nexus_engine.errors import NexusError
from nexus_engine.events import Observers
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import RedactingFilter, Redactor
from fake_clock import FakeClock
from raw_server import RawServer, Raw, answer

HOSTILE = 'S3CRET-"q"/\\é+ &=%\n#end'


def forms(secret):
    raw = secret.encode()
    return {
        "plain": secret,
        "url": quote(secret, safe=""),
        "form": quote_plus(secret),
        "json": json.dumps(secret),
        "json utf-8": json.dumps(secret, ensure_ascii=False),
        "repr": repr(secret),
        "base64": base64.b64encode(raw).decode(),
        "basic": base64.b64encode(b"user:" + raw).decode(),
        "urlsafe": base64.urlsafe_b64encode(b"ab" + raw + b"tail").decode(),
    }


@pytest.mark.parametrize("form", list(forms("")))
def test_a_secret_is_hidden_in_each_form(form):
    redactor = Redactor()
    redactor.add(HOSTILE, "KEY")
    text = forms(HOSTILE)[form]
    shown = redactor.redact(f"before {text} after")
    assert "S3CRET" not in shown and text.strip('"\'=')[4:-4] not in shown
    assert "***" in shown and shown.startswith("before ") and shown.endswith(" after")


@given(st.text(min_size=6, max_size=60).filter(lambda text: text.strip() and "secret:" not in text))
def test_sealed_texts_come_back_and_show_nothing(secret):
    redactor = Redactor()
    redactor.add(secret, "KEY")
    url = f"https://a.b/c?api_key={quote(secret, safe='')}&page=2"
    sealed = redactor.seal(url)
    assert redactor.unseal(sealed) == url
    if len(secret) > 12:
        assert quote(secret, safe="") not in sealed


def test_a_sealed_text_takes_the_new_value_of_a_secret():
    old, new = Redactor(), Redactor()
    old.add("old-value", "KEY")
    new.add("new-value", "KEY")
    assert new.unseal(old.seal("?k=old-value")) == "?k=new-value"


def test_short_values_are_left_alone_and_user_info_is_not():
    redactor = Redactor()
    redactor.add("1")
    assert redactor.redact("page 1 of http://user:pw@h/1") == "page 1 of http://***@h/1"


def test_log_records_are_redacted_with_their_traceback(caplog):
    redactor = Redactor()
    redactor.add("S3CRET-log")
    record = logging.LogRecord("x", logging.INFO, "f", 1, "key %s", ("S3CRET-log",), None)
    try:
        raise ValueError("S3CRET-log")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    assert RedactingFilter(redactor).filter(record)
    assert "S3CRET" not in logging.Formatter().format(record)


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"", 503),
        answer(json.dumps({"error": "key S3CRET-canary-1 is not known"}).encode(), 400),
        answer(b"", 302, {"Location": "https://S3CRET-canary-1.invalid/S3CRET-canary-1"}),
        Raw([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nS3CRET"]),
        Raw([b"S3CRET-canary-1 no http"]),
    ],
)
def test_no_failure_shows_a_secret(reply):
    redactor = Redactor()
    redactor.add("S3CRET-canary-1")
    events = []
    with RawServer(lambda _: reply) as server:
        http = HttpHost(redactor, observers=Observers(events.append), clock=FakeClock()).for_feed("f")
        with pytest.raises(NexusError) as caught:
            http.send(HttpRequest("GET", f"http://u:S3CRET-canary-1@127.0.0.1:{server.port}/S3CRET-canary-1", (("k", "S3CRET-canary-1"),)))
    assert "S3CRET-canary" not in str(caught.value) + repr(events)
