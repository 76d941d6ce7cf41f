"""The SQLite database behind tracks: its schema, its transactions, and what its errors mean.

A file is in write-ahead mode, so that others can read while a run writes, and a run that is killed leaves every
committed frame in place. Without a path the database is SQLite's private temporary one: it stays in memory while it
is small and moves to the disk's temporary folder when it is not.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskferry.errors import InputError, OutputError
from maskferry.files import check_free, translate_os_errors

__all__ = ["Database"]

APPLICATION_ID = 0x6D666779  # "mfgy", so that no other program's SQLite file is taken for one of ours
FORMAT = 2
"""1: as 2, without ``mask.fidelity``, and with the snapshots in ``job``, of which each frame writes a row anew."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE frame (idx INTEGER PRIMARY KEY, time REAL, name TEXT NOT NULL);
CREATE TABLE object (id INTEGER PRIMARY KEY, label TEXT, removed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE mask (
    frame INTEGER NOT NULL, object INTEGER NOT NULL, counts BLOB NOT NULL, score REAL NOT NULL, state TEXT NOT NULL,
    fidelity REAL, PRIMARY KEY (frame, object)) WITHOUT ROWID;
CREATE INDEX mask_by_object ON mask (object, frame);
CREATE TABLE prompt (
    frame INTEGER NOT NULL, object INTEGER NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (frame, object)) WITHOUT ROWID;
CREATE TABLE job (
    id INTEGER PRIMARY KEY, engine TEXT NOT NULL, backward INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER,
    stride INTEGER NOT NULL, position INTEGER, snapshot_frame INTEGER, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE snapshot (job INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE span (
    job INTEGER NOT NULL REFERENCES job, object INTEGER NOT NULL, seed INTEGER NOT NULL, until INTEGER,
    blend INTEGER NOT NULL);
CREATE TABLE edit (id INTEGER PRIMARY KEY, what TEXT NOT NULL, objects TEXT NOT NULL, before BLOB NOT NULL);
"""


class Database:
    """One connection, usable from any thread, one statement or transaction at a time."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._finalizer = weakref.finalize(self, connection.close)

    @classmethod
    def create(cls, path: Path | None = None, *, overwrite: bool = False) -> Database:
        """Make a new, empty database.

        Raises:
            OutputExistsError: the file exists and ``overwrite`` is false.
            OutputError: it cannot be made.
        """
        if path is not None:
            check_free(path, overwrite=overwrite)
            with translate_os_errors(path):
                for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                    path.with_name(name).unlink(missing_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
        database = cls(path, _connect(path))
        with database.transaction():
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {FORMAT}")
            for statement in SCHEMA.split(";"):
                database.execute(statement)
        return database

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open a database that exists.

        Raises:
            InputError: there is no such file, it is not one of ours, or a newer maskferry wrote it.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such tracks file")
        try:
            database = cls(path, _connect(path))
            ((found,),) = database.rows("PRAGMA application_id")
            ((version,),) = database.rows("PRAGMA user_version")
        except (sqlite3.DatabaseError, OutputError) as err:
            raise InputError(f"{path} is not a tracks file: {err}") from err
        if found != APPLICATION_ID:
            database.close()
            raise InputError(f"{path} is an SQLite file, but not one of maskferry's tracks files")
        if version > FORMAT:
            database.close()
            raise InputError(f"{path} has format {version}; this maskferry reads up to {FORMAT}: update it")
        if version < FORMAT:
            database._update(path)
        return database

    def _update(self, path: Path) -> None:
        """Bring a file of format 1 up to date. Whoever comes second finds it done.

        Raises:
            InputError: it cannot be written to.
        """
        try:
            self._update_from_1()
        except OutputError as err:
            self.close()
            raise InputError(f"{path} was written by an earlier maskferry and cannot be updated: {err}") from err

    def _update_from_1(self) -> None:
        with self.transaction():
            ((version,),) = self.rows("PRAGMA user_version")
            if version < FORMAT:
                self.execute("ALTER TABLE mask ADD COLUMN fidelity REAL")
                self.execute("CREATE TABLE snapshot (job INTEGER PRIMARY KEY, data BLOB NOT NULL)")
                self.execute("INSERT INTO snapshot SELECT id, snapshot FROM job WHERE snapshot IS NOT NULL")
                self.execute("UPDATE job SET snapshot = NULL")
                self.execute(f"PRAGMA user_version = {FORMAT}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in the block is committed together, or not at all."""
        with self._lock, self._translated():
            if self._connection.in_transaction:  # a block inside a block is part of it
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; the id of the row that it inserted, if it did."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).lastrowid or 0

    def execute_many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""
        with self._lock, self._translated():
            self._connection.executemany(sql, values)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and take all of its rows. Ask for long results in pieces."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).fetchall()

    def note(self, key: str) -> str | None:
        """A text that was kept for whoever resumes the run."""
        found = self.rows("SELECT value FROM meta WHERE key = ?", [f"note:{key}"])
        return str(found[0][0]) if found else None

    def set_note(self, key: str, value: str) -> None:
        """Keep a text for whoever resumes the run."""
        self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [f"note:{key}", value])

    def settle(self) -> None:
        """Bring everything written so far into the one file, which can then be copied or sent."""
        if self.path is not None:
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close; a file becomes one self-contained file. May be called twice."""
        with self._lock:
            self._finalizer()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        where = self.path or "the tracks in memory"
        try:
            yield
        except sqlite3.ProgrammingError as err:
            raise InputError(f"{where}: closed already") from err
        except sqlite3.Error as err:
            if getattr(err, "sqlite_errorname", "") == "SQLITE_FULL":
                raise OutputError(
                    f"no room left on the disk for {where}: free some and run again; finished frames are kept"
                ) from err
            raise OutputError(f"cannot use {where}: {err}") from err


def _connect(path: Path | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path or "", timeout=30, isolation_level=None, check_same_thread=False, cached_statements=64
        )
    except sqlite3.Error as err:
        raise OutputError(f"cannot open {path}: {err}") from err
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = {-2_000 if path else -64_000}")
    except sqlite3.Error as err:
        connection.close()
        raise OutputError(f"cannot open {path}: {err}") from err
    return connection
