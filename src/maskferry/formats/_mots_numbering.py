"""Whether a file of MOTS counts frames from 0, as KITTI MOTS does, or from 1, as MOTSChallenge does."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maskferry.errors import InputError
from maskferry.formats._frame_table import read_first_number
from maskferry.formats._images import read_frame_info, read_pixels
from maskferry.formats._mots_lines import lines_of

__all__ = ["first_frame_of", "first_picture_of", "number_of"]

log = logging.getLogger(__name__)

_CAR, _CHALLENGE_CLASSES = 1, frozenset({2, 10})
"""MOTSChallenge has pedestrians, 2, and regions to ignore, 10; KITTI MOTS has cars, 1, too."""

_CHALLENGE_SIZES = frozenset({(1080, 1920), (480, 640)})
_KITTI_HEIGHTS, _KITTI_WIDTHS = range(370, 377), range(1224, 1243)
"""Pixels of the pictures of both data sets."""


def first_frame_of(path: Path) -> int:
    """What the text form calls the video's first frame."""
    told = read_first_number(path)
    if told is not None:
        return told
    numbering = _Numbering(str(path))
    for line in lines_of(path):
        numbering.note(line.frame, (line.kind,), (line.height, line.width))
    return numbering.first_frame()


def first_picture_of(folder: Path, paths: list[Path]) -> int:
    """What the form of pictures calls the video's first frame. Ours say it themselves."""
    first = min(paths, key=number_of)
    info = read_frame_info(first)
    if info is not None:
        return max(0, number_of(first) - info.index)
    numbering = _Numbering(str(folder))
    for path in paths if number_of(first) else (first,):
        values = read_pixels(path).values
        numbering.note(number_of(path), {int(i) // 1000 for i in np.unique(values) if i}, values.shape[:2])
    return numbering.first_frame()


def number_of(path: Path) -> int:
    """The frame that a picture is of, as its name says.

    Raises:
        InputError: the name is no number.
    """
    if not path.stem.isdecimal() or len(path.stem) > 9:
        raise InputError(f"{path}: expected the number of a frame as name")
    return int(path.stem)


@dataclass(slots=True)
class _Numbering:
    """What a file shows of how it counts.

    Attributes:
        where: the file, for messages.
        size_hw: of its masks; None where there are none.
        first: the lowest number of a frame; None where there are none.
        kinds: the classes.
    """

    where: str
    size_hw: tuple[int, int] | None = None
    first: int | None = None
    kinds: set[int] = field(default_factory=set)

    def note(self, frame: int, kinds: Iterable[int], size_hw: tuple[int, int]) -> None:
        """Take in what the file has on one of its frames."""
        self.size_hw = self.size_hw or size_hw
        self.first = frame if self.first is None else min(self.first, frame)
        self.kinds.update(kinds)

    def first_frame(self) -> int:
        """The number of the video's first frame: 0 or 1. Where nothing tells it, the likelier one, with a warning."""
        known = self._known()
        if known is not None:
            return known
        guess = int(self.first == 1 and self.kinds <= _CHALLENGE_CLASSES)
        log.warning(
            "%s: nothing on frame 0, and nothing else tells whether frames count from 0 (KITTI MOTS) or from 1 "
            "(MOTSChallenge): read as from %d; give first_frame (--first-frame) if that is wrong",
            self.where,
            guess,
        )
        return guess

    def _known(self) -> int | None:
        """What the file tells for certain, or nearly so."""
        if not self.first:  # 0, or no frames at all
            return 0
        if self.size_hw is not None and self.size_hw[0] in _KITTI_HEIGHTS and self.size_hw[1] in _KITTI_WIDTHS:
            return 0
        if self.size_hw in _CHALLENGE_SIZES and self.kinds <= _CHALLENGE_CLASSES:
            return 1
        return 0 if _CAR in self.kinds and self.first > 1 else None
