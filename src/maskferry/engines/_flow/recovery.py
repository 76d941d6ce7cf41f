"""Finding an object again: where to look for it, and what to believe."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines._flow.grid import Box, FloatArray, Grid
from maskferry.engines._flow.propagation import Prediction
from maskferry.engines._flow.target import Target

__all__ = ["keep_believable", "resembles", "search", "search_box"]

Column = NDArray[np.float64]

SMALLEST_PART, LARGEST_PART = 0.08, 3.0
"""A part that is believed has this many times the object's usual area."""

SIMILAR = 0.5
"""How much a part must look like the object (1: as much as the object itself did)."""

SIMILAR_AFTER_CUT, SMALLEST_AFTER_CUT, LARGEST_RIVAL = 0.75, 0.3, 0.3
"""After a cut its place says nothing: it must be whole, look very much alike, and nothing else may look so."""

UNLIKE = 0.28
"""And its colours and textures must be spread alike: true returns were seen below 0.21, false ones above 0.34."""


def search_box(target: Target, grid: Grid) -> Box:
    """The cells of a whole lattice where to look for a hidden object: all of them after a cut."""
    h, w = grid.size_hw
    return (0, 0, w, h) if target.cut_off else _window(target.centre_xy, 2 * _radius(target, grid), grid)


def search(target: Target, grid: Grid, carried: Prediction | None) -> Prediction:
    """What to expect of a hidden object: it is near its last place, further the longer it is gone.

    Args:
        target: the object.
        grid: the part of the lattice that `search_box` gives, or more.
        carried: what the flow carried over of it, on the same part.
    """
    h, w = grid.size_hw
    nowhere, everywhere = np.zeros((h, w), dtype=np.float32), (0, 0, w, h)
    if target.cut_off:
        return Prediction(np.full((h, w), -0.5, np.float32), everywhere, nowhere)
    squared = np.square(grid.xy - np.array(target.centre_xy, dtype=np.float32))
    distance = (squared[:, :, 0] + squared[:, :, 1]) / np.float32(_radius(target, grid) ** 2)
    evidence = np.clip(0.5 - 1.5 * distance, -4, 0.5).astype(np.float32)
    if carried is None:
        return Prediction(evidence, everywhere, nowhere)
    np.maximum(evidence, carried.evidence, out=evidence)
    return Prediction(evidence, everywhere, carried.carried)


def _radius(target: Target, grid: Grid) -> float:
    return max(10 * grid.unit, float(np.sqrt(target.area)) * (1 + 0.3 * target.hidden))


def keep_believable(mask: Mask, looks: FloatArray, carried: FloatArray, target: Target, grid: Grid) -> Mask:
    """Of what was found of a hidden object keep the parts that are convincing.

    Args:
        mask: what was found, bool (h, w).
        looks: how much each cell looks like it, float32 (h, w).
        carried: where the flow carried what was seen of it on the last frame, float32 (h, w).
        target: the object.
        grid: the grid.

    Returns:
        bool (h, w).
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = np.maximum(stats[:, cv2.CC_STAT_AREA], 1).astype(np.float64)  # the background may be empty
    alike = np.bincount(parts.ravel(), weights=np.clip(looks, -1.5, 1.5).ravel(), minlength=count) / areas
    if target.cut_off:
        keep = _only_one(areas, alike, target.area)
    else:
        moved = np.bincount(parts.ravel(), weights=(carried.ravel() > 0.5), minlength=count) / areas
        back = (areas >= SMALLEST_PART * target.area) & (areas <= LARGEST_PART * target.area) & (alike > SIMILAR)
        keep = back | ((areas > 20 * grid.unit**2) & (moved > 0.3))
    keep[0] = False
    return np.asarray(keep[parts])


def resembles(target: Target, phi: FloatArray) -> bool:
    """Whether cells as a whole look as the object did, where it was given or lately; random features (n, D)."""
    return min(target.prompted.unlikeness(phi), target.recent.unlikeness(phi)) < UNLIKE


def _only_one(areas: Column, alike: Column, usual: float) -> NDArray[np.bool_]:
    """The one whole part that looks like the object, if no other does."""
    keep = np.zeros(areas.shape, dtype=np.bool_)
    alike = alike.copy()
    alike[0] = -1
    similar = alike > SIMILAR
    if similar.any():
        order = np.argsort(-areas * similar, kind="stable")
        first = order[0]
        rival = areas[order[1]] * similar[order[1]]
        whole = SMALLEST_AFTER_CUT * usual <= areas[first] <= LARGEST_PART * usual
        keep[first] = whole and alike[first] > SIMILAR_AFTER_CUT and rival < LARGEST_RIVAL * areas[first]
    return keep


def _window(centre_xy: tuple[float, float], reach: float, grid: Grid) -> Box:
    """Cells within ``reach`` of a point, inside of the grid, and at least one cell."""
    h, w = grid.size_hw
    x, y = centre_xy
    x1, y1 = (int(np.clip(v - reach, 0, n - 1)) for v, n in ((x, w), (y, h)))
    x2, y2 = (int(np.clip(v + reach + 1, 1, n)) for v, n in ((x, w), (y, h)))
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)
