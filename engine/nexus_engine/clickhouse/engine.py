"""The one embedded ClickHouse (chdb) of the process.

chdb takes a folder for itself with a file lock, allows one folder per process, and hangs in a forked child: an ``Engine`` is
opened once, used from any thread, and never carried over a fork. A session of chdb answers one query after the other; queries of
several threads run side by side (without the GIL) in a session each.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import io
import json
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_engine.errors import Locked, StateDamaged

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

# What every query starts from; a query's own SETTINGS clause comes after and wins. Results that Python reads keep every digit:
# integers of any width as numbers (Python's are exact), decimals and NaN as text.
PINNED: Mapping[str, str | int] = {
    "session_timezone": "UTC",
    "max_execution_time": 600,
    "timeout_overflow_mode": "throw",
    "max_memory_usage": 4 << 30,
    "max_query_size": 16 << 20,
    "async_insert": 0,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_denormals": 1,
}

_CODE = re.compile(r"Code: (\d+)\.\s*(?:DB::Exception: )?")
_NAME = re.compile(r"[a-z_0-9]+\Z")


_NOT_ENOUGH_SPACE = 243  # clickhouse/src/Common/ErrorCodes.cpp
SESSIONS = 4  # at most; a query beyond them waits for one to end


class EngineError(Exception):
    """A query failed. ``code`` is ClickHouse's error code (0 when it gave none), ``message`` its text without the code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"ClickHouse error {code}: {message}" if code else message)
        self.code = code
        self.message = message

    @property
    def no_space(self) -> bool:
        """The disk is full."""
        return self.code == _NOT_ENOUGH_SPACE or "No space left on device" in self.message


class Engine:
    """Opens at the first query. Make it before other threads run (see ``__init__``).

    Args:
        path: folder of the tables; None keeps everything in memory.
        settings: pinned settings to change, for every query of this engine.

    Raises (from any query):
        EngineError: ClickHouse refused or failed the query.
        Locked: another process has the folder open.
        StateDamaged: the folder cannot be opened as a ClickHouse folder.
    """

    def __init__(self, path: Path | None, *, settings: Mapping[str, str | int] | None = None) -> None:
        self._path = path
        self._settings = {**PINNED, **(settings or {})}
        self._idle: list[Any] = []
        self._count = 0  # of sessions: idle, in use, and being opened
        self._closed = False
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._pid = os.getpid()
        # Here and not at the first query: while chdb is imported it changes the working directory of the whole process, and
        # a thread that opens a relative path meanwhile does not find it. Engines are made before threads are.
        with _signal_handlers_kept():
            importlib.import_module("chdb")

    def query(
        self, sql: str, *, params: Mapping[str, str] | None = None, settings: Mapping[str, str | int] | None = None
    ) -> int:
        """Run a statement and drop what it returns; how many rows it read of tables and files. ``params`` fill ``{name:Type}`` places;
        ``settings`` are appended as a SETTINGS clause, so a clause inside ``sql`` wins."""
        return self._run(sql, "Null", params, settings)[1]

    def rows(
        self, sql: str, *, params: Mapping[str, str] | None = None, settings: Mapping[str, str | int] | None = None
    ) -> list[dict[str, Any]]:
        """A small result as dicts: exact integers, decimals as text. Bytes that are no UTF-8, which a String column may hold, are
        shown as U+FFFD."""
        lines = self._run(sql, "JSONEachRow", params, settings)[0].split(b"\n")
        return [json.loads(line.decode("utf-8", "replace")) for line in lines if line]

    def arrow(
        self, sql: str, *, params: Mapping[str, str] | None = None, settings: Mapping[str, str | int] | None = None
    ) -> pa.Table:
        """A result as an Arrow table."""
        import pyarrow as pa

        data, _ = self._run(sql, "ArrowStream", params, settings)
        return pa.ipc.open_stream(data).read_all() if data else pa.table({})

    def column(
        self, sql: str, *, params: Mapping[str, str] | None = None, settings: Mapping[str, str | int] | None = None
    ) -> npt.NDArray[Any]:
        """A result of one column, of numbers, as an array of shape (rows,): millions of them in milliseconds."""
        import numpy as np

        found: npt.NDArray[Any] = np.load(io.BytesIO(self._run(sql, "Npy", params, settings)[0]), allow_pickle=False)
        return found

    def close(self) -> None:
        """Wait for nothing: callers have ended their queries. May be called twice."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        if os.getpid() == self._pid:
            for session in idle:
                session.close()

    def _run(self, sql: str, format: str, params: Mapping[str, str] | None, settings: Mapping[str, str | int] | None) -> tuple[bytes, int]:
        """The result, and how many rows were read for it."""
        text = f"{sql.rstrip().rstrip(';')}{_settings_clause(settings)}"
        escaped = {name: _escape(value) for name, value in (params or {}).items()}
        with self._session() as session:
            try:
                result = session.query(text, format, params=escaped)
                return bytes(result.bytes() or b""), int(result.storage_rows_read())
            except Exception as error:  # noqa: BLE001  chdb raises RuntimeError, ChdbError and others alike
                _drop_leftover(session)
                raise engine_error(error) from None

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """An idle session; a new one while there are fewer than allowed; else the next that becomes idle."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._count < SESSIONS or self._closed)
            if self._closed or os.getpid() != self._pid:
                raise EngineError(0, "the engine is closed, or was carried over a fork, which chdb does not survive")
            session = self._idle.pop() if self._idle else None
            self._count += session is None
        try:
            if session is None:
                session = self._open()
            yield session
        finally:
            self._give_back(session)

    def _give_back(self, session: Any) -> None:
        with self._changed:
            kept = session is not None and not self._closed
            if kept:
                self._idle.append(session)
            else:
                self._count -= 1
            self._changed.notify()
        if session is not None and not kept:
            session.close()

    def _open(self) -> Any:
        with self._opening:
            if self._path is not None:
                try:
                    self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
                except OSError as error:
                    raise _unusable(self._path, str(error)) from error
                _refuse_second_owner(self._path)
            session = _connect(self._path)
            pinned = ", ".join(f"{name} = {_setting(value)}" for name, value in self._settings.items())
            session.query(f"SET {pinned}", "Null")
            return session


