"""Mask R-CNN of torchvision: a dictionary ``boxes``, ``labels``, ``scores``, ``masks`` (N, 1, H, W), soft."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import class_name, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read"]

log = logging.getLogger(__name__)

_WHAT = "torchvision Mask R-CNN"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the dictionary of one picture, or that of a model without masks."""
    if not isinstance(value, Mapping) or not {"boxes", "labels", "scores"} <= set(value):
        return False
    labels = value["labels"]
    return hasattr(labels, "shape") and not isinstance(value.get("text_labels"), list)


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read the dictionary of one picture; masks are cut at 0.5, objects of class 0 (background) are left out.

    Classes are numbers; ``names`` (``weights.meta["categories"]``) turns them into words.

    Raises:
        InputError: the model has found boxes only, or the masks have another shape.
    """
    if "masks" not in value:
        raise InputError(f"{_WHAT}: boxes without masks: use a model that segments, such as maskrcnn_resnet50_fpn")
    masks, classes = to_numpy(value["masks"], f"{_WHAT}.masks"), to_numpy(value["labels"], f"{_WHAT}.labels")
    if not len(masks) and not len(classes):
        return Detections([])
    if masks.ndim not in (3, 4) or (masks.ndim == 4 and masks.shape[1] != 1) or len(classes) != len(masks):
        raise InputError(f"{_WHAT}: expected masks (N, 1, H, W) and N labels, got {masks.shape} and {classes.shape}")
    kept = classes != 0
    if not kept.all():
        log.warning("%s: %d of %d objects are of class 0, background: left out", _WHAT, (~kept).sum(), len(kept))
    labels = [class_name(c, names) for c in classes[kept]]
    scores = to_numpy(value["scores"], f"{_WHAT}.scores")[kept]
    return from_columns(masks[kept], size_hw, _WHAT, scores=scores, labels=labels)
