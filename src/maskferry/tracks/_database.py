"""The SQLite database behind tracks: its transactions, who may write to it, and what its errors mean.

A database begins as SQLite's private temporary one: in memory while it is small, in the disk's temporary folder when it
is not. `Database.save` gives it a file, whole or not at all. Whoever opens a file reads it, and leaves no trace. The
first transaction makes a writer of him, for as long as it lasts: he then holds the lock beside the file. A run holds it
from its first frame to its last, in write-ahead mode, so that others can read meanwhile, and so that a run that is
killed leaves every committed frame in place.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from maskferry._locks import Lock
from maskferry.errors import DamagedTracksError, InputError, OutputError, RunningElsewhereError
from maskferry.tracks import _opening
from maskferry.tracks._saving import check_replaceable, save_as
from maskferry.tracks._schema import APPLICATION_ID, FORMAT, SCHEMA
from maskferry.tracks._table import Row, Table

__all__ = ["Database"]

A_RUN, AN_EDIT = "a run", "an edit"

PATIENCE = 30.0
"""Seconds to wait for other edits. A run is not waited for."""

KEPT_CHANGES = 20_000
"""Revisions of which `changes_since` knows."""

BeforeChange = Callable[[str, Sequence[Row]], None]


class Database:
    """One connection, usable from any thread, one statement or transaction at a time.

    Attributes:
        path: the file; None where there is to be none.
        is_saved: whether it lies there already.
        read_only: nothing can be written.
        generation: grows with each edit that is made through this object, for whoever has to notice it.
        epoch: grows where what was read of edits may be outdated: with each edit, after a rollback, and when others may
            have written.
        open_edit: key of the edit that is being made now.
        recorder: told of rows before they change, see `_edit_store`.
    """

    def __init__(self, path: Path | None, connection: sqlite3.Connection, *, read_only: bool = False) -> None:
        self.path, self.read_only = path, read_only
        self.is_saved = False
        self.generation = self.epoch = 0
        self.open_edit: int | None = None
        self.recorder: BeforeChange | None = None
        self._is_writer = True
        self._why_read_only: str | None = None
        self._connection = connection
        self._identity: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._os_lock: Lock | None = None
        self._holders = 0
        self._changed: list[tuple[str, int, int]] = []
        self._meta, self._changes = Table(self, "meta"), Table(self, "change")
        self._finalizer = weakref.finalize(self, connection.close)

    @classmethod
    def create(cls, path: Path | None = None) -> Database:
        """Make a new, empty database, without a file yet.

        Args:
            path: where `save` will put it; None for nowhere.
        """
        database = cls(path, _opening.connect_private())
        with database.transaction():
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {FORMAT}")
            for statement in SCHEMA.split(";"):
                database.execute(statement)
            database._meta.put([("revision", "0")])
        return database

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Database:
        """Open a database that exists, for reading; the first transaction opens it for writing.

        Args:
            path: the file.
            read_only: refuse to write, and leave no trace of reading either, in whatever state the file is.

        Raises:
            InputError: there is no such file, it is not one of ours, or a newer maskferry wrote it.
            DamagedTracksError: its structure is damaged.
        """
        opened = _opening.open_file(path, read_only=read_only)
        if opened.version < FORMAT:
            return cls._converted(path, opened, read_only=read_only)
        database = cls(path, opened.connection, read_only=read_only)
        database._finalizer = weakref.finalize(database, opened.close)
        database._identity = _identity(path)
        database._is_writer, database.is_saved = False, True
        return database

    @classmethod
    def _converted(cls, path: Path, opened: _opening.Opened, *, read_only: bool) -> Database:
        """The content of a file of an earlier format; it is written back where that is allowed and possible."""
        from maskferry.tracks._old_formats import convert

        database = cls.create(path)
        try:
            convert(opened.connection, database, str(path))
        finally:
            opened.close()
        try:
            if not read_only:
                database.save(overwrite=True)
        except OutputError as err:
            database._why_read_only = f"{path} was written by an earlier maskferry and cannot be updated: {err}"
        if not database.is_saved:
            database.read_only = database.is_saved = True
        return database

    # --- where it lies ------------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        """Where the database lies, for messages."""
        return str(self.path) if self.path else "the tracks in memory"

    def save(self, *, overwrite: bool = False) -> None:
        """Give the database its file, whole or not at all. Once it has one, nothing is left to do.

        Raises:
            OutputExistsError: there is a file, and ``overwrite`` is false or it is none of ours.
            OutputError: it cannot be written.
            RunningElsewhereError: somebody writes to the file that is there.
        """
        if self.path is None or self.is_saved:
            return
        with self._lock, self.holding(AN_EDIT), self._translated():
            check_replaceable(self.path, overwrite=overwrite)
            save_as(self._connection, self.path)
            self.is_saved, self._is_writer = True, False
            self._use(_opening.connect_writer(self.path))
            self._is_writer, self._identity = True, _identity(self.path)

    def _use(self, connection: sqlite3.Connection) -> None:
        self._finalizer()
        self._connection = connection
        self._finalizer = weakref.finalize(self, connection.close)

    def check_place(self) -> None:
        """Refuse to go on where the file has been moved, removed or replaced.

        Raises:
            OutputError: what was written before is in the file that was moved, if it was.
        """
        if self.path is not None and self.is_saved and _identity(self.path) != self._identity:
            raise OutputError(
                f"{self.path} has been moved, removed or replaced while it was open: put it back, or open it again"
            )

    # --- writing ------------------------------------------------------------------------------------------------

    @contextmanager
    def holding(self, what: str = A_RUN) -> Iterator[None]:
        """Be the one writer for a block: a run, or an edit.

        Raises:
            RunningElsewhereError: another process, or another run of this one, is; a short edit is waited for.
            OutputError: the place cannot be written to.
        """
        with self._lock:
            if self.path is not None and self._holders == 0:
                self._acquire(self.path, what)
                self.epoch += 1
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0 and self._os_lock is not None:
                    self._end_writing()
                    self._os_lock.release()
                    self._os_lock = None

    def _acquire(self, path: Path, what: str) -> None:
        if self.read_only:
            why = self._why_read_only or f"{path} was opened for reading only: open it without read_only to change it"
            raise OutputError(why)
        if not self.is_saved:
            with suppress(OSError):  # the lock will say what is wrong
                path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path, what)
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                lock.acquire()
                break
            except RunningElsewhereError as err:
                if f": {A_RUN} holds it" in str(err) or time.monotonic() > give_up:
                    raise
                time.sleep(0.01)
        self._os_lock = lock
        try:
            if self.is_saved:
                self._become_writer(path, for_run=what == A_RUN)
        except BaseException:
            self._os_lock = None
            lock.release()
            raise

    def _become_writer(self, path: Path, *, for_run: bool) -> None:
        self.check_place()
        with self._translated():
            if not self._is_writer:
                self._use(_opening.connect_writer(path))
                self._is_writer = True
            if for_run:
                self._connection.execute("PRAGMA journal_mode = WAL")

    def _end_writing(self) -> None:
        """Leave one self-contained file behind, where no reader is in the way."""
        if self.is_saved and self._is_writer:
            with suppress(sqlite3.Error):
                _opening.settle(self._connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in the block is committed together, or not at all.

        Raises:
            RunningElsewhereError: a run of another process, or another run of this one, writes.
        """
        with self._lock, self._translated():
            if self._connection.in_transaction:  # a block inside a block is part of it
                yield
                return
            with self.holding(AN_EDIT) if self.is_saved else nullcontext():
                self.check_place()
                self._connection.execute("BEGIN IMMEDIATE")
                self._changed.clear()
                try:
                    yield
                    self._write_changes()
                    self._connection.commit()
                except BaseException:
                    self._connection.rollback()
                    self.epoch += 1
                    raise

    def changed(self, objects: Iterable[int], start: int, stop: int) -> None:
        """Say what the transaction changes: masks of these objects from frame ``start`` to before ``stop``.

        Without a frame, that somebody has edited them: names, prompts, or masks that are told besides.
        """
        ids = ",".join(str(i) for i in sorted(set(objects)))
        if ids:
            place = len(self._changed) if stop > start else 0
            self._changed.insert(place, (ids, start, stop))

    def _write_changes(self) -> None:
        if not self._changed:
            return
        revision = self.revision
        rows: list[Row] = [(revision + n, *what) for n, what in enumerate(dict.fromkeys(self._changed), 1)]
        self._changes.put(rows)
        newest = revision + len(rows)
        self.execute("DELETE FROM change WHERE revision <= ?", [newest - KEPT_CHANGES])
        self._meta.put([("revision", str(newest))])

    @property
    def revision(self) -> int:
        """How many changes have been committed."""
        found = self._meta.find("WHERE key = 'revision'")
        return int(str(found[0][1])) if found else 0

    # --- statements ---------------------------------------------------------------------------------------------

    def before_change(self, table: str, rows: Iterable[Row]) -> None:
        """Tell the recorder of rows that are about to change."""
        if self.recorder is not None:
            self.recorder(table, list(rows))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows that it changed."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""
        with self._lock, self._translated():
            self._connection.executemany(sql, values)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a query and take all of its rows. Ask for long results in pieces."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).fetchall()

    # --- closing ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring everything written so far into the one file, which can then be copied or sent."""
        if self.is_saved and self._is_writer:
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close. May be called twice."""
        with self._lock:
            self._finalizer()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as err:
            what = "closed already" if "closed" in str(err) else f"expected other values: {err}"
            raise InputError(f"{self.place}: {what}") from err
        except UnicodeEncodeError as err:
            raise InputError(f"{self.place}: a name holds what is no text: {err}") from err
        except UnicodeDecodeError as err:
            raise DamagedTracksError(
                f"{self.place} is damaged: {err}: `maskferry check` says what can be saved"
            ) from err
        except OverflowError as err:
            raise InputError(f"{self.place}: expected whole numbers of at most 64 bits: {err}") from err
        except sqlite3.Error as err:
            raise _opening.translate(err, self.place) from err


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino
