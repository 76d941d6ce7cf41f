"""Videos with exact truth, made from numbers: an aerial view of cars in 4K, and many objects at 854x480."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
LabelMap = NDArray[np.int32]
Array = NDArray[np.float64]

FINER = 4
"""Sprites are drawn at this many samples a pixel, each way, and averaged: edges are where they are, to a fraction."""


@dataclass(frozen=True)
class Sprite:
    """A drawn object.

    Attributes:
        rgba: float32 (h, w, 4), colours 0 to 255, opacity 0 to 1.
        size_wh: its size in pixels of the world.
    """

    rgba: NDArray[np.float32]
    size_wh: tuple[float, float]

    def draw(self, image: NDArray[np.float32], labels: LabelMap, pose: Array, number: int) -> None:
        """Draw onto an image, float32 (H, W, 3), at a pose: an affine (2, 3) from the sprite's middle to pixels."""
        (w, h), (height, width) = self.size_wh, labels.shape
        corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ pose[:, :2].T + pose[:, 2]
        x1, y1 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        x2, y2 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (width, height))
        if x1 >= x2 or y1 >= y2:
            return
        rows, columns = self.rgba.shape[:2]
        to_middle = np.array([[w / columns, 0, -w / 2], [0, h / rows, -h / 2]])
        to_middle[:, 2] += to_middle[:, :2] @ (0.5, 0.5)
        to_pixels = _after(pose, to_middle)
        to_pixels[:, 2] = (to_pixels[:, 2] - (x1 - 0.5, y1 - 0.5)) * FINER - 0.5
        to_pixels[:, :2] *= FINER
        fine = cv2.warpAffine(self.rgba, to_pixels, (int(x2 - x1) * FINER, int(y2 - y1) * FINER))
        drawn = cv2.resize(fine, (int(x2 - x1), int(y2 - y1)), interpolation=cv2.INTER_AREA)
        opacity = drawn[:, :, 3:]
        crop = image[y1:y2, x1:x2]
        crop += opacity * (drawn[:, :, :3] - crop)
        labels[y1:y2, x1:x2][opacity[:, :, 0] >= 0.5] = number


def _after(second: Array, first: Array) -> Array:
    """The affine that does ``first``, then ``second``."""
    return np.hstack((second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]))


def _turn(angle: float, scale: float, x: float, y: float) -> Array:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


