"""What is found of one object on a frame, as if it were alone: prediction, appearance, segmentation, belief.

A small object is looked at through a window, a virtual camera that follows it at a finer scale. In it the object has a
usual size, so that everything else is the same for large and small objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from maskferry.data import Frame, Mask
from maskferry.engines._flow.appearance import Model, Place, evaluate
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of, union
from maskferry.engines._flow.motion import Camera, map_points
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.propagation import (
    Prediction,
    arrival,
    carry,
    keep_believable,
    resembles,
    search,
    search_box,
)
from maskferry.engines._flow.recognition import Recognition
from maskferry.engines._flow.recollection import Sighting
from maskferry.engines._flow.scene import Observer, RandomFeatures, Scene, Window
from maskferry.engines._flow.score import Signs
from maskferry.engines._flow.segmentation import minimise
from maskferry.engines._flow.target import Target

__all__ = ["Finding", "expected_place", "find", "follow", "lattice_for", "refocus"]

SMALL, LEAVE = 400.0, 1.5
"""Objects below this area on the frame's lattice, in reference cells squared, get a window; above this many times as
much they lose it."""

USUAL = 1024.0
"""About the area of an object as its window shows it, in reference cells squared, where the frame has the pixels."""

MARGIN, SMALLEST, LARGEST = 48.0, 128.0, 320.0
"""Room around the object and the window's side, in reference cells."""

STEP = 16
"""Sides are multiples of this many cells, so that windows seldom change."""

SOFT = 4
"""A soft mask is about this many cells wider than the object."""

PART = 0.7
"""Windows become one when together they have more cells than the frame, and single again below this share of that."""


@dataclass(frozen=True, slots=True)
class Focus:
    """How an object is to be looked at.

    Attributes:
        pitch: pixels a cell; a power of 2.
        unit: one reference cell in cells.
        side: of its window, in cells.
    """

    pitch: int
    unit: float
    side: int

    @property
    def scale(self) -> tuple[int, float]:
        """What windows that become one have in common."""
        return self.pitch, self.unit


