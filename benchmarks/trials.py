"""Short synthetic videos of all difficulties, to learn what a mask is worth that was tracked under given signs."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIZE_HW = (240, 426)
FRAMES = 50


def trial(number: int) -> Iterator[tuple[Image, Mask]]:
    """One video: an object of several textured parts that deforms, turns, grows and speeds, under hardships.

    Drawn at random for each number: how much the object's colours differ from the background's, sharpness of both, a
    look-alike that crosses, an occluder, sides unseen at first, motion blur, change of light, noise, parallax.

    Yields:
        RGB uint8 (240, 426, 3) and the visible object, bool (240, 426).
    """
    rng = np.random.default_rng([77, number])
    height, width = SIZE_HW
    palette = rng.uniform(30, 225, (5, 3))
    contrast = rng.uniform(0.15, 1.0)
    middle = rng.uniform(60, 190, 3)
    background = _patchwork(height * 2, width * 2, palette[:3] * 0.8 + 25, rng.uniform(3, 20), rng)
    skins = [
        _patchwork(220, 220, middle + contrast * (palette[[3, 4, k]] - middle), rng.uniform(3, 14), rng) for k in (0, 1)
    ]
    shape = np.cumsum(rng.normal(0, 1, (2, 4)) / np.arange(1, 5), axis=1) * rng.uniform(0.05, 0.22)
    radius, growth = rng.uniform(18, 50), rng.uniform(-0.008, 0.008)
    speed, wobble, spin = rng.uniform(0, 5), rng.uniform(0, 0.25), rng.normal(0, 0.03)
    camera = rng.uniform(-2.5, 2.5, 2)
    blur, noise, light = rng.choice([0, 0, 3, 7]), rng.uniform(0, 9), rng.normal(0, 0.006)
    turning = rng.random() < 0.5
    twin, wall = rng.random() < 0.4, rng.random() < 0.4
    phase = rng.uniform(0, 6, 4)
    reach = np.array([width / 3, height / 4])
    y, x = np.indices(SIZE_HW).astype(np.float32)
    for i in range(FRAMES):
        at = np.array([width / 2, height / 2]) + reach * np.sin(speed * i / np.array([90.0, 70.0]) + phase[:2])
        image = _view(background, camera * i + 150, SIZE_HW)
        if twin:
            other = np.array([width / 2 - 180 + 7.5 * i, height / 2 + 30 * np.sin(i / 9)])
            _paint(image, _blob(x, y, other, radius, 0.3 * i * spin, shape, 0, phase), skins[0], other)
        body = _blob(x, y, at, radius * (1 + growth) ** i, spin * i, shape, wobble * np.sin(i / 6), phase)
        skin = skins[0]
        if turning:
            share = np.clip((i - 8) / 34, 0, 1)
            skin = np.where(np.arange(220)[None, :, None] < share * 220, skins[1], skins[0])
        _paint(image, body, skin, at)
        if wall:
            left = width / 2 - 30 + 90 * np.sin(i / 14 + phase[2])
            post = (x > left) & (x < left + 28)
            image[post] = background[:height, :width][post]
            body &= ~post
        if blur:
            image = cv2.blur(image, (int(blur), 1))
        image = image * (1 + light * i) + rng.normal(0, noise, image.shape)
        yield np.clip(image + 0.5, 0, 255).astype(np.uint8), body


def _patchwork(
    height: int, width: int, colors: NDArray[np.float64], scale: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A random texture of these colours, float64 (h, w, 3)."""
    layers = [cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), scale) for _ in colors]
    which = np.argmax(layers, axis=0)
    fine = cv2.GaussianBlur(rng.normal(0, 60, (height, width)), (0, 0), 1.2)
    return cv2.GaussianBlur(np.asarray(colors)[which] + fine[:, :, None], (0, 0), 0.8)


def _view(picture: NDArray[np.float64], at: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    shift = np.array([[1.0, 0, at[0]], [0, 1.0, at[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, shift, (size_hw[1], size_hw[0]), flags=flags, borderMode=cv2.BORDER_REFLECT)


def _blob(  # noqa: PLR0913
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    at: NDArray[np.float64],
    radius: float,
    angle: float,
    shape: NDArray[np.float64],
    squeeze: float,
    phase: NDArray[np.float64],
) -> Mask:
    """A star-shaped region around a point."""
    dx, dy = (x - at[0]) * (1 + squeeze), (y - at[1]) / (1 + squeeze)
    around = np.arctan2(dy, dx) - angle
    bumps = sum(a * np.cos((k + 1) * around + phase[k]) for k, a in enumerate(shape[0]))
    return np.hypot(dx, dy) < radius * (1 + bumps)


def _paint(image: NDArray[np.float64], where: Mask, skin: NDArray[np.float64], at: NDArray[np.float64]) -> None:
    """Cover a region with a texture that moves with a point."""
    moved = _view(skin, np.array([110 - at[0], 110 - at[1]]), where.shape)
    image[where] = moved[where]
