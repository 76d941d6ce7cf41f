"""Where an object should be before anybody looked at it, and, where it is lost, where to look and what to believe."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of
from maskferry.engines._flow.motion import FlowField, camera_of, fit_affine, residual, warp
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.scene import Scene
from maskferry.engines._flow.target import Target
from maskferry.masks._regions import signed_distance

__all__ = ["Prediction", "arrival", "carry", "keep_believable", "resembles", "search", "search_box"]

DOMINANT = 0.25
"""An object that fills more of the frame than this is left out when the camera's motion is estimated."""

BAND, LIMITS = 0.1, (-3.0, 2.5)
"""Evidence falls by 1 for this share of the object's size, between these limits. What the flow lost of fast limbs lies
far outside: a lower limit, or a narrower band, leaves them no way back."""

AGAINST = 5 / 3
"""Moving with the picture speaks this much more against an object than moving along speaks for it: shadows, reflections
and wakes move along, too."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Evidence for one object from all but its appearance.

    Attributes:
        evidence: float32 (h, w), positive is object.
        box: the region of interest; outside of it nothing is object.
        carried: where the flow carried it, float32 (h, w) in [0, 1].
    """

    evidence: FloatArray
    box: Box
    carried: FloatArray

    @classmethod
    def nothing(cls) -> Prediction:
        """Of one cell, which is not the object."""
        zero = np.zeros((1, 1), dtype=np.float32)
        return cls(zero - 100, (0, 0, 1, 1), zero)


def arrival(soft: FloatArray, start: Box | None, whole: Scene) -> Box | None:
    """The cells of a lattice that matter for an object: around where the flow carries it; None where it leaves.

    Args:
        soft: the object on the last frame, on the whole lattice.
        start: its box; None where it is nowhere.
        whole: this frame, on the whole lattice, with flow.
    """
    if whole.flow is None or start is None:
        return None
    speed = math.ceil(float(np.abs(whole.flow.backward).max())) + 1
    near = whole.part(_widen(start, speed, whole.grid))
    if near.flow is None:
        return None
    inside = warp(soft, near.flow.backward, near.grid, border=cv2.BORDER_CONSTANT) > 0.5
    box = box_of(inside)
    if box is None:
        return None
    x, y = near.grid.first_xy
    arrived = x + box[0], y + box[1], x + box[2], y + box[3]
    return _widen(arrived, math.ceil(_reach(_size(inside, whole.grid), whole.grid)) + 1, whole.grid)


def carry(soft: FloatArray, scene: Scene, options: FlowOptions, rng: np.random.Generator) -> Prediction | None:
    """Carry an object over from the last frame; None where nothing of it arrives.

    Args:
        soft: the object on the last frame, on the whole lattice.
        scene: this frame, on the part of the lattice that `arrival` gives, with flow.
        options: weigh the evidence.
        rng: draws samples of the flow.
    """
    grid, flow = scene.grid, scene.flow
    if flow is None:
        return None
    carried = warp(soft, flow.backward, grid, border=cv2.BORDER_CONSTANT)
    inside = carried > 0.5
    if not inside.any():
        return None
    confidence = _gate(flow.confidence, inside)
    distance = signed_distance(inside)
    size = _size(inside, grid)
    box = box_of(distance > -_reach(size, grid))
    if box is None:
        return None
    evidence = distance_prior(distance, size, confidence)
    if options.motion_weight:
        evidence += np.float32(options.motion_weight) * _motion_cue(carried, scene, flow, rng) * confidence
    return Prediction(evidence, box, carried)


def _size(inside: Mask, grid: Grid) -> float:
    return max(10 * grid.unit, float(np.sqrt(np.count_nonzero(inside))))


def _reach(size: float, grid: Grid) -> float:
    """How far from where it was carried an object is looked for."""
    return 0.5 * size + 10 * grid.unit


def _widen(box: Box, margin: int, grid: Grid) -> Box:
    (h, w), (x1, y1, x2, y2) = grid.size_hw, box
    return max(0, x1 - margin), max(0, y1 - margin), min(w, x2 + margin), min(h, y2 + margin)


def distance_prior(distance: FloatArray, size: float, confidence: FloatArray) -> FloatArray:
    """Evidence from the signed distance to the carried boundary, weaker where the flow cannot be trusted."""
    prior: FloatArray = np.clip(distance / np.float32(BAND * size), *LIMITS)
    np.multiply(prior, confidence, out=prior, where=prior > 0)
    prior -= 1 - confidence
    return prior


def _gate(confidence: FloatArray, inside: Mask) -> FloatArray:
    """Confidence as it is, or 1 everywhere where it is low all over the object and so tells its parts not apart."""
    gate = np.float32(np.clip((float(confidence[inside].mean()) - 0.65) / 0.2, 0, 1))
    return np.asarray(1 - (1 - confidence) * gate, dtype=np.float32)


