"""The working grid: how large it is for a frame, and the way from pixels to cells and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Image, Mask

__all__ = ["Box", "FloatArray", "Grid", "box_of"]

FloatArray = NDArray[np.float32]

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole cells or pixels, x2 and y2 exclusive."""

REFERENCE_CELLS = 427 * 240
"""The grid for which the constants of the method were tuned: half of 854x480."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Frame size and grid size.

    The rule: a grid has the frame's aspect ratio and about ``cells`` cells, and never more cells than pixels.

    Attributes:
        frame_hw: (height, width) of the frame in pixels.
        size_hw: (height, width) of the grid in cells.
        unit: one reference cell in cells; every length of the method is a multiple of it.
        xy: position of every cell, float32 (h, w, 2).
    """

    frame_hw: tuple[int, int]
    size_hw: tuple[int, int]
    unit: float
    xy: FloatArray = field(repr=False)

    @classmethod
    def for_frame(cls, frame_hw: tuple[int, int], cells: int) -> Grid:
        """Choose the grid for frames of this size."""
        height, width = frame_hw
        scale = min(1.0, math.sqrt(cells / (height * width)))
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        unit = max(0.5, math.sqrt(h * w / REFERENCE_CELLS))
        return cls(frame_hw, (h, w), unit, np.dstack(np.meshgrid(np.arange(w), np.arange(h))).astype(np.float32))

    def image_to_grid(self, image: Image) -> Image:
        """RGB uint8 (H, W, 3) -> (h, w, 3), by area."""
        h, w = self.size_hw
        return np.asarray(cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def mask_to_grid(self, mask: Mask) -> FloatArray:
        """bool (H, W) -> share of each cell that is object, float32 (h, w) in [0, 1].

        An object that fills no cell by half would be gone at once: its share is raised so that its best cell is full.
        """
        h, w = self.size_hw
        share: FloatArray = np.asarray(
            cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA), dtype=np.float32
        )
        highest = float(share.max())
        return np.minimum(share / highest, 1, dtype=np.float32) if 0 < highest < 0.75 else share

    def grid_to_frame(self, values: FloatArray, box: Box) -> tuple[FloatArray, Box]:
        """Upsample the cells of ``box`` (x1, y1, x2, y2), bicubic; float32 (h, w) -> the pixels, and their box."""
        (height, width), (h, w) = self.frame_hw, self.size_hw
        sx, sy = width / w, height / h
        x1, y1, x2, y2 = box
        px1, py1 = math.floor(x1 * sx), math.floor(y1 * sy)
        px2, py2 = min(width, math.ceil(x2 * sx)), min(height, math.ceil(y2 * sy))
        left, top = max(0, x1 - 2), max(0, y1 - 2)  # the bicubic kernel reaches two cells further
        part = np.ascontiguousarray(values[top : y2 + 2, left : x2 + 2])
        to_cell = np.array([[1 / sx, 0, (px1 + 0.5) / sx - 0.5 - left], [0, 1 / sy, (py1 + 0.5) / sy - 0.5 - top]])
        pixels = cv2.warpAffine(
            part,
            to_cell,
            (px2 - px1, py2 - py1),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(pixels, dtype=np.float32), (px1, py1, px2, py2)


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
