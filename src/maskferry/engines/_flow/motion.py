"""How the picture moved: dense flow both ways, how far it can be trusted, and the camera's part in it."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Image, Mask
from maskferry.engines._compiled import compiled
from maskferry.engines._flow.grid import Box, FloatArray, Grid, draw_cells

__all__ = [
    "Camera",
    "FlowEstimator",
    "FlowField",
    "camera_of",
    "fit_affine",
    "fit_homography",
    "flow_grey",
    "grey_image",
    "map_points",
    "residual",
    "warp",
]

Grey = NDArray[np.uint8]
Matrix = NDArray[np.float64]

_NO_ARRAY: Any = None
"""OpenCV takes None for an array it shall make or do without; its type stubs do not know."""

SHORTEST_SIDE = 64
"""Pictures for the flow are padded to this: its coarsest level needs a few patches of 8 pixels."""

MAX_CAMERA_POINTS, MAX_OBJECT_POINTS = 1500, 800


@dataclass(frozen=True, slots=True)
class FlowField:
    """Flow on the working grid, in cells.

    Attributes:
        backward: from each cell of this frame to where it was, float32 (h, w, 2), (x, y).
        forward: from each cell of the last frame to where it went, float32 (h, w, 2).
        confidence: in [0, 1], float32 (h, w): 1 where there and back ends where it began.
    """

    backward: FloatArray
    forward: FloatArray
    confidence: FloatArray

    def part(self, box: Box) -> FlowField:
        """On the cells of a box (x1, y1, x2, y2)."""
        x1, y1, x2, y2 = box
        inside = slice(y1, y2), slice(x1, x2)
        return FlowField(self.backward[inside], self.forward[inside], self.confidence[inside])


def grey_image(image: Image) -> Grey:
    """Luma of RGB uint8 (H, W, 3), uint8 (H, W)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def flow_grey(grey: Grey, grid: Grid) -> Grey:
    """What the flow is computed from: luma at two pixels a cell, uint8 (2h, 2w)."""
    return grid.sample(grey, per_cell=2)


@dataclass(frozen=True, slots=True)
class Camera:
    """The motion of a still background.

    Attributes:
        matrix: homography (3, 3) from this frame's cells to the last one's.
        residual: squared difference between it and the flow, float32 (h, w), in cells squared.
        usual: its median.
    """

    matrix: Matrix
    residual: FloatArray
    usual: float

    def part(self, box: Box) -> Camera:
        """On the cells of a box (x1, y1, x2, y2)."""
        x1, y1, x2, y2 = box
        return replace(self, residual=self.residual[y1:y2, x1:x2])


