"""An API that tells every secret it is sent, in every encoding and in every way an answer can go wrong. `/<failure>/<place>`."""

from __future__ import annotations

import json

from canary import encodings, value_of
from raw_server import Raw, Request, answer

ROWS = 20


def echo(request: Request) -> str:
    """The request as it came, and its secret in every encoding."""
    return " ".join([request.raw.decode("latin-1"), *encodings(value_of(_place(request))).values()])


def _place(request: Request) -> str:
    return request.path.split("/")[2]


def rows(text: str, *, bad: int = 0) -> list[dict[str, object]]:
    """Good records, and ``bad`` ones whose number is no number; all of them tell."""
    return [{"id": "no " + text if i < bad else i, "note": f"{i} {text}"} for i in range(ROWS)]


def straddling(request: Request, at: int) -> str:
    """The secret across the ``at``-th character, where a message may be cut."""
    return "x" * (at - 8) + value_of(_place(request))


class Script:
    """``elsewhere``: the base URL of another origin."""

    def __init__(self, elsewhere: str) -> None:
        self.elsewhere = elsewhere

    def __call__(self, request: Request) -> Raw:
        failure = request.path.split("/")[1]
        reply: Raw = getattr(self, failure)(request, echo(request))
        return reply

    def unauthorized(self, request: Request, text: str) -> Raw:
        return answer({"error": text}, 401)

    def forbidden_cut(self, request: Request, text: str) -> Raw:
        return answer(straddling(request, 200), 403)

    def broken(self, request: Request, text: str) -> Raw:
        return answer(text, 500, {"Retry-After": value_of(_place(request))})

    def redirect(self, request: Request, text: str) -> Raw:
        key = encodings(value_of(_place(request)))["url"]
        return answer(b"", 302, {"Location": f"{self.elsewhere}/{key}?key={key}"})

    def link(self, request: Request, text: str) -> Raw:
        """Page 1 lands, its next page carries the secret and is refused: the position has it."""
        if "page=2" in request.target:
            return answer({"error": text}, 404)
        key = encodings(value_of(_place(request)))["url"]
        return answer({"rows": [{"id": 1, "note": "x"}], "next": f"{request.path}?page=2&token={key}"})

    def invalid(self, request: Request, text: str) -> Raw:
        return answer(f'{{"rows": [{{"id": 1, "note": "{value_of(_place(request))} {text}'.encode())

    def html(self, request: Request, text: str) -> Raw:
        return answer(f"<html>{text}</html>", 200, {"Content-Type": "text/html"})

    def absent(self, request: Request, text: str) -> Raw:
        return answer({"other": straddling(request, 200) + text})

    def declared(self, request: Request, text: str) -> Raw:
        return answer({"error": text, "rows": []})

    def refused(self, request: Request, text: str) -> Raw:
        return answer({"rows": [{"id": straddling(request, 190), "note": text}] * ROWS})

    def quarantined(self, request: Request, text: str) -> Raw:
        return answer({"rows": rows(text, bad=2)})

    def poison(self, request: Request, text: str) -> Raw:
        return answer({"rows": [*rows(text), {"id": 99, "note": {"deep": text}}, text, [text]]})

    def told(self, request: Request, text: str) -> Raw:
        """A good answer that repeats the request, beside the records and in them."""
        return answer({"request": text, "rows": rows(text)})

    def drips(self, request: Request, text: str) -> Raw:
        return Raw([f"HTTP/1.1 200 OK\r\nX-Echo: {value_of(_place(request))}\r\nContent-Length: 99999\r\n\r\n".encode(), b'{"rows": ', 30.0])

    def cut(self, request: Request, text: str) -> Raw:
        return Raw([b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + text.encode()])

    def nohttp(self, request: Request, text: str) -> Raw:
        return Raw([value_of(_place(request)).encode() + b" " + text.encode()])

    def slow(self, request: Request, text: str) -> Raw:
        """Page 1 is large and tells; page 2 does not come."""
        if "page=2" in request.target:
            return Raw([60.0])
        return answer({"request": text, "next": "?page=2", "rows": [{"id": i, "note": text} for i in range(3000)]})


FAILURES = [name for name in vars(Script) if not name.startswith("_") and name != "slow"]
