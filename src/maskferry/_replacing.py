"""What may be replaced or removed: files of maskferry, known by their content, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from maskferry._own_files import OwnKind, own_kind
from maskferry.errors import OutputExistsError

__all__ = ["Recognizer", "check_own", "foreign_files", "own_files", "remove_own_files"]

Recognizer = Callable[[Path], bool]
"""Whether a file is one that the writer made, for formats of other packages."""

CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers leave in folders; it is nobody's."""


def check_own(path: Path, recognize: Recognizer | None = None) -> None:
    """Refuse to replace or remove a file that no export of maskferry wrote.

    Raises:
        OutputExistsError: the file is of another kind, or a tracks file.
    """
    if recognize is not None and path.is_file() and recognize(path):
        return
    kind = own_kind(path)
    if kind is OwnKind.tracks:
        raise OutputExistsError(f"{path} is a tracks file, which no export replaces: give another path")
    if kind is None:
        raise OutputExistsError(
            f"{path} is not replaced, as maskferry did not write it, or not in this way: give another path, or move or "
            "delete it"
        )


def own_files(folder: Path, recognize: Recognizer | None = None) -> Iterator[Path]:
    """The files of a folder that an earlier export into it wrote, one file a frame; those of another export, such as a
    film or a table that lies there too, are left out.

    They lie in the folder itself, or in one for each object. Links are not followed.
    """
    for path in _entries(folder):
        if _is_of_folder(path, recognize):
            yield path
        elif path.name.isdecimal() and path.is_dir() and not path.is_symlink():
            yield from (p for p in _entries(path) if _is_of_folder(p, recognize))


def foreign_files(folder: Path, own: Iterable[Path]) -> list[Path]:
    """All that lies in a folder, folders aside, that is not of its ``own`` files, nor of a file manager."""
    mine = set(own)
    there = [path for path in sorted(folder.rglob("*")) if not path.is_dir() or path.is_symlink()]
    return [path for path in there if path not in mine and path.name not in CLUTTER]


def remove_own_files(folder: Path, recognize: Recognizer | None = None) -> None:
    """Remove what `own_files` names, and the folders that are empty then, this one too."""
    mine = list(own_files(folder, recognize))
    for path in mine:
        path.unlink()
    for place in (*{path.parent for path in mine} - {folder}, folder):
        with suppress(OSError):  # it holds something else
            for name in CLUTTER:
                place.joinpath(name).unlink(missing_ok=True)
            place.rmdir()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_of_folder(path: Path, recognize: Recognizer | None) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return own_kind(path) is OwnKind.frame or (recognize is not None and recognize(path))
