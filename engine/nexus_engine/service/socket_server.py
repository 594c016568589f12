"""The owner's door: HTTP over a Unix socket that only its user can open. POST /<verb> with JSON; GET /health."""

from __future__ import annotations

import os
import socket
import socketserver
import struct
import threading
import traceback
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from nexus_engine.errors import NexusError
from nexus_engine.events import Event
from nexus_engine.service import socket_path
from nexus_engine.service.wire import ARROW, LINES, decode, encode, error_to_json, event_to_json

Tell = Callable[[Event], None]
Verb = Callable[[dict[str, Any], Tell], Any]  # (arguments, where to tell events) -> JSON, or bytes: an Arrow stream

MAX_BODY_BYTES = 10**6
MAX_CONNECTIONS = 64
READ_TIMEOUT_S = 10.0


class SocketServer:
    """Serves ``verbs`` in threads of its own until closed. Only the holder of the owner lock may start one."""

    def __init__(self, data_dir: Path, verbs: Mapping[str, Verb], health: Callable[[], dict[str, Any]]) -> None:
        self._data_dir = data_dir
        path = socket_path.place(data_dir)
        before = os.umask(0o177)  # 0600 from the moment the socket exists
        try:
            self._server = _Server(str(path), _Handler)
        finally:
            os.umask(before)
        self._server.verbs, self._server.health = verbs, health
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="nexus-socket", daemon=True)
        self._thread.start()

    def close(self, wait_s: float = 2.0) -> None:
        """Accept nothing more, give answers under way ``wait_s`` seconds, remove the socket."""
        self._server.shutdown()
        self._server.idle.wait(wait_s)
        self._server.server_close()
        socket_path.remove(self._data_dir)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CONNECTIONS
    verbs: Mapping[str, Verb]
    health: Callable[[], dict[str, Any]]

    def __init__(self, path: str, handler: type[BaseHTTPRequestHandler]) -> None:
        self.idle = threading.Event()
        self.idle.set()
        self._count, self._lock = 0, threading.Lock()
        super().__init__(path, handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Only this user and root, whatever the folder's permissions are; and not too many at once."""
        if not hasattr(socket, "SO_PEERCRED"):  # macOS: the socket's mode alone
            return self._count < MAX_CONNECTIONS
        credentials = request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        with self._lock:
            return uid in (os.geteuid(), 0) and self._count < MAX_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._count += 1
            self.idle.clear()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._lock:
            self._count = max(0, self._count - 1)
            if self._count == 0:
                self.idle.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or a broken verb, is never the owner's end; the verb's error was answered already."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_TIMEOUT_S
    server_version = "nexus-engine"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._once(200, {"result": self.server.health()})
        else:
            self._once(404, _unknown(self.path))

    def do_POST(self) -> None:
        try:
            args = self._arguments()  # read before anything is answered: closing on unread bytes resets the connection
        except (ValueError, TypeError) as error:
            self._once(400, {"error": error_to_json(NexusError(f"the owner did not understand the request: {error}"))})
            return
        verb = self.server.verbs.get(self.path.removeprefix("/"))
        if verb is None:
            self._once(404, _unknown(self.path))
        else:
            _Answer(self).run(verb, args)

    def _arguments(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BODY_BYTES:
            raise ValueError(f"the body has {length} bytes, {MAX_BODY_BYTES} are allowed")
        body = self.rfile.read(length)
        args = decode(body) if body else {}
        if not isinstance(args, dict):
            raise TypeError("the arguments are no mapping")
        return args

    def _once(self, status: int, data: dict[str, Any]) -> None:
        body = encode(data)
        self.send_response(status)
        self.send_header("Content-Type", LINES)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what a verb does is told by its events."""


class _Answer:
    """One answer, written as it happens. A client that went away stops no verb."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._begun = self._gone = False

    def run(self, verb: Verb, args: dict[str, Any]) -> None:
        try:
            result = verb(args, lambda event: self._line({"event": event_to_json(event)}))
        except NexusError as error:
            self._line({"error": error_to_json(error)})
        except Exception as error:  # noqa: BLE001  the owner goes on; the caller is told
            what = f"this is a bug: {type(error).__name__} in the owner process"
            self._line({"error": {"kind": "Bug", "what": what, "did": traceback.format_exc(limit=-3), "exit_code": 1}})
        else:
            if isinstance(result, bytes):
                self._write(result, ARROW)
            else:
                self._line({"result": result})

    def _line(self, data: dict[str, Any]) -> None:
        self._write(encode(data), LINES)

    def _write(self, data: bytes, kind: str) -> None:
        with self._lock:
            if self._gone:
                return
            try:
                if not self._begun:
                    self._begun = True
                    self._handler.send_response(200)
                    self._handler.send_header("Content-Type", kind)
                    self._handler.end_headers()
                self._handler.wfile.write(data)
            except OSError:
                self._gone = True


def _unknown(path: str) -> dict[str, Any]:
    return {"error": error_to_json(NexusError(f"the owner knows no {path}", do="use the same version of nexus-engine on both sides"))}
