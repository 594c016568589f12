"""What goes over the owner socket, both ways: events and errors as JSON lines. One place, so the two ends cannot differ.

An answer is lines of JSON: any number of ``{"event": ...}``, then exactly one ``{"result": ...}`` or ``{"error": ...}``; an answer
that ends without one means that the owner died. A table is one Arrow stream instead.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from nexus_engine import errors, events

LINES = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"


def encode(data: Any) -> bytes:
    """One line of JSON. The standard library's, because integers of any width must arrive as they are."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_plain).encode() + b"\n"


def decode(line: bytes) -> Any:
    return json.loads(line)


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str)


def event_to_json(event: events.Event) -> dict[str, Any]:
    return {"type": type(event).__name__, **asdict(event)}


def event_from_json(data: dict[str, Any]) -> events.Event | None:
    """The event, or None for a type that this version does not know."""
    fields = dict(data)
    kind = getattr(events, str(fields.pop("type", "")), None)
    if not (isinstance(kind, type) and issubclass(kind, events.Event)):
        return None
    try:
        return kind(**fields)
    except TypeError:
        return None


def error_to_json(error: errors.NexusError) -> dict[str, Any]:
    data: dict[str, Any] = {
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "did": error.did,
        "do": error.do,
        "exit_code": error.exit_code,
    }
    if isinstance(error, errors.ConfigError) and error.problems:
        import msgspec

        data["problems"] = msgspec.to_builtins(error.problems)
    return data


class Remote(errors.NexusError):
    """An error that the owner process reported; ``kind`` is its class there, ``problems`` as plain data."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data["what"], where=data.get("where", ""), did=data.get("did", ""), do=data.get("do", ""))
        self.kind: str = data.get("kind", "NexusError")
        self.exit_code = int(data.get("exit_code", 1))
        self.problems: list[dict[str, Any]] = data.get("problems", [])
