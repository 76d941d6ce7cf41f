"""How finely an object is looked at: on the lattice of the whole frame, or through a window of its own.

A window is a virtual camera that follows a small object at a finer scale. What is seen through it is a video like any
other, in which the object has a usual size, so that everything else is the same for large and small objects.
"""

from __future__ import annotations

import math

import numpy as np

from maskferry.data import Mask
from maskferry.engines.flow.grid import Grid, box_of
from maskferry.engines.flow.motion import Camera, map_points
from maskferry.engines.flow.target import Target

__all__ = ["expected_place", "follow", "lattice_for", "refocus"]

SMALL = 160.0
"""Objects below this area on the frame's lattice, in reference cells squared, get a window ..."""

LEAVE = 1.5
"""... and lose it above this many times as much."""

USUAL = 1024.0
"""Area of an object as its window shows it, in reference cells squared, where the frame has the pixels."""

MARGIN, SMALLEST, LARGEST = 48.0, 128.0, 320.0
"""Room around the object and the window's side, in reference cells."""

STEP = 16
"""Sides are multiples of this many cells, so that windows seldom change."""


def lattice_for(frame: Grid, mask: Mask) -> Grid:
    """The lattice on which an object given as bool (H, W) is tracked."""
    x1, y1, x2, y2 = box_of(mask) or (0, 0, 1, 1)
    area, extent = float(np.count_nonzero(mask[y1:y2, x1:x2])), float(max(x2 - x1, y2 - y1))
    return _choose(frame, None, area, extent, ((x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2))


def refocus(target: Target, frame: Grid) -> None:
    """Move an object to another lattice where it has become too small or too large for its own; its place stays."""
    pitch = target.grid.pitch_xy[0] * target.grid.pitch_xy[1]
    extent = math.sqrt(target.area * pitch)
    box = box_of(target.soft >= 0.5)
    if box is not None:
        extent = max((box[2] - box[0]) * target.grid.pitch_xy[0], (box[3] - box[1]) * target.grid.pitch_xy[1])
    if target.hidden:
        extent *= 1 + min(3.0, 0.3 * target.hidden)  # it may be further away
    centre = target.grid.to_pixels(target.centre_xy)
    grid = _choose(frame, target.grid, target.area * pitch, extent, centre)
    if grid is not target.grid:
        target.soft = target.grid.resample(target.soft, grid)
        target.area *= pitch / (grid.pitch_xy[0] * grid.pitch_xy[1])
        target.centre_xy = grid.to_cells(centre)
        target.grid = grid


def _choose(frame: Grid, now: Grid | None, area: float, extent: float, centre_xy: tuple[float, float]) -> Grid:
    """The frame's lattice, or a window; ``now`` again, the same object, unless it does not fit any more."""
    through_window = now is not None and now.is_window
    small = SMALL * frame.unit**2 * (LEAVE if through_window else 1)
    pixels = frame.pitch_xy[0] * frame.pitch_xy[1]
    if area >= small * pixels or pixels < 2:
        return frame
    pitch = max(1, math.floor(math.sqrt(area / (USUAL * frame.unit**2))))
    unit = min(frame.unit, max(0.5, math.sqrt(area / pitch**2 / USUAL)))
    if now is not None and through_window:
        shown = area / now.pitch_xy[0] ** 2
        if 0.4 < shown / (USUAL * now.unit**2) < 2.5 or now.pitch_xy[0] == pitch:
            pitch, unit = round(now.pitch_xy[0]), now.unit
    needed = min(max(extent / pitch + 2 * MARGIN * unit, SMALLEST * unit), LARGEST * unit)
    side = math.ceil(needed / STEP) * STEP
    if now is not None and through_window and now.pitch_xy[0] == pitch and side <= max(now.size_hw) <= 1.6 * side:
        return now
    return Grid.window(frame.frame_hw, centre_xy, side, pitch, unit)


def expected_place(target: Target, frame: Grid, camera: Camera | None) -> tuple[float, float]:
    """Where a still object would be on this frame, in pixels: its last place moved along with the picture."""
    here = target.grid.to_pixels(target.centre_xy)
    if camera is None:
        return here
    cell = np.array([[frame.to_cells(here)]], dtype=np.float32)
    there = map_points(np.linalg.inv(camera.matrix).astype(np.float64), cell).ravel()
    return frame.to_pixels((float(there[0]), float(there[1]))) if np.isfinite(there).all() else here


def follow(grid: Grid, centre_xy: tuple[float, float]) -> Grid:
    """The same window around another point of the frame, in pixels."""
    return Grid.window(grid.frame_hw, centre_xy, max(grid.size_hw), round(grid.pitch_xy[0]), grid.unit)