def _drop_leftover(session: Any) -> None:
    """What a query gave before it failed stays in chdb's buffer and would stand at the head of the next query's result."""
    with contextlib.suppress(Exception):
        session.query("SELECT 1", "Null")


def engine_error(error: BaseException) -> EngineError:
    """ClickHouse's code stands only in the text of chdb's exceptions: ``Code: 60. DB::Exception: ...``. It quotes data, which it may cut
    inside a letter: chdb then fails to decode its own message."""
    told = error.object.decode("utf-8", "replace") if isinstance(error, UnicodeDecodeError) else str(error)
    text = told.strip()
    match = _CODE.search(text)
    if match is None:
        return EngineError(0, text or type(error).__name__)
    return EngineError(int(match[1]), text[match.end() :])


def _connect(path: Path | None) -> Any:
    import chdb
    from chdb import session

    open_session: Any = session.Session
    native: Any = chdb._chdb  # noqa: SLF001  the only door to this switch
    try:
        with _signal_handlers_kept():
            native.set_signal_handlers_enabled(0)
            return open_session(None if path is None else str(path))
    except Exception as error:  # noqa: BLE001  as above
        problem = engine_error(error)
        if "different path" in problem.message:  # a mistake of the caller, not of the folder
            raise problem from None
        raise _unusable(path, problem.message) from None


def _unusable(path: Path | None, reason: str) -> StateDamaged:
    return StateDamaged(
        f"the embedded ClickHouse does not open: {reason}",
        where=str(path or "in memory"),
        did="nothing was read or written",
        do="check the folder's rights and the free space; restore it from a backup if it is damaged",
    )


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Put back the handlers that chdb takes or resets (SIGSEGV, SIGABRT, SIGTSTP, ...): they may be faulthandler's or the
    host program's. Below Python, because ``signal`` does not see handlers that C installed."""
    libc = ctypes.CDLL(None)
    kept = {}
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        action = ctypes.create_string_buffer(512)  # struct sigaction is 152 bytes here; its inside is not our affair
        if libc.sigaction(int(number), None, action) == 0:
            kept[int(number)] = action
    try:
        yield
    finally:
        for taken, action in kept.items():
            libc.sigaction(taken, action, None)


def _refuse_second_owner(path: Path) -> None:
    """Ask for ClickHouse's own lock first: chdb answers a taken lock with noise on stderr and no reason."""
    try:
        status = os.open(path / "status", os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        found = re.search(rb"PID: (\d+)", os.read(status, 200))
        pid = int(found[1]) if found else 0
        if pid == os.getpid():
            return  # this process has it: chdb shares one folder between sessions
        raise Locked(
            f"another process has the embedded ClickHouse open (pid {pid or 'unknown'})",
            pid=pid,
            where=str(path),
            do="stop that process, or send the command to it",
        ) from None
    finally:
        os.close(status)


def _settings_clause(settings: Mapping[str, str | int] | None) -> str:
    if not settings:
        return ""
    return " SETTINGS " + ", ".join(f"{name} = {_setting(value)}" for name, value in settings.items() if _check_name(name))


def _check_name(name: str) -> bool:
    if not _NAME.match(name):
        raise ValueError(f"not a setting's name: {name!r}")
    return True


def _setting(value: str | int) -> str:
    if isinstance(value, int):
        return str(int(value))
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _escape(value: str) -> str:
    """As one field of TabSeparated text: so chdb reads a parameter."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").replace("\0", "\\0")
