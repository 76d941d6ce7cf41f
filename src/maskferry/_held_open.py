"""Reading files that SQLite has open in this process, without ending its locks.

A POSIX lock belongs to a process and a file: whoever closes any descriptor of the file ends all locks that the process
has on it, SQLite's too (https://sqlite.org/howtocorrupt.html, section 2.2). SQLite keeps its own descriptors open for
as long as it has locks; `reading` does so with ours.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["Connection", "reading"]

Identity = tuple[int, int]

_guard = threading.RLock()  # a connection may end, and be forgotten, at any time: also while this thread holds it
_connections: dict[Identity, int] = defaultdict(int)
_kept: dict[Identity, list[int]] = defaultdict(list)


class Connection(sqlite3.Connection):
    """A connection to a file; `reading` heeds it from `hold` until it is closed."""

    _forget: Callable[[], object] | None = None

    def hold(self, path: Path) -> None:
        """Say which file it is; call it before the first statement."""
        found = path.stat()
        identity = found.st_dev, found.st_ino
        with _guard:
            _connections[identity] += 1
        self._forget = weakref.finalize(self, _forget, identity)

    def close(self) -> None:
        """Close. May be called twice."""
        super().close()
        if self._forget is not None:
            self._forget()


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file and read its bytes, whoever else has it open.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = _open(path)
    try:
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        found = os.fstat(descriptor)
        identity = found.st_dev, found.st_ino
        with _guard:
            is_held = _connections.get(identity, 0) > 0
            if is_held:
                _kept[identity].append(descriptor)
        if not is_held:
            os.close(descriptor)


def _open(path: Path) -> int:
    with _guard:
        if _kept:
            found = path.stat()
            kept = _kept.get((found.st_dev, found.st_ino))
            if kept:
                descriptor = kept.pop()
                os.lseek(descriptor, 0, os.SEEK_SET)
                return descriptor
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))


def _forget(identity: Identity) -> None:
    with _guard:
        _connections[identity] -= 1
        if _connections[identity] > 0:
            return
        del _connections[identity]
        for descriptor in _kept.pop(identity, []):
            os.close(descriptor)
