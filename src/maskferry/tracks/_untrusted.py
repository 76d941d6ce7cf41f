"""Opening a tracks file that may be damaged: in whatever state it is, without trust, and without a trace."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from maskferry._held_open import reading
from maskferry._locks import is_locked
from maskferry.errors import InputError, OutputError, RunningElsewhereError
from maskferry.tracks import _opening
from maskferry.tracks._damage import UNREADABLE, Damage
from maskferry.tracks._schema import APPLICATION_ID, FORMAT

__all__ = ["Untrusted", "open_untrusted"]

INDEXES = {"mask_timeline", "mask_gap"}

PATIENCE = 30.0
"""Seconds to wait for the end of an edit."""

Folder = tempfile.TemporaryDirectory[str]


@dataclass
class Untrusted:
    """A database that was opened whatever state it is in.

    Attributes:
        path: the file.
        connection: to it, or to a private copy.
        version: its format.
        problems: what is wrong with the file as a whole.
        missing: indexes of ours that it lacks.
        has_more: its list of tables is not just ours, so that SQLite is not asked to check its structure.
        damage: {table: what was found wrong with it before it was brought into the present format}.
    """

    path: Path
    connection: sqlite3.Connection
    version: int
    problems: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    has_more: bool = False
    damage: dict[str, Damage] = field(default_factory=dict)
    _folder: Folder | None = None
    _owner: object = None
    _state: object = None

    def __post_init__(self) -> None:
        self._state = _state(self.path)
        self.connection.execute("PRAGMA trusted_schema = OFF")
        self.connection.execute("PRAGMA cell_size_check = ON")
        self.connection.execute("PRAGMA mmap_size = 0")
        self.connection.text_factory = _text

    @property
    def has_changed(self) -> bool:
        """Whether somebody has written to the file since it was opened. A run is no reason: its state is kept."""
        return not self.connection.in_transaction and _state(self.path) != self._state

    def close(self) -> None:
        """End it, and remove the copy."""
        self.connection.close()
        if self._folder is not None:
            self._folder.cleanup()


def open_untrusted(path: Path) -> Untrusted:
    """Open a tracks file, in whatever state it is. Nothing is written beside it.

    Raises:
        InputError: it is no tracks file, or a newer maskferry wrote it.
        RunningElsewhereError: somebody edits it, and does not end.
        OutputError: there is no room for a private copy.
    """
    head = _head(path)
    is_whole = len(head) == 100 and head.startswith(_opening.MAGIC) and head[68:72] == APPLICATION_ID.to_bytes(4, "big")
    version = int.from_bytes(head[60:64], "big")
    if is_whole and FORMAT < version < FORMAT + 100:
        raise InputError(f"{path} has format {version}; this maskferry reads up to {FORMAT}: update it")
    if is_whole and 1 <= version < FORMAT:
        return _open(path, version)
    opened = _open_as_it_is(path) if is_whole and version == FORMAT else None
    return opened or _open_with_our_tables(path)


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such tracks file")
    try:
        with reading(path) as file:
            return file.read(100)
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}") from err


def _open_as_it_is(path: Path) -> Untrusted | None:
    """The file with its own list of tables; None where that is not ours."""
    opened = _open(path, FORMAT)
    try:
        found, wanted = _opening.schema_of(opened.connection), _opening.expected_schema()
    except UNREADABLE:
        opened.close()
        return None
    opened.missing = {name for _, name, _, _ in wanted - found}
    if not opened.missing <= INDEXES:
        opened.close()
        return None
    opened.has_more = bool(found - wanted)
    opened.problems += [f"its index {name} is missing: it can be made anew" for name in sorted(opened.missing)]
    opened.problems += [
        f"it holds the {str(kind)[:20]} {str(name)[:40]!r}, which maskferry never makes: it is left out"
        for kind, name, *_ in sorted(found - wanted, key=repr)
    ]
    return opened


def _open(path: Path, version: int) -> Untrusted:
    """In the way that the state of the file asks for."""
    give_up = time.monotonic() + PATIENCE
    while is_locked(path):
        if _head(path)[18:19] == b"\x02":  # a run, in write-ahead mode: nobody is in another's way
            connection = _opening.connect(f"{path.absolute().as_uri()}?mode=ro", path)
            connection.execute("BEGIN")
            return Untrusted(path, connection, version)
        if time.monotonic() > give_up:
            raise RunningElsewhereError(f"{path} is being edited by another process: try again when it has ended")
        time.sleep(0.05)
    if any(_size(_beside(path, suffix)) for suffix in _opening.SIDECARS):
        folder, copy, problems = _copied(path)
        return Untrusted(path, _read_only(copy), version, problems, _folder=folder)
    return Untrusted(path, _read_only(path), version)


def _read_only(path: Path) -> sqlite3.Connection:
    return _opening.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", path)


def _copied(path: Path) -> tuple[Folder, Path, list[str]]:
    """A private copy, with what a killed run has left beside the file brought in: (its folder, it, problems)."""
    folder = Folder(prefix="maskferry-", ignore_cleanup_errors=True)
    copy, problems = Path(folder.name) / "tracks.sqlite", list[str]()
    try:
        _opening.copy_of(path, copy)
        for suffix in _opening.SIDECARS:
            with suppress(FileNotFoundError):
                shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
        try:
            with closing(_opening.connect_writer(copy)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                _opening.settle(connection)
        except UNREADABLE as err:
            problems.append(f"what a killed run has left beside it cannot be brought in: {err}")
            _opening.copy_of(path, copy)
        for suffix in ("-wal", "-shm", "-journal"):
            _beside(copy, suffix).unlink(missing_ok=True)
    except OSError as err:
        folder.cleanup()
        raise OutputError(f"cannot make a private copy of {path} in {tempfile.gettempdir()}: {err.strerror}") from err
    except BaseException:
        folder.cleanup()
        raise
    return folder, copy, problems


def _open_with_our_tables(path: Path) -> Untrusted:
    """Read a copy of the file with the first page that every tracks file has, in place of its own.

    Raises:
        InputError: there is nothing of ours in it.
    """
    first, fewest = _opening.first_page()
    if _size(path) <= len(first):
        raise InputError(f"{path} is not a tracks file of maskferry, or nothing is left of it")
    folder, copy, _ = _copied(path)
    try:
        pages = max(fewest, -(-_size(copy) // len(first)))
        with copy.open("r+b") as file:
            file.write(first[:28] + pages.to_bytes(4, "big") + first[32:])
            file.truncate(pages * len(first))
        problem = "its header or its list of tables is damaged, or not ours: those of every tracks file can be used"
        opened = Untrusted(path, _read_only(copy), FORMAT, [problem], has_more=True, _folder=folder)
    except BaseException:
        folder.cleanup()
        raise
    if not _holds_ours(opened.connection):
        opened.close()
        raise InputError(f"{path} is not a tracks file of maskferry, or nothing is left of it")
    return opened


def _holds_ours(connection: sqlite3.Connection) -> bool:
    """Whether there is any row of ours."""
    from maskferry.tracks._row_checks import is_as_written

    for table in ("meta", "object", "frame", "mask"):
        with suppress(*UNREADABLE):
            for row in connection.execute(f"SELECT * FROM {table} LIMIT 100"):
                if is_as_written(table, row):
                    return True
    return False


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _state(path: Path) -> object:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
