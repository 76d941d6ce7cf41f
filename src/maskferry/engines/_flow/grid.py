"""The working grid: how large it is for a frame, and the way from pixels to cells and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask

__all__ = ["Box", "FloatArray", "Grid", "box_of", "draw_cells", "union"]

FloatArray = NDArray[np.float32]

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole cells or pixels, x2 and y2 exclusive."""

REFERENCE_CELLS = 427 * 240
"""The grid for which the constants of the method were tuned: half of 854x480."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A lattice of cells over a frame, or a part of one.

    One lattice covers the whole frame. It has the frame's aspect ratio and about as many cells as were asked for, never
    more than pixels. Others cover a window of it, more finely. A position in cells always counts from the lattice's
    first cell, so that it is the same in all parts of a lattice.

    Attributes:
        frame_hw: (height, width) of the frame in pixels.
        size_hw: (height, width) of this part in cells.
        unit: one reference cell in cells; every length of the method is a multiple of it.
        xy: position of every cell on the lattice, float32 (h, w, 2).
        pitch_xy: size of a cell in pixels.
        corner_xy: where in the frame the lattice begins, in pixels.
        is_window: the lattice covers a window of the frame only.
    """

    frame_hw: tuple[int, int]
    size_hw: tuple[int, int]
    unit: float
    xy: FloatArray = field(repr=False, compare=False)
    pitch_xy: tuple[float, float]
    corner_xy: tuple[int, int] = (0, 0)
    is_window: bool = False

    @classmethod
    def for_frame(cls, frame_hw: tuple[int, int], cells: int) -> Grid:
        """The lattice over frames of this size."""
        height, width = frame_hw
        scale = min(1.0, math.sqrt(cells / (height * width)))
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        unit = max(0.5, math.sqrt(h * w / REFERENCE_CELLS))
        return cls(frame_hw, (h, w), unit, _positions(h, w), (width / w, height / h))

    @classmethod
    def window(
        cls, frame_hw: tuple[int, int], centre_xy: tuple[float, float], side: int, pitch: int, unit: float
    ) -> Grid:
        """A lattice over the square around a point, moved into the frame and cut to its size.

        Args:
            frame_hw: of the frame.
            centre_xy: in pixels.
            side: in cells.
            pitch: size of a cell in pixels.
            unit: one reference cell in cells.
        """
        height, width = frame_hw
        h, w = min(side, height // pitch), min(side, width // pitch)
        x = int(np.clip(round(centre_xy[0] - w * pitch / 2), 0, width - w * pitch))
        y = int(np.clip(round(centre_xy[1] - h * pitch / 2), 0, height - h * pitch))
        return cls.of_window(frame_hw, (x, y), (h, w), pitch, unit)

    @classmethod
    def of_window(
        cls, frame_hw: tuple[int, int], corner_xy: tuple[int, int], size_hw: tuple[int, int], pitch: int, unit: float
    ) -> Grid:
        """A lattice over the window with this corner in pixels and this size in cells."""
        (x, y), (h, w) = corner_xy, size_hw
        return cls(frame_hw, (h, w), unit, _positions(h, w), (pitch, pitch), (x, y), is_window=True)

    @property
    def first_xy(self) -> tuple[int, int]:
        """Which cell of the lattice this part begins with."""
        return int(self.xy[0, 0, 0]), int(self.xy[0, 0, 1])

    def part(self, box: Box) -> Grid:
        """The cells of a box (x1, y1, x2, y2) of this lattice, which must be whole."""
        x1, y1, x2, y2 = box
        return replace(self, size_hw=(y2 - y1, x2 - x1), xy=self.xy[y1:y2, x1:x2])

    def to_pixels(self, xy: tuple[float, float]) -> tuple[float, float]:
        """A position in cells -> in pixels of the frame; whole numbers are centres of cells and of pixels."""
        (sx, sy), (x, y) = self.pitch_xy, self.corner_xy
        return x + (xy[0] + 0.5) * sx - 0.5, y + (xy[1] + 0.5) * sy - 0.5

    def to_cells(self, xy: tuple[float, float]) -> tuple[float, float]:
        """A position in pixels of the frame -> in cells; the reverse of `to_pixels`."""
        (sx, sy), (x, y) = self.pitch_xy, self.corner_xy
        return (xy[0] + 0.5 - x) / sx - 0.5, (xy[1] + 0.5 - y) / sy - 0.5

    def sample(self, picture: NDArray[np.uint8], per_cell: int = 1) -> NDArray[np.uint8]:
        """A picture uint8 (H, W) or (H, W, 3) at ``per_cell`` pixels a cell, by area, on a whole lattice."""
        (h, w), (x, y) = self.size_hw, self.corner_xy
        right, bottom = x + round(w * self.pitch_xy[0]), y + round(h * self.pitch_xy[1])
        crop, size = picture[y:bottom, x:right], (per_cell * w, per_cell * h)
        finer = size[0] > crop.shape[1]
        return np.asarray(
            cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC if finer else cv2.INTER_AREA), dtype=np.uint8
        )

    def mask_to_grid(self, mask: Mask) -> FloatArray:
        """bool (H, W) -> share of each cell that is object, float32 (h, w) in [0, 1], on a whole lattice.

        An object that fills no cell by half would be gone at once: its share is raised so that its best cell is full.
        """
        (h, w), (x, y) = self.size_hw, self.corner_xy
        right, bottom = x + round(w * self.pitch_xy[0]), y + round(h * self.pitch_xy[1])
        share: FloatArray = np.asarray(
            cv2.resize(mask[y:bottom, x:right].astype(np.float32), (w, h), interpolation=cv2.INTER_AREA), np.float32
        )
        highest = float(share.max())
        return np.minimum(share / highest, 1, dtype=np.float32) if 0 < highest < 0.75 else share

    def pixels_to_cells(self, pixels: Mask, box: Box) -> Mask:
        """Which cells of this part have their middle on a mask given on a box of pixels; bool (h, w)."""
        (h, w), (x, y) = self.size_hw, self.first_xy
        columns, rows = (
            np.floor(c + (first + np.arange(n) + 0.5) * pitch).astype(np.intp) - start
            for c, first, n, pitch, start in zip(self.corner_xy, (x, y), (w, h), self.pitch_xy, box[:2], strict=True)
        )
        out = np.zeros(self.size_hw, dtype=np.bool_)
        inside_x = (columns >= 0) & (columns < pixels.shape[1])
        inside_y = (rows >= 0) & (rows < pixels.shape[0])
        out[np.ix_(inside_y, inside_x)] = pixels[np.ix_(rows[inside_y], columns[inside_x])]
        return out

    def grid_to_frame(self, values: FloatArray, box: Box) -> tuple[FloatArray, Box]:
        """Upsample the cells of ``box`` (x1, y1, x2, y2) of this part, bicubic; -> float32 pixels, and their box."""
        (height, width), (sx, sy) = self.frame_hw, self.pitch_xy
        first_x, first_y = self.first_xy
        at_x, at_y = self.corner_xy[0] + first_x * sx, self.corner_xy[1] + first_y * sy
        x1, y1, x2, y2 = box
        px1, py1 = math.floor(at_x + x1 * sx), math.floor(at_y + y1 * sy)
        px2, py2 = min(width, math.ceil(at_x + x2 * sx)), min(height, math.ceil(at_y + y2 * sy))
        left, top = max(0, x1 - 2), max(0, y1 - 2)  # the bicubic kernel reaches two cells further
        crop = np.ascontiguousarray(values[top : y2 + 2, left : x2 + 2])
        to_cell = np.array(
            [[1 / sx, 0, (px1 + 0.5 - at_x) / sx - 0.5 - left], [0, 1 / sy, (py1 + 0.5 - at_y) / sy - 0.5 - top]]
        )
        pixels = cv2.warpAffine(
            crop,
            to_cell,
            (px2 - px1, py2 - py1),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(pixels, dtype=np.float32), (px1, py1, px2, py2)

    def resample(self, values: FloatArray, onto: Grid) -> FloatArray:
        """Values of this whole lattice on the cells of another one over the same frame; 0 outside; bilinear."""
        if onto == self:
            return values
        (sx, sy), (ox, oy) = onto.pitch_xy, self.to_cells(onto.to_pixels((0, 0)))
        to_here = np.array([[sx / self.pitch_xy[0], 0, ox], [0, sy / self.pitch_xy[1], oy]])
        h, w = onto.size_hw
        moved = cv2.warpAffine(values, to_here, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return np.asarray(moved, dtype=np.float32)


@lru_cache(maxsize=64)
def _positions(h: int, w: int) -> FloatArray:
    """Column and row of each cell, float32 (h, w, 2), read-only: all lattices of a size share it."""
    positions = np.dstack(np.meshgrid(np.arange(w), np.arange(h))).astype(np.float32)
    positions.flags.writeable = False
    return positions


def box_of(mask: Mask, margin: int = 0) -> Box | None:
    """Bounding box of a mask (h, w), widened by ``margin`` inside the array; None where it is empty."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not ys.size:
        return None
    h, w = mask.shape
    return (
        max(0, int(xs[0]) - margin),
        max(0, int(ys[0]) - margin),
        min(w, int(xs[-1]) + 1 + margin),
        min(h, int(ys[-1]) + 1 + margin),
    )


def union(a: Box | None, b: Box) -> Box:
    """The smallest box around both; the second where there is no first."""
    return b if a is None else (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def draw_cells(where: Mask, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Flat indices of ``count`` cells of a mask at random; of all of them where it has no more."""
    cells = np.flatnonzero(where)
    return cells if cells.size <= count else rng.choice(cells, count, replace=False, shuffle=False)
