"""The SQLite file under the state store: opening it safely, transactions, and its errors in the engine's words."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from nexus_engine.errors import Locked, NexusError, OutOfSpace, StateDamaged
from nexus_engine.state import tables

_CHECK_UP_TO_BYTES = 64 << 20  # a whole check of a larger file would hold up each start
_RESTORE = "restore state.db from a backup, or move the data folder away to start anew (every feed is then read again)"


class Database:
    """One file. Writers take turns (BEGIN IMMEDIATE, synchronous=FULL); readers see the last commit (WAL).

    Raises (from opening and from every transaction):
        StateDamaged: unreadable, read-only, of a newer engine, or missing although the folder had an earlier life.
        Locked: another process holds the write lock for more than five seconds.
        OutOfSpace: the disk is full; nothing was changed.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._turn = threading.RLock()
        missing = not path.exists() or path.stat().st_size == 0
        if missing:
            _refuse_lost_state(path)
        if not missing or not read_only:
            self._refuse_rights()
        if missing and not read_only:
            _create_file(path)
        url = f"file:{path}?mode={'ro' if read_only else 'rw'}&uri=true"
        self._engine = sa.create_engine("sqlite://" if missing and read_only else f"sqlite:///{url}")
        event.listen(self._engine, "connect", self._on_connect)
        event.listen(self._engine, "begin", _on_begin)
        if missing and read_only:  # nothing was ever run here: an empty state to look at
            tables.metadata.create_all(self._engine)
            return
        with self._translated():
            self._prepare()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, alone."""
        with self._turn, self._translated(), self._engine.connect() as bare:
            connection = bare.execution_options(nexus_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        with self._turn:
            self._engine.dispose()

    def _create(self) -> None:
        with self.write() as connection:
            tables.metadata.create_all(connection)
            connection.execute(tables.meta.insert().values(name="schema", value=str(tables.SCHEMA)))

    def _prepare(self) -> None:
        with self.read() as connection:
            known = set(sa.inspect(connection).get_table_names())
        if not known:  # new, or its first owner died before the one transaction that makes the tables
            _refuse_lost_state(self.path)
            return self._create()
        with self.read() as connection:
            if self.path.stat().st_size <= _CHECK_UP_TO_BYTES:
                found = " ".join(str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()).split())
                if found != "ok":
                    raise self._damaged(f"the state file is damaged: {found}")
            if "meta" not in known:
                raise self._damaged("the state file is not one of this engine")
            query = sa.select(tables.meta.c.value).where(tables.meta.c.name == "schema")
            version = int(connection.execute(query).scalar() or 0)
        if version > tables.SCHEMA:
            raise StateDamaged(
                f"the state file has version {version}, this engine knows {tables.SCHEMA}",
                where=str(self.path),
                did="nothing was changed",
                do="use the newer engine that wrote it",
            )
        if version < tables.SCHEMA and self.read_only:
            raise StateDamaged(
                f"the state file has version {version}, this engine writes {tables.SCHEMA}", where=str(self.path), did="nothing was changed",
                do="let the engine bring it up to date first: any nexus-engine run or query does",
            )
        if version < tables.SCHEMA:
            self._upgrade()
        return None

    def _upgrade(self) -> None:
        """Add what an older file lacks: tables, columns with a default, indexes. Nothing else changes between versions."""
        with self.write() as connection:
            inspector = sa.inspect(connection)
            known = set(inspector.get_table_names())
            for table in tables.metadata.sorted_tables:
                if table.name not in known:
                    table.create(connection)
                    continue
                present = {str(column["name"]) for column in inspector.get_columns(table.name)}
                for column in table.columns:
                    if column.name not in present:
                        ddl = sa.schema.CreateColumn(column).compile(connection)
                        connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {ddl}")
                indexes = {str(index["name"]) for index in inspector.get_indexes(table.name)}
                for index in table.indexes:
                    if index.name not in indexes:
                        index.create(connection)
            connection.execute(tables.meta.update().where(tables.meta.c.name == "schema").values(value=str(tables.SCHEMA)))

    def _on_connect(self, connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours: see _on_begin
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=5000")
        cursor.execute("PRAGMA foreign_keys=ON")
        if not self.read_only:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    def _refuse_rights(self) -> None:
        """SQLite would open a read-only file and fail at the first write, in the middle of a run."""
        wanted, bits = (os.R_OK, 0o400) if self.read_only else (os.R_OK | os.W_OK, 0o600)
        for path in (self.path, self.path.parent):
            # The bits too: for root every file is writable, but a file made read-only was made so on purpose.
            if path.exists() and not (os.access(path, wanted) and path.stat().st_mode & bits == bits):
                verb = "read" if self.read_only else "written"
                raise StateDamaged(
                    f"{path.name} cannot be {verb}",
                    where=str(path),
                    did="nothing was changed",
                    do=f"give the user of this process the right to (chown, chmod u+rw {path})",
                )

    def _damaged(self, what: str) -> StateDamaged:
        return StateDamaged(what, where=str(self.path), did="nothing was changed", do=_RESTORE)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            known = self._in_our_words(str(error.orig))
            if known is None:
                raise
            raise known from error

    def _in_our_words(self, text: str) -> NexusError | None:
        where = str(self.path)
        if "database or disk is full" in text:
            return OutOfSpace("no space is left for the state file", where=where, did="nothing was changed", do="free some space")
        if "locked" in text or "busy" in text:
            return Locked("another process writes the state file", where=where, do="stop that process, or try again")
        if "readonly" in text or "unable to open" in text:
            return StateDamaged(f"the state file cannot be used: {text}", where=where, do="check the rights of file and folder")
        if "disk I/O error" in text:
            return StateDamaged(f"the state file cannot be used: {text}", where=where, do="check the disk, then start again")
        if "malformed" in text or "not a database" in text:
            return self._damaged(f"the state file is damaged: {text}")
        return None


def _on_begin(connection: sa.Connection) -> None:
    # Taking the write lock first means that what a transaction reads is still true when it writes.
    write = connection.get_execution_options().get("nexus_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives -wal and -shm the same mode


def _refuse_lost_state(path: Path) -> None:
    """An empty state in a folder that has tables or staged rows would read every feed again, on top of them."""
    traces: list[Any] = [p for p in path.parent.glob("clickhouse/metadata/*.sql") if p.stem not in ("default", "system")]
    traces += path.parent.glob("spool/*.arrow")
    if traces:
        raise StateDamaged(
            "the state file is missing, but this data folder was in use",
            where=str(path),
            did=f"nothing was created; found {traces[0]}",
            do=_RESTORE,
        )
