"""From predictions to the rows of a frame's result: masks, scores and states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from maskferry.data import ObjectMask, State
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.mask_encoding import logits_to_masks, masks_to_rles
from maskferry.engines._sam.prompting import Prompts
from maskferry.engines._sam.stage_types import Predictions
from maskferry.rle import Rle

__all__ = ["PredictedObjects", "given_rows", "predicted_rows"]

OCCLUDED_SHARE = 0.5
"""Below this share of its usual area an object counts as occluded."""

AREA_RATE, OCCLUDED_AREA_RATE = 0.2, 0.02
"""How fast an object's usual area follows its area; slowly while it is occluded."""


class Appearance(Protocol):
    """What is remembered of how an object was seen.

    Attributes:
        lost: it was not in sight on the last frame.
        usual_area: running mean of its area in pixels.
    """

    lost: bool
    usual_area: float


@dataclass(frozen=True, slots=True)
class PredictedObjects:
    """A batch of objects on one frame, still on the device.

    Attributes:
        object_ids: of the B rows.
        logits: (B, 1, h, w).
        presence: (B,), logits.
        quality: (B,), in [0, 1].
    """

    object_ids: list[int]
    logits: Tensor
    presence: Tensor
    quality: Tensor

    @classmethod
    def of(cls, object_ids: list[int], found: Predictions) -> PredictedObjects:
        """The network's predictions with the ids of the objects."""
        return cls(object_ids, found.logits, found.presence[:, 0], found.quality)


def given_rows(prompts: Prompts, fidelity: Mapping[int, float]) -> dict[int, ObjectMask]:
    """Rows of objects whose masks came with the frame: given by the caller, or detected by a text."""
    rows = {i: ObjectMask(i, Rle.encode(mask), 1.0, State.GIVEN, fidelity[i]) for i, mask in prompts.masks.items()}
    for i, (mask, score) in prompts.detected.items():
        rows[i] = ObjectMask(i, Rle.encode(mask), score, State.TRACKED)
    return rows


def predicted_rows(
    predictions: Sequence[PredictedObjects],
    objects: Mapping[int, Appearance],
    size_hw: tuple[int, int],
    hooks: SessionHooks,
) -> dict[int, ObjectMask]:
    """Rows of predicted objects, by object id; waits for the device.

    Args:
        predictions: of one frame.
        objects: by id; their state and usual area are updated.
        size_hw: of the video.
        hooks: of the session.
    """
    rows = {}
    for batch in predictions:
        presence, quality = batch.presence.float(), batch.quality.clamp(0, 1)
        rles, areas = masks_to_rles(logits_to_masks(hooks.changed(batch.logits), size_hw))
        scores = torch.stack([presence, quality * presence.sigmoid()]).cpu().tolist()
        for i, rle, area, in_sight, score in zip(batch.object_ids, rles, areas, *scores, strict=True):
            state = _update_state(objects[i], area if in_sight > 0 else 0)
            if state is State.LOST:
                rows[i] = ObjectMask(i, Rle.empty(size_hw), 0.0, state)
            else:
                rows[i] = ObjectMask(i, rle, score, state)
    return rows


def _update_state(known: Appearance, area: int) -> State:
    """The state of an object that covers ``area`` pixels on this frame; its usual area follows."""
    was_lost, known.lost = known.lost, area == 0
    if known.lost:
        return State.LOST
    occluded = area < OCCLUDED_SHARE * known.usual_area
    rate = OCCLUDED_AREA_RATE if occluded else AREA_RATE
    if not known.usual_area:
        rate = 1.0
    known.usual_area += (area - known.usual_area) * rate
    if was_lost:
        return State.RETURNED
    return State.OCCLUDED if occluded else State.TRACKED
