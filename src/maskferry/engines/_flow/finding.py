"""What is found of one object on a frame, as if it were alone: prediction, looks, segmentation, belief."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from maskferry.data import Frame, Mask
from maskferry.engines._flow.appearance import Model, evaluate
from maskferry.engines._flow.features import RandomFeatures
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of, union
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.place import Place
from maskferry.engines._flow.propagation import Prediction, arrival, carry
from maskferry.engines._flow.recovery import keep_believable, resembles, search, search_box
from maskferry.engines._flow.scene import Observer, Scene, Window
from maskferry.engines._flow.scoring import Signs
from maskferry.engines._flow.segmentation import minimise
from maskferry.engines._flow.target import Target
from maskferry.engines._flow.windows import expected_place, follow, refocus

__all__ = ["Finding", "find"]

OUT_OF_QUESTION = -5.0
"""Cells with less evidence than this are left out of the segmentation."""

LOOKS_LIMIT = 1.5

PATIENCE, PAUSE = 12, 4
"""An object that is lost for more frames than the first is looked for only on every so manieth frame."""


SAMPLE = 256
"""About so many cells of a mask are compared with what was given; the mean of more is the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One object, on the part of its lattice in which it was looked for.

    Attributes:
        scene: the whole lattice.
        grid: the part.
        evidence: for the object, float32 (h, w).
        looks: how much each cell looks like it, float32 (h, w), about -1 to 1.
        cover: the relaxed mask, float32 (h, w) in [0, 1].
        mask: what is believed, bool (h, w).
        still_xy: where it would be if it moved with the picture, in pixels of the frame.
    """

    scene: Scene
    grid: Grid
    evidence: FloatArray
    looks: FloatArray
    cover: FloatArray
    mask: Mask
    still_xy: tuple[float, float]

    def signs(self, cells: Mask, target: Target, lift: RandomFeatures) -> Signs:
        """What speaks for these cells, of which there is at least one."""
        return Signs.of(cells, self.looks, self._given_looks(cells, target, lift), self.grid.unit)

    def _given_looks(self, cells: Mask, target: Target, lift: RandomFeatures) -> float:
        """Mean looks of some of these cells for the classifier that knows only what was given, in [-1, 1]."""
        chosen = np.flatnonzero(cells)
        ys, xs = np.divmod(chosen[:: -(-chosen.size // SAMPLE)], cells.shape[1])
        (x, y), places = self.grid.first_xy, Place.of(cells, self.grid).coordinates(self.grid.xy[ys, xs])
        phi = lift(self.scene.features[y + ys, x + xs], places)
        return float(np.clip((phi * target.theta_given).sum(axis=1), -1, 1).mean())

    def mean_looks(self, cells: Mask) -> float:
        """Mean looks of these cells, in [-1, 1]; -1 for no cells."""
        return float(np.clip(self.looks[cells], -1, 1).mean()) if cells.any() else -1.0


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Where one object is looked for: its lattice, the part of it, and what to expect there."""

    whole: Scene
    part: Scene
    prediction: Prediction
    still_xy: tuple[float, float]

    @property
    def box(self) -> Box:
        """The region of interest in cells of the lattice."""
        (x, y), (x1, y1, x2, y2) = self.part.grid.first_xy, self.prediction.box
        return x + x1, y + y1, x + x2, y + y2


def find(
    targets: Mapping[int, Target], frame: Frame, scene: Scene, observer: Observer, options: FlowOptions
) -> dict[int, Finding]:
    """Look for every object on a frame, each as if it were alone; a cut makes all of them lose their place."""
    if scene.cut:
        for target in targets.values():
            target.lose_place()
    views = _views(targets, frame, scene, observer, options)
    looks = _look(views, targets, observer)
    found = {i: _segment(target, views[i], looks[i], options) for i, target in targets.items()}
    return {i: _doubt(targets[i], f, observer) if targets[i].cut_off else f for i, f in found.items()}


def _views(
    targets: Mapping[int, Target], frame: Frame, scene: Scene, observer: Observer, options: FlowOptions
) -> dict[int, _View]:
    """Of each object; windows at the same time, and those that are the same once."""
    refocus(targets, scene.grid)
    steps = {i: _go_along(target, scene) for i, target in targets.items()}
    windows: dict[tuple[Grid, Grid], bool] = {}
    for i, step in steps.items():
        if targets[i].grid.is_window and not step.pausing:
            windows[step.lattices] = windows.get(step.lattices, False) or step.moving
    seen = observer.look_closer(frame, [Window(*lattices, flow) for lattices, flow in windows.items()])
    scenes = dict(zip(windows, seen, strict=True))
    return {i: _view(t, steps[i], scenes.get(steps[i].lattices, scene), observer, options) for i, t in targets.items()}


