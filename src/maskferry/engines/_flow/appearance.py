"""What belongs to an object and what to its background: ridge regression on random features, per object."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines._flow.compiled import compiled
from maskferry.engines._flow.features import CHANNELS, RandomFeatures, project_quad
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of
from maskferry.engines._flow.linear import gram, solve
from maskferry.engines._flow.place import REACH, Place
from maskferry.engines._flow.workers import Workers
from maskferry.masks._regions import signed_distance

__all__ = ["Model", "NormalEquations", "evaluate", "fit"]

NEAR = 60
"""Most negatives are drawn this near to the object, in reference cells; wider costs accuracy."""

BANDS, WORTH_SHARING = 6, 1_000_000
"""Cells are evaluated in so many bands of rows at the same time, where cells times features are more than this."""


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


class Model(NamedTuple):
    """What is asked of one object's classifier.

    Attributes:
        theta: its weights, float32 (D,).
        box: where.
        place: where the object is expected.
    """

    theta: FloatArray
    box: Box
    place: Place


def fit(
    soft: FloatArray,
    features: FloatArray,
    lift: RandomFeatures,
    grid: Grid,
    count: int,
    rng: np.random.Generator,
    workers: Workers | None = None,
) -> NormalEquations:
    """Learn one frame.

    Args:
        soft: the object, float32 (h, w) in [0, 1], with at least one cell above 0.
        features: of the frame, float32 (h, w, CHANNELS).
        lift: the random-feature map.
        grid: the whole lattice.
        count: cells drawn of the object and of its surroundings; half as many again from further away.
        rng: draws them.
        workers: share the work.
    """
    highest = float(soft.max())
    inside = _draw(soft > min(0.9, 0.9 * highest), count, rng)
    around = _surroundings(soft, math.ceil(NEAR * grid.unit), count, rng)
    cells = np.concatenate((inside, around))
    weight = np.concatenate(
        (np.full(inside.size, 0.5 / inside.size), np.full(around.size, 0.5 / max(1, around.size)))
    ).astype(np.float32)
    place = Place.of(soft > min(0.5, 0.9 * highest), grid)
    phi = lift(features.reshape(-1, CHANNELS)[cells], place.coordinates(grid.xy.reshape(-1, 2)[cells]))
    label = np.concatenate((np.ones(inside.size), -np.ones(around.size))).astype(np.float32)
    return NormalEquations(gram(phi, weight, workers), (phi * (weight * label)[:, None]).sum(axis=0))


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
    features: FloatArray, lift: RandomFeatures, models: Mapping[int, Model], workers: Workers | None = None
) -> dict[int, FloatArray]:
    """How much each cell looks like each object: about +1 on it, -1 on its background.

    A cell's features are projected once for all objects whose box it is in; what comes out never depends on which they
    are.

    Args:
        features: of the whole lattice, float32 (h, w, CHANNELS).
        lift: the random-feature map.
        models: by object id.
        workers: share the rows, where there is much to do.

    Returns:
        float32 (y2 - y1, x2 - x1), on its box, by object id.
    """
    if not models:
        return {}
    boxes = np.array([model.box for model in models.values()], dtype=np.int64)
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    starts = np.concatenate(([0], np.cumsum(sizes)))
    thetas = np.stack([model.theta for model in models.values()])
    places = np.array([(*m.place.centre_xy, m.place.size) for m in models.values()], dtype=np.float32)
    values = np.empty(starts[-1], dtype=np.float32)
    weights = lift.weights, lift.place_weights, lift.bias
    whole = np.ascontiguousarray(features)

    def band(rows: tuple[int, int]) -> None:
        _evaluate(whole, rows, weights, (thetas, places, boxes, starts), values)

    first, last = int(boxes[:, 1].min()), int(boxes[:, 3].max())
    if workers is None or starts[-1] * thetas.shape[1] < WORTH_SHARING:
        band((first, last))
    else:
        edges = np.linspace(first, last, BANDS + 1).astype(int).tolist()
        workers.map(band, list(itertools.pairwise(edges)))
    return {
        i: values[start : start + size].reshape(m.box[3] - m.box[1], m.box[2] - m.box[0])
        for (i, m), start, size in zip(models.items(), starts, sizes, strict=False)
    }


@compiled
def _evaluate(
    features: FloatArray,
    rows: tuple[int, int],
    maps: tuple[FloatArray, FloatArray, FloatArray],
    objects: tuple[FloatArray, FloatArray, NDArray[np.int64], NDArray[np.int64]],
    out: FloatArray,
) -> None:
    weights, place_weights, bias = maps
    thetas, places, boxes, starts = objects
    _, w, k = features.shape
    count, size = thetas.shape
    cells = np.zeros((4, k), np.float32)
    projected = np.empty((4, size), np.float32)
    reach, zero = np.float32(REACH), np.float32(0)
    a, b = place_weights[0], place_weights[1]
    for y in range(rows[0], rows[1]):
        for x in range(0, w, 4):
            ready = False
            for m in range(count):
                x1, y1, x2, y2 = boxes[m]
                if y < y1 or y >= y2 or x + 4 <= x1 or x >= x2:
                    continue
                if not ready:
                    for i in range(min(4, w - x)):
                        cells[i] = features[y, x + i]
                    project_quad(cells, weights, bias, projected)
                    ready = True
                first = starts[m] + (y - y1) * (x2 - x1) - x1
                for i in range(max(x, x1), min(x + 4, x2)):
                    row, theta = projected[i - x], thetas[m]
                    px = min(max((np.float32(i) - places[m, 0]) / places[m, 2], -reach), reach)
                    py = min(max((np.float32(y) - places[m, 1]) / places[m, 2], -reach), reach)
                    total = zero
                    for j in range(size):
                        value = row[j] + px * a[j] + py * b[j]
                        total += (value if value > zero else zero) * theta[j]
                    out[first + i] = total
