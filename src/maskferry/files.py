"""Writing files and folders so that no reader sees half of one, nobody else's are lost, and nothing read is written.

`output` is the one way: every writer goes through it. `check_output` is its check alone, for before long work.
"""

from __future__ import annotations

import errno
import filecmp
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from maskferry._apart import check_apart, is_same_place
from maskferry._locks import lock_path, locked
from maskferry._own_files import COMMENT, own_kind
from maskferry._replacing import Recognizer, check_own, foreign_files, own_files
from maskferry._staging import Staging, final_path, is_staged, passes_link
from maskferry.errors import InputError, MaskferryError, OutputError, OutputExistsError, RunningElsewhereError

__all__ = [
    "COMMENT",
    "atomic_path",
    "check_free",
    "check_output",
    "locked",
    "output",
    "put_in_order",
    "translate_os_errors",
]

_WITH_TABLE = (".txt", ".xml", ".webm")
"""Suffixes of files that have their frame table beside them, under a name without this suffix."""

_FOLDER = "folder"
"""What the lock of a folder is called, where it lies inside."""


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Refuse an output path that is taken, before any work is done.

    An empty folder is free. A link is not, even where it leads nowhere.

    Raises:
        OutputExistsError: something is there and ``overwrite`` is false.
        OutputError: one cannot even look there.
    """
    with translate_os_errors(path):
        taken = any(not _is_passing(p) for p in path.iterdir()) if path.is_dir() else os.path.lexists(path)
    if taken and not overwrite:
        raise OutputExistsError(f"{path} exists already: give another path, or overwrite=True (--overwrite)")


def _is_passing(path: Path) -> bool:
    """Whether it lies in a folder only while that is written."""
    return is_staged(path) or path == lock_path(path.parent / _FOLDER)


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
            errno.EFBIG: "files may not grow further there (a limit of the disk's format, or of `ulimit -f`): raise it "
            "or write elsewhere; what was finished before is kept",
            errno.EACCES: "no permission to write there",
            errno.EROFS: "the disk is read-only",
        }.get(err.errno or 0, str(err))
        raise OutputError(f"cannot write {final_path(path)}: {advice}", errno=err.errno) from err


@contextmanager
def atomic_path(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a path to write a file to; moved to ``path`` when the block ends, removed when it fails: see `output`.

    The name that is given keeps the suffix, because encoders choose a format by it. Missing parent folders are made.

    Raises:
        OutputExistsError: ``path`` exists, and ``overwrite`` is false or it is none of maskferry's files.
        RunningElsewhereError: something else is writing it.
        OutputError: the disk is full or not writable.
    """
    if not is_staged(path):
        with output(path, overwrite=overwrite) as part:
            yield part
        return
    check_free(path, overwrite=overwrite)  # part of an output that is being written: its own place is private
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        path.stat()


@contextmanager
def output(
    path: Path,
    *,
    reads: Iterable[Path] = (),
    overwrite: bool = False,
    is_folder: bool = False,
    beside: Iterable[Path] = (),
    recognize: Recognizer | None = None,
) -> Iterator[Path]:
    """Give a path of the same name to write a file or a folder to; it takes its place when the block ends.

    For as long as the block lasts, nothing else writes the same output. When it fails, nothing is left of it, and what
    was there before is whole. Files that are written beside the given path take their places beside ``path``. Of an
    earlier export into the same folder, the files about frames go, and all that is not of maskferry stays.

    Args:
        path: where the output goes; missing parent folders are made.
        reads: files and folders that are read meanwhile, see `check_apart`.
        overwrite: replace what maskferry wrote there before. Anything else is never replaced.
        is_folder: a folder of files is written; the folder that is given is there already.
        beside: files that will be written beside it.
        recognize: tells files of the writer that carry none of maskferry's own marks.

    Raises:
        InputError: the output is something that is read.
        OutputExistsError: something is there, and ``overwrite`` is false or it is not of maskferry.
        RunningElsewhereError: something else is writing it.
        OutputError: the disk is full or not writable.
    """
    plan = _Plan(path, reads, beside, recognize, overwrite=overwrite, is_folder=is_folder)
    plan.check()
    with translate_os_errors(path), _parents(plan.target), plan.lock():
        staging = Staging(plan.target, inside=plan.is_inside)
        staging.recover()
        try:
            plan.check_there()
            staging.make()
            if is_folder:
                staging.part.mkdir()
            yield staging.part
            plan.commit(staging)
        finally:
            staging.restore()
            staging.remove()


def check_output(
    path: Path,
    *,
    reads: Iterable[Path] = (),
    overwrite: bool = False,
    is_folder: bool = False,
    beside: Iterable[Path] = (),
    recognize: Recognizer | None = None,
) -> None:
    """Refuse what `output` would refuse, before any work is done; arguments and errors as there."""
    _Plan(path, reads, beside, recognize, overwrite=overwrite, is_folder=is_folder).check()


def put_in_order(path: Path, *, is_folder: bool = False) -> None:
    """Remove the lock and the parts that a killed process has left of an output, where nothing is writing it."""
    plan = _Plan(path, (), (), None, overwrite=False, is_folder=is_folder)
    staging = Staging(plan.target, inside=plan.is_inside)
    if staging.stale() or os.path.lexists(lock_path(plan.target)):
        with suppress(RunningElsewhereError, OutputError), plan.lock():
            staging.recover()


