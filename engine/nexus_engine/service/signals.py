"""SIGTERM, SIGINT and SIGHUP ask for a graceful stop; a second one ends the process at once.

Handlers run in the main thread between bytecodes, so the main thread must never be inside the engine: it waits here.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class GracefulStop:
    """While entered, the first signal sets :attr:`asked` (and calls ``told`` once), the second exits with 128 + its number."""

    def __init__(self, told: Callable[[str], None] | None = None) -> None:
        self.asked = threading.Event()
        self._told = told
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            os._exit(128 + number)  # a kill -9 is safe at any point, so this is
        self.asked.set()
        if self._told is not None:
            self._told(signal.Signals(number).name)
