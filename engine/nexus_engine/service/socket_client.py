"""Ask the owner of a data folder, when there is one."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexus_engine.errors import NexusError, Reconnect
from nexus_engine.events import Event
from nexus_engine.service import socket_path
from nexus_engine.service.wire import ARROW, Remote, decode, encode, event_from_json

CONNECT_TIMEOUT_S = 2.0


class OwnerClient:
    """One owner that listens. Each call is its own connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def health(self) -> dict[str, Any]:
        result: dict[str, Any] = self._exchange("GET", "/health", None, None, CONNECT_TIMEOUT_S)
        return result

    def call(self, verb: str, args: dict[str, Any], on_event: Callable[[Event], None] | None = None) -> Any:
        """The verb's result: JSON, or bytes for a table. Waits as long as the verb runs.

        Raises:
            Remote: the owner's own error.
            Reconnect: the owner went away before it answered; what it was doing is recovered by the next one.
        """
        return self._exchange("POST", f"/{verb}", encode(args), on_event, None)

    def _exchange(
        self, method: str, path: str, body: bytes | None, on_event: Callable[[Event], None] | None, timeout_s: float | None
    ) -> Any:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path, body=body)
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            answer = connection.getresponse()
            if answer.headers.get_content_type() == ARROW:
                return answer.read()
            return _result(answer, on_event)
        except (OSError, http.client.HTTPException) as error:
            raise _gone() from error
        finally:
            connection.close()


def _result(answer: http.client.HTTPResponse, on_event: Callable[[Event], None] | None) -> Any:
    for line in answer:
        data = decode(line)
        if "result" in data:
            return data["result"]
        if "error" in data:
            raise Remote(data["error"])
        event = event_from_json(data.get("event", {}))
        if event is not None and on_event is not None:
            on_event(event)
    raise _gone()


def connect(data_dir: Path) -> OwnerClient | None:
    """The owner's client, or None when nobody listens (no socket, or one left by a process that died)."""
    path = socket_path.find(data_dir)
    if path is None:
        return None
    try:
        _connected(path).close()
    except OSError:
        return None
    return OwnerClient(path)


def _connected(path: Path) -> socket.socket:
    """A connection. An owner that is asked by many at once has no room for a moment (EAGAIN): that is not nobody.

    Raises:
        OSError: nobody listens.
    """
    end = time.monotonic() + CONNECT_TIMEOUT_S
    while True:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(CONNECT_TIMEOUT_S)
        try:
            made.connect(str(path))
        except BlockingIOError:
            made.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        except OSError:
            made.close()
            raise
        else:
            return made


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=CONNECT_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = _connected(self._path)


def _gone() -> NexusError:
    return Reconnect(
        "the process that owns the data folder went away before it answered",
        did="whatever it had taken over is delivered when the next one starts",
        do="run the command again",
    )
