"""How much of a picture is new against an earlier one of the same camera: what its motion does not explain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Image

__all__ = ["Thumbnail", "new_share", "thumbnail"]

Thumbnail = NDArray[np.uint8]
"""A small grey picture (h, w)."""

LONGEST = 96
"""Cells along the longer side of a thumbnail: what is smaller than one does not count as new."""

TOLERANCE = 15
"""Grey levels by which a cell may differ from what was there: noise, and light that changes a little."""


def thumbnail(image: Image) -> Thumbnail:
    """A small grey copy: mean values of cells, 96 along the longer side (fewer where the picture has fewer pixels).

    Args:
        image: RGB, uint8 (H, W, 3).
    """
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    every = max(1, max(height, width) // (8 * LONGEST))  # 8 x 8 pixels of a cell say enough
    small = cv2.resize(np.ascontiguousarray(image[::every, ::every]), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def new_share(before: Thumbnail, now: Thumbnail) -> float:
    """The share of a picture that an earlier one, moved as the camera moved, does not explain, in [0, 1].

    A cell is explained where it is about as bright as the earlier picture in one of the cells around its place. The
    camera's motion is a shift, found by phase correlation (Kuglin and Hines, 1975); what it brought in at the border
    is new. Where it cannot be found, because of a cut, or because hardly anything is left of the earlier picture, most
    cells differ and count as new. Objects that move count twice: where they are, and where they were. A fine, even
    texture (grass, gravel) hides what is new, because everything in it looks alike.

    Args:
        before: of `thumbnail`.
        now: of the same size.
    """
    at_rest = _unexplained(before, now, (0, 0))
    shift = _shift(before, now)
    return at_rest if shift == (0, 0) else min(at_rest, _unexplained(before, now, shift))


def _shift(before: Thumbnail, now: Thumbnail) -> tuple[int, int]:
    """(x, y) in cells, from the earlier picture to this one."""
    if min(now.shape) < 2:
        return 0, 0
    window = cv2.createHanningWindow(now.shape[::-1], cv2.CV_32F)
    copies = before.astype(np.float32), now.astype(np.float32)  # phaseCorrelate may write the window into them
    shift, _ = cv2.phaseCorrelate(*copies, window)
    x, y = np.nan_to_num(shift)
    return round(float(x)), round(float(y))


def _unexplained(before: Thumbnail, now: Thumbnail, shift_xy: tuple[int, int]) -> float:
    """The share of cells, 0 to 1, that an earlier picture, shifted by whole cells, does not explain."""
    around = np.ones((3, 3), np.uint8)
    low = _shifted(np.asarray(cv2.erode(before, around), dtype=np.uint8), shift_xy)
    high = _shifted(np.asarray(cv2.dilate(before, around), dtype=np.uint8), shift_xy)
    inside = _shifted(np.ones_like(before), shift_xy) > 0
    level = now.astype(np.int16)
    explained = inside & (level >= low - TOLERANCE) & (level <= high + TOLERANCE)
    return 1.0 - float(np.count_nonzero(explained)) / explained.size


def _shifted(values: NDArray[np.uint8], shift_xy: tuple[int, int]) -> NDArray[np.int16]:
    """The same picture, shifted by whole cells; 0 where it says nothing."""
    (height, width), (x, y) = values.shape, shift_xy
    shifted = np.zeros(values.shape, dtype=np.int16)
    target = _overlap(y, height), _overlap(x, width)
    origin = _overlap(-y, height), _overlap(-x, width)
    shifted[target] = values[origin]
    return shifted


def _overlap(shift: int, size: int) -> slice:
    """Where, along one axis, a picture that is shifted covers a picture that is not."""
    return slice(max(shift, 0), max(size + shift, 0))
