"""The page server of W1, in a process of its own: a thread per connection, keep-alive, bodies rendered before it listens.

    python bench/server.py [--pages N] [--latency-ms N] [--folder DIR]      prints "ready PORT", serves until stdin closes

GET /fred/observations?series_id=P<pages>&offset=N&limit=1000: ``P200`` is a series of 200 pages, ``P0`` has no rows;
``R10000`` one of 10,000 answers of one record each.
GET /files/NAME?times=N: a file of the folder, N times over (1 unless said), in one answer.
GET /stats: requests and body bytes so far.
"""

from __future__ import annotations

import argparse
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pages

SINGLE = re.compile(rb"[?&]series_id=R(\d+)")
SERIES = re.compile(rb"[?&]series_id=P(\d+)")
FILE = re.compile(rb"/files/([a-z0-9.-]+)(?:\?times=(\d+))?")
OFFSET = re.compile(rb"[?&]offset=(\d+)")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Server:
    def __init__(self, latency_s: float, folder: Path | None) -> None:
        self.latency_s = latency_s  # before each answer
        self.folder = folder
        self.requests = 0
        self.body_bytes = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        buffer = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        more = connection.recv(65536)
                        if not more:
                            return
                        buffer += more
                    request, buffer = buffer.split(b"\r\n\r\n", 1)
                    self._answer(connection, request.split(b"\r\n", 1)[0])
            except OSError:  # the client is gone
                return

    def _answer(self, connection: socket.socket, line: bytes) -> None:
        if self.folder and (asked := FILE.search(line)):
            self._send_file(connection, self.folder / asked[1].decode(), int(asked[2] or 1))
            return
        if b"/stats" in line:
            head, rest = b'{"requests":%d,"body_bytes":%d}' % (self.requests, self.body_bytes), b""
        else:
            series, offset = SERIES.search(line), OFFSET.search(line)
            at, single = int(offset[1]) if offset else 0, SINGLE.search(line)
            if single:
                head, rest = pages.one_record(int(single[1]), at), b""
            else:
                head, rest = pages.page_body(int(series[1]) if series else 0, at)
            self.requests += 1
            if self.latency_s:
                time.sleep(self.latency_s)
            self.body_bytes += len(head) + len(rest)
        connection.sendall(HEAD % (len(head) + len(rest)) + head + rest)

    def _send_file(self, connection: socket.socket, path: Path, times: int) -> None:
        connection.sendall(HEAD % (path.stat().st_size * times))
        for _ in range(times):
            with path.open("rb") as file:
                connection.sendfile(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=pages.BLOCKS, help="pages to render before listening")
    parser.add_argument("--latency-ms", type=float, default=0, help="time before each answer")
    parser.add_argument("--folder", type=Path, help="whose files are served")
    options = parser.parse_args()
    for page in range(min(options.pages, pages.BLOCKS)):
        pages.block(page)
    server = Server(options.latency_ms / 1000, options.folder)
    threading.Thread(target=server.serve, daemon=True).start()
    print("ready", server.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
