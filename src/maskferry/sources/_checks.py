"""What all sources share: how rates, indices and pictures are checked."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Image
from maskferry.errors import InputError

__all__ = ["PICTURE_SUFFIXES", "check_indices", "check_picture", "parse_rate", "to_rgb"]

_PICTURES = "avif bmp dib exr hdr jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm ras sr tga tif tiff webp"
PICTURE_SUFFIXES = frozenset(f".{name}" for name in _PICTURES.split())
"""What is taken for a picture, in lower case. GIF and APNG are videos."""


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


def check_picture(picture: NDArray[Any], what: str, size_hw: tuple[int, ...] | None = None) -> None:
    """Check that a picture is uint8, (H, W, 3) or (H, W), and of the size of the first.

    Raises:
        InputError: it is not; the message says what to do.
    """
    if picture.dtype != np.uint8:
        advice = {
            "f": "multiply by 255 where they are in [0, 1], round, and use .astype(numpy.uint8)",
            "b": "for black and white pictures pass 255 * frames.astype('uint8'); masks are given to the tracker",
        }.get(picture.dtype.kind, "bring all frames to 0..255 by one common scale and use .astype(numpy.uint8)")
        raise InputError(f"{what}: expected dtype uint8, got {picture.dtype}: {advice}")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3) or not picture.size:
        advice = ""
        if picture.ndim == 3 and picture.shape[2] == 4:
            advice = ": drop the fourth channel, frames[..., :3]"
        elif picture.ndim == 3 and picture.shape[0] in (1, 3):
            advice = ": put the channels last, numpy.moveaxis(frames, -3, -1)"
        raise InputError(f"{what}: expected RGB (H, W, 3) or grey (H, W), got shape {picture.shape}{advice}")
    if size_hw is not None and picture.shape[:2] != size_hw:
        height, width = size_hw
        raise InputError(
            f"{what} is {picture.shape[1]}x{picture.shape[0]}, but the first frame is {width}x{height}: "
            "all frames must have one size"
        )


def to_rgb(picture: NDArray[np.uint8]) -> Image:
    """RGB (H, W, 3) of a picture that `check_picture` has passed; a read-only view of it where that is possible."""
    if picture.ndim == 2:
        return np.repeat(picture[:, :, np.newaxis], 3, axis=2)
    view = picture.view()
    view.flags.writeable = False
    return view
