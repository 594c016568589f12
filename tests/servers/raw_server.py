"""A server of raw bytes on 127.0.0.1: it sends exactly what a test says, also what no well-behaved server would."""

from __future__ import annotations

import gzip as gzip_
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl, urlsplit


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float  # time.time() when its head had come
    raw: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def lists(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


class Reset:
    """The connection ends at once, by a RST."""


Piece = bytes | float | type[Reset]  # a float: so many seconds of silence


@dataclass
class Raw:
    """An answer byte by byte. ``keep``: the connection stays open for the next request."""

    pieces: Iterable[Piece]
    keep: bool = False


def answer(body: object = b"", status: int = 200, headers: dict[str, str] | None = None, *, gzip: bool = False) -> Raw:
    """A well-formed answer; what is neither bytes nor text is sent as JSON."""
    head = {"Content-Type": "application/json"} if not isinstance(body, (bytes, str)) else {}
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    if gzip:
        data, head["Content-Encoding"] = gzip_.compress(data), "gzip"
    head |= headers or {}
    head["Content-Length"] = str(len(data))
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return Raw([f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data], keep=True)


Script = Callable[[Request], Raw]


@dataclass
class RawServer:
    """Runs inside ``with``. ``requests`` is its log."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> RawServer:
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        # Closing alone leaves the thread in accept(); a signal restarts that call on the number of the file, which the next server has by then.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self.tls is not None:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            file = connection.makefile("rb")
            try:
                while (request := _read(file)) is not None:
                    with self._lock:
                        self.requests.append(request)
                    reply = self.script(request)
                    for piece in reply.pieces:
                        if isinstance(piece, float):
                            if self._closing.wait(piece):
                                return
                        elif piece is Reset:
                            time.sleep(0.02)  # what was sent before arrives before
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            file.close()
                            return
                        else:
                            connection.sendall(piece)
                    if not reply.keep:
                        connection.shutdown(socket.SHUT_WR)
                        return
            except (OSError, ValueError):  # the client left, or spoke no HTTP
                return


def _read(file) -> Request | None:
    raw = line = file.readline()
    if not line.strip():
        return None
    at = time.time()
    method, target, _ = line.decode().split(" ", 2)
    headers = {}
    while (line := file.readline()).strip():
        raw += line
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body, at, raw + b"\r\n" + body)