def aerial(
    count: int = 30, frames: int = 101, size_hw: tuple[int, int] = (2160, 3840), seed: int = 0
) -> Iterator[tuple[Image, LabelMap]]:
    """Cars of 12 to 60 pixels seen from above, by a camera that flies, turns and climbs; sensor noise.

    Yields:
        RGB uint8 (H, W, 3) and the number of the car at each pixel, int32 (H, W), 0 for none.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    ground = _ground(height + 700, width + 900, rng)
    lengths = np.linspace(12, 60, count)
    cars = [_car(length, i, rng) for i, length in enumerate(lengths)]
    cameras = [_camera(i, size_hw) for i in range(frames)]
    ways = _ways(lengths, cameras, size_hw, rng)
    noise = np.random.default_rng(seed + 1)
    for i, camera in enumerate(cameras):
        image = cv2.warpAffine(ground, camera, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        image = image.astype(np.float32)
        labels = np.zeros(size_hw, dtype=np.int32)
        for number, (car, way) in enumerate(zip(cars, ways, strict=True), 1):
            x, y, angle = way[i]
            car.draw(image, labels, _after(camera, _turn(angle, 1, x, y)), number)  # type: ignore[arg-type]
        image += noise.normal(0, 3, (height, width, 1)).astype(np.float32)
        yield np.clip(image + 0.5, 0, 255).astype(np.uint8), labels


def _camera(i: int, size_hw: tuple[int, int]) -> Array:
    """World to pixels on frame i: about 5 pixels of flight, 0.05 degrees and 0.05 % of climb a frame."""
    height, width = size_hw
    turned = _turn(np.radians(0.05) * i, 1 - 0.0005 * i, 0, 0)
    middle = np.array([width / 2 + 350 + 4.3 * i, height / 2 + 250 + 2.1 * i])
    turned[:, 2] = (width / 2, height / 2) - turned[:, :2] @ middle
    return turned


def _ways(lengths: Array, cameras: list[Array], size_hw: tuple[int, int], rng: np.random.Generator) -> list[Array]:
    """For each car x, y and direction on every frame: in sight all the time, and never on another car."""
    height, width = size_hw
    ways: list[Array] = []
    while len(ways) < len(lengths):
        length = lengths[len(ways)]
        start = rng.uniform((350, 250), (width + 350, height + 250))
        steering = rng.uniform(-0.02, 0.02) * np.sin(np.arange(len(cameras)) / rng.uniform(8, 30))
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(steering)
        speed = rng.uniform(1, 2 + length / 12)
        steps = speed * np.stack((np.cos(angle), np.sin(angle)), axis=1)
        way = np.column_stack((start + np.cumsum(steps, axis=0), angle))
        seen = np.stack([c[:, :2] @ p[:2] + c[:, 2] for c, p in zip(cameras, way, strict=True)])
        inside = (seen > 50).all() and (seen < (width - 50, height - 50)).all()
        apart = all(
            np.hypot(*(way - other)[:, :2].T).min() > 0.8 * (length + lengths[k]) for k, other in enumerate(ways)
        )
        if inside and apart:
            ways.append(way)
    return ways


def _car(length: float, number: int, rng: np.random.Generator) -> Sprite:
    """A body of one colour with a darker cabin and lights; the width is half of the length, and at least 10 pixels."""
    width = max(0.5 * length, 10.0)
    hue = np.array([[[number * 67 % 180, rng.integers(120, 255), rng.integers(140, 255)]]], dtype=np.uint8)
    color = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    h, w = round(8 * width), round(8 * length)
    rgba = np.zeros((h, w, 4), dtype=np.float32)
    rgba[:, :, :3] = color
    rgba[h // 8 : -h // 8, round(0.55 * w) : round(0.72 * w), :3] = 25 + 0.15 * color
    rgba[h // 8 : -h // 8, round(0.12 * w) : round(0.22 * w), :3] = 25 + 0.15 * color
    rgba[h // 5 : -h // 5, round(0.25 * w) : round(0.53 * w), :3] = 0.9 * color + 15
    body = cv2.GaussianBlur(np.pad(np.ones((h - h // 4, w - h // 4), np.float32), h // 8), (0, 0), h / 16)
    rgba[:, :, 3] = cv2.resize(body, (w, h)) > 0.3
    return Sprite(rgba, (length, width))


def _ground(height: int, width: int, rng: np.random.Generator) -> Image:
    """Fields of several scales of noise, a grid of bent roads with lane markings, and roofs."""
    ground = np.full((height, width, 3), (95, 110, 75), dtype=np.float32)
    for cell, contrast in ((400, 22), (90, 14), (20, 10), (5, 9), (1, 4)):
        small = rng.normal(0, contrast, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        small += small.mean(axis=2, keepdims=True)
        ground += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(60):
        x, y, w, h = rng.integers(0, width), rng.integers(0, height), rng.integers(50, 220), rng.integers(50, 220)
        box = cv2.boxPoints(((float(x), float(y)), (float(w), float(h)), float(rng.uniform(0, 90))))
        cv2.fillConvexPoly(ground, box.astype(np.int32), rng.uniform(70, 190, 3).tolist(), cv2.LINE_AA)
    for k in range(14):
        t = np.linspace(-100, max(height, width) + 100, 60)
        bend = rng.uniform(0, 1, 1) * height + rng.uniform(20, 90) * np.sin(t / rng.uniform(300, 700))
        line = np.column_stack((t, bend) if k % 2 else (bend * width / height, t)).astype(np.int32)
        cv2.polylines(ground, [line], False, (105, 105, 108), int(rng.integers(50, 110)), cv2.LINE_AA)
        for a, b in zip(line[::2], line[1::2], strict=False):
            cv2.line(ground, a.tolist(), b.tolist(), (215, 215, 205), 4, cv2.LINE_AA)
    ground += rng.normal(0, 3, (height, width, 1)).astype(np.float32)
    return np.clip(ground, 0, 255).astype(np.uint8)


def crowd(
    count: int, frames: int, size_hw: tuple[int, int] = (480, 854), seed: int = 0
) -> Iterator[tuple[Image, LabelMap]]:
    """Textured blobs that drift and turn over a moving background, never quite hidden; up to 80 pixels across.

    Yields:
        As `aerial` does.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    side = min(80.0, float(np.sqrt(0.3 * height * width / count)))
    background = _texture(height + 200, width + 200, 8, rng)
    sprites = [_blob(side, i, rng) for i in range(count)]
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = -(-count // columns)
    cell = np.array([width / columns, height / rows])
    for i in range(frames):
        image = background[i // 2 : i // 2 + height, i : i + width].astype(np.float32)
        labels = np.zeros(size_hw, dtype=np.int32)
        for k, sprite in enumerate(sprites):
            middle = cell * (k % columns + 0.5, k // columns + 0.5)
            x, y = middle + 0.25 * cell * (np.sin(i / 9 + k), np.cos(i / 11 + 2 * k))
            sprite.draw(image, labels, _turn(0.4 * np.sin(i / 13 + k), 1, x, y), k + 1)
        yield np.clip(image + rng.normal(0, 2, (height, width, 1)) + 0.5, 0, 255).astype(np.uint8), labels


def _blob(side: float, number: int, rng: np.random.Generator) -> Sprite:
    n = round(2 * side)
    hue = np.array([[[number * 67 % 180, rng.integers(100, 255), rng.integers(120, 255)]]], dtype=np.uint8)
    color = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    rgba = np.zeros((n, n, 4), dtype=np.float32)
    rgba[:, :, :3] = 0.7 * color + 0.3 * _texture(n, n, 6, rng)
    y, x = (np.indices((n, n)) + 0.5) / n * 2 - 1
    angle = np.arctan2(y, x)
    rgba[:, :, 3] = np.hypot(x, y) < 0.82 + 0.15 * np.sin(3 * angle + number)
    return Sprite(rgba, (side, side))


def _texture(height: int, width: int, scale: float, rng: np.random.Generator) -> Image:
    smooth = cv2.GaussianBlur(rng.random((height, width, 3)).astype(np.float32), (0, 0), scale)
    smooth += 0.05 * rng.random((height, width, 1)).astype(np.float32) * np.ptp(smooth)  # type: ignore[arg-type]
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
