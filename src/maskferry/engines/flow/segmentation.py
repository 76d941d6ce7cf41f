"""Evidence -> mask: minimise unary evidence plus the boundary's length, weighted by image edges.

The convex relaxation of the binary cut on a grid of 8 neighbours,

    minimise over u in [0, 1]:  sum_i -U_i u_i + sum_e w_e |u_i - u_j|,

solved by an over-relaxed primal-dual iteration (Chambolle and Pock, 2011; Condat, 2013).
"""

from __future__ import annotations

import numpy as np

from maskferry.engines.flow.grid import Box, FloatArray

__all__ = ["edge_weights", "minimise"]

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
    contrast = np.zeros((4, *lab.shape[:2]), dtype=np.float32)
    exists = np.zeros_like(contrast)
    for i, (here, there) in enumerate(_neighbours()):
        contrast[i][here] = np.square(lab[there] - lab[here]).sum(axis=2)
        exists[i][here] = smoothness if i < 2 else smoothness * DIAGONAL
    scale = float(contrast[0].mean() + contrast[1].mean())
    beta = 1 / scale if scale > 1e-9 else 0.0
    return np.asarray(exists * (np.exp(-beta * contrast) + FLOOR), dtype=np.float32)


def _neighbours() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Slices (here, there) of the four kinds of edges."""
    every, first, last = slice(None), slice(None, -1), slice(1, None)
    return [
        ((every, first), (every, last)),
        ((first, every), (last, every)),
        ((first, first), (last, last)),
        ((first, last), (last, first)),
    ]


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
    out[y1:y2, x1:x2] = _primal_dual(unary[y1:y2, x1:x2], weights[:, y1:y2, x1:x2].copy(), iterations)
    return out


def _primal_dual(unary: FloatArray, limit: FloatArray, iterations: int) -> FloatArray:
    """The iteration on a crop. Arrays carry a border of one cell, in which dual variables stay 0."""
    h, w = unary.shape
    limit[0, :, -1] = limit[1:, -1] = limit[2, :, -1] = limit[3, :, 0] = 0  # no edge leaves the crop
    tau, sigma = np.float32(RATIO / 8), np.float32(1 / (2 * RATIO))
    rho = np.float32(RELAXATION)
    u = 1 / (1 + np.exp(-unary))
    dual = np.zeros((4, h + 1, w + 2), dtype=np.float32)  # border above, left and right
    p = dual[:, 1:, 1:-1]
    leading = np.zeros((h + 1, w + 2), dtype=np.float32)  # border below, left and right
    middle = leading[:-1, 1:-1]
    q, low = np.empty_like(limit), -limit
    pull = tau * unary
    v, step = np.empty_like(u), np.empty_like(u)
    for _ in range(iterations):
        np.add(dual[0, 1:, :-2], dual[1, :-1, 1:-1], out=step)
        step += dual[2, :-1, :-2]
        step += dual[3, :-1, 2:]
        step -= p[0]
        step -= p[1]
        step -= p[2]
        step -= p[3]
        step *= -tau
        step += pull
        np.add(u, step, out=v)
        np.clip(v, 0, 1, out=v)
        np.multiply(v, 2, out=middle)
        middle -= u
        v -= u
        v *= rho
        u += v
        np.subtract(leading[:-1, 2:], middle, out=q[0])
        np.subtract(leading[1:, 1:-1], middle, out=q[1])
        np.subtract(leading[1:, 2:], middle, out=q[2])
        np.subtract(leading[1:, :-2], middle, out=q[3])
        q *= sigma
        q += p
        np.clip(q, low, limit, out=q)
        q -= p
        q *= rho
        p += q
    return np.asarray(np.clip(u, 0, 1), dtype=np.float32)
