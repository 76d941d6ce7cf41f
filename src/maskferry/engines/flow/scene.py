"""Everything about a frame that no object changes, computed once and shared by all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskferry.data import Frame
from maskferry.engines.flow.cuts import is_cut
from maskferry.engines.flow.features import RandomFeatures, feature_map, lab_image
from maskferry.engines.flow.grid import FloatArray, Grid
from maskferry.engines.flow.motion import FlowEstimator, FlowField, Grey, Matrix, fit_homography, flow_grey
from maskferry.engines.flow.options import FlowOptions
from maskferry.engines.flow.segmentation import edge_weights

__all__ = ["Observer", "Scene"]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One frame on the working grid.

    Attributes:
        frame: index.
        grid: the grid.
        features: float32 (h, w, CHANNELS).
        edges: cost of a boundary, float32 (4, h, w).
        flow: to and from the last frame; None on the first one and after a cut.
        camera: where a still background was, as a homography (3, 3) from this frame's cells to the last one's; None
            where it is unknown.
        cut: the last frame belongs to another shot.
    """

    frame: int
    grid: Grid
    features: FloatArray
    edges: FloatArray
    flow: FlowField | None
    camera: Matrix | None
    cut: bool


class Observer:
    """Looks at frames, in order; remembers the last one's small grey picture."""

    def __init__(self, grid: Grid, options: FlowOptions, seed: int) -> None:
        self.grid = grid
        self.lift = RandomFeatures(options.random_features, seed)
        self.last: Grey | None = None
        self._options = options
        self._seed = seed
        self._estimator = FlowEstimator(grid)

    def look(self, frame: Frame, *, tracking: bool) -> Scene:
        """Take in a frame.

        Args:
            frame: the next one.
            tracking: whether there are objects to carry over from the last frame; flow is computed only then.
        """
        grey = flow_grey(frame.image, self.grid)
        flow, camera, cut = None, None, False
        if tracking and self.last is not None:
            flow = self._estimator.between(self.last, grey)
            cut = is_cut(self.last, grey, flow, self.grid)
            flow = None if cut else flow
        if flow is not None:
            everywhere = np.ones(self.grid.size_hw, dtype=np.bool_)
            camera = fit_homography(flow.backward, everywhere, self.grid, self.random(frame.index, 0))
        self.last = grey
        return self._scene(frame, flow, camera, cut=cut)

    def describe(self, frame: Frame) -> Scene:
        """A frame that was looked at before, once more, without its motion."""
        return self._scene(frame, None, None, cut=False)

    def random(self, frame: int, object_id: int, purpose: int = 0) -> np.random.Generator:
        """Random numbers that depend on nothing but seed, frame, object (0: the background) and purpose."""
        return np.random.default_rng([self._seed, frame, object_id, purpose])

    def close(self) -> None:
        """Let the flow's thread go."""
        self._estimator.close()

    def _scene(self, frame: Frame, flow: FlowField | None, camera: Matrix | None, *, cut: bool) -> Scene:
        lab = lab_image(self.grid.image_to_grid(frame.image))
        features, edges = feature_map(lab, self.grid.unit), edge_weights(lab, self._options.smoothness)
        return Scene(frame.index, self.grid, features, edges, flow, camera, cut)
