"""A synthetic scene: similar objects that cross, leave, return and arrive; and a detector with misses and false masks.

Everything follows from a seed, so that a benchmark's figures are reproducible.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry import FrameMasks, ObjectMask, Rle, State

SIZE_HW = 240, 360
FRAMES = 300
COLORS = ((200, 60, 50), (60, 90, 200), (70, 170, 80), (210, 180, 60), (150, 80, 170))  # each for two objects


@dataclass(frozen=True, slots=True)
class Mover:
    """One object: an ellipse that swings across the picture, there from one frame to another."""

    color: tuple[int, int, int]
    radius: tuple[int, int]
    centre: tuple[float, float]
    swing: tuple[float, float]
    speed: tuple[float, float]
    phase: tuple[float, float]
    born: int
    gone: int

    def place(self, frame: int) -> tuple[float, float] | None:
        """(x, y) in pixels; None while it is not there."""
        if not self.born <= frame < self.gone:
            return None
        x, y = (
            c + s * np.sin(v * frame + p)
            for c, s, v, p in zip(self.centre, self.swing, self.speed, self.phase, strict=True)
        )
        return float(x), float(y)


class Scene:
    """Ten objects over 300 frames; later ones lie in front of earlier ones."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        height, width = SIZE_HW
        ground = self._rng.integers(70, 150, (height // 6, width // 6, 3), dtype=np.uint8)
        self._ground = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
        self._texture = self._rng.integers(-25, 26, (10, 80, 80, 1))
        self.movers = [self._mover(i) for i in range(10)]

    def _mover(self, i: int) -> Mover:
        draw, (height, width) = self._rng.uniform, SIZE_HW
        wide = i % 3 == 0  # every third swings out of the picture and comes back
        return Mover(
            color=COLORS[i % len(COLORS)],
            radius=(int(draw(13, 20)), int(draw(10, 16))),
            centre=(width / 2 + draw(-40, 40), height * (0.15 + 0.7 * i / 9)),
            swing=(width * (0.68 if wide else 0.4), draw(10, 35)),
            speed=(draw(0.02, 0.035), draw(0.02, 0.05)),
            phase=(draw(0, 6.28), draw(0, 6.28)),
            born=0 if i < 7 else int(draw(30, 120)),
            gone=FRAMES if i != 2 else 200,
        )

    def frame(self, index: int) -> tuple[NDArray[np.uint8], FrameMasks]:
        """The picture, RGB, and the visible part of every object, ids from 1."""
        image = self._ground.astype(np.int16)
        masks: dict[int, NDArray[np.bool_]] = {}
        for i, mover in enumerate(self.movers, 1):
            place = mover.place(index)
            if place is None:
                continue
            mask = np.zeros(SIZE_HW, dtype=np.uint8)
            at = (round(place[0] * 16), round(place[1] * 16))
            axes = (mover.radius[0] * 16, mover.radius[1] * 16)
            cv2.ellipse(mask, at, axes, 0, 0, 360, 1, -1, cv2.LINE_8, 4)
            inside = mask.astype(bool)
            if not inside.any():
                continue
            ys, xs = np.nonzero(inside)
            own = self._texture[i - 1, (ys - round(place[1])) % 80, (xs - round(place[0])) % 80]
            image[inside] = np.array(mover.color, dtype=np.int16) + own
            for other in masks.values():
                other &= ~inside
            masks[i] = inside
        noise = np.random.default_rng([1, index]).integers(-6, 7, image.shape)
        rows = [ObjectMask(i, Rle.encode(m), 1.0, State.GIVEN) for i, m in sorted(masks.items()) if m.sum() >= 30]
        return np.clip(image + noise, 0, 255).astype(np.uint8), FrameMasks(index, SIZE_HW, tuple(rows))


class Detector:
    """Detects each object with a probability of 80 %, with a rough outline; one detection in twenty is false."""

    def __init__(self, scene: Scene, seed: int = 0, *, misses: float = 0.2, false: float = 0.05) -> None:
        self._scene, self._seed, self._misses, self._false = scene, seed, misses, false

    def at(self, index: int) -> list[NDArray[np.bool_]]:
        """Masks of a frame, in no order."""
        rng = np.random.default_rng([self._seed, 2, index])
        _, truth = self._scene.frame(index)
        found = [self._rough(row.rle.decode(), rng) for row in truth if rng.random() >= self._misses]
        found += [self._false_mask(rng) for _ in truth if rng.random() < self._false]
        rng.shuffle(found)
        return [mask for mask in found if mask.any()]

    def _rough(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        kernel = np.ones((3, 3), np.uint8)
        change = cv2.dilate if rng.random() < 0.5 else cv2.erode
        return np.asarray(change(mask.astype(np.uint8), kernel), dtype=bool)

    def _false_mask(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        mask = np.zeros(SIZE_HW, dtype=np.uint8)
        height, width = SIZE_HW
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.ellipse(mask, at, (int(rng.uniform(8, 20)), int(rng.uniform(8, 20))), 0, 0, 360, 1, -1)
        return mask.astype(bool)
