"""What all sources share: how rates, indices and pictures are checked."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Sequence, Sized
from fractions import Fraction
from pathlib import Path

from maskferry._arguments import foreign, frames_per_second, show, whole
from maskferry.errors import InputError, SourceError

__all__ = ["check_indices", "no_permission", "parse_rate"]


def parse_rate(rate: float | str | Fraction) -> Fraction:
    """Read frames per second as an exact number.

    A decimal near n * 1000 / 1001 is taken for that NTSC rate: 29.97 is 30000/1001, 23.976 is 24000/1001.

    Raises:
        InputError: it is no positive number.
    """
    value = frames_per_second(rate, "rate")
    if isinstance(rate, (int, Fraction)) or (isinstance(rate, str) and "/" in rate) or value.denominator == 1:
        return value
    if value < 1:
        return 1 / (1 / value).limit_denominator(1001)
    ntsc = Fraction(math.ceil(value) * 1000, 1001)
    return ntsc if abs(value - ntsc) < Fraction(1, 200) else value.limit_denominator(1001)


def no_permission(path: Path) -> SourceError:
    """The error of a file or folder that is there, and that the user may not read."""
    closed = next((p for p in reversed(path.absolute().parents) if not _may_enter(p)), None)
    if closed is not None:
        return SourceError(
            f"{path}: no permission to enter the folder {closed}: its owner can give it (chmod +x), or copy the file "
            "from there"
        )
    needs = "chmod +rx" if path.is_dir() else "chmod +r"
    return SourceError(f"{path}: no permission to read it: its owner can give it ({needs})")


def _may_enter(folder: Path) -> bool:
    return os.access(folder, os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def check_indices(indices: Sequence[int], frame_count: int | None) -> Sequence[int]:
    """Check what `Source.frames` is asked for; gives plain ints back.

    Raises:
        InputError: an index is outside the video, or the order is neither ascending nor descending.
    """
    wanted: Sequence[int] = indices if isinstance(indices, range) else _read_indices(indices, frame_count)
    if not wanted:
        return wanted
    for i in (wanted[0], wanted[-1]):
        _require_inside(i, frame_count)
    if not isinstance(wanted, range):
        step = 1 if wanted[-1] >= wanted[0] else -1
        for a, b in itertools.pairwise(wanted):
            if (b - a) * step <= 0:
                raise InputError(f"indices must ascend or descend, each once, got {b} after {a}")
    return wanted


def _read_indices(indices: Iterable[int], frame_count: int | None) -> list[int]:
    """Plain ints of any iterable; one without an end is refused."""
    if frame_count is None and not isinstance(indices, Sized):
        raise InputError(f"indices: expected whole numbers, such as range(10), got {show(indices)}")
    found = []
    with foreign("indices: expected whole numbers, such as range(10)"):
        for value in indices:
            found.append(whole(value, "indices: expected whole numbers, such as range(10)"))
            _require_inside(found[-1], frame_count)
            if frame_count is not None and len(found) > frame_count:
                raise InputError(f"indices must ascend or descend, each once, got more than {frame_count}")
    return found


def _require_inside(index: int, frame_count: int | None) -> None:
    if index < 0 or (frame_count is not None and index >= frame_count):
        last = "on" if frame_count is None else f"to {frame_count - 1}"
        raise InputError(f"frame {show(index)} is outside the video: its frames are numbered from 0 {last}")
