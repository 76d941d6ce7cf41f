"""Where a cell lies in an object: coordinates that move and grow with it."""

from __future__ import annotations

import numpy as np

from maskferry.data import Mask
from maskferry.engines.flow.grid import FloatArray, Grid

__all__ = ["place_in"]

REACH = 1.5
"""Cells further away than this all have the same place: "beside it"."""

SMALLEST = 10
"""Objects smaller than this, in reference cells, are taken to be so large: the place in a few cells says nothing."""


def place_in(mask: Mask, grid: Grid) -> FloatArray:
    """Position of every cell relative to the centre of a mask, in lengths of a square of the mask's area.

    Args:
        mask: the object, or where it is expected; bool (h, w).
        grid: the grid.

    Returns:
        float32 (h, w, 2), (x, y) in [-1.5, 1.5]; 0 everywhere where the mask is empty: its place is unknown.
    """
    ys, xs = np.nonzero(mask)
    if not xs.size:
        return np.zeros_like(grid.xy)
    centre = np.array([xs.mean(), ys.mean()], dtype=np.float32)
    size = np.float32(max(SMALLEST * grid.unit, np.sqrt(xs.size)))
    return np.asarray(np.clip((grid.xy - centre) / size, -REACH, REACH), dtype=np.float32)