class FlowEstimator:
    """Dense inverse search (Kroeger et al., 2016). Each thread has working memory of its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    def between(self, before: Grey, after: Grey, grid: Grid, workers: Executor | None = None) -> FlowField:
        """Flow between two pictures of `flow_grey` on a lattice; both directions at once where there are workers."""
        ways = (_pad(after), _pad(before)), (_pad(before), _pad(after))
        run = map if workers is None else workers.map
        backward, forward = run(lambda way: _to_grid(self._flow(*way), grid), ways)
        return FlowField(backward, forward, consistency(backward, forward, grid))

    def _flow(self, start: Grey, end: Grey) -> FloatArray:
        if not hasattr(self._own, "method"):
            self._own.method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            self._own.method.setFinestScale(1)
        return np.asarray(self._own.method.calc(start, end, _NO_ARRAY), dtype=np.float32)


def _to_grid(flow: FloatArray, grid: Grid) -> FloatArray:
    h, w = grid.size_hw
    return np.asarray(cv2.resize(flow[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA) / 2, np.float32)


def _pad(grey: Grey) -> Grey:
    h, w = grey.shape
    down, right = max(0, SHORTEST_SIDE - h), max(0, SHORTEST_SIDE - w)
    if not down and not right:
        return grey
    return np.asarray(cv2.copyMakeBorder(grey, 0, down, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)


def warp(values: FloatArray, flow: FloatArray, grid: Grid, *, border: int = cv2.BORDER_REPLICATE) -> FloatArray:
    """Take what lay where the flow points to: out(x) = values(x + flow(x)), bilinear; ``border`` as in OpenCV."""
    at: FloatArray = grid.xy + flow
    return np.asarray(cv2.remap(values, at, _NO_ARRAY, cv2.INTER_LINEAR, borderMode=border), dtype=np.float32)


def consistency(backward: FloatArray, forward: FloatArray, grid: Grid) -> FloatArray:
    """Confidence from the error of going there and back, relative to the length of the way (Sundaram et al., 2010)."""
    back = warp(forward, backward, grid)
    return _agreement(back, backward, np.float32(grid.unit**2))


@compiled
def _agreement(back: FloatArray, there: FloatArray, tolerance: np.float32) -> FloatArray:
    h, w, _ = back.shape
    out = np.empty((h, w), np.float32)
    for y in range(h):
        for x in range(w):
            bx, by, tx, ty = back[y, x, 0], back[y, x, 1], there[y, x, 0], there[y, x, 1]
            error = (bx + tx) * (bx + tx) + (by + ty) * (by + ty)
            length = bx * bx + by * by + tx * tx + ty * ty
            out[y, x] = np.float32(1) / (np.float32(1) + error / (tolerance + np.float32(0.02) * length))
    return out


def fit_homography(flow: FloatArray, where: Mask, grid: Grid, rng: np.random.Generator) -> Matrix | None:
    """The plane motion (3, 3) that most cells of ``where`` follow, by RANSAC; None where too few agree."""
    points = draw_cells(where, min(MAX_CAMERA_POINTS, max(100, where.size // 16)), rng)
    if len(points) < 16:
        return None
    start, end = _ends(flow, points, grid)
    matrix, _ = cv2.findHomography(start, end, cv2.RANSAC, 1.5 * grid.unit)
    return _checked(np.asarray(matrix, dtype=np.float64) if matrix is not None else None, grid)


def fit_affine(flow: FloatArray, where: Mask, grid: Grid, rng: np.random.Generator) -> Matrix | None:
    """The affine motion, as (3, 3), that most cells of ``where`` follow, by RANSAC; None where too few agree."""
    points = draw_cells(where, MAX_OBJECT_POINTS, rng)
    if len(points) < 8:
        return None
    start, end = _ends(flow, points, grid)
    matrix, _ = cv2.estimateAffine2D(start, end, ransacReprojThreshold=1.5 * grid.unit)
    return _checked(None if matrix is None else np.vstack((matrix, [0, 0, 1])), grid)


def map_points(matrix: Matrix, points_xy: FloatArray) -> FloatArray:
    """Apply a homography (3, 3) to points float32 (..., 2)."""
    flat = points_xy.reshape(-1, 1, 2)
    return np.asarray(cv2.perspectiveTransform(flat, matrix), dtype=np.float32).reshape(points_xy.shape)


def camera_of(flow: FlowField, where: Mask, grid: Grid, rng: np.random.Generator) -> Camera | None:
    """The camera's motion, from the cells of ``where``; None where too few agree."""
    matrix = fit_homography(flow.backward, where, grid, rng)
    if matrix is None:
        return None
    stray = residual(flow.backward, matrix, grid)
    return Camera(matrix, stray, float(np.median(stray[where])))


def residual(flow: FloatArray, motion: Matrix, grid: Grid) -> FloatArray:
    """Squared difference between the flow and a motion (3, 3), float32 (h, w), in cells squared."""
    return _squared_residual(flow, grid.xy, motion)


@compiled
def _squared_residual(flow: FloatArray, xy: FloatArray, motion: Matrix) -> FloatArray:
    h, w, _ = flow.shape
    m = motion.astype(np.float32)
    out = np.empty((h, w), np.float32)
    for r in range(h):
        for c in range(w):
            x, y = xy[r, c, 0], xy[r, c, 1]
            depth = m[2, 0] * x + m[2, 1] * y + m[2, 2]
            dx = x + flow[r, c, 0] - (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / depth
            dy = y + flow[r, c, 1] - (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / depth
            out[r, c] = dx * dx + dy * dy
    return out


def _checked(matrix: Matrix | None, grid: Grid) -> Matrix | None:
    """None for what is no motion of a picture: not finite, or a horizon inside the frame."""
    if matrix is None or not np.isfinite(matrix).all():
        return None
    h, w = grid.size_hw
    depth = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ matrix[2]
    return matrix if depth.min() > 0.1 and depth.max() < 10 else None


def _ends(flow: FloatArray, cells: NDArray[np.intp], grid: Grid) -> tuple[FloatArray, FloatArray]:
    start = grid.xy.reshape(-1, 2)[cells]
    return start, start + flow.reshape(-1, 2)[cells]
