"""How finely an object is looked at: on the lattice of the whole frame, or through a window of its own.

A window is a virtual camera that follows a small object at a finer scale. What is seen through it is a video like any
other, in which the object has a usual size, so that everything else is the same for large and small objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskferry.data import Mask
from maskferry.engines._flow.grid import Grid, box_of
from maskferry.engines._flow.motion import Camera, map_points
from maskferry.engines._flow.target import Target

__all__ = ["expected_place", "follow", "lattice_for", "refocus"]

SMALL = 400.0
"""Objects below this area on the frame's lattice, in reference cells squared, get a window ..."""

LEAVE = 1.5
"""... and lose it above this many times as much."""

USUAL = 1024.0
"""About the area of an object as its window shows it, in reference cells squared, where the frame has the pixels."""

MARGIN, SMALLEST, LARGEST = 48.0, 128.0, 320.0
"""Room around the object and the window's side, in reference cells."""

STEP = 16
"""Sides are multiples of this many cells, so that windows seldom change."""

SOFT = 4
"""A soft mask is about this many cells wider than the object."""

PART = 0.7
"""Windows become one when together they have more cells than the frame, and single again below this share of that."""


@dataclass(frozen=True, slots=True)
class Focus:
    """How an object is to be looked at.

    Attributes:
        pitch: pixels a cell; a power of 2.
        unit: one reference cell in cells.
        side: of its window, in cells.
    """

    pitch: int
    unit: float
    side: int

    @property
    def scale(self) -> tuple[int, float]:
        """What windows that become one have in common."""
        return self.pitch, self.unit


def lattice_for(frame: Grid, mask: Mask) -> Grid:
    """The lattice on which an object given as bool (H, W) is tracked."""
    x1, y1, x2, y2 = box_of(mask) or (0, 0, 1, 1)
    area, extent = float(np.count_nonzero(mask[y1:y2, x1:x2])), float(max(x2 - x1, y2 - y1))
    focus = _focus(frame, None, area, extent)
    centre = (x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2
    return frame if focus is None else Grid.window(frame.frame_hw, centre, focus.side, focus.pitch, focus.unit)


def refocus(targets: Mapping[int, Target], frame: Grid) -> None:
    """Move objects to other lattices where they have become too small or too large for their own; their places stay.

    Where the windows of one scale have more cells than the whole frame at that scale, they become one, which covers it.
    """
    wanted = {i: _wanted(target, frame) for i, target in targets.items()}
    for scale in {focus.scale for focus in wanted.values() if focus is not None}:
        group = {i: focus for i, focus in wanted.items() if focus is not None and focus.scale == scale}
        pitch, unit = scale
        whole = Grid.window(frame.frame_hw, (0, 0), max(frame.frame_hw), pitch, unit)
        joined = any(_covers(targets[i].grid, whole) for i in group)
        cells = sum(focus.side**2 for focus in group.values())
        join = cells > (PART if joined else 1.0) * whole.size_hw[0] * whole.size_hw[1]
        for i, focus in group.items():
            _move(targets[i], whole if join else _own_window(targets[i], whole, focus))
    for i, none in wanted.items():
        if none is None:
            _move(targets[i], frame)


def _wanted(target: Target, frame: Grid) -> Focus | None:
    (sx, sy), box = target.grid.pitch_xy, target.box
    area = target.area * sx * sy
    extent = math.sqrt(area)
    if box is not None:
        extent = max(extent, (box[2] - box[0] - SOFT) * sx, (box[3] - box[1] - SOFT) * sy)
    if target.hidden:
        extent *= 1 + min(3.0, 0.3 * target.hidden)  # it may be further away
    return _focus(frame, target.grid, area, extent)


def _focus(frame: Grid, now: Grid | None, area: float, extent: float) -> Focus | None:
    """None for the frame's lattice; the scale of ``now`` unless it does not fit any more. Area, extent: in pixels."""
    now = now if now is not None and now.is_window else None
    pixels = frame.pitch_xy[0] * frame.pitch_xy[1]
    if pixels < 2 or area >= SMALL * frame.unit**2 * (1 if now is None else LEAVE) * pixels:
        return None
    pitch = 2 ** max(0, round(math.log2(math.sqrt(max(area, 1.0) / USUAL) / frame.unit)))
    unit = min(frame.unit, 0.5 * max(1, round(2 * math.sqrt(area / pitch**2 / USUAL))))
    if now is not None and 0.35 < area / (now.pitch_xy[0] * now.unit) ** 2 / USUAL < 2.8:
        pitch, unit = round(now.pitch_xy[0]), now.unit
    side = min(max(extent / pitch + 2 * MARGIN * unit, SMALLEST * unit), LARGEST * unit)
    return Focus(pitch, unit, math.ceil(side / STEP) * STEP)


def _own_window(target: Target, whole: Grid, focus: Focus) -> Grid:
    now = target.grid
    alike = now.is_window and now.pitch_xy == whole.pitch_xy and not _covers(now, whole)
    if alike and focus.side <= max(now.size_hw) <= 1.6 * focus.side:
        return now
    centre = now.to_pixels(target.centre_xy)
    return Grid.window(now.frame_hw, centre, focus.side, focus.pitch, focus.unit)


def _covers(grid: Grid, whole: Grid) -> bool:
    return grid.is_window and grid.pitch_xy == whole.pitch_xy and grid.size_hw == whole.size_hw


def _move(target: Target, grid: Grid) -> None:
    now = target.grid
    if grid == now:
        return
    target.soft = now.resample(target.soft, grid)
    target.area *= now.pitch_xy[0] * now.pitch_xy[1] / (grid.pitch_xy[0] * grid.pitch_xy[1])
    target.centre_xy = grid.to_cells(now.to_pixels(target.centre_xy))
    target.grid = grid


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
