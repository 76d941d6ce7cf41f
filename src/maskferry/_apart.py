"""No output may be an input, whatever path, link, mount or letter case names it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from maskferry._own_files import OwnKind, own_kind
from maskferry.errors import InputError
from maskferry.images import PICTURE_SUFFIXES

__all__ = ["check_apart", "is_same_place"]


def check_apart(path: Path, reads: Iterable[Path], *, is_folder: bool = False) -> None:
    """Refuse to write where something is read.

    Args:
        path: where something will be written.
        reads: files and folders that are read. They need not exist: a file of that name would be read too.
        is_folder: a folder will be written, and what is in it replaced.

    Raises:
        InputError: the path is one of them, or a file in such a folder; it is a new picture in such a folder, which
            would count as one of its frames; or it is a folder that holds one of them.
    """
    for read in reads:
        if is_same_place(path, read):
            raise InputError(f"{path} cannot be written: it is {read}, which is read: give another path")
        if is_folder and any(is_same_place(path, parent) for parent in Path(os.path.realpath(read)).parents):
            raise InputError(f"{path} cannot be written: it holds {read}, which is read: give another folder")
        if read.is_dir():
            _check_beside_frames(path, read, is_folder=is_folder)


def _check_beside_frames(path: Path, folder: Path, *, is_folder: bool) -> None:
    """Refuse what would change the pictures that are read from a folder."""
    for frame in _same_files(path, folder):
        if frame.suffix.lower() not in PICTURE_SUFFIXES and own_kind(frame) is not OwnKind.frame:
            continue  # a table or a film that lies beside the frames
        raise InputError(f"{path} cannot be written: it is {frame}, which is read: give another path")
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES
    if not is_folder and is_picture and is_same_place(path.parent, folder):
        raise InputError(f"{path} cannot be written: it would be read as one of the pictures in {folder}")


def _same_files(path: Path, folder: Path) -> list[Path]:
    """The files of a folder that are this very file, by another name."""
    try:
        mine = path.stat()
        return [other for other in folder.iterdir() if _is_same_file(other, mine)]
    except OSError:
        return []


def _is_same_file(path: Path, mine: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), mine)
    except OSError:
        return False


def is_same_place(path: Path, other: Path) -> bool:
    """Whether two paths name one thing; of things that do not exist, whether they would.

    Letter case does not count where both are missing, as there are file systems to which it means nothing.
    """
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        pass
    if any(map(os.path.exists, (path, other))):  # one is there, the other is not
        return False
    mine, its = Path(os.path.realpath(path)), Path(os.path.realpath(other))
    if os.path.lexists(mine) or os.path.lexists(its):  # one is there, the other is not
        return False
    if mine.name.casefold() != its.name.casefold():
        return False
    try:
        return mine.parent.samefile(its.parent)
    except (OSError, ValueError):
        return str(mine).casefold() == str(its).casefold()
