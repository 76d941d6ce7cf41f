"""Detectron2: ``Instances``, what a predictor returns (``{"instances": ...}``), and panoptic output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskferry.detections._columns import class_name, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read"]

_WHAT = "Detectron2 Instances"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like ``Instances``, a predictor's dictionary, or the pair of panoptic output."""
    if isinstance(value, Mapping):
        return "instances" in value or "panoptic_seg" in value
    return _is_instances(value) or _is_panoptic(value)


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read instances or, where there are none, panoptic segments that are things.

    Classes are numbers, from 0; ``names`` (``MetadataCatalog.get(...).thing_classes``) turns them into words.

    Raises:
        InputError: there are no masks, or the panoptic output does not say what its segments are.
    """
    if isinstance(value, Mapping):
        value = value["instances"] if "instances" in value else value["panoptic_seg"]
    if _is_panoptic(value):
        return _read_panoptic(value, size_hw, names)
    if not _is_instances(value):
        raise InputError(f"{_WHAT}: expected Instances with pred_masks, got {type(value).__name__}")
    return _read_instances(value, size_hw, names)


def _read_instances(value: Any, size_hw: tuple[int, int], names: Names | None) -> Detections:  # noqa: ANN401
    masks = _pasted_masks(value)
    classes = to_numpy(value.pred_classes, f"{_WHAT}.pred_classes") if value.has("pred_classes") else None
    labels = None if classes is None else [class_name(c, names) for c in classes]
    scores = value.scores if value.has("scores") else None
    return from_columns(masks, size_hw, _WHAT, scores=scores, labels=labels)


def _pasted_masks(value: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """The masks of instances, of the size of their picture.

    Raises:
        InputError: there are none, or they are not pasted into the picture yet.
    """
    if not value.has("pred_masks"):
        raise InputError(f"{_WHAT} without pred_masks: use a model that segments, such as Mask R-CNN")
    masks = value.pred_masks
    masks = to_numpy(getattr(masks, "tensor", masks), f"{_WHAT}.pred_masks")
    if masks.ndim == 3 and len(masks) and masks.shape[1:] != tuple(int(v) for v in value.image_size):
        raise InputError(
            f"{_WHAT}.pred_masks: expected masks of image_size {tuple(value.image_size)}, got {masks.shape[1:]}: "
            "paste them first (detector_postprocess)"
        )
    return masks


def _is_instances(value: Any) -> bool:  # noqa: ANN401
    return hasattr(value, "image_size") and callable(getattr(value, "has", None))


def _is_panoptic(value: Any) -> bool:  # noqa: ANN401
    """(segments (H, W), list of what they are, or None)."""
    if not isinstance(value, tuple) or len(value) != 2 or getattr(value[0], "ndim", 0) != 2:
        return False
    infos = value[1]
    return infos is None or (isinstance(infos, list) and all(isinstance(i, Mapping) and "id" in i for i in infos))


def _read_panoptic(value: Any, size_hw: tuple[int, int], names: Names | None) -> Detections:  # noqa: ANN401
    segments, infos = to_numpy(value[0], "panoptic_seg"), value[1]
    if infos is None:
        raise InputError("panoptic_seg: segments_info is None, so nobody says which segments are objects")
    things = [info for info in infos if info.get("isthing", True)]
    labels = [class_name(info["category_id"], names) if "category_id" in info else None for info in things]
    scores = [info.get("score") for info in things]
    return from_columns(
        [np.asarray(segments == info["id"]) for info in things],
        size_hw,
        "panoptic_seg",
        scores=None if None in scores else scores,
        labels=labels,
    )
