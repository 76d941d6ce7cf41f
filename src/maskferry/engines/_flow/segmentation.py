"""Evidence -> mask: minimise unary evidence plus the boundary's length, weighted by image edges.

The convex relaxation of the binary cut on a grid of 8 neighbours,

    minimise over u in [0, 1]:  sum_i -U_i u_i + sum_e w_e |u_i - u_j|,

solved by an over-relaxed primal-dual iteration (Chambolle and Pock, 2011; Condat, 2013).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskferry.data import Mask
from maskferry.engines._compiled import compiled
from maskferry.engines._flow.grid import Box, FloatArray, box_of

__all__ = ["Claim", "edge_weights", "minimise", "nested_pairs", "rivals", "settle"]

RATIO, RELAXATION = 0.3, 1.9
DIAGONAL = 0.7
FLOOR = 0.05


def edge_weights(lab: FloatArray, smoothness: float) -> FloatArray:
    """Cost of a boundary between each cell and its right, lower, lower right and lower left neighbour.

    Args:
        lab: float32 (h, w, 3), from `features.lab_image`.
        smoothness: cost across an edge of no contrast.

    Returns:
        float32 (4, h, w); 0 where there is no neighbour.
    """
    contrast = _contrast(np.ascontiguousarray(lab))
    scale = float(contrast[0].mean() + contrast[1].mean())
    beta = np.float32(1 / scale if scale > 1e-9 else 0.0)
    contrast *= -beta
    weights = np.exp(contrast, out=contrast)
    weights += np.float32(FLOOR)
    weights[:2] *= np.float32(smoothness)
    weights[2:] *= np.float32(smoothness * DIAGONAL)
    return _cut_outer_edges(weights)


def _cut_outer_edges(weights: FloatArray) -> FloatArray:
    """Set to 0, in place, what would lead out of the array."""
    weights[0, :, -1] = weights[1, -1] = weights[2, -1] = weights[2, :, -1] = weights[3, -1] = weights[3, :, 0] = 0
    return weights


@compiled
def _contrast(lab: FloatArray) -> FloatArray:
    """Squared distance of colours across each kind of edge, float32 (4, h, w); 0 where there is no neighbour."""
    h, w, _ = lab.shape
    out = np.zeros((4, h, w), np.float32)
    for kind, (dx, dy) in enumerate(((1, 0), (0, 1), (1, 1), (-1, 1))):
        for y in range(h - dy):
            here, there, row = lab[y], lab[y + dy], out[kind, y]
            for x in range(max(0, -dx), min(w, w - dx)):
                a = there[x + dx, 0] - here[x, 0]
                b = there[x + dx, 1] - here[x, 1]
                c = there[x + dx, 2] - here[x, 2]
                row[x] = a * a + b * b + c * c
    return out


def minimise(unary: FloatArray, weights: FloatArray, box: Box, iterations: int) -> FloatArray:
    """Solve on the cells of ``box``; outside of it nothing is object.

    Args:
        unary: evidence for the object, float32 (h, w); positive is object.
        weights: from `edge_weights`, float32 (4, h, w).
        box: where to solve.
        iterations: primal-dual steps.

    Returns:
        u, float32 (h, w) in [0, 1], nearly binary; the mask is u > 0.5.
    """
    x1, y1, x2, y2 = box
    out = np.zeros_like(unary)
    crop = np.ascontiguousarray(unary[y1:y2, x1:x2])
    limit = _cut_outer_edges(weights[:, y1:y2, x1:x2].copy())
    tau, sigma, rho = np.float32(RATIO / 8), np.float32(1 / (2 * RATIO)), np.float32(RELAXATION)
    out[y1:y2, x1:x2] = _primal_dual(crop, limit, iterations, tau, sigma, rho)
    return out


@compiled
def _primal_dual(
    unary: FloatArray, limit: FloatArray, iterations: int, tau: np.float32, sigma: np.float32, rho: np.float32
) -> FloatArray:
    """The iteration on a crop, both steps in one sweep over the rows: the edges of a row follow the cells below it.

    Arrays carry a border of one cell, in which dual variables stay 0. Each loop over x is so small that it vectorises.
    """
    h, w = unary.shape
    u = np.zeros((h + 1, w + 2), np.float32)  # border below, left and right
    leading = np.zeros_like(u)
    dual = np.zeros((4, h + 1, w + 2), np.float32)  # border above, left and right
    force = np.zeros(w + 2, np.float32)
    for y in range(h):
        for x in range(w):
            u[y, x + 1] = np.float32(1) / (np.float32(1) + np.exp(-unary[y, x]))
    for _ in range(iterations):
        for y in range(h + 1):
            if y < h:
                _pull(dual, y, force)
                _move_cells(u[y], leading[y], unary[y], force, tau, rho)
            if y > 0:
                for kind, (dx, dy) in enumerate(((1, 0), (0, 1), (1, 1), (-1, 1))):
                    there = leading[y - 1 + dy, 1 + dx : 1 + dx + w]
                    _move_edges(dual[kind, y, 1:-1], limit[kind, y - 1], leading[y - 1, 1:-1], there, sigma, rho)
    return np.minimum(np.maximum(u[:h, 1 : w + 1], np.float32(0)), np.float32(1))


@compiled
def _pull(dual: FloatArray, y: int, force: FloatArray) -> None:
    """What the edges of row y of the crop do to its cells."""
    right, down, falling, rising = dual[0, y + 1], dual[1, y + 1], dual[2, y + 1], dual[3, y + 1]
    above, above_falling, above_rising = dual[1, y], dual[2, y], dual[3, y]
    for x in range(1, len(force) - 1):
        force[x] = right[x] - right[x - 1] + down[x] - above[x]
    for x in range(1, len(force) - 1):
        force[x] += falling[x] - above_falling[x - 1] + rising[x] - above_rising[x + 1]


@compiled
def _move_cells(
    u: FloatArray, leading: FloatArray, unary: FloatArray, force: FloatArray, tau: np.float32, rho: np.float32
) -> None:
    """The primal step of a row."""
    zero, one = np.float32(0), np.float32(1)
    for x in range(1, len(u) - 1):
        v = u[x] + tau * (force[x] + unary[x - 1])
        v = zero if v < zero else v
        v = one if v > one else v
        leading[x] = v + v - u[x]
        u[x] += rho * (v - u[x])


@compiled
def _move_edges(
    p: FloatArray, limit: FloatArray, here: FloatArray, there: FloatArray, sigma: np.float32, rho: np.float32
) -> None:
    """The dual step of one kind of edges of a row, from ``here`` to ``there``."""
    for x in range(len(p)):
        q = p[x] + sigma * (there[x] - here[x])
        q = -limit[x] if q < -limit[x] else q
        q = limit[x] if q > limit[x] else q
        p[x] += rho * (q - p[x])


NESTED = 0.2
"""Two given masks that share more than this part of the smaller one are meant to overlap."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """How strongly an object claims cells or pixels.

    Attributes:
        strength: float32 (h, w) on the box; what is not above 0 is not claimed.
        box: where.
    """

    strength: FloatArray
    box: Box

    @classmethod
    def on(cls, mask: Mask, strength: FloatArray | float) -> Claim:
        """A claim on the cells of a mask, of positive strength, cropped to their box."""
        box = box_of(mask) or (0, 0, 0, 0)
        x1, y1, x2, y2 = box
        strong = strength[y1:y2, x1:x2] if isinstance(strength, np.ndarray) else strength
        return cls(np.where(mask[y1:y2, x1:x2], strong, 0).astype(np.float32), box)


def nested_pairs(given: Mapping[int, Mask]) -> dict[tuple[int, int], bool]:
    """For each pair of masks given on one frame, by ascending ids: whether they are meant to overlap."""
    claims = {i: Claim.on(mask, 1.0) for i, mask in given.items()}
    areas = {i: int(np.count_nonzero(claim.strength)) for i, claim in claims.items()}
    nested = dict.fromkeys(itertools.combinations(sorted(given), 2), False)
    for a, b in rivals({i: claim.box for i, claim in claims.items()}):
        nested[a, b] = _overlap(claims[a], claims[b]) > NESTED * min(areas[a], areas[b])
    return nested


def rivals(boxes: Mapping[int, Box]) -> list[tuple[int, int]]:
    """The pairs of ids, ascending, whose boxes share something; sorted."""
    ids = np.array(sorted(boxes))
    if not ids.size:
        return []
    x1, y1, x2, y2 = np.array([boxes[i] for i in ids.tolist()]).T
    meet = (np.maximum.outer(x1, x1) < np.minimum.outer(x2, x2)) & (np.maximum.outer(y1, y1) < np.minimum.outer(y2, y2))
    return [(int(ids[a]), int(ids[b])) for a, b in np.argwhere(np.triu(meet, 1))]


def _overlap(a: Claim, b: Claim) -> int:
    shared = _intersection(a.box, b.box)
    if shared is None:
        return 0
    return int(np.count_nonzero((a.strength[_inside(shared, a.box)] > 0) & (b.strength[_inside(shared, b.box)] > 0)))


def settle(claims: Mapping[int, Claim], nested: set[tuple[int, int]]) -> dict[int, Mask]:
    """Give every cell to the object with the strongest claim on it; ties go to the lower id.

    Args:
        claims: by object id.
        nested: pairs of ids, ascending, that may share cells.

    Returns:
        bool by object id, on the box of its claim.
    """
    kept = {i: claim.strength > 0 for i, claim in claims.items()}
    for pair in rivals({i: claim.box for i, claim in claims.items()}):
        a, b = (claims[i] for i in pair)
        shared = _intersection(a.box, b.box)
        if shared is None or pair in nested:
            continue
        in_a, in_b = _inside(shared, a.box), _inside(shared, b.box)
        first = a.strength[in_a] >= b.strength[in_b]
        kept[pair[0]][in_a] &= first  # where a is weaker, b's claim is above 0 or a has none to lose
        kept[pair[1]][in_b] &= ~first
    return kept


def _intersection(a: Box, b: Box) -> Box | None:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _inside(part: Box, whole: Box) -> tuple[slice, slice]:
    """``part`` as slices of an array that covers ``whole``."""
    return slice(part[1] - whole[1], part[3] - whole[1]), slice(part[0] - whole[0], part[2] - whole[0])
