"""What a cell looks like: colour, texture and contrast at three scales, and a random-feature map of them."""

from __future__ import annotations

import cv2
import numpy as np

from maskferry.data import Image
from maskferry.engines.flow.grid import FloatArray
from maskferry.engines.flow.linear import product

__all__ = ["CHANNELS", "RandomFeatures", "feature_map", "lab_image"]

CHANNELS = 20

_LAB_SCALE = np.array([30, 20, 20], dtype=np.float32)

_MEAN = np.array([1.5, 0, 0.2] * 3 + [0, 0] + [0.7, 0.7, 0] * 2 + [1.2, 0.5, 0.5], dtype=np.float32)
_SPREAD = np.array([0.8, 0.7, 0.7] * 3 + [0.65, 0.65] + [0.8, 0.8, 0.65] * 2 + [1.0, 0.6, 0.6], dtype=np.float32)
"""Mean, and half the standard deviation plus a half, of everyday video. Constants do as well as each video's own."""


def lab_image(image: Image) -> FloatArray:
    """RGB uint8 (h, w, 3) -> CIE Lab, scaled so that a difference of 1 is plain to see; float32 (h, w, 3)."""
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return np.asarray(lab / _LAB_SCALE, dtype=np.float32)


def feature_map(lab: FloatArray, unit: float) -> FloatArray:
    """Features of every cell, float32 (h, w, CHANNELS), each centred and scaled by constants.

    Args:
        lab: from `lab_image`.
        unit: one reference cell in cells.
    """
    lightness = lab[:, :, 0]
    gx = np.asarray(cv2.Sobel(lightness, cv2.CV_32F, 1, 0, scale=0.25), dtype=np.float32)
    gy = np.asarray(cv2.Sobel(lightness, cv2.CV_32F, 0, 1, scale=0.25), dtype=np.float32)
    parts: list[FloatArray] = [lab, _blur(lab, 2 * unit), _blur(lab, 5 * unit), gx, gy]
    for sigma in (2 * unit, 4 * unit):
        tensor = _blur(np.dstack((gx * gx, gy * gy, gx * gy)), sigma)
        parts += [3 * np.sqrt(np.maximum(tensor[:, :, :2], 0)), 5 * tensor[:, :, 2:]]
    parts.append(_contrast(lab, 3 * unit))
    features: FloatArray = np.dstack(parts)
    features -= _MEAN
    features /= _SPREAD
    return features


def _blur(image: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def _contrast(image: FloatArray, radius: float) -> FloatArray:
    """Highest less lowest value within a square, by channel."""
    square = np.ones((2 * round(radius) + 1,) * 2, dtype=np.uint8)
    return np.asarray(cv2.dilate(image, square) - cv2.erode(image, square), dtype=np.float32)


PLACE_SCALE = 0.75
"""Between 0.5 and 1 accuracy is flat; at 2 it falls below that without places, for a place is then all that counts."""


class RandomFeatures:
    """phi(x, p) = (max(0, xW + pV + b), 1): random rectified projections (Rahimi and Recht, 2008).

    x are a cell's features and p its place in the object (`place.Place`), so that phi tells a white helmet on top
    of the object from a white line below it. W ~ N(0, 1/4), V ~ `PLACE_SCALE` N(0, 1/4), b ~ U(-2, 2).

    Attributes:
        size: length D of phi, the constant included.
    """

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, count])
        self._weights = rng.normal(0, 0.5, (CHANNELS, count - 1)).astype(np.float32)
        self._bias = rng.uniform(-2, 2, count - 1).astype(np.float32)
        self._place_weights = (PLACE_SCALE * rng.normal(0, 0.5, (2, count - 1))).astype(np.float32)
        self.size = count

    def __call__(self, features: FloatArray, places: FloatArray) -> FloatArray:
        """(n, CHANNELS) and (n, 2) -> float32 (n, size)."""
        return self.lift(self.project(features), places)

    def project(self, features: FloatArray) -> FloatArray:
        """The part xW + b, which is the same for all objects: (n, CHANNELS) -> float32 (n, size - 1)."""
        projected = product(features, self._weights)
        projected += self._bias
        return projected

    def lift(self, projected: FloatArray, places: FloatArray) -> FloatArray:
        """The rest: (n, size - 1) of `project` and (n, 2) -> float32 (n, size)."""
        out = np.ones((len(projected), self.size), dtype=np.float32)
        lifted = product(places, self._place_weights)
        lifted += projected
        np.maximum(lifted, 0, out=out[:, :-1])
        return out
