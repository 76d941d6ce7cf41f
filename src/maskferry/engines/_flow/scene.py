"""Everything about a frame that no object changes, computed once and shared by all that are seen on one lattice.

What a cell looks like (colour, texture and contrast at three scales, and a random-feature map of them), its motion,
the cost of a boundary, and whether the frame begins a new shot.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace

import cv2
import numpy as np

from maskferry.data import Frame, Image
from maskferry.engines._compiled import compiled
from maskferry.engines._flow.grid import Box, FloatArray, Grid
from maskferry.engines._flow.motion import (
    Camera,
    FlowEstimator,
    FlowField,
    Grey,
    camera_of,
    flow_grey,
    grey_image,
    warp,
)
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.segmentation import edge_weights
from maskferry.engines._flow.timing import Timer

__all__ = [
    "CHANNELS",
    "QUAD",
    "Observer",
    "RandomFeatures",
    "Scene",
    "Window",
    "feature_map",
    "is_cut",
    "lab_image",
    "project_quad",
    "unexplained",
]

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


UNRELIABLE = 0.5
"""Mean confidence of the flow below which it agrees with itself almost nowhere."""

UNEXPLAINED = 0.6
"""Cuts leave 0.8 and more of the contrast unexplained; the fastest motion of real shots was seen to leave 0.4."""

LEAST_CONTRAST = 5.0


def is_cut(before: Grey, after: Grey, flow: FlowField, grid: Grid) -> bool:
    """A hard cut: the flow is not consistent, and what it carries over is not what is there.

    Blur and fast motion do the first, a flash does the second; a cut does both.

    Args:
        before: the last frame, from `motion.flow_grey`.
        after: this frame, of the same shape.
        flow: between them.
        grid: the grid.
    """
    return float(flow.confidence.mean()) < UNRELIABLE and unexplained(before, after, flow, grid) > UNEXPLAINED


def unexplained(before: Grey, after: Grey, flow: FlowField, grid: Grid) -> float:
    """Mean difference between the last frame, carried along the flow, and this one, relative to its contrast."""
    h, w = grid.size_hw
    old, new = (cv2.resize(g, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) for g in (before, after))
    contrast = max(LEAST_CONTRAST, float(new.std()))
    carried: FloatArray = warp(old, flow.backward, grid)
    return float(np.abs(carried - new).mean()) / contrast


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One frame on a lattice, or on a part of one.

    Attributes:
        frame: index.
        grid: the cells.
        cells: number of cells of the whole lattice.
        features: float32 (h, w, CHANNELS).
        edges: cost of a boundary, float32 (4, h, w).
        flow: to and from the last frame; None on the first one and after a cut.
        camera: None where it is unknown.
        cut: the last frame belongs to another shot.
    """

    frame: int
    grid: Grid
    cells: int
    features: FloatArray
    edges: FloatArray
    flow: FlowField | None
    camera: Camera | None
    cut: bool

    def part(self, box: Box) -> Scene:
        """The same on the cells of a box (x1, y1, x2, y2); views, not copies. This must be a whole lattice."""
        x1, y1, x2, y2 = box
        inside = slice(y1, y2), slice(x1, x2)
        camera, flow = self.camera and self.camera.part(box), self.flow and self.flow.part(box)
        features, edges = self.features[inside], self.edges[:, y1:y2, x1:x2]
        return replace(self, grid=self.grid.part(box), features=features, edges=edges, flow=flow, camera=camera)


@dataclass(frozen=True, slots=True)
class Window:
    """A lattice over a part of the frame.

    Attributes:
        before: where it was on the last frame; of the same size.
        now: where it is.
        flow: whether flow from the last frame is wanted.
    """

    before: Grid
    now: Grid
    flow: bool


