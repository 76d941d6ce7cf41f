"""Opening a tracks file, which may come from anywhere: nothing in it is run, and reading it leaves no trace.

A file at rest is in rollback mode, so that a reader needs no files beside it. Beside a file whose run was killed lie
the pages of its last transactions: they are brought in first; where nothing may be written, in a private copy.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from maskferry._held_open import Connection, reading
from maskferry._locks import Lock, is_locked
from maskferry.errors import DamagedTracksError, InputError, MaskferryError, OutputError
from maskferry.tracks._schema import APPLICATION_ID, FORMAT, SCHEMA

__all__ = [
    "MAGIC",
    "SIDECARS",
    "Opened",
    "connect",
    "connect_private",
    "connect_writer",
    "copy_of",
    "expected_schema",
    "first_page",
    "open_file",
    "schema_of",
    "settle",
]

MAGIC = b"SQLite format 3\x00"
SIDECARS = ("-wal", "-journal")

CHECKED_AT_ONCE = 64 << 20
"""Bytes of a file whose structure is checked when it is opened; larger ones by ``maskferry check``."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection for reading.

    Attributes:
        connection: to the file, or to a private copy.
        version: the format of the file.
        close: ends it, and removes the copy.
    """

    connection: sqlite3.Connection
    version: int
    close: Callable[[], object]


def connect_private() -> sqlite3.Connection:
    """A new database that nobody else sees."""
    connection = connect("")
    connection.execute("PRAGMA cache_size = -64000")
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes; what a killed run has left beside the file is brought in by it."""
    connection = connect(f"{path.absolute().as_uri()}?mode=rw", path)
    connection.execute("PRAGMA cache_size = -2000")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def settle(connection: sqlite3.Connection) -> None:
    """Bring everything into the one file; it goes into rollback mode, unless somebody reads it just now."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.execute("PRAGMA busy_timeout = 30000")


def open_file(path: Path, *, read_only: bool) -> Opened:
    """Open a tracks file for reading.

    Raises:
        InputError: there is no such file, it is not one of ours, or a newer maskferry wrote it.
        DamagedTracksError: its structure is damaged.
    """
    version = _check_header(path)
    try:
        opened = _open(path, version, read_only=read_only)
        try:
            _distrust(opened.connection)
            if version == FORMAT:
                _check_structure(path, opened.connection)
        except BaseException:
            opened.close()
            raise
    except (sqlite3.Error, UnicodeDecodeError) as err:
        raise DamagedTracksError(f"{path} is damaged, or cannot be read: {err}: see `maskferry check`") from err
    return opened


def translate(err: sqlite3.Error, place: str) -> MaskferryError:
    """What an error of SQLite means."""
    name = getattr(err, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or "IOERR_WRITE" in name:
        text = f"no room left on the disk for {place}: free some and run again; finished frames are kept"
        return OutputError(text, errno=errno.ENOSPC)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "Could not decode" in str(err):
        return DamagedTracksError(f"{place} is damaged: {err}: `maskferry check` says what can be saved")
    return OutputError(f"cannot use {place}: {err}")


# --- before it is opened ----------------------------------------------------------------------------------------------


def _header(path: Path) -> tuple[int, int, bool] | None:
    """(application id, format, whether in write-ahead mode) of an SQLite file; None where it is none."""
    try:
        with reading(path) as file:
            header = file.read(100)
    except OSError:
        return None
    if len(header) < 100 or not header.startswith(MAGIC):
        return None
    return int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big"), header[18] == 2


def _check_header(path: Path) -> int:
    if not path.is_file():
        raise InputError(f"{path}: no such tracks file")
    try:
        with reading(path):
            pass
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}") from err
    header = _header(path)
    if header is None:
        raise InputError(f"{path} is not a tracks file: it is no SQLite database")
    found, version, _ = header
    if found != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file, but not one of maskferry's tracks files")
    if version > FORMAT:
        raise InputError(f"{path} has format {version}; this maskferry reads up to {FORMAT}: update it")
    if version < 1:
        raise DamagedTracksError(f"{path} is damaged: it has the format {version}, which there never was")
    return version


# --- opening ----------------------------------------------------------------------------------------------------------


def connect(uri: str, path: Path | None = None) -> Connection:
    """Open a connection.

    Args:
        uri: as SQLite takes it; "" for a private database, ":memory:" for one in memory.
        path: the file that ``uri`` names.
    """
    connection = sqlite3.connect(
        uri,
        uri=bool(uri),
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
        factory=Connection,
    )
    if path is not None:
        connection.hold(path)
    return connection


def copy_of(path: Path, copy: Path) -> None:
    """Copy a file byte for byte, whoever has it open."""
    with reading(path) as file, copy.open("wb") as into:
        shutil.copyfileobj(file, into, 1 << 20)


def _open(path: Path, version: int, *, read_only: bool) -> Opened:
    """Open in the way that the state of the file asks for."""
    if is_locked(path):  # somebody writes: his transactions lie beside the file, and are seen
        return _opened(path, "mode=ro", version)
    header = _header(path)
    pending = any(_size(path.with_name(path.name + suffix)) for suffix in SIDECARS)
    if not pending and header is not None and not header[2]:
        return _opened(path, "mode=ro", version)
    if not read_only and _recover(path):
        return _opened(path, "mode=ro", version)
    if pending:
        return _open_copy(path, version)
    return _opened(path, "mode=ro&immutable=1", version)


def _opened(path: Path, how: str, version: int) -> Opened:
    connection = connect(f"{path.absolute().as_uri()}?{how}", path)
    return Opened(connection, version, connection.close)


def _recover(path: Path) -> bool:
    """Bring in what a killed run has left, and settle the file; False where it cannot be written to."""
    lock = Lock(path, "a recovery")
    try:
        lock.acquire()
    except MaskferryError:
        return False
    try:
        connection = connect_writer(path)
        try:
            _distrust(connection)
            settle(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False
    finally:
        lock.release()
    return True


def _open_copy(path: Path, version: int) -> Opened:
    """Open a private copy, with what a killed run has left beside the file brought in."""
    folder = tempfile.TemporaryDirectory(prefix="maskferry-", ignore_cleanup_errors=True)
    copy = Path(folder.name) / "tracks.sqlite"
    try:
        copy_of(path, copy)
        for suffix in SIDECARS:
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
        connection = connect_writer(copy)
        settle(connection)
    except BaseException:
        folder.cleanup()
        raise

    def close() -> None:
        connection.close()
        folder.cleanup()

    return Opened(connection, version, close)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --- what is not trusted ----------------------------------------------------------------------------------------------


def _distrust(connection: sqlite3.Connection) -> None:
    """Have SQLite run nothing that the file brings, and look at its pages twice."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")


def _check_structure(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file with other tables than ours, or with anything that acts; and damaged pages of small files."""
    if schema_of(connection) != expected_schema():
        raise DamagedTracksError(
            f"{path} is damaged, or not from maskferry: its tables are not those of format {FORMAT}"
        )
    if _size(path) <= CHECKED_AT_ONCE:
        ((answer,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if answer != "ok":
            raise DamagedTracksError(f"{path} is damaged: {answer}: `maskferry check` says what can be saved")


def schema_of(connection: sqlite3.Connection) -> set[tuple[str, str, str, str | None]]:
    """Everything that a database's schema holds: (type, name, table, SQL)."""
    return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall())


@cache
def expected_schema() -> set[tuple[str, str, str, str | None]]:
    """`schema_of` a database of the present format."""
    with closing(_empty()) as connection:
        return schema_of(connection)


def first_page() -> tuple[bytes, int]:
    """The first page of every file of the present format, with its header and its list of tables; and how many pages
    an empty one has, which those tables begin on."""
    with closing(_empty()) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
        whole = connection.serialize()
    return whole[: int(size)], len(whole) // int(size)


def _empty() -> sqlite3.Connection:
    connection = connect(":memory:")
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    return connection
