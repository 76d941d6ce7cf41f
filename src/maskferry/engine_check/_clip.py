"""The clip: three things that are drawn and moved by numbers, so that their masks are known to the pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Image, Mask

__all__ = ["FRAMES", "SIZE_HW", "frame"]

SIZE_HW = 360, 640
FRAMES = 20

SHIFT = 4
"""OpenCV draws polygons with so many binary places of a pixel."""


@dataclass(frozen=True, slots=True)
class _Thing:
    """An outline that moves, turns and grows.

    Attributes:
        outline: (N, 2), x, y around 0, in pixels.
        first_xy: its middle on the first frame.
        step_xy: of the middle, a frame.
        turn: radians a frame.
        growth: factor a frame.
        colour: RGB.
    """

    outline: NDArray[np.float64]
    first_xy: tuple[float, float]
    step_xy: tuple[float, float]
    turn: float
    growth: float
    colour: tuple[int, int, int]

    def pose(self, index: int) -> NDArray[np.float64]:
        """From the outline to pixels, an affine (2, 3)."""
        c, s = (self.growth**index * f(self.turn * index) for f in (np.cos, np.sin))
        x, y = np.add(self.first_xy, np.multiply(self.step_xy, index))
        return np.array([[c, -s, x], [s, c, y]])

    def mask(self, index: int) -> Mask:
        """Where it would be if nothing were before it."""
        pose = self.pose(index)
        points = self.outline @ pose[:, :2].T + pose[:, 2]
        canvas = np.zeros(SIZE_HW, dtype=np.uint8)
        cv2.fillPoly(canvas, [np.round(points * 2**SHIFT).astype(np.int32)], 1, shift=SHIFT)
        return canvas > 0

    def skin(self, index: int, seed: int) -> Image:
        """A picture of the frame's size, coloured and grained like it, the grain moving along."""
        moved = cv2.warpAffine(_grain(seed), self.pose(index), SIZE_HW[::-1], borderMode=cv2.BORDER_REFLECT_101)
        return _tinted(np.asarray(moved, dtype=np.float32), self.colour)


def _circle(radius: float, corners: int) -> NDArray[np.float64]:
    angles = np.arange(corners) * 2 * np.pi / corners
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star(radius: float, tips: int) -> NDArray[np.float64]:
    points = _circle(radius, 2 * tips)
    points[1::2] *= 0.45
    return points


def _box(width: float, height: float) -> NDArray[np.float64]:
    return np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2


THINGS = (
    _Thing(_circle(42, 64), (110, 120), (14, 2), 0.06, 1.0, (200, 70, 50)),  # passes behind the post
    _Thing(_box(110, 70), (480, 100), (-3, 6), 0.05, 1.02, (60, 110, 190)),
    _Thing(_star(36, 5), (150, 280), (8, -2), -0.08, 1.01, (230, 190, 60)),
)
"""Object ids 1 to 3; later ones are in front."""

POST = slice(265, 300)
"""Columns of what stands before everything."""


def frame(index: int) -> tuple[Image, dict[int, Mask]]:
    """A frame of the clip.

    Args:
        index: 0 to `FRAMES` - 1.

    Returns:
        RGB uint8 (360, 640, 3), and what is to be seen of each object, bool (360, 640) by object id.
    """
    picture = _tinted(_grain(1), (110, 130, 105))
    hidden = np.zeros(SIZE_HW, dtype=np.bool_)
    hidden[:, POST] = True
    masks: dict[int, Mask] = {}
    for number, thing in _from_the_front():
        mask = thing.mask(index)
        masks[number] = mask & ~hidden
        hidden |= mask
        picture[masks[number]] = thing.skin(index, 10 + number)[masks[number]]
    picture[:, POST] = _tinted(_grain(2)[: SIZE_HW[0], POST], (90, 70, 60))
    soft = cv2.GaussianBlur(picture, (0, 0), 0.7)
    return np.asarray(soft, dtype=np.uint8), dict(sorted(masks.items()))


def _from_the_front() -> Iterator[tuple[int, _Thing]]:
    return reversed([*enumerate(THINGS, 1)])


def _grain(seed: int) -> NDArray[np.float32]:
    """Smooth noise (360, 640), about -1 to 1."""
    noise = np.random.default_rng(seed).standard_normal(SIZE_HW).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5) * 6 + 0.15 * noise
    return np.asarray(smooth, dtype=np.float32)


def _tinted(grain: NDArray[np.float32], colour: tuple[int, int, int]) -> Image:
    shaded = np.array(colour, dtype=np.float32) * (1 + 0.25 * grain[:, :, None])
    return np.clip(shaded, 0, 255).astype(np.uint8)
