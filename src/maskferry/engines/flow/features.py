"""What a cell looks like: colour and texture at three scales, and a random-feature map of them."""

from __future__ import annotations

import cv2
import numpy as np

from maskferry.data import Image
from maskferry.engines.flow.grid import FloatArray
from maskferry.engines.flow.linear import product

__all__ = ["CHANNELS", "RandomFeatures", "feature_map", "lab_image"]

CHANNELS = 17

_LAB_SCALE = np.array([30, 20, 20], dtype=np.float32)

_MEAN = np.array([1.5, 0, 0.2] * 3 + [0, 0] + [0.7, 0.7, 0] * 2, dtype=np.float32)
_SPREAD = np.array([0.8, 0.7, 0.7] * 3 + [0.65, 0.65] + [0.8, 0.8, 0.65] * 2, dtype=np.float32)
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
    features: FloatArray = np.dstack(parts)
    features -= _MEAN
    features /= _SPREAD
    return features


def _blur(image: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


class RandomFeatures:
    """phi(x) = (max(0, xW + b), 1): random rectified projections (Rahimi and Recht, 2008), W ~ N(0, 1/4), b ~ U(-2, 2).

    Attributes:
        size: length D of phi, the constant included.
    """

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, count])
        self._weights = rng.normal(0, 0.5, (CHANNELS, count - 1)).astype(np.float32)
        self._bias = rng.uniform(-2, 2, count - 1).astype(np.float32)
        self.size = count

    def __call__(self, features: FloatArray) -> FloatArray:
        """(n, CHANNELS) -> float32 (n, size)."""
        out = np.ones((len(features), self.size), dtype=np.float32)
        lifted = product(features, self._weights)
        lifted += self._bias
        np.maximum(lifted, 0, out=out[:, :-1])
        return out
