"""Whether a file of MOTS counts frames from 0, as KITTI MOTS does, or from 1, as MOTSChallenge does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maskferry.errors import InputError
from maskferry.formats._frame_table import read_first_number
from maskferry.formats._images import read_frame_info, read_pixels
from maskferry.formats._mots_lines import lines_of
from maskferry.formats._reading import Reading

__all__ = ["first_frame_of", "first_picture_of", "number_of"]

_CAR, _CHALLENGE_CLASSES = 1, frozenset({2, 10})
"""MOTSChallenge has pedestrians, 2, and regions to ignore, 10; KITTI MOTS has cars, 1, too."""

_CHALLENGE_SIZES = frozenset({(1080, 1920), (480, 640)})
_KITTI_HEIGHTS, _KITTI_WIDTHS = range(370, 377), range(1224, 1243)
"""Pixels of the pictures of both data sets."""


def first_frame_of(path: Path, reading: Reading) -> int:
    """What the text form calls the video's first frame. Ours says it in its frame table."""
    told = read_first_number(path)
    if told is not None:
        return told
    seen = _Seen()
    for line in lines_of(path):
        seen.note(line.frame, (line.kind,), (line.height, line.width))
    return _first_frame(seen, reading)


def first_picture_of(paths: list[Path], reading: Reading) -> int:
    """What the form of pictures calls the video's first frame. Ours say it themselves."""
    first = min(paths, key=number_of)
    info = read_frame_info(first)
    if info is not None:
        return max(0, number_of(first) - info.index)
    seen = _Seen()
    for path in paths if number_of(first) else (first,):
        values = read_pixels(path).values
        seen.note(number_of(path), {int(i) // 1000 for i in np.unique(values) if i}, values.shape[:2])
    return _first_frame(seen, reading)


def number_of(path: Path) -> int:
    """The frame that a picture is of, as its name says.

    Raises:
        InputError: the name is no number.
    """
    if not path.stem.isdecimal() or len(path.stem) > 9:
        raise InputError(f"{path}: expected the number of a frame as name")
    return int(path.stem)


@dataclass(slots=True)
class _Seen:
    """What a file shows of how it counts.

    Attributes:
        size_hw: of its masks; None where there are none.
        first: the lowest number of a frame; 0 where there are none.
        last: the highest.
        kinds: the classes.
    """

    size_hw: tuple[int, int] | None = None
    first: int = 0
    last: int = 0
    kinds: set[int] = field(default_factory=set)

    def note(self, frame: int, kinds: Iterable[int], size_hw: tuple[int, int]) -> None:
        """Take in what the file has on one of its frames."""
        self.first = frame if self.size_hw is None else min(self.first, frame)
        self.size_hw = self.size_hw or size_hw
        self.last = max(self.last, frame)
        self.kinds.update(kinds)


def _first_frame(seen: _Seen, reading: Reading) -> int:
    """The number of the video's first frame: 0 or 1. Where nothing tells it, the likelier one, with a warning."""
    known = _known_first_frame(seen, reading.target.frame_count)
    if known is not None:
        return known
    guess = int(seen.first == 1 and seen.kinds <= _CHALLENGE_CLASSES)
    reading.doubt(
        "nothing is on frame 0, and nothing else tells whether frames count from 0 (KITTI MOTS) or from 1 "
        f"(MOTSChallenge): read as from {guess}; say it with first_frame (--first-frame)"
    )
    return guess


def _known_first_frame(seen: _Seen, frame_count: int | None) -> int | None:
    """What the file tells for certain, or nearly so."""
    if seen.first == 0:
        return 0
    if seen.last == frame_count:  # a number that counting from 0 does not reach
        return 1
    if seen.size_hw is not None and seen.size_hw[0] in _KITTI_HEIGHTS and seen.size_hw[1] in _KITTI_WIDTHS:
        return 0
    if seen.size_hw in _CHALLENGE_SIZES and seen.kinds <= _CHALLENGE_CLASSES:
        return 1
    return 0 if _CAR in seen.kinds and seen.first > 1 else None
