"""A place beside an output in which it is written, and from which it is moved to its place when it is whole.

The place is a folder with a name of its own, open to nobody else. In it, what is new lies in ``new`` (in ``within``,
where the place had to be made inside of the output), and what gives way is kept in ``old`` until all is done. What a
killed process leaves of it is put in order by the next one that writes the same output, under its lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from maskferry._own_files import own_kind

__all__ = ["Staging", "final_path", "is_staged", "passes_link"]

_NAME = re.compile(r"\.maskferry-[0-9a-f]{16}-[0-9a-f]{16}\.part")


def is_staged(path: Path) -> bool:
    """Whether a path lies in a place of this kind, where files are written straight."""
    return any(map(_NAME.fullmatch, path.parts))


def final_path(path: Path) -> Path:
    """Where something will be when it is whole: for messages.

    >>> final_path(Path("out/.maskferry-0123456789abcdef-0123456789abcdef.part/new/tracks.csv")).as_posix()
    'out/tracks.csv'
    """
    for i, part in enumerate(path.parts):
        if _NAME.fullmatch(part):
            below = path.parts[i + 1 :]
            return Path(*path.parts[:i], *below[2 if below[:1] == ("within",) else 1 :])
    return path


class Staging:
    """Such a place, for one output.

    Attributes:
        part: where the output is written, under its own name.
    """

    def __init__(self, target: Path, *, inside: bool = False) -> None:
        """Say where it lies; nothing is made yet.

        Args:
            target: the output.
            inside: make it in the target, a folder, rather than beside it.
        """
        self._target = target
        self._home = target if inside else target.parent
        self._prefix = f".maskferry-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"
        self._new = "within" if inside else "new"
        self._open(self._home / f"{self._prefix}{secrets.token_hex(8)}.part")

    def _open(self, place: Path) -> None:
        self._place, self._old, self.part = place, place / "old", place / self._new / self._target.name

    def make(self) -> None:
        """Make it; the output's lock must be held."""
        self._place.mkdir(0o700)
        self.part.parent.mkdir()

    def stale(self) -> list[Path]:
        """What killed processes left, or what one that lives is working in; links of such names are not followed."""
        try:
            with os.scandir(self._home) as entries:
                found = [e for e in entries if e.name.startswith(self._prefix) and e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return [self._home / entry.name for entry in found if _NAME.fullmatch(entry.name)]

    def recover(self) -> None:
        """Put in order what killed processes left; the output's lock must be held."""
        mine = self._place
        for place in self.stale():
            self._open(place)
            self.restore()
            self.remove()
        self._open(mine)

    def beside(self) -> list[Path]:
        """What else was written, beside `part`."""
        return sorted(path for path in self.part.parent.iterdir() if path != self.part)

    def set_aside(self, path: Path) -> None:
        """Keep what gives way: the target, something in it, or something beside it."""
        kept = self._old / path.relative_to(self._target.parent)
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.rename(kept)

    def restore(self) -> None:
        """Put back what was set aside, unless all that is new is in its place."""
        if not os.path.lexists(self.part):
            return
        if (self._old / self._target.name).is_dir() and not os.path.lexists(self._target):
            (self._old / self._target.name).rename(self._target)
        for kept in _files(self._old):
            place = self._target.parent / kept.relative_to(self._old)
            is_free = not os.path.lexists(place) or own_kind(place) is not None
            if is_free and not passes_link(place, self._target.parent):
                place.parent.mkdir(parents=True, exist_ok=True)
                kept.replace(place)

    def give_back(self, known: Iterable[Path]) -> None:
        """Put back what came into the target, a folder, after it was looked through and before it was set aside."""
        listed = {self._old / path.relative_to(self._target.parent) for path in known}
        for kept in _files(self._old):
            place = self._target.parent / kept.relative_to(self._old)
            if kept not in listed and not os.path.lexists(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                kept.rename(place)

    def discard_part(self) -> None:
        """All that is new is in its place: what was set aside is no longer needed."""
        shutil.rmtree(self.part)

    def remove(self) -> None:
        """Remove the place with all that is left in it."""
        shutil.rmtree(self._place, ignore_errors=True)


def passes_link(path: Path, base: Path) -> bool:
    """Whether a folder on the way from ``base`` to ``path`` is a link, so that it may lead anywhere."""
    below = path.relative_to(base)
    return any((base / parent).is_symlink() for parent in list(below.parents)[:-1])  # without the base itself


def _files(folder: Path) -> list[Path]:
    """All that lies in a folder, folders aside."""
    return [path for path in sorted(folder.rglob("*")) if not path.is_dir() or path.is_symlink()]