def lattice_for(frame: Grid, mask: Mask) -> Grid:
    """The lattice on which an object given as bool (H, W) is tracked."""
    x1, y1, x2, y2 = box_of(mask) or (0, 0, 1, 1)
    area, extent = float(np.count_nonzero(mask[y1:y2, x1:x2])), float(max(x2 - x1, y2 - y1))
    focus = _focus(frame, None, area, extent)
    centre = (x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2
    return frame if focus is None else Grid.window(frame.frame_hw, centre, focus.side, focus.pitch, focus.unit)


def refocus(targets: Mapping[int, Target], frame: Grid) -> None:
    """Move objects to other lattices where they have become too small or too large for their own; their places stay.

    Where the windows of one scale have more cells than the whole frame at that scale, they become one, which covers it.
    """
    wanted = {i: _wanted(target, frame) for i, target in targets.items()}
    for scale in {focus.scale for focus in wanted.values() if focus is not None}:
        group = {i: focus for i, focus in wanted.items() if focus is not None and focus.scale == scale}
        pitch, unit = scale
        whole = Grid.window(frame.frame_hw, (0, 0), max(frame.frame_hw), pitch, unit)
        joined = any(_covers(targets[i].grid, whole) for i in group)
        cells = sum(focus.side**2 for focus in group.values())
        join = cells > (PART if joined else 1.0) * whole.size_hw[0] * whole.size_hw[1]
        for i, focus in group.items():
            _move(targets[i], whole if join else _own_window(targets[i], whole, focus))
    for i, none in wanted.items():
        if none is None:
            _move(targets[i], frame)


def _wanted(target: Target, frame: Grid) -> Focus | None:
    (sx, sy), box = target.grid.pitch_xy, target.box
    area = target.area * sx * sy
    extent = math.sqrt(area)
    if box is not None:
        extent = max(extent, (box[2] - box[0] - SOFT) * sx, (box[3] - box[1] - SOFT) * sy)
    if target.hidden:
        extent *= 1 + min(3.0, 0.3 * target.hidden)  # it may be further away
    return _focus(frame, target.grid, area, extent)


def _focus(frame: Grid, now: Grid | None, area: float, extent: float) -> Focus | None:
    """None for the frame's lattice; the scale of ``now`` unless it does not fit any more. Area, extent: in pixels."""
    now = now if now is not None and now.is_window else None
    pixels = frame.pitch_xy[0] * frame.pitch_xy[1]
    if pixels < 2 or area >= SMALL * frame.unit**2 * (1 if now is None else LEAVE) * pixels:
        return None
    pitch = 2 ** max(0, round(math.log2(math.sqrt(max(area, 1.0) / USUAL) / frame.unit)))
    unit = min(frame.unit, 0.5 * max(1, round(2 * math.sqrt(area / pitch**2 / USUAL))))
    if now is not None and 0.35 < area / (now.pitch_xy[0] * now.unit) ** 2 / USUAL < 2.8:
        pitch, unit = round(now.pitch_xy[0]), now.unit
    side = min(max(extent / pitch + 2 * MARGIN * unit, SMALLEST * unit), LARGEST * unit)
    return Focus(pitch, unit, math.ceil(side / STEP) * STEP)


def _own_window(target: Target, whole: Grid, focus: Focus) -> Grid:
    now = target.grid
    alike = now.is_window and now.pitch_xy == whole.pitch_xy and not _covers(now, whole)
    if alike and focus.side <= max(now.size_hw) <= 1.6 * focus.side:
        return now
    centre = now.to_pixels(target.centre_xy)
    return Grid.window(now.frame_hw, centre, focus.side, focus.pitch, focus.unit)


def _covers(grid: Grid, whole: Grid) -> bool:
    return grid.is_window and grid.pitch_xy == whole.pitch_xy and grid.size_hw == whole.size_hw


def _move(target: Target, grid: Grid) -> None:
    now = target.grid
    if grid == now:
        return
    target.soft = now.resample(target.soft, grid)
    target.area *= now.pitch_xy[0] * now.pitch_xy[1] / (grid.pitch_xy[0] * grid.pitch_xy[1])
    target.centre_xy = grid.to_cells(now.to_pixels(target.centre_xy))
    target.grid = grid


def expected_place(target: Target, frame: Grid, camera: Camera | None) -> tuple[float, float]:
    """Where a still object would be on this frame, in pixels: its last place moved along with the picture."""
    here = target.grid.to_pixels(target.centre_xy)
    if camera is None:
        return here
    cell = np.array([[frame.to_cells(here)]], dtype=np.float32)
    there = map_points(np.linalg.inv(camera.matrix).astype(np.float64), cell).ravel()
    return frame.to_pixels((float(there[0]), float(there[1]))) if np.isfinite(there).all() else here


def follow(grid: Grid, centre_xy: tuple[float, float]) -> Grid:
    """The same window around another point of the frame, in pixels."""
    return Grid.window(grid.frame_hw, centre_xy, max(grid.size_hw), round(grid.pitch_xy[0]), grid.unit)


OUT_OF_QUESTION = -5.0
"""Cells with less evidence than this are left out of the segmentation."""

APPEARANCE_LIMIT, NETWORK_LIMIT = 1.5, 3.0

SAMPLE = 256
"""About so many cells of a mask are compared with what was given; the mean of more is the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One object, on the part of its lattice in which it was looked for.

    Attributes:
        scene: the whole lattice.
        grid: the part.
        evidence: for the object, float32 (h, w).
        appearance: how much each cell looks like it, float32 (h, w), about -1 to 1.
        cover: the relaxed mask, float32 (h, w) in [0, 1].
        mask: what is believed, bool (h, w).
        still_xy: where it would be if it moved with the picture, in pixels of the frame.
        sighting: what the network sees of it; None where it was not asked.
    """

    scene: Scene
    grid: Grid
    evidence: FloatArray
    appearance: FloatArray
    cover: FloatArray
    mask: Mask
    still_xy: tuple[float, float]
    sighting: Sighting | None

    def signs(self, cells: Mask, target: Target, lift: RandomFeatures) -> Signs:
        """What speaks for these cells, of which there is at least one."""
        return Signs.of(cells, self.appearance, self._given_appearance(cells, target, lift), self.grid.unit)

    def _given_appearance(self, cells: Mask, target: Target, lift: RandomFeatures) -> float:
        """Mean appearance of some of these cells for the classifier that knows only what was given, in [-1, 1]."""
        chosen = np.flatnonzero(cells)
        ys, xs = np.divmod(chosen[:: -(-chosen.size // SAMPLE)], cells.shape[1])
        (x, y), places = self.grid.first_xy, Place.of(cells, self.grid).coordinates(self.grid.xy[ys, xs])
        phi = lift(self.scene.features[y + ys, x + xs], places)
        return float(np.clip((phi * target.theta_given).sum(axis=1), -1, 1).mean())

    def mean_appearance(self, cells: Mask) -> float:
        """Mean appearance of these cells, in [-1, 1]; -1 for no cells."""
        return float(np.clip(self.appearance[cells], -1, 1).mean()) if cells.any() else -1.0


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Where one object is looked for: its lattice, the part of it, and what to expect there."""

    whole: Scene
    part: Scene
    prediction: Prediction
    still_xy: tuple[float, float]
    sighting: Sighting | None = None

    @property
    def box(self) -> Box:
        """The region of interest in cells of the lattice."""
        (x, y), (x1, y1, x2, y2) = self.part.grid.first_xy, self.prediction.box
        return x + x1, y + y1, x + x2, y + y2


def find(
    targets: Mapping[int, Target],
    frame: Frame,
    scene: Scene,
    observer: Observer,
    options: FlowOptions,
    recognition: Recognition | None,
) -> dict[int, Finding]:
    """Look for every object on a frame, each as if it were alone; a cut makes all of them lose their place.

    ``recognition``, where there is a memory network, has begun to look for them on this frame.
    """
    if scene.cut:
        for target in targets.values():
            target.lose_place()
        if recognition is not None:
            recognition.begin(targets, frame)
    steps, scenes = _approach(targets, frame, scene, observer)
    sightings: dict[int, Sighting] = {}
    if recognition is not None:
        with observer.timer("network"):
            sightings = recognition.finish()
    views = {i: _view(t, steps[i], scenes[i], sightings.get(i), observer, options) for i, t in targets.items()}
    appearance = _look(views, targets, observer)
    with observer.timer("segmentation"):
        found = {i: _segment(target, views[i], appearance[i], options) for i, target in targets.items()}
    return {i: _doubt(targets[i], f, observer) if targets[i].cut_off else f for i, f in found.items()}


def _approach(
    targets: Mapping[int, Target], frame: Frame, scene: Scene, observer: Observer
) -> tuple[dict[int, _Step], dict[int, Scene]]:
    """Each object's step and its lattice; windows at the same time, and those that are the same once."""
    refocus(targets, scene.grid)
    steps = {i: _go_along(target, scene) for i, target in targets.items()}
    windows: dict[tuple[Grid, Grid], bool] = {}
    for i, step in steps.items():
        if targets[i].grid.is_window and not step.pausing:
            windows[step.lattices] = windows.get(step.lattices, False) or step.moving
    seen = observer.look_closer(frame, [Window(*lattices, flow) for lattices, flow in windows.items()])
    scenes = dict(zip(windows, seen, strict=True))
    return steps, {i: scenes.get(step.lattices, scene) for i, step in steps.items()}


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
    return _Step((before, target.grid), still, moving, pausing=not moving and target.rests)


def _view(
    target: Target, step: _Step, local: Scene, sighting: Sighting | None, observer: Observer, options: FlowOptions
) -> _View:
    """Where an object is looked for on its lattice."""
    if step.pausing:
        return _View(local, local.part((0, 0, 1, 1)), Prediction.nothing(), step.still_xy)
    with observer.timer("carry and motion cue"):
        box = arrival(target.soft, target.box, local) if step.moving else None
    carried = None
    searching = box is None or bool(target.hidden)
    wide = union(box, search_box(target, local.grid)) if searching or box is None else box
    seen = None if sighting is None or not sighting.trust else box_of(sighting.on_grid(local.grid) > 0, margin=2)
    part = local.part(wide if seen is None else union(wide, seen))
    if box is not None:
        with observer.timer("carry and motion cue"):
            carried = carry(target.soft, part, options, observer.random(local.frame, target.object_id))
    if carried is None or target.hidden:
        carried = search(target, part.grid, carried)
    if seen is not None:
        x, y = part.grid.first_xy
        carried = replace(carried, box=union(carried.box, (seen[0] - x, seen[1] - y, seen[2] - x, seen[3] - y)))
    return _View(local, part, carried, step.still_xy, sighting)


def _look(views: Mapping[int, _View], targets: Mapping[int, Target], observer: Observer) -> dict[int, FloatArray]:
    """How much the cells of each object's box look like it; lattices that are shared are gone through once."""
    lattices: dict[int, Scene] = {id(view.whole): view.whole for view in views.values()}
    appearance: dict[int, FloatArray] = {}
    for key, whole in lattices.items():
        models = {
            i: Model(targets[i].theta, view.box, Place.of(view.prediction.carried > 0.5, view.part.grid))
            for i, view in views.items()
            if id(view.whole) == key
        }
        with observer.timer("appearance, evaluation"):
            appearance |= evaluate(whole.features, observer.lift, models, observer.workers)
    return appearance


def _segment(target: Target, view: _View, appearance: FloatArray, options: FlowOptions) -> Finding:
    grid, prediction = view.part.grid, view.prediction
    evidence = np.full(grid.size_hw, 2 * OUT_OF_QUESTION, dtype=np.float32)
    alike = np.full(grid.size_hw, -1, dtype=np.float32)
    x1, y1, x2, y2 = prediction.box
    inside = slice(y1, y2), slice(x1, x2)
    alike[inside] = appearance
    clipped = np.clip(appearance, -APPEARANCE_LIMIT, APPEARANCE_LIMIT)
    evidence[inside] = prediction.evidence[inside] + np.float32(options.appearance_weight) * clipped
    known = alike
    if view.sighting is not None:
        lowest = 0.0 if target.box is None else -NETWORK_LIMIT  # that it is nowhere, the network says for too long
        seen = np.clip(view.sighting.on_grid(grid) / 2, lowest, NETWORK_LIMIT)
        evidence[inside] += np.float32(options.network_weight * view.sighting.trust) * seen[inside]
        known = np.maximum(alike, np.float32(view.sighting.trust) * seen)
    box = box_of(evidence > OUT_OF_QUESTION)
    cover = np.zeros_like(evidence) if box is None else minimise(evidence, view.part.edges, box, options.iterations)
    mask = cover > 0.5
    if target.hidden or not prediction.carried.any():
        mask = keep_believable(mask, known, prediction.carried, target, grid)
    return Finding(view.whole, grid, evidence, alike, cover, mask, view.still_xy, view.sighting)


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