class _Plan:
    """What is to be written, as in `output`.

    Attributes:
        target: where it goes: a link that leads somewhere stays, and what it leads to is written.
        is_inside: whether a folder cannot be moved, or nothing be made beside it, so that it is filled from the inside.
    """

    def __init__(
        self,
        path: Path,
        reads: Iterable[Path],
        beside: Iterable[Path],
        recognize: Recognizer | None,
        *,
        overwrite: bool,
        is_folder: bool,
    ) -> None:
        if "\0" in str(path):
            raise InputError(f"{str(path)!r} cannot be the name of a file")
        self.path, self.reads, self.beside = path, tuple(reads), tuple(beside)
        self.recognize, self.overwrite, self.is_folder = recognize, overwrite, is_folder
        with translate_os_errors(path):
            is_link = path.is_symlink() and path.exists()
            self.target = target = Path(os.path.realpath(path)) if is_link or path.name in ("", "..") else path
            is_fixed = os.path.ismount(target) or not os.access(target.parent, os.W_OK)
            self.is_inside = is_folder and target.is_dir() and is_fixed

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The right to write it, and what lies beside it, which may belong to another output."""
        with ExitStack() as stack:
            for path in (self.target / _FOLDER if self.is_inside else self.target, *self.beside):
                stack.enter_context(locked(path, "an export"))
            yield

    def check(self) -> None:
        """Refuse what must not be written; what a killed process left half done is put in order before."""
        with translate_os_errors(self.path):
            for path in (self.path, *self.beside):
                check_apart(path, self.reads, is_folder=self.is_folder and path == self.path)
            staging = Staging(self.target, inside=self.is_inside)
            if staging.stale():
                with self.lock():
                    staging.recover()
            self.check_there()

    def check_there(self) -> None:
        """Refuse to replace what is there."""
        for path in (self.path, *self.beside):
            self._check_file(path, is_folder=self.is_folder and path == self.path)

    def _check_file(self, path: Path, *, is_folder: bool) -> None:
        if path.is_dir() != is_folder and os.path.lexists(path):
            raise OutputExistsError(f"{path} is {'no folder' if is_folder else 'a folder'}: give another path")
        check_free(path, overwrite=self.overwrite)
        if os.path.lexists(path) and not is_folder:
            check_own(path, self.recognize)

    def commit(self, staging: Staging) -> None:
        """Move what is new to its place."""
        staging.part.stat()
        if not self.is_folder:
            self._commit_file(staging)
        elif not self.target.is_dir():
            staging.part.rename(self.target)
        else:
            self._commit_folder(staging)

    def _commit_file(self, staging: Staging) -> None:
        """Replace a file, after what lies beside it: where that fails, all is as it was."""
        beside = [(new, self.target.with_name(new.name)) for new in staging.beside()]
        for new, place in beside:
            check_apart(place, self.reads)
            self._check_file(place, is_folder=False)
            self._check_shared(new, place)
        with _taking_back() as done:
            for new, place in beside:
                if os.path.lexists(place):
                    staging.set_aside(place)
                new.rename(place)
                done.append(place)
            staging.part.replace(self.target)

    def _check_shared(self, new: Path, place: Path) -> None:
        """Refuse to change what lies beside another output too, such as the frame table of files of one name."""
        if not place.is_file() or filecmp.cmp(new, place, shallow=False):
            return
        for other in sorted(self.target.parent.iterdir()):
            is_other = other.stem == self.target.stem and other.name not in (self.target.name, place.name)
            if is_other and other.suffix.lower() in _WITH_TABLE and own_kind(other) is not None:
                raise OutputExistsError(f"{place} belongs to {other} and would change: give another name")

    def _commit_folder(self, staging: Staging) -> None:
        """Replace a folder, as a whole where all in it is ours, file by file otherwise."""
        old = list(own_files(self.target, self.recognize))
        is_ours = not foreign_files(self.target, old)
        if is_ours and not self.is_inside and not is_same_place(self.target, Path()):
            self._swap(staging, old)
        else:
            self._replace_files(staging, old)

    def _swap(self, staging: Staging, old: list[Path]) -> None:
        with suppress(OSError):
            staging.part.chmod(self.target.stat().st_mode & 0o7777)
        staging.set_aside(self.target)
        staging.part.rename(self.target)
        staging.give_back(old)

    def _replace_files(self, staging: Staging, old: list[Path]) -> None:
        new = [path for path in sorted(staging.part.rglob("*")) if not path.is_dir()]
        places = [self.target / path.relative_to(staging.part) for path in new]
        for place in places:
            self._check_place(place)
        with _taking_back() as done:
            for path in {*old, *(place for place in places if os.path.lexists(place))}:
                staging.set_aside(path)
            for path, place in zip(new, places, strict=True):
                place.parent.mkdir(parents=True, exist_ok=True)
                path.rename(place)
                done.append(place)
        staging.discard_part()
        for folder in {path.parent for path in old} - {self.target}:
            with suppress(OSError):  # it holds something else
                folder.rmdir()

    def _check_place(self, place: Path) -> None:
        """Refuse to put a file where something else is, or where a link leads elsewhere."""
        if passes_link(place, self.target):
            raise OutputExistsError(f"{place} lies behind a link: give another folder, or move the link away")
        for parent in place.relative_to(self.target).parents:
            folder = self.target / parent
            if os.path.lexists(folder) and not folder.is_dir():
                raise OutputExistsError(f"{folder} is in the way, and not of maskferry: move or delete it")
        if os.path.lexists(place):
            if place.is_dir() or place.is_symlink():
                raise OutputExistsError(f"{place} is in the way, and not of maskferry: move or delete it")
            check_own(place, self.recognize)


@contextmanager
def _taking_back() -> Iterator[list[Path]]:
    """The files that the block lists are removed when it fails."""
    done: list[Path] = []
    try:
        yield done
    except BaseException:
        for path in done:
            path.unlink()
        raise


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the folders that a path lies in; those that were made go again when the block fails."""
    made = [folder for folder in path.parents if not os.path.lexists(folder)]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
