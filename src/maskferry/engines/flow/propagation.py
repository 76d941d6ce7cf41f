"""Where an object should be before anybody looked at it: what the flow carried over, and what moves with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from maskferry.data import Mask
from maskferry.engines.flow.grid import Box, FloatArray, box_of
from maskferry.engines.flow.motion import FlowField, fit_affine, fit_homography, residual, warp
from maskferry.engines.flow.options import FlowOptions
from maskferry.engines.flow.scene import Scene
from maskferry.masks.regions import signed_distance

__all__ = ["Prediction", "carry"]

DOMINANT = 0.25
"""An object that fills more of the frame than this is left out when the camera's motion is estimated."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Evidence for one object from all but its looks.

    Attributes:
        evidence: float32 (h, w), positive is object.
        box: the region of interest; outside of it nothing is object.
        carried: where the flow carried it, float32 (h, w) in [0, 1].
        confidence: of the flow, float32 (h, w) in [0, 1]; 1 everywhere where the flow is bad everywhere.
    """

    evidence: FloatArray
    box: Box
    carried: FloatArray
    confidence: FloatArray


def carry(
    soft: FloatArray, scene: Scene, flow: FlowField, options: FlowOptions, rng: np.random.Generator
) -> Prediction | None:
    """Carry an object over from the last frame; None where nothing of it arrives inside of the frame."""
    grid = scene.grid
    carried = warp(soft, flow.backward, grid, border=cv2.BORDER_CONSTANT)
    inside = carried > 0.5
    if not inside.any():
        return None
    confidence = _gate(flow.confidence, inside)
    distance = signed_distance(inside)
    size = max(10 * grid.unit, float(np.sqrt(np.count_nonzero(inside))))
    box = box_of(distance > -0.5 * size - 10 * grid.unit)
    if box is None:
        return None
    evidence = distance_prior(distance, size, confidence)
    if options.motion_weight:
        evidence += np.float32(options.motion_weight) * _motion_cue(carried, scene, flow, rng) * confidence
    return Prediction(evidence, box, carried, confidence)


def distance_prior(distance: FloatArray, size: float, confidence: FloatArray) -> FloatArray:
    """Evidence from the signed distance to the carried boundary, weaker where the flow cannot be trusted."""
    prior: FloatArray = np.clip(distance / np.float32(0.06 * size), -4, 2.5)
    np.multiply(prior, confidence, out=prior, where=prior > 0)
    prior -= 1 - confidence
    return prior


def _gate(confidence: FloatArray, inside: Mask) -> FloatArray:
    """Confidence as it is, or 1 everywhere where it is low all over the object and so tells its parts not apart."""
    gate = np.float32(np.clip((float(confidence[inside].mean()) - 0.65) / 0.2, 0, 1))
    return np.asarray(1 - (1 - confidence) * gate, dtype=np.float32)


def _motion_cue(carried: FloatArray, scene: Scene, flow: FlowField, rng: np.random.Generator) -> FloatArray | float:
    """From -1 (moves as the camera says) to 1 (moves as the object does), float32 (h, w); 0 where it cannot be told."""
    grid, outside = scene.grid, carried < 0.1
    camera = scene.camera
    if np.count_nonzero(outside) < (1 - DOMINANT) * outside.size:
        camera = fit_homography(flow.backward, outside, grid, rng)
    own = fit_affine(flow.backward, carried > 0.9, grid, rng)
    if camera is None or own is None or not outside.any():
        return 0.0
    as_camera, as_object = (residual(flow.backward, m, grid) for m in (camera, own))
    scale = np.float32(grid.unit**2 + 2 * float(np.median(as_camera[outside])))
    return np.asarray(as_camera / (as_camera + scale) - as_object / (as_object + scale), dtype=np.float32)
