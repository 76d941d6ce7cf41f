"""What the network looks at: a window of the frame around an object, at a scale that suits the object's size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from maskferry.data import Image, Mask
from maskferry.engines._flow.grid import Box, FloatArray, Grid

__all__ = ["CELL", "Detail", "Lens", "Place", "lens_for"]

CELL = 16
"""Pixels of the network's picture that make a cell."""

LONGEST = 400.0
"""Pixels of the network's picture that an object's longer side has at most, about: larger ones it has hardly seen in
training."""

SLACK, SCALES = 0.08, (0.55, 1.25)
"""A window stays while the object is off its centre by less than this share of its side, and its scale while the
window would have between so many times the pixels that are wanted."""


class Detail(NamedTuple):
    """How closely objects are looked at.

    Attributes:
        pixels: of the network's picture of an object, at most, about.
        room: the window's side, so many times the object's longer side.
        smallest: the window's side has at least so many pixels of the frame.
        finest: pixels of the frame that a cell has at least: pictures are magnified by no more than `CELL` / this.
        step: cells come in sizes that differ by this factor.
    """

    pixels: float
    room: float = 3.0
    smallest: float = 128.0
    finest: int = 12
    step: float = 2 ** (1 / 8)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is about, in pixels of the frame.

    Attributes:
        centre_xy: of its box.
        side: the box's longer side.
    """

    centre_xy: tuple[float, float]
    side: float


@dataclass(frozen=True, slots=True)
class Lens:
    """A window in whole cells. Cells lie on the frame from its upper left corner on; the last ones may jut out.

    Attributes:
        frame_hw: (height, width) of the frame in pixels.
        pitch: pixels of the frame a cell.
        box: x1, y1, x2, y2 in cells.
    """

    frame_hw: tuple[int, int]
    pitch: int
    box: Box

    @property
    def size_hw(self) -> tuple[int, int]:
        """In cells."""
        return self.box[3] - self.box[1], self.box[2] - self.box[0]

    @property
    def pixels(self) -> Box:
        """In pixels of the frame; may jut out on the right and below."""
        x1, y1, x2, y2 = (v * self.pitch for v in self.box)
        return x1, y1, x2, y2

    def inside(self, part: Lens) -> Box:
        """A part of this lens, of the same pitch, in cells from this one's first."""
        (x, y), (x1, y1, x2, y2) = self.box[:2], part.box
        return x1 - x, y1 - y, x2 - x, y2 - y

    def picture(self, image: Image) -> Image:
        """RGB uint8 (16 h, 16 w, 3); beyond the frame its border goes on."""
        h, w = self.size_hw
        crop = self._crop(image)
        way = cv2.INTER_AREA if self.pitch > CELL else cv2.INTER_LINEAR
        scaled = crop if self.pitch == CELL else cv2.resize(crop, (CELL * w, CELL * h), interpolation=way)
        return np.ascontiguousarray(scaled, dtype=np.uint8)

    def mask(self, mask: Mask, corner_xy: tuple[int, int] = (0, 0)) -> FloatArray:
        """A mask as shares of quarter cells, float32 (4 h, 4 w).

        Args:
            mask: bool.
            corner_xy: where in the frame the mask's first pixel lies.
        """
        h, w = self.size_hw
        crop = np.zeros((h * self.pitch, w * self.pitch), dtype=np.uint8)
        (left, top), (x1, y1, x2, y2) = corner_xy, self.pixels
        inside = mask[max(0, y1 - top) : max(0, y2 - top), max(0, x1 - left) : max(0, x2 - left)]
        x, y = max(0, left - x1), max(0, top - y1)
        crop[y : y + inside.shape[0], x : x + inside.shape[1]] = inside * np.uint8(255)
        way = cv2.INTER_AREA if self.pitch > 4 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, (4 * w, 4 * h), interpolation=way), np.float32) / np.float32(255)

    def _crop(self, picture: Image) -> Image:
        x1, y1, x2, y2 = self.pixels
        height, width = self.frame_hw
        crop = picture[y1 : min(y2, height), x1 : min(x2, width)]
        below, right = max(0, y2 - height), max(0, x2 - width)
        if below or right:
            crop = np.asarray(cv2.copyMakeBorder(crop, 0, below, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)
        return crop

    def places(self) -> FloatArray:
        """Centres of the cells, in pixels of the frame, float32 (2, h w)."""
        x1, y1, x2, y2 = self.box
        xs, ys = np.meshgrid(np.arange(x1, x2), np.arange(y1, y2))
        return ((np.stack([xs.ravel(), ys.ravel()]) + 0.5) * self.pitch).astype(np.float32)

    def move(self, values: FloatArray, onto: Lens) -> FloatArray:
        """Values at a quarter cell, float32 (4 h, 4 w), on another lens; 0 outside."""
        if onto == self:
            return values
        scale = onto.pitch / self.pitch
        first = [4 * (there * onto.pitch / self.pitch - here) for here, there in zip(self.box, onto.box, strict=True)]
        at = np.array([[scale, 0, first[0] + scale / 2 - 0.5], [0, scale, first[1] + scale / 2 - 0.5]])
        h, w = onto.size_hw
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(values, at, (4 * w, 4 * h), flags=flags), dtype=np.float32)

    def on_grid(self, logits: FloatArray, grid: Grid, outside: float) -> FloatArray:
        """Logits at half a picture's size, float32 (8 h, 8 w), on the cells of a part of a lattice."""
        (sx, sy), (fx, fy), (cx, cy) = grid.pitch_xy, grid.first_xy, grid.corner_xy
        step = self.pitch / 8
        x1, y1, _, _ = self.pixels
        at = np.array(
            [
                [sx / step, 0, (cx + (fx + 0.5) * sx - x1) / step - 0.5],
                [0, sy / step, (cy + (fy + 0.5) * sy - y1) / step - 0.5],
            ]
        )
        return self._warp(logits, at, grid.size_hw, outside)

    def on_pixels(self, logits: FloatArray, box: Box, outside: float) -> FloatArray:
        """Logits at half a picture's size on a box of the frame's pixels, float32."""
        step = self.pitch / 8
        x1, y1, _, _ = self.pixels
        at = np.array(
            [[1 / step, 0, (box[0] + 0.5 - x1) / step - 0.5], [0, 1 / step, (box[1] + 0.5 - y1) / step - 0.5]]
        )
        return self._warp(logits, at, (box[3] - box[1], box[2] - box[0]), outside)

    @staticmethod
    def _warp(values: FloatArray, at: np.ndarray, size_hw: tuple[int, int], outside: float) -> FloatArray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = size_hw[1], size_hw[0]
        moved = cv2.warpAffine(values, at, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        return np.asarray(moved, dtype=np.float32)


def lens_for(frame_hw: tuple[int, int], place: Place, detail: Detail, now: Lens | None = None) -> Lens:
    """The lens for an object at a place.

    Args:
        frame_hw: of the frame.
        place: of the object.
        detail: how closely to look.
        now: the lens of the last frame, which stays where it does well enough.
    """
    height, width = frame_hw
    side = max(detail.smallest, detail.room * place.side)
    area = min(side, width) * min(side, height) * CELL**2
    pixels = min(detail.pixels, area / CELL**2 * (LONGEST / max(1.0, place.side)) ** 2)
    if now is not None and SCALES[0] < area / now.pitch**2 / pixels < SCALES[1]:
        pitch = now.pitch
    else:
        steps = math.ceil(math.log(max(1.0, math.sqrt(area / pixels) / detail.finest), detail.step))
        pitch = round(detail.finest * detail.step**steps)
    columns, rows = math.ceil(width / pitch), math.ceil(height / pitch)
    w, h = (min(math.ceil(side / pitch), most) for most in (columns, rows))
    x, y = (
        int(np.clip(round(at / pitch - n / 2), 0, most - n))
        for at, n, most in zip(place.centre_xy, (w, h), (columns, rows), strict=True)
    )
    new = Lens(frame_hw, pitch, (x, y, x + w, y + h))
    return now if now is not None and _near(new, now) else new


def _near(new: Lens, now: Lens) -> bool:
    if new.pitch != now.pitch or any(abs(a - b) > 1 for a, b in zip(new.size_hw, now.size_hw, strict=True)):
        return False
    reach = SLACK * max(now.size_hw)
    return all(abs(new.box[i] + new.box[i + 2] - now.box[i] - now.box[i + 2]) / 2 <= reach for i in (0, 1))
