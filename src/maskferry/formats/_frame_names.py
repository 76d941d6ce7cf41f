"""Which frames masks are of, and whether pictures of a folder are frames or objects, by what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskferry.errors import InputError
from maskferry.formats._images import read_frame_info
from maskferry.formats._reading import Reading

__all__ = ["are_numbered_as_frames", "frame_of", "frames_of_pictures", "own_frame"]

_PADDED = 4
"""Digits, with zeros in front: so are frames numbered, and hardly ever objects."""


class _Numbers(NamedTuple):
    """The numbers of names that differ by nothing else.

    Attributes:
        values: of each name.
        bare: there is nothing else in the names.
        padded: how many digits there are at least, where some have zeros in front; otherwise 0.
    """

    values: list[int]
    bare: bool
    padded: int


def frame_of(path: Path, said: int | None, reading: Reading, known: int | None = None) -> int:
    """The frame of a file of one frame.

    Args:
        path: the file, or a folder of objects.
        said: the frame that the caller says; it is taken, with a warning where the file names another one.
        reading: the video, as far as it is known, and who is told.
        known: the frame that the file holds as a number.

    Returns:
        What is said, else what is known, else the frame whose picture is called so; else 0, with a warning where the
        name looks like that of a later frame.
    """
    named = _named(path, reading) if known is None else known
    if said is not None:
        if named not in (None, said):
            reading.doubt(f"put on frame {said}, as asked for, though it names frame {named}")
        return said
    number = re.search(r"0\d+$|\d{4,}$|(?<=frame)[-_ ]?\d+$", path.stem, re.IGNORECASE)
    if named is None and number is not None and number[0].strip("-_ 0"):
        reading.doubt(
            f"put on frame 0, as no frame's picture is called {path.stem!r}: if it belongs to another frame, say so "
            f"(FRAME={path.name}, or frame_idx in Python)"
        )
    return named or 0


def _named(path: Path, reading: Reading) -> int | None:
    """The frame whose picture is called as the file, or as a part of its name: "mask_shore_0012.png" and
    "shore_0012_seg.png" are of "shore_0012.jpg"."""
    index = reading.target.frame_named(path.stem)
    core = re.fullmatch(r"(.*[0-9])[^0-9]*", path.stem, re.DOTALL)
    pieces = re.split(r"(?<=[-_. ])", core[1]) if core is not None else []
    for i in range(len(pieces)):
        name = "".join(pieces[i:])
        if index is None and not name.isdecimal():
            index = reading.target.frame_named(name)
    return index


def own_frame(path: Path) -> int | None:
    """The frame that a picture of maskferry holds."""
    info = read_frame_info(path)
    return None if info is None else info.index


def frames_of_pictures(paths: Sequence[Path], reading: Reading, *, label_maps: bool) -> list[int | None] | None:
    """Tell the frame of each picture of a folder; None where the pictures are objects of one frame.

    They are of frames where maskferry wrote them, where half of them or more are called as the pictures of the video's
    frames are (the others have None), where their names are numbers with zeros in front, of four digits or more, or
    where the numbers in them go from 0 to the last frame. Label maps are always of frames.

    Args:
        paths: the pictures, in natural order.
        reading: the video, as far as it is known, and who is told.
        label_maps: at least one of them holds several objects.

    Raises:
        InputError: both could be meant.
    """
    own = [own_frame(path) for path in paths]
    if None not in own:
        return own
    numbers = _numbers([path.stem for path in paths])
    named = [_named(path, reading) if index is None else index for index, path in zip(own, paths, strict=True)]
    known = [index for index in named if index is not None]
    as_many = len(paths) > 1 and len(paths) == reading.target.frame_count
    if 2 * len(known) >= len(paths) and len(set(known)) == len(known):
        if not label_maps and not as_many and numbers is not None and _could_be_ids(numbers):
            raise _unclear(paths, reading)
        return named
    return None if numbers is None and not label_maps else _by_number(paths, numbers, reading, label_maps=label_maps)


def are_numbered_as_frames(paths: Sequence[Path]) -> bool:
    """Whether the names are numbers with zeros in front, of four digits or more, or maskferry wrote all pictures."""
    numbers = _numbers([path.stem for path in paths])
    is_padded = numbers is not None and numbers.padded >= _PADDED
    return is_padded or all(own_frame(path) is not None for path in paths)


def _by_number(
    paths: Sequence[Path], numbers: _Numbers | None, reading: Reading, *, label_maps: bool
) -> list[int | None] | None:
    count = reading.target.frame_count
    as_many = len(paths) > 1 and len(paths) == count
    if numbers is None:
        if as_many or len(paths) == 1:
            reading.doubt("the pictures, in the order of their names, are those of the frames from 0")
            return list(range(len(paths)))
        raise InputError(
            f"{reading.where} holds label maps, and which frames they are of is not clear from names such as "
            f"{paths[0].name!r}: call them as the pictures of the frames are, or by the frame's number (00000.png)"
        )
    first = min(numbers.values)
    every = sorted(numbers.values) == list(range(first, first + len(paths)))
    if not label_maps and numbers.padded < _PADDED:
        if as_many and not (every and first == 0 and (numbers.bare or numbers.padded)):
            raise _unclear(paths, reading)
        if not as_many and (numbers.padded or (numbers.bare and first == 0)):
            raise _unclear(paths, reading)
        if not as_many or not every or first > 0:
            return None
    if as_many and every and first > 0:
        reading.doubt(f"{paths[0].name} is of frame 0, as there are as many pictures as frames")
        return [value - first for value in numbers.values]
    if count is not None and max(numbers.values) >= count:
        raise InputError(
            f"{reading.where}: {paths[-1].name} should be of frame {max(numbers.values)}, and the video has {count}: "
            "call the pictures as those of the frames are, or by the frame's number, from 00000.png"
        )
    return list(numbers.values)


def _could_be_ids(numbers: _Numbers) -> bool:
    return min(numbers.values) >= 1 and not numbers.padded


def _unclear(paths: Sequence[Path], reading: Reading) -> InputError:
    return InputError(
        f"{reading.where} holds {len(paths)} pictures such as {paths[0].name}: they may be {len(paths)} objects of one "
        "frame, or a mask on each of as many frames. If they are objects, say their frame (FRAME=FOLDER, or frame_idx "
        "in Python); if they are frames, call them by the frame's number from 0, in five digits (00000.png)"
    )


def _numbers(stems: Sequence[str]) -> _Numbers | None:
    """The last number in each name, where the names differ by it alone."""
    found = [re.fullmatch(r"(.*?)([0-9]{1,15})([^0-9]*)", stem) for stem in stems]
    parts = [match.groups() for match in found if match is not None]
    if len(parts) < len(stems) or len({(before, after) for before, _, after in parts}) > 1:
        return None
    digits = [number for _, number, _ in parts]
    padded = any(number[0] == "0" and len(number) > 1 for number in digits)
    values = [int(number) for number in digits]
    if len(set(values)) < len(values):
        return None
    return _Numbers(values, not parts[0][0] and not parts[0][2], min(map(len, digits)) if padded else 0)