@dataclass(frozen=True, slots=True)
class _Step:
    """From the last frame to this one, before anything is looked at.

    Attributes:
        lattices: the object's lattice on the last frame and on this one.
        still_xy: where it would be if it moved with the picture, in pixels of the frame.
        moving: there is something to carry over from the last frame.
        pausing: it has been lost for so long that it is not looked for on this frame.
    """

    lattices: tuple[Grid, Grid]
    still_xy: tuple[float, float]
    moving: bool
    pausing: bool


def _go_along(target: Target, scene: Scene) -> _Step:
    """Point an object's window at where it should be."""
    before, still = target.grid, expected_place(target, scene.grid, scene.camera)
    if before.is_window:
        target.grid = follow(before, (still[0] + target.drift_xy[0], still[1] + target.drift_xy[1]))
    if target.hidden:
        target.centre_xy = target.grid.to_cells(still)
    moving = scene.flow is not None and target.box is not None
    pausing = not moving and target.hidden > PATIENCE and target.hidden % PAUSE > 0
    return _Step((before, target.grid), still, moving, pausing)


def _view(target: Target, step: _Step, local: Scene, observer: Observer, options: FlowOptions) -> _View:
    """Where an object is looked for on its lattice."""
    if step.pausing:
        return _View(local, local.part((0, 0, 1, 1)), Prediction.nothing(), step.still_xy)
    box = arrival(target.soft, target.box, local) if step.moving else None
    carried = None
    searching = box is None or bool(target.hidden)
    part = local.part(union(box, search_box(target, local.grid)) if searching or box is None else box)
    if box is not None:
        carried = carry(target.soft, part, options, observer.random(local.frame, target.object_id))
    if carried is None or target.hidden:
        carried = search(target, part.grid, carried)
    return _View(local, part, carried, step.still_xy)


def _look(views: Mapping[int, _View], targets: Mapping[int, Target], observer: Observer) -> dict[int, FloatArray]:
    """How much the cells of each object's box look like it; lattices that are shared are gone through once."""
    lattices: dict[int, Scene] = {id(view.whole): view.whole for view in views.values()}
    looks: dict[int, FloatArray] = {}
    for key, whole in lattices.items():
        models = {
            i: Model(targets[i].theta, view.box, Place.of(view.prediction.carried > 0.5, view.part.grid))
            for i, view in views.items()
            if id(view.whole) == key
        }
        looks |= evaluate(whole.features, observer.lift, models, observer.workers)
    return looks


def _segment(target: Target, view: _View, looks: FloatArray, options: FlowOptions) -> Finding:
    grid, prediction = view.part.grid, view.prediction
    evidence = np.full(grid.size_hw, 2 * OUT_OF_QUESTION, dtype=np.float32)
    alike = np.full(grid.size_hw, -1, dtype=np.float32)
    x1, y1, x2, y2 = prediction.box
    inside = slice(y1, y2), slice(x1, x2)
    alike[inside] = looks
    clipped = np.clip(looks, -LOOKS_LIMIT, LOOKS_LIMIT)
    evidence[inside] = prediction.evidence[inside] + np.float32(options.appearance_weight) * clipped
    box = box_of(evidence > OUT_OF_QUESTION)
    cover = np.zeros_like(evidence) if box is None else minimise(evidence, view.part.edges, box, options.iterations)
    mask = cover > 0.5
    if target.hidden or not prediction.carried.any():
        mask = keep_believable(mask, alike, prediction.carried, target, grid)
    return Finding(view.whole, grid, evidence, alike, cover, mask, view.still_xy)


def _doubt(target: Target, found: Finding, observer: Observer) -> Finding:
    """After a cut, when its place says nothing, take back what as a whole does not look like the object."""
    if not found.mask.any():
        return found
    (x, y), (h, w) = found.grid.first_xy, found.grid.size_hw
    features = found.scene.features[y : y + h, x : x + w][found.mask]
    places = Place.of(found.mask, found.grid).coordinates(found.grid.xy[found.mask])
    if resembles(target, observer.lift(features, places)):
        return found
    return replace(found, mask=np.zeros_like(found.mask))
