"""What belongs to an object and what to its background: ridge regression on random features, per object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines.flow.compiled import compiled
from maskferry.engines.flow.features import CHANNELS, RandomFeatures, lift_quad
from maskferry.engines.flow.grid import Box, FloatArray, box_of
from maskferry.engines.flow.linear import gram, solve
from maskferry.masks.regions import signed_distance

__all__ = ["NormalEquations", "evaluate", "fit"]

NEAR = 60
"""Most negatives are drawn this near to the object, in reference cells; wider costs accuracy."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """Weighted least squares of labels (+1 object, -1 background) on random features.

    Attributes:
        gram: sum of w phi phi^T, float32 (D, D).
        target: sum of w y phi, float32 (D,).
    """

    gram: FloatArray
    target: FloatArray

    def mix(self, other: NormalEquations, share: float) -> NormalEquations:
        """(1 - share) of this and ``share`` of the other."""
        a, b = np.float32(1 - share), np.float32(share)
        return NormalEquations(a * self.gram + b * other.gram, a * self.target + b * other.target)

    def unlikeness(self, phi: FloatArray) -> float:
        """How far cells are from the object, as a whole: 0 is the same, 1 as far as the background it was seen before.

        The distance of mean embeddings (Gretton et al., 2012). Those of object and background need not be stored:
        the last feature is 1 and each class weighs a half, so that gram's last row and target are half their sum and
        half their difference.

        Args:
            phi: random features of the cells, float32 (n, D), n >= 1.
        """
        sums = self.gram[-1]
        own, others = sums + self.target, sums - self.target
        between = float(np.linalg.norm(own - others))
        return float(np.linalg.norm(phi.mean(axis=0) - own)) / max(between, 1e-6)

    def solve(self, ridge: float) -> FloatArray:
        """Weights theta, float32 (D,), with ``ridge`` relative to the mean diagonal."""
        size = len(self.target)
        damping = np.float32(ridge * max(float(np.trace(self.gram)) / size, 1e-6))
        system = self.gram + damping * np.eye(size, dtype=np.float32)
        return solve(system, self.target)


def fit(
    soft: FloatArray, features: FloatArray, lift: RandomFeatures, unit: float, count: int, rng: np.random.Generator
) -> NormalEquations:
    """Learn one frame.

    Args:
        soft: the object, float32 (h, w) in [0, 1], with at least one cell above 0.
        features: of the frame, float32 (h, w, CHANNELS).
        lift: the random-feature map.
        unit: one reference cell in cells.
        count: cells drawn of the object and of its surroundings; half as many again from further away.
        rng: draws them.
    """
    inside = _draw(soft > min(0.9, 0.9 * float(soft.max())), count, rng)
    around = _surroundings(soft, math.ceil(NEAR * unit), count, rng)
    cells = np.concatenate((inside, around))
    weight = np.concatenate(
        (np.full(inside.size, 0.5 / inside.size), np.full(around.size, 0.5 / max(1, around.size)))
    ).astype(np.float32)
    phi = lift(features.reshape(-1, CHANNELS)[cells])
    label = np.concatenate((np.ones(inside.size), -np.ones(around.size))).astype(np.float32)
    return NormalEquations(gram(phi, weight), (phi * (weight * label)[:, None]).sum(axis=0))


def _surroundings(soft: FloatArray, near: int, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """``count`` cells of the background within ``near`` cells of the object, and about half as many further away."""
    h, w = soft.shape
    x1, y1, x2, y2 = box_of(soft > 0) or (0, 0, w, h)
    x1, y1, x2, y2 = max(0, x1 - near), max(0, y1 - near), min(w, x2 + near), min(h, y2 + near)
    crowded = 2 * (x2 - x1) * (y2 - y1) > h * w
    if crowded:
        x1, y1, x2, y2 = 0, 0, w, h
    crop = soft[y1:y2, x1:x2]
    outside, close = crop < 0.1, signed_distance(crop > 0.5) > -near
    ys, xs = np.divmod(_draw(outside & close, count, rng), x2 - x1)
    around = (y1 + ys) * w + x1 + xs
    if crowded:
        return np.concatenate((around, _draw(outside & ~close, count // 2, rng)))
    ys, xs = np.divmod(rng.choice(h * w, min(count, h * w), replace=False, shuffle=False), w)
    far = (xs < x1) | (xs >= x2) | (ys < y1) | (ys >= y2)
    return np.concatenate((around, (ys * w + xs)[far]))


def _draw(where: Mask, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    cells = np.flatnonzero(where)
    return cells if cells.size <= count else rng.choice(cells, count, replace=False, shuffle=False)


def evaluate(
    features: FloatArray, lift: RandomFeatures, models: Mapping[int, tuple[FloatArray, Box]]
) -> dict[int, FloatArray]:
    """How much each cell looks like each object: about +1 on it, -1 on its background.

    What is computed of a cell is computed once for all objects whose box it is in, and never depends on which they are.

    Args:
        features: float32 (h, w, CHANNELS).
        lift: the random-feature map.
        models: theta and box of interest by object id.

    Returns:
        float32 (y2 - y1, x2 - x1), on its box, by object id.
    """
    if not models:
        return {}
    boxes = np.array([box for _, box in models.values()], dtype=np.int64)
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    starts = np.concatenate(([0], np.cumsum(sizes)))
    thetas = np.stack([theta for theta, _ in models.values()])
    values = np.empty(starts[-1], dtype=np.float32)
    _evaluate(np.ascontiguousarray(features), lift.weights, lift.bias, thetas, boxes, starts, values)
    return {
        i: values[start : start + size].reshape(box[3] - box[1], box[2] - box[0])
        for (i, (_, box)), start, size in zip(models.items(), starts, sizes, strict=False)
    }


@compiled
def _evaluate(
    features: FloatArray,
    weights: FloatArray,
    bias: FloatArray,
    thetas: FloatArray,
    boxes: NDArray[np.int64],
    starts: NDArray[np.int64],
    out: FloatArray,
) -> None:
    h, w, k = features.shape
    count, size = thetas.shape
    cells = np.zeros((4, k), np.float32)
    phi = np.empty((4, size), np.float32)
    for y in range(h):
        for x in range(0, w, 4):
            lifted = False
            for m in range(count):
                x1, y1, x2, y2 = boxes[m]
                if y < y1 or y >= y2 or x + 4 <= x1 or x >= x2:
                    continue
                if not lifted:
                    for i in range(min(4, w - x)):
                        cells[i] = features[y, x + i]
                    lift_quad(cells, weights, bias, phi)
                    lifted = True
                first = starts[m] + (y - y1) * (x2 - x1) - x1
                for i in range(max(x, x1), min(x + 4, x2)):
                    row, theta = phi[i - x], thetas[m]
                    total = np.float32(0)
                    for j in range(size):
                        total += row[j] * theta[j]
                    out[first + i] = total
