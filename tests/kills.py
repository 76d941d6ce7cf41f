"""Work in a process of its own that is killed at a place: before its n-th step towards the disk, or after some time.

Steps are SQL statements, commits, and calls that rename, remove, make or sync files. They are counted from outside: in
the child, `sqlite3.connect` and functions of `os` are replaced by ones that count. The child is a fork, so that it need
not import anything.
"""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["count_steps", "kill_after", "kill_before", "leftovers", "limited"]

Work = Callable[[], object]

STEPS_OF_OS = ("replace", "rename", "unlink", "remove", "fsync", "mkdir", "rmdir", "truncate")
STEPS_OF_SQLITE = ("execute", "executemany", "commit", "rollback", "backup", "close")

KILLED = -signal.SIGKILL


class _Counter:
    def __init__(self, kill_before: int | None, told: int) -> None:
        self.count, self._limit, self._told = 0, kill_before, told

    def step(self) -> None:
        if self.count == 0:
            os.write(self._told, b"1")
        self.count += 1
        if self.count == self._limit:
            os.kill(os.getpid(), signal.SIGKILL)


def _counting(counter: _Counter, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        counter.step()
        return real(*arguments, **options)

    return call


def _patch(counter: _Counter) -> None:
    for name in STEPS_OF_OS:
        setattr(os, name, _counting(counter, getattr(os, name)))
    connect = sqlite3.connect
    methods = {name: _counting(counter, getattr(sqlite3.Connection, name)) for name in STEPS_OF_SQLITE}
    counted = type("CountedConnection", (sqlite3.Connection,), methods)
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, **{"factory": counted, **options})


def _fork(work: Work, kill_before: int | None = None, *, prepare: Work = lambda: None) -> tuple[int, int]:
    """Begin the work in a child: (its number, a pipe that tells of its first step, and then of its end)."""
    sys.stdout.flush()
    sys.stderr.flush()
    ear, mouth = os.pipe()
    child = os.fork()
    if child:
        os.close(mouth)
        return child, ear
    code, said = 1, ""
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        counter = _Counter(kill_before, mouth)
        _patch(counter)
        prepare()
        result = work()
        code, said = 0, f"{counter.count} {result}"
    except BaseException as err:  # told to the parent
        said = f"{type(err).__name__}: {err}"
    finally:
        os.write(mouth, said.encode())
        os._exit(code)


def _end(child: int, ear: int) -> tuple[int, str]:
    """(exit code, what it said at its end)."""
    with os.fdopen(ear, "rb") as file:
        said = file.read().decode()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.removeprefix("1")


def count_steps(work: Work) -> int:
    """How many steps the work takes when nothing disturbs it."""
    code, said = _end(*_fork(work))
    assert code == 0, said
    return int(said.split()[0])


def kill_before(work: Work, step: int) -> bool:
    """Do the work until its n-th step; whether it came to it."""
    code, said = _end(*_fork(work, step))
    assert code in (0, KILLED), said
    return code == KILLED


def kill_after(work: Work, milliseconds: float) -> bool:
    """Do the work until some time after its first step; whether it was not done by then."""
    child, ear = _fork(work)
    os.read(ear, 1)
    time.sleep(milliseconds / 1000)
    os.kill(child, signal.SIGKILL)
    code, said = _end(child, ear)
    assert code in (0, KILLED), said
    return code == KILLED


def limited(work: Work, size: int) -> tuple[int, str]:
    """Do the work where no file may have more bytes than this: (exit code, the error)."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return _end(*_fork(work, prepare=limit))


def leftovers(folder: Path) -> list[str]:
    """Parts, locks and journals in a folder."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return [name for name in names if ".part" in name or name.endswith((".lock", "-wal", "-shm", "-journal"))]
