"""Writing files so that no reader sees half of one and nothing is overwritten by accident."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskferry.errors import MaskferryError, OutputError, OutputExistsError

__all__ = ["atomic_path", "check_free", "translate_os_errors"]


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Refuse an output path that is taken, before any work is done.

    An empty folder is free.

    Raises:
        OutputExistsError: something is there and ``overwrite`` is false.
        OutputError: one cannot even look there.
    """
    with translate_os_errors(path):
        taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not overwrite:
        raise OutputExistsError(f"{path} exists already: give another path, or overwrite=True (--overwrite)")


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says while ``path`` is written into an `OutputError` that says what to do.

    What maskferry raised itself, such as a `SourceError` of the frames that are being written, passes unchanged.
    """
    try:
        yield
    except MaskferryError:
        raise
    except OSError as err:
        advice = {
            errno.ENOSPC: "no room left on the disk: free some or write elsewhere; what was finished before is kept",
            errno.EDQUOT: "the disk quota is used up: free some or write elsewhere; what was finished before is kept",
            errno.EACCES: "no permission to write there",
            errno.EROFS: "the disk is read-only",
        }.get(err.errno or 0, str(err))
        raise OutputError(f"cannot write {path}: {advice}") from err


@contextmanager
def atomic_path(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; moved to ``path`` when the block ends, removed when it fails.

    The temporary name keeps the suffix, because encoders choose a format by it. Missing parent folders are made.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    check_free(path, overwrite=overwrite)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with translate_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            part.replace(path)
    finally:
        with suppress(OSError):  # where the folder cannot be written to, the cause has been said
            part.unlink(missing_ok=True)