def _motion_cue(carried: FloatArray, scene: Scene, flow: FlowField, rng: np.random.Generator) -> FloatArray | float:
    """From -`AGAINST` (moves as the camera) to 1 (as the object), float32 (h, w); 0 where it cannot be told."""
    grid, camera, outside = scene.grid, scene.camera, carried < 0.1
    if np.count_nonzero(~outside) > DOMINANT * scene.cells:
        camera = camera_of(flow, outside, grid, rng)
    own = fit_affine(flow.backward, carried > 0.9, grid, rng)
    if camera is None or own is None or not outside.any():
        return 0.0
    as_camera, as_object = camera.residual, residual(flow.backward, own, grid)
    scale = np.float32(grid.unit**2 + 2 * camera.usual)
    cue = as_camera / (as_camera + scale) - as_object / (as_object + scale)
    return np.asarray(np.where(cue < 0, np.float32(AGAINST) * cue, cue), dtype=np.float32)


Column = NDArray[np.float64]

SMALLEST_PART, LARGEST_PART = 0.08, 3.0
"""A part that is believed has this many times the object's usual area."""

SIMILAR = 0.5
"""How much a part must look like the object (1: as much as the object itself did)."""

SIMILAR_AFTER_CUT, SMALLEST_AFTER_CUT, LARGEST_RIVAL = 0.75, 0.3, 0.3
"""After a cut its place says nothing: it must be whole, look very much alike, and nothing else may look so."""

UNLIKE = 0.28
"""And its colours and textures must be spread alike: true returns were seen below 0.21, false ones above 0.34."""


def search_box(target: Target, grid: Grid) -> Box:
    """The cells of a whole lattice where to look for a hidden object: all of them after a cut."""
    h, w = grid.size_hw
    return (0, 0, w, h) if target.cut_off else _window(target.centre_xy, 2 * _radius(target, grid), grid)


def search(target: Target, grid: Grid, carried: Prediction | None) -> Prediction:
    """What to expect of a hidden object: it is near its last place, further the longer it is gone.

    Args:
        target: the object.
        grid: the part of the lattice that `search_box` gives, or more.
        carried: what the flow carried over of it, on the same part.
    """
    h, w = grid.size_hw
    nowhere, everywhere = np.zeros((h, w), dtype=np.float32), (0, 0, w, h)
    if target.cut_off:
        return Prediction(np.full((h, w), -0.5, np.float32), everywhere, nowhere)
    squared = np.square(grid.xy - np.array(target.centre_xy, dtype=np.float32))
    distance = (squared[:, :, 0] + squared[:, :, 1]) / np.float32(_radius(target, grid) ** 2)
    evidence = np.clip(0.5 - 1.5 * distance, -4, 0.5).astype(np.float32)
    if carried is None:
        return Prediction(evidence, everywhere, nowhere)
    np.maximum(evidence, carried.evidence, out=evidence)
    return Prediction(evidence, everywhere, carried.carried)


def _radius(target: Target, grid: Grid) -> float:
    return max(10 * grid.unit, float(np.sqrt(target.area)) * (1 + 0.3 * target.hidden))


def keep_believable(mask: Mask, appearance: FloatArray, carried: FloatArray, target: Target, grid: Grid) -> Mask:
    """Of what was found of a hidden object keep the parts that are convincing.

    Args:
        mask: what was found, bool (h, w).
        appearance: how much each cell looks like it, float32 (h, w).
        carried: where the flow carried what was seen of it on the last frame, float32 (h, w).
        target: the object.
        grid: the grid.

    Returns:
        bool (h, w).
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = np.maximum(stats[:, cv2.CC_STAT_AREA], 1).astype(np.float64)  # the background may be empty
    alike = np.bincount(parts.ravel(), weights=np.clip(appearance, -1.5, 1.5).ravel(), minlength=count) / areas
    if target.cut_off:
        keep = _only_one(areas, alike, target.area)
    else:
        moved = np.bincount(parts.ravel(), weights=(carried.ravel() > 0.5), minlength=count) / areas
        back = (areas >= SMALLEST_PART * target.area) & (areas <= LARGEST_PART * target.area) & (alike > SIMILAR)
        keep = back | ((areas > 20 * grid.unit**2) & (moved > 0.3))
    keep[0] = False
    return np.asarray(keep[parts])


def resembles(target: Target, phi: FloatArray) -> bool:
    """Whether cells as a whole look as the object did, where it was given or lately; random features (n, D)."""
    return min(target.prompted.unlikeness(phi), target.recent.unlikeness(phi)) < UNLIKE


def _only_one(areas: Column, alike: Column, usual: float) -> NDArray[np.bool_]:
    """The one whole part that looks like the object, if no other does."""
    keep = np.zeros(areas.shape, dtype=np.bool_)
    alike = alike.copy()
    alike[0] = -1
    similar = alike > SIMILAR
    if similar.any():
        order = np.argsort(-areas * similar, kind="stable")
        first = order[0]
        rival = areas[order[1]] * similar[order[1]]
        whole = SMALLEST_AFTER_CUT * usual <= areas[first] <= LARGEST_PART * usual
        keep[first] = whole and alike[first] > SIMILAR_AFTER_CUT and rival < LARGEST_RIVAL * areas[first]
    return keep


def _window(centre_xy: tuple[float, float], reach: float, grid: Grid) -> Box:
    """Cells within ``reach`` of a point, inside of the grid, and at least one cell."""
    h, w = grid.size_hw
    x, y = centre_xy
    x1, y1 = (int(np.clip(v - reach, 0, n - 1)) for v, n in ((x, w), (y, h)))
    x2, y2 = (int(np.clip(v + reach + 1, 1, n)) for v, n in ((x, w), (y, h)))
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)
