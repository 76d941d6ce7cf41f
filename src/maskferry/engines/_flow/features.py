"""What a cell looks like: colour, texture and contrast at three scales, and a random-feature map of them."""

from __future__ import annotations

import cv2
import numpy as np

from maskferry.data import Image
from maskferry.engines._flow.compiled import compiled
from maskferry.engines._flow.grid import FloatArray

__all__ = ["CHANNELS", "QUAD", "RandomFeatures", "feature_map", "lab_image", "project_quad"]

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

    x are a cell's features and p its place in the object (`place.Place`), so that phi tells a white helmet on top of
    the object from a white line below it. W ~ N(0, 1/4), V ~ `PLACE_SCALE` N(0, 1/4), b ~ U(-2, 2).

    Attributes:
        size: length D of phi, the constant included.
        weights: W, float32 (CHANNELS, D), with a column of 0 for the constant.
        place_weights: V, float32 (2, D), with a column of 0 for the constant.
        bias: b, float32 (D,), with a 1 for the constant.
    """

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, count])
        self.size = count
        self.weights: FloatArray = np.zeros((CHANNELS, count), dtype=np.float32)
        self.bias: FloatArray = np.ones(count, dtype=np.float32)
        self.weights[:, :-1] = rng.normal(0, 0.5, (CHANNELS, count - 1))
        self.bias[:-1] = rng.uniform(-2, 2, count - 1)
        self.place_weights: FloatArray = np.zeros((2, count), dtype=np.float32)
        self.place_weights[:, :-1] = PLACE_SCALE * rng.normal(0, 0.5, (2, count - 1))

    def __call__(self, features: FloatArray, places: FloatArray) -> FloatArray:
        """(n, CHANNELS) and (n, 2) -> float32 (n, size)."""
        n = len(features)
        padded = np.zeros((-(-n // QUAD) * QUAD, features.shape[1]), dtype=np.float32)
        padded[:n] = features
        out = np.empty((len(padded), self.size), dtype=np.float32)
        _lift_all(padded, np.ascontiguousarray(places), self.weights, self.place_weights, self.bias, out)
        return out[:n]


QUAD = 4
"""Cells that are projected together, so that each weight is loaded once for all of them."""


@compiled
def project_quad(x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray) -> None:
    """xW + b of four cells, (4, k) -> (4, D), written to ``out``."""
    k, size = weights.shape
    a, b, c, d = out[0], out[1], out[2], out[3]
    for j in range(size):
        a[j] = b[j] = c[j] = d[j] = bias[j]
    even = k - k % 2
    for i in range(0, even, 2):
        w, v = weights[i], weights[i + 1]
        wa, wb, wc, wd = x[0, i], x[1, i], x[2, i], x[3, i]
        va, vb, vc, vd = x[0, i + 1], x[1, i + 1], x[2, i + 1], x[3, i + 1]
        for j in range(size):
            a[j] += wa * w[j] + va * v[j]
            b[j] += wb * w[j] + vb * v[j]
            c[j] += wc * w[j] + vc * v[j]
            d[j] += wd * w[j] + vd * v[j]
    for i in range(even, k):
        w = weights[i]
        wa, wb, wc, wd = x[0, i], x[1, i], x[2, i], x[3, i]
        for j in range(size):
            a[j] += wa * w[j]
            b[j] += wb * w[j]
            c[j] += wc * w[j]
            d[j] += wd * w[j]


@compiled
def _lift_all(
    x: FloatArray, places: FloatArray, weights: FloatArray, place_weights: FloatArray, bias: FloatArray, out: FloatArray
) -> None:
    zero = np.float32(0)
    v, w = place_weights[0], place_weights[1]
    for i in range(0, len(x), 4):
        project_quad(x[i : i + 4], weights, bias, out[i : i + 4])
    for i in range(len(places)):
        row, px, py = out[i], places[i, 0], places[i, 1]
        for j in range(len(row)):
            value = row[j] + px * v[j] + py * w[j]
            row[j] = value if value > zero else zero
