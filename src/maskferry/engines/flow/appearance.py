"""What belongs to an object and what to its background: ridge regression on random features, per object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines.flow.features import CHANNELS, RandomFeatures
from maskferry.engines.flow.grid import Box, FloatArray, Grid
from maskferry.engines.flow.linear import gram, product, solve
from maskferry.engines.flow.place import Place
from maskferry.masks.regions import signed_distance

__all__ = ["Model", "NormalEquations", "evaluate", "fit"]

NEAR = 60
"""Most negatives are drawn this near to the object, in reference cells; wider costs accuracy."""

TILE = 32


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
    soft: FloatArray, features: FloatArray, lift: RandomFeatures, grid: Grid, count: int, rng: np.random.Generator
) -> NormalEquations:
    """Learn one frame.

    Args:
        soft: the object, float32 (h, w) in [0, 1], with at least one cell above 0.
        features: of the frame, float32 (h, w, CHANNELS).
        lift: the random-feature map.
        grid: the grid.
        count: cells drawn of the object and of its surroundings; half as many again from further away.
        rng: draws them.
    """
    highest = float(soft.max())
    inside = _draw(soft > min(0.9, 0.9 * highest), count, rng)
    outside = soft < 0.1
    near = signed_distance(soft > 0.5) > -NEAR * grid.unit
    around = np.concatenate((_draw(outside & near, count, rng), _draw(outside & ~near, count // 2, rng)))
    cells = np.concatenate((inside, around))
    weight = np.concatenate(
        (np.full(inside.size, 0.5 / inside.size), np.full(around.size, 0.5 / max(1, around.size)))
    ).astype(np.float32)
    place = Place.of(soft > min(0.5, 0.9 * highest), grid)
    phi = lift(features.reshape(-1, CHANNELS)[cells], place.coordinates(grid.xy.reshape(-1, 2)[cells]))
    label = np.concatenate((np.ones(inside.size), -np.ones(around.size))).astype(np.float32)
    return NormalEquations(gram(phi, weight), (phi * (weight * label)[:, None]).sum(axis=0))


def _draw(where: Mask, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    cells = np.flatnonzero(where)
    return cells if cells.size <= count else rng.choice(cells, count, replace=False, shuffle=False)


def evaluate(
    features: FloatArray, lift: RandomFeatures, grid: Grid, models: Mapping[int, Model]
) -> dict[int, FloatArray]:
    """How much each cell looks like each object: about +1 on it, -1 on its background.

    What a tile looks like is projected once for all objects whose box touches it. Tiles are fixed, so that a value
    never depends on which other objects there are.

    Args:
        features: float32 (h, w, CHANNELS).
        lift: the random-feature map.
        grid: the grid.
        models: by object id.

    Returns:
        float32 (h, w) by object id; -1 outside of its box.
    """
    h, w, _ = features.shape
    out = {i: np.full((h, w), -1, dtype=np.float32) for i in models}
    for y in range(0, h, TILE):
        for x in range(0, w, TILE):
            touching = [i for i, model in models.items() if _overlap((x, y, x + TILE, y + TILE), model.box)]
            if not touching:
                continue
            tile = features[y : y + TILE, x : x + TILE]
            projected = lift.project(tile.reshape(-1, CHANNELS))
            for i in touching:
                theta, (x1, y1, x2, y2), place = models[i]
                phi = lift.lift(projected, place.coordinates(grid.xy[y : y + TILE, x : x + TILE]).reshape(-1, 2))
                left, top, right, bottom = max(x, x1), max(y, y1), min(x + TILE, x2), min(y + TILE, y2)
                values = product(phi, theta[:, None]).reshape(tile.shape[:2])
                out[i][top:bottom, left:right] = values[top - y : bottom - y, left - x : right - x]
    return out


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
