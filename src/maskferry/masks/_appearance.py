"""The appearance of an object, as a colour histogram, and how similar two of them are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import foreign
from maskferry.data import Image
from maskferry.rle import Rle

__all__ = ["appearance", "similarity"]

BINS = 8
"""Bins along each axis of the colour space; 256 levels are divided evenly among them."""


@foreign("masks.appearance")
def appearance(image: Image, rle: Rle) -> NDArray[np.float32]:
    """Describe an object by its colours: the square root of its histogram in Lab, 8 bins an axis.

    Args:
        image: RGB, uint8 (H, W, 3).
        rle: the object, of the same size.

    Returns:
        float32 (512,), of length 1; zeros for an empty mask. Compare two of them with `similarity`.
    """
    found = rle.decode_crop()
    if found is None:
        return np.zeros(BINS**3, dtype=np.float32)
    (x1, y1, x2, y2), mask = found
    lab = cv2.cvtColor(np.ascontiguousarray(image[y1:y2, x1:x2]), cv2.COLOR_RGB2LAB)
    inside = mask.view(np.uint8)
    counts = cv2.calcHist([lab], [0, 1, 2], inside, [BINS] * 3, [0, 256] * 3).ravel().astype(np.float64)
    return np.asarray(np.sqrt(counts / counts.sum()), dtype=np.float32)


@foreign("masks.similarity")
def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The Bhattacharyya coefficient of two appearances.

    Args:
        first: of `appearance`.
        second: of `appearance`.

    Returns:
        1 for the same colours in the same shares, 0 for none in common.
    """
    return float(first @ second)
