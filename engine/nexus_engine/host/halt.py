"""An event that is also set when another one is: the end of a run, or of the whole process."""

from __future__ import annotations

import threading


class Halt(threading.Event):
    """Set by itself, or when ``parent`` is: a part ends early, or the whole ends."""

    def __init__(self, parent: threading.Event) -> None:
        super().__init__()
        self._parent = parent

    def is_set(self) -> bool:
        return super().is_set() or self._parent.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """As of the base; the parent is looked at ten times a second."""
        left = timeout
        while not self.is_set():
            turn = 0.1 if left is None else min(0.1, left)
            if turn <= 0:
                return False
            super().wait(turn)
            left = None if left is None else left - turn
        return True