class Observer:
    """Looks at frames, in order; remembers the last one in grey.

    Attributes:
        grid: the lattice of the whole frame.
        lift: the random-feature map.
        last: the last frame in grey, uint8 (H, W); None before the first one.
        timer: see `Timer`.
        workers: two threads, which start when they are first needed; what is computed does not depend on them.
    """

    def __init__(self, grid: Grid, options: FlowOptions, seed: int, timer: Timer = nullcontext) -> None:
        self.grid = grid
        self.timer = timer
        self.lift = RandomFeatures(options.random_features, seed)
        self.last: Grey | None = None
        self._before: Grey | None = None
        self._options = options
        self._seed = seed
        self._estimator = FlowEstimator()
        self.workers = ThreadPoolExecutor(2, thread_name_prefix="maskferry-flow")

    def look(self, frame: Frame, *, tracking: bool, busy: bool = False) -> Scene:
        """Take in a frame, as a whole.

        Args:
            frame: the next one.
            tracking: whether there are objects to carry over from the last frame; flow is computed only then.
            busy: the workers have other things to do: the flow is computed on this thread.
        """
        self._before, self.last = self.last, grey_image(frame.image)
        flow, cut = None, False
        if tracking and self._before is not None:
            greys = self._flow_greys(self._before, self.last, self.grid, self.grid)
            flow = self._flow_between(greys, self.grid, None if busy else self.workers)
            with self.timer("cut?"):
                cut = is_cut(*greys, flow, self.grid)
        return self._describe(frame, self.grid, None if cut else flow, cut=cut)

    def look_closer(self, frame: Frame, windows: Sequence[Window]) -> list[Scene]:
        """See the same frame through windows, several at the same time.

        Args:
            frame: the one that `look` was called with last.
            windows: what to look through.
        """
        if len(windows) == 1:
            return [self._look_through(frame, windows[0], self.workers)]
        return list(self.workers.map(lambda window: self._look_through(frame, window, None), windows))

    def describe(self, frame: Frame) -> Scene:
        """A frame that was looked at before, once more, without its motion."""
        return self._describe(frame, self.grid, None, cut=False)

    def _look_through(self, frame: Frame, window: Window, workers: Executor | None) -> Scene:
        flow = None
        if window.flow and self._before is not None and self.last is not None:
            greys = self._flow_greys(self._before, self.last, window.before, window.now)
            flow = self._flow_between(greys, window.now, workers)
        return self._describe(frame, window.now, flow, cut=False)

    def _flow_greys(self, before: Grey, now: Grey, grid_before: Grid, grid_now: Grid) -> tuple[Grey, Grey]:
        with self.timer("frame to grid"):
            return flow_grey(before, grid_before), flow_grey(now, grid_now)

    def _flow_between(self, greys: tuple[Grey, Grey], grid: Grid, workers: Executor | None) -> FlowField:
        with self.timer("optical flow, both ways"):
            return self._estimator.between(*greys, grid, workers)

    def random(self, frame: int, object_id: int, purpose: int = 0) -> np.random.Generator:
        """Random numbers that depend on nothing but seed, frame, object (0: the background) and purpose."""
        return np.random.default_rng([self._seed, frame, object_id, purpose])

    def close(self) -> None:
        """Let the threads go."""
        self.workers.shutdown()

    def _describe(self, frame: Frame, grid: Grid, flow: FlowField | None, *, cut: bool) -> Scene:
        with self.timer("frame to grid"):
            lab = lab_image(grid.sample(frame.image))
        with self.timer("features"):
            features = feature_map(lab, grid.unit)
        with self.timer("edge weights"):
            edges = edge_weights(lab, self._options.smoothness)
        with self.timer("camera motion"):
            camera = self._camera(frame.index, grid, flow)
        h, w = grid.size_hw
        return Scene(frame.index, grid, h * w, features, edges, flow, camera, cut)

    def _camera(self, frame: int, grid: Grid, flow: FlowField | None) -> Camera | None:
        if flow is None:
            return None
        everywhere = np.ones(grid.size_hw, dtype=np.bool_)
        return camera_of(flow, everywhere, grid, self.random(frame, 0))
