"""What libraries and plugins say by themselves (``logging``, exceptions that end a thread): on stderr, redacted like the rest."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from nexus_engine.cli.output import Output
from nexus_engine.host.redact import RedactingFilter


def install(out: Output) -> None:
    """Take over the root logger and the hooks for exceptions that nobody caught. A second call changes nothing."""
    root = logging.getLogger()
    if any(isinstance(handler, _Lines) for handler in root.handlers):
        return
    root.addHandler(_Lines(out))
    for noisy in ("httpx", "httpcore", "urllib3"):  # they log whole URLs
        logging.getLogger(noisy).setLevel(logging.WARNING)

    def told(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        out.note("".join(traceback.format_exception(kind, error, trace)))

    sys.excepthook = told
    threading.excepthook = lambda args: told(args.exc_type, args.exc_value, args.exc_traceback)


class _Lines(logging.Handler):
    """One line per record; its text goes out through :class:`Output`, which knows the secrets of the project."""

    def __init__(self, out: Output) -> None:
        super().__init__(logging.WARNING)
        self._out = out
        self.addFilter(RedactingFilter(out))
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._out.note(self.format(record))
        except Exception:  # noqa: BLE001  a log line must not end what it tells about
            self.handleError(record)
