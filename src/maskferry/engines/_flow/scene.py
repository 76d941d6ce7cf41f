"""Everything about a frame that no object changes, computed once and shared by all that are seen on one lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from maskferry.data import Frame
from maskferry.engines._flow.cuts import is_cut
from maskferry.engines._flow.features import RandomFeatures, feature_map, lab_image
from maskferry.engines._flow.grid import Box, FloatArray, Grid
from maskferry.engines._flow.motion import Camera, FlowEstimator, FlowField, Grey, camera_of, flow_grey, grey_image
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.segmentation import edge_weights
from maskferry.engines._flow.workers import Workers

__all__ = ["Observer", "Scene", "Window"]


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
        workers: threads; windows are looked through at the same time.
    """

    def __init__(self, grid: Grid, options: FlowOptions, seed: int) -> None:
        self.grid = grid
        self.lift = RandomFeatures(options.random_features, seed)
        self.last: Grey | None = None
        self._before: Grey | None = None
        self._options = options
        self._seed = seed
        self._estimator = FlowEstimator()
        self.workers = Workers()

    def look(self, frame: Frame, *, tracking: bool) -> Scene:
        """Take in a frame, as a whole.

        Args:
            frame: the next one.
            tracking: whether there are objects to carry over from the last frame; flow is computed only then.
        """
        self._before, self.last = self.last, grey_image(frame.image)
        flow, cut = None, False
        if tracking and self._before is not None:
            greys = flow_grey(self._before, self.grid), flow_grey(self.last, self.grid)
            flow = self._estimator.between(*greys, self.grid, self.workers)
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
        return self.workers.map(lambda window: self._look_through(frame, window, None), windows)

    def describe(self, frame: Frame) -> Scene:
        """A frame that was looked at before, once more, without its motion."""
        return self._describe(frame, self.grid, None, cut=False)

    def _look_through(self, frame: Frame, window: Window, workers: Workers | None) -> Scene:
        flow = None
        if window.flow and self._before is not None and self.last is not None:
            greys = flow_grey(self._before, window.before), flow_grey(self.last, window.now)
            flow = self._estimator.between(*greys, window.now, workers)
        return self._describe(frame, window.now, flow, cut=False)

    def random(self, frame: int, object_id: int, purpose: int = 0) -> np.random.Generator:
        """Random numbers that depend on nothing but seed, frame, object (0: the background) and purpose."""
        return np.random.default_rng([self._seed, frame, object_id, purpose])

    def close(self) -> None:
        """Let the threads go."""
        self.workers.close()

    def _describe(self, frame: Frame, grid: Grid, flow: FlowField | None, *, cut: bool) -> Scene:
        lab = lab_image(grid.sample(frame.image))
        features, edges = feature_map(lab, grid.unit), edge_weights(lab, self._options.smoothness)
        everywhere = np.ones(grid.size_hw, dtype=np.bool_)
        camera = None if flow is None else camera_of(flow, everywhere, grid, self.random(frame.index, 0))
        h, w = grid.size_hw
        return Scene(frame.index, grid, h * w, features, edges, flow, camera, cut)
