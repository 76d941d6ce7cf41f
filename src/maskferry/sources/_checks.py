"""What all sources share: how rates, indices and pictures are checked."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from fractions import Fraction

from maskferry.errors import InputError

__all__ = ["check_indices", "parse_rate"]


def parse_rate(rate: float | str | Fraction) -> Fraction:
    """Read frames per second as an exact number.

    A decimal near n * 1000 / 1001 is taken for that NTSC rate: 29.97 is 30000/1001, 23.976 is 24000/1001.

    Raises:
        InputError: it is no positive number.
    """
    try:
        if isinstance(rate, bool):
            raise TypeError
        value = Fraction(rate)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as err:
        raise InputError(f"rate: expected frames per second such as 25, 29.97 or '30000/1001', got {rate!r}") from err
    if value <= 0:
        raise InputError(f"rate: expected more than 0 frames per second, got {rate!r}")
    if isinstance(rate, (int, Fraction)) or (isinstance(rate, str) and "/" in rate) or value.denominator == 1:
        return value
    if value < 1:
        return 1 / (1 / value).limit_denominator(1001)
    ntsc = Fraction(math.ceil(value) * 1000, 1001)
    return ntsc if abs(value - ntsc) < Fraction(1, 200) else value.limit_denominator(1001)


def check_indices(indices: Sequence[int], frame_count: int | None) -> Sequence[int]:
    """Check what `Source.frames` is asked for; gives plain ints back.

    Raises:
        InputError: an index is outside the video, or the order is neither ascending nor descending.
    """
    try:
        wanted = indices if isinstance(indices, range) else [operator.index(i) for i in indices]
    except TypeError as err:
        raise InputError(f"indices: expected whole numbers, such as range(10), got {indices!r}") from err
    if not wanted:
        return wanted
    for i in (wanted[0], wanted[-1]):
        if i < 0 or (frame_count is not None and i >= frame_count):
            last = "on" if frame_count is None else f"to {frame_count - 1}"
            raise InputError(f"frame {i} is outside the video: its frames are numbered from 0 {last}")
    if not isinstance(wanted, range):
        step = 1 if wanted[-1] >= wanted[0] else -1
        for a, b in itertools.pairwise(wanted):
            if (b - a) * step <= 0:
                raise InputError(f"indices must ascend or descend, each once, got {b} after {a}")
    return wanted
