"""Where a cell lies in an object: coordinates that move and grow with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from maskferry.data import Mask
from maskferry.engines._flow.grid import FloatArray, Grid

__all__ = ["Place"]

REACH = 1.5
"""Cells further away than this all have the same coordinates: beside it."""

SMALLEST = 10
"""Objects smaller than this, in reference cells, are taken to be so large: where in a few cells says nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is, as its centre and size.

    Attributes:
        centre_xy: mean position of its cells, in cells.
        size: root of its area, in cells; infinite where nothing is known: then all coordinates are 0.
    """

    centre_xy: tuple[float, float]
    size: float

    @classmethod
    def of(cls, mask: Mask, grid: Grid) -> Place:
        """The place of a mask, bool (h, w)."""
        cells = grid.xy[mask]
        if not len(cells):
            return cls((0.0, 0.0), math.inf)
        x, y = cells.mean(axis=0, dtype=np.float64)
        return cls((float(x), float(y)), max(SMALLEST * grid.unit, math.sqrt(len(cells))))

    def coordinates(self, xy: FloatArray) -> FloatArray:
        """Positions in cells, float32 (..., 2) -> relative to the centre, in sizes, within `REACH`."""
        away = (xy - np.array(self.centre_xy, dtype=np.float32)) / np.float32(self.size)
        return np.asarray(np.clip(away, -REACH, REACH), dtype=np.float32)
