"""Giving a database its file: made under another name with all that is in it, then renamed."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from maskferry._own_files import OwnKind, own_kind
from maskferry.errors import OutputExistsError
from maskferry.files import check_free, translate_os_errors

__all__ = ["check_replaceable", "save_as"]


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Refuse a path that is taken; with ``overwrite``, one that holds no tracks file.

    Raises:
        OutputExistsError: it says which of the two.
    """
    check_free(path, overwrite=overwrite)
    if os.path.lexists(path) and own_kind(path) is not OwnKind.tracks:
        raise OutputExistsError(f"{path} exists and is no tracks file of maskferry: move it away, or give another path")


def save_as(connection: sqlite3.Connection, path: Path) -> None:
    """Copy a database into a file, which appears whole. The caller holds the lock of ``path``.

    Raises:
        OutputError: no room, no permission.
    """
    with translate_os_errors(path):
        for stale in path.parent.glob(f".{path.name}.*.part*"):  # of writers that were killed: nobody else is here
            stale.unlink(missing_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        try:
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            _sync(part)
            for suffix in ("-wal", "-shm", "-journal"):  # of the file that is replaced: it would be applied to this one
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            part.replace(path)
            _sync(path.parent)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have what was written brought to the disk, where the system can."""
    with suppress(PermissionError):  # Windows opens no folders
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
