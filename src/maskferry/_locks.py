"""One writer at a time: a lock of the operating system beside the file that is written.

The lock belongs to an open file, so it ends with its process, however that ends. Readers need no lock.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskferry.errors import OutputError, RunningElsewhereError

__all__ = ["Lock", "is_locked", "lock_path", "locked"]

FILE_IS_UNLOCKABLE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system without locks answers."""

SHORT = 0.1
"""Seconds that are always waited: somebody may only be looking whether there is a holder."""

LARGEST = 1024
"""Bytes of a lock file that are read."""

_log = logging.getLogger(__name__)


def lock_path(path: Path) -> Path:
    """Where the lock of a file or folder lies: a hidden file beside it."""
    return path.with_name(f".{path.name}.lock")


class Lock:
    """The right to write to a path, of one holder at a time: of one process, and within it of one `Lock`."""

    def __init__(self, path: Path, what: str) -> None:
        """Prepare the lock; nothing is taken yet.

        Args:
            path: the file or folder that is to be written; its own folder must exist.
            what: what is done to it, for whoever finds it locked: "a run", "an edit".
        """
        self.path, self.what = path, what
        self._file: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this very lock is held."""
        return self._file is not None

    def acquire(self, *, patience: float = SHORT) -> None:
        """Take the lock.

        Args:
            patience: seconds to wait for another holder.

        Raises:
            RunningElsewhereError: another holder has it; the message names the host and the process.
            OutputError: the lock file cannot be made.
        """
        give_up = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= give_up:
                raise self._held_elsewhere()
            time.sleep(0.01)

    def release(self) -> None:
        """Give the lock back. May be called twice."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):  # on Windows an open file stays; it says nothing once it is unlocked
            lock_path(self.path).unlink()
        os.close(file)

    def _try(self) -> bool:
        place = lock_path(self.path)
        try:
            file = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except PermissionError as err:
            if sys.platform == "win32":  # being removed by the holder before
                return False
            raise self._cannot_lock(err) from err
        except OSError as err:
            raise self._cannot_lock(err) from err
        try:
            taken = _lock(file) and _is_still(place, file)
            if taken:
                self._sign(file)
                self._file = file
        finally:
            if self._file != file:
                os.close(file)
        return taken

    def _sign(self, file: int) -> None:
        """Write into the lock file who holds it."""
        text = os.read(file, LARGEST)
        if text and _holder(text) is None:
            raise OutputError(f"cannot write {self.path}: {lock_path(self.path)} is no lock of maskferry: move it away")
        holder = {"maskferry": self.what, "host": socket.gethostname(), "pid": os.getpid()}
        signature = json.dumps(holder).encode()
        try:
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, signature)
            os.truncate(file, len(signature))
        except OSError as err:
            with suppress(OSError):
                lock_path(self.path).unlink()
            raise self._cannot_lock(err) from err

    def _cannot_lock(self, err: OSError) -> OutputError:
        reasons = {
            errno.EACCES: "no permission to write there",
            errno.EROFS: "the disk is read-only",
            errno.ENOSPC: "no room left on the disk: free some and run again",
            errno.EDQUOT: "the disk quota is used up: free some and run again",
            errno.EFBIG: "files may not grow there (`ulimit -f`): raise it and run again",
        }
        reason = reasons.get(err.errno or 0, err.strerror)
        text = f"cannot write {self.path}: its lock {lock_path(self.path).name} cannot be made: {reason}"
        return OutputError(text, errno=err.errno)

    def _held_elsewhere(self) -> RunningElsewhereError:
        holder = None
        with suppress(OSError):
            holder = _holder(lock_path(self.path).read_bytes()[:LARGEST])
        if holder is None:  # it has just taken the lock, or given it back
            return RunningElsewhereError(
                f"{self.path} is being written by another process: try again when it has ended"
            )
        what, host, pid = holder
        where = "this process" if (host, pid) == (socket.gethostname(), os.getpid()) else f"process {pid}"
        return RunningElsewhereError(
            f"{self.path} is being written: {what} holds it, in {where} on {host}: wait for its end, or stop it",
            host=host,
            pid=pid,
            what=what,
        )


@contextmanager
def locked(path: Path, what: str, *, patience: float = SHORT) -> Iterator[None]:
    """Hold the lock of a path for a block, see `Lock`.

    Raises:
        RunningElsewhereError: another holder has it.
        OutputError: the lock file cannot be made.
    """
    lock = Lock(path, what)
    lock.acquire(patience=patience)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a path now. Looking leaves no trace."""
    try:
        file = os.open(lock_path(path), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return not _lock(file)
    finally:
        os.close(file)


def _holder(text: bytes) -> tuple[str, str, int] | None:
    """(what is done, host, process) of a lock file; None where it is none of ours."""
    try:
        value = json.loads(text)
        return str(value["maskferry"]), str(value["host"]), int(value["pid"])
    except (ValueError, TypeError, KeyError):
        return None


def _is_still(place: Path, file: int) -> bool:
    """Whether an open file still has its name: the holder before may have removed it."""
    try:
        return os.path.samestat(place.stat(follow_symlinks=False), os.fstat(file))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30  # beyond the text, which others may read

    def _lock(file: int) -> bool:
        os.lseek(file, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as err:
            if err.errno not in FILE_IS_UNLOCKABLE:
                raise
            _log.warning(
                "this file system has no locks: nothing keeps a second process from writing (%s)", err.strerror
            )
        return True
