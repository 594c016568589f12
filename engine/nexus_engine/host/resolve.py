"""Names to addresses under a deadline: the system's resolver knows none, so it is asked in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final

_POLL_S: Final = 1.0

Address = tuple[Any, ...]  # as socket.getaddrinfo gives it
Left = Callable[[], float]  # seconds left; raises TimeoutError when none are


class Resolver:
    """Thread-safe. At most one look-up per name is under way: one that hangs holds one thread, however often it is asked."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], Future[list[Address]]] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, port: int, left: Left) -> list[Address]:
        """Raises:
        TimeoutError: no answer before the deadline.
        OSError, UnicodeError: no such name.
        """
        try:
            return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
        except socket.gaierror:  # a name
            pass
        key = (host, port)
        with self._lock:
            asked = self._pending.get(key)
            if asked is None:
                asked = self._pending[key] = Future()
                threading.Thread(target=self._ask, args=(key, asked), name=f"resolve-{host}", daemon=True).start()
        while not wait([asked], timeout=min(_POLL_S, left())).done:
            pass
        return asked.result()

    def _ask(self, key: tuple[str, int], asked: Future[list[Address]]) -> None:
        found: list[Address] = []
        failed: BaseException | None = None
        try:
            found = list(socket.getaddrinfo(*key, type=socket.SOCK_STREAM))
        except BaseException as error:  # noqa: BLE001  it belongs to those who asked
            failed = error
        with self._lock:
            del self._pending[key]
        if failed is None:
            asked.set_result(found)
        else:
            asked.set_exception(failed)
