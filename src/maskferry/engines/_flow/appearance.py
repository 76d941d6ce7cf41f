"""What belongs to an object and what to its background: ridge regression on random features, per object.

Linear algebra is done in pieces so small that BLAS keeps to one thread. BLAS spreads products over threads from about
2^18 multiplications on (OpenBLAS: ``interface/gemm.c``, ``gemv.c``). For the small matrices of this engine that gains
nothing, and where cores are shared the threads wait for each other: frames then take up to five times as long. The
number of threads is a setting of the whole process, which is the caller's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines._compiled import compiled
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of, draw_cells
from maskferry.engines._flow.scene import CHANNELS, RandomFeatures, project_quad
from maskferry.masks._regions import signed_distance

__all__ = ["Model", "NormalEquations", "Place", "evaluate", "fit", "gram", "mirror", "solve"]

REACH = 1.5
"""Cells further away than this all have the same coordinates: beside it."""

SMALLEST = 10
"""Objects smaller than this, in reference cells, are taken to be so large: where in a few cells says nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is, as its centre and size.

    Attributes:
        centre_xy: mean position of its cells, in cells.
        size: root of its area, in cells; infinite where nothing is known: then all coordinates are 0.
    """

    centre_xy: tuple[float, float]
    size: float

    @classmethod
    def of(cls, mask: Mask, grid: Grid) -> Place:
        """The place of a mask, bool (h, w)."""
        cells = grid.xy[mask]
        if not len(cells):
            return cls((0.0, 0.0), math.inf)
        x, y = cells.mean(axis=0, dtype=np.float64)
        return cls((float(x), float(y)), max(SMALLEST * grid.unit, math.sqrt(len(cells))))

    def coordinates(self, xy: FloatArray) -> FloatArray:
        """Positions in cells, float32 (..., 2) -> relative to the centre, in sizes, within `REACH`."""
        away = (xy - np.array(self.centre_xy, dtype=np.float32)) / np.float32(self.size)
        return np.asarray(np.clip(away, -REACH, REACH), dtype=np.float32)


BLOCK, DEPTH = 64, 48


def gram(rows: FloatArray, weights: FloatArray, workers: Executor | None = None) -> FloatArray:
    """Sum of w x x^T over the rows x (n, d), float32 (d, d), exactly symmetric; weights (n,).

    Workers share the blocks; each block is computed by one of them, always in the same way.
    """
    d = rows.shape[1]
    right = _pad(rows, DEPTH, BLOCK)
    left = _pad(rows * weights[:, None], DEPTH, BLOCK)
    n, size = right.shape
    count = size // BLOCK
    left = left.reshape(n // DEPTH, DEPTH, count, BLOCK).transpose(2, 0, 3, 1)
    right = right.reshape(n // DEPTH, DEPTH, count, BLOCK).transpose(2, 0, 1, 3)
    out = np.zeros((size, size), dtype=np.float32)

    def strip(i: int) -> None:
        for j in range(i, count):
            part = np.matmul(left[i], right[j]).sum(axis=0)
            out[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK] = part

    list((map if workers is None else workers.map)(strip, range(count)))
    return mirror(out[:d, :d])


def mirror(upper: FloatArray) -> FloatArray:
    """The symmetric matrix (d, d) with this upper triangle; what is below the diagonal is ignored."""
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T, dtype=np.float32)


def solve(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Solve a symmetric positive definite system (d, d), (d,) by elimination of blocks; float32 (d,)."""
    d = len(vector)
    count = -(-d // BLOCK)
    size = count * BLOCK
    full = np.eye(size, dtype=np.float64)
    full[:d, :d] = matrix
    a = np.ascontiguousarray(full.reshape(count, BLOCK, count, BLOCK).transpose(0, 2, 1, 3))
    b = np.zeros((count, BLOCK, 1))
    b.ravel()[:d] = vector
    inverses = []
    for k in range(count):
        inverses.append(np.linalg.inv(a[k, k]))
        factors = np.matmul(a[k + 1 :, k], inverses[k])
        a[k + 1 :, k + 1 :] -= np.matmul(factors[:, None], a[None, k, k + 1 :])
        b[k + 1 :] -= np.matmul(factors, b[k])
    x = np.zeros_like(b)
    for k in reversed(range(count)):
        x[k] = inverses[k] @ (b[k] - np.matmul(a[k, k + 1 :], x[k + 1 :]).sum(axis=0))
    return x.ravel()[:d].astype(np.float32)


def _pad(array: FloatArray, rows: int, columns: int) -> FloatArray:
    """Zeros below and to the right, up to multiples of ``rows`` and ``columns``."""
    n, d = array.shape
    out = np.zeros((-(-n // rows) * rows, -(-d // columns) * columns), dtype=np.float32)
    out[:n, :d] = array
    return out


NEAR = 60
"""Most negatives are drawn this near to the object, in reference cells; wider costs accuracy."""

BANDS, WORTH_SHARING = 6, 1_000_000
"""Cells are evaluated in so many bands of rows at the same time, where cells times features are more than this."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """Weighted least squares of labels (+1 object, -1 background) on random features.

    Attributes:
        gram: sum of w phi phi^T, float32 (D, D).
        right_side: sum of w y phi, float32 (D,).
    """

    gram: FloatArray
    right_side: FloatArray

    def mix(self, other: NormalEquations, share: float) -> NormalEquations:
        """(1 - share) of this and ``share`` of the other."""
        a, b = np.float32(1 - share), np.float32(share)
        return NormalEquations(a * self.gram + b * other.gram, a * self.right_side + b * other.right_side)

    def unlikeness(self, phi: FloatArray) -> float:
        """How far cells are from the object, as a whole: 0 is the same, 1 as far as the background it was seen before.

        The distance of mean embeddings (Gretton et al., 2012). Those of object and background need not be stored:
        the last feature is 1 and each class weighs a half, so that gram's last row is half their sum and the right
        side half their difference.

        Args:
            phi: random features of the cells, float32 (n, D), n >= 1.
        """
        sums = self.gram[-1]
        own, others = sums + self.right_side, sums - self.right_side
        between = float(np.linalg.norm(own - others))
        return float(np.linalg.norm(phi.mean(axis=0) - own)) / max(between, 1e-6)

    def solve(self, ridge: float) -> FloatArray:
        """Weights theta, float32 (D,), with ``ridge`` relative to the mean diagonal."""
        size = len(self.right_side)
        damping = np.float32(ridge * max(float(np.trace(self.gram)) / size, 1e-6))
        system = self.gram + damping * np.eye(size, dtype=np.float32)
        return solve(system, self.right_side)


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
    workers: Executor | None = None,
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
    inside = draw_cells(soft > min(0.9, 0.9 * highest), count, rng)
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
    ys, xs = np.divmod(draw_cells(outside & close, count, rng), x2 - x1)
    around = (y1 + ys) * w + x1 + xs
    if crowded:
        return np.concatenate((around, draw_cells(outside & ~close, count // 2, rng)))
    ys, xs = np.divmod(rng.choice(h * w, min(count, h * w), replace=False, shuffle=False), w)
    far = (xs < x1) | (xs >= x2) | (ys < y1) | (ys >= y2)
    return np.concatenate((around, (ys * w + xs)[far]))


def evaluate(
    features: FloatArray, lift: RandomFeatures, models: Mapping[int, Model], workers: Executor | None = None
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
        list(workers.map(band, itertools.pairwise(edges)))
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
