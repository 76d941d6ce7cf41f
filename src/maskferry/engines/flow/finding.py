"""What is found of one object on a frame, as if it were alone: prediction, looks, segmentation, belief."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from maskferry.data import Mask
from maskferry.engines.flow.appearance import evaluate
from maskferry.engines.flow.grid import FloatArray, box_of
from maskferry.engines.flow.options import FlowOptions
from maskferry.engines.flow.propagation import Prediction, carry
from maskferry.engines.flow.recovery import follow_camera, keep_believable, resembles, search
from maskferry.engines.flow.scene import Observer, Scene
from maskferry.engines.flow.segmentation import minimise
from maskferry.engines.flow.target import Target

__all__ = ["Finding", "find"]

OUT_OF_QUESTION = -5.0
"""Cells with less evidence than this are left out of the segmentation."""

LOOKS_LIMIT = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One object on the grid.

    Attributes:
        evidence: for the object, float32 (h, w).
        looks: how much each cell looks like it, float32 (h, w), about -1 to 1.
        cover: the relaxed mask, float32 (h, w) in [0, 1].
        mask: what is believed, bool (h, w).
        confidence: of the flow, float32 (h, w) in [0, 1].
    """

    evidence: FloatArray
    looks: FloatArray
    cover: FloatArray
    mask: Mask
    confidence: FloatArray

    def score(self, cells: Mask) -> float:
        """Mean probability of these cells times the trust in the flow there, in [0, 1]; 0 for no cells."""
        if not cells.any():
            return 0.0
        return float((self.confidence[cells] / (1 + np.exp(-self.evidence[cells]))).mean())

    def mean_looks(self, cells: Mask) -> float:
        """Mean looks of these cells, in [-1, 1]; -1 for no cells."""
        return float(np.clip(self.looks[cells], -1, 1).mean()) if cells.any() else -1.0


def find(targets: Mapping[int, Target], scene: Scene, observer: Observer, options: FlowOptions) -> dict[int, Finding]:
    """Look for every object on a frame, each as if it were alone; a cut makes all of them lose their place."""
    if scene.cut:
        for target in targets.values():
            target.lose_place()
    predictions = {i: _predict(target, scene, observer, options) for i, target in targets.items()}
    models = {i: (targets[i].theta, p.box) for i, p in predictions.items()}
    looks = {i: np.full(scene.grid.size_hw, -1, dtype=np.float32) for i in targets}
    for i, values in evaluate(scene.features, observer.lift, models).items():
        x1, y1, x2, y2 = predictions[i].box
        looks[i][y1:y2, x1:x2] = values
    found = {i: _segment(target, predictions[i], looks[i], scene, options) for i, target in targets.items()}
    return {i: _doubt(targets[i], f, scene, observer) if targets[i].cut_off else f for i, f in found.items()}


def _predict(target: Target, scene: Scene, observer: Observer, options: FlowOptions) -> Prediction:
    carried = None
    if scene.flow is not None and target.soft.any():
        carried = carry(target.soft, scene, scene.flow, options, observer.random(scene.frame, target.object_id))
    if target.hidden:
        follow_camera(target, scene.camera)
    if carried is None or target.hidden:
        return search(target, scene.grid, carried)
    return carried


def _segment(target: Target, prediction: Prediction, looks: FloatArray, scene: Scene, options: FlowOptions) -> Finding:
    evidence = np.full(looks.shape, 2 * OUT_OF_QUESTION, dtype=np.float32)
    x1, y1, x2, y2 = prediction.box
    inside = slice(y1, y2), slice(x1, x2)
    clipped = np.clip(looks[inside], -LOOKS_LIMIT, LOOKS_LIMIT)
    evidence[inside] = prediction.evidence[inside] + np.float32(options.appearance_weight) * clipped
    box = box_of(evidence > OUT_OF_QUESTION)
    cover = np.zeros_like(evidence) if box is None else minimise(evidence, scene.edges, box, options.iterations)
    mask = cover > 0.5
    if target.hidden or not prediction.carried.any():
        mask = keep_believable(mask, looks, prediction.carried, target, scene.grid)
    return Finding(evidence, looks, cover, mask, prediction.confidence)


def _doubt(target: Target, found: Finding, scene: Scene, observer: Observer) -> Finding:
    """After a cut, when its place says nothing, take back what as a whole does not look like the object."""
    if not found.mask.any() or resembles(target, observer.lift(scene.features[found.mask])):
        return found
    return replace(found, mask=np.zeros_like(found.mask))
