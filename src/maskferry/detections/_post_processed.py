"""Hugging Face transformers: what ``post_process_instance_segmentation`` and ``post_process_panoptic_segmentation``
return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskferry.data import Mask
from maskferry.detections._columns import class_name, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._binarize import binarize
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read"]


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like ``{"segmentation", "segments_info"}``."""
    return isinstance(value, Mapping) and {"segmentation", "segments_info"} <= set(value)


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read the segments that ``segments_info`` lists; whatever else is in the map (0 or -1) is background.

    Classes are numbers; ``names`` (``model.config.id2label``) turns them into words.

    Raises:
        InputError: the segmentation is neither a map (H, W) nor masks (N, H, W).
    """
    what, infos = "segments_info", list(value["segments_info"])
    if not infos:
        return Detections([])
    masks = _segments(value["segmentation"], infos)
    scores = [info.get("score") for info in infos]
    labels = [class_name(info["label_id"], names) if "label_id" in info else None for info in infos]
    return from_columns(masks, size_hw, what, scores=None if None in scores else scores, labels=labels)


def _segments(segmentation: Any, infos: list[Any]) -> list[Mask]:  # noqa: ANN401
    if isinstance(segmentation, list):
        raise InputError("segmentation: run lengths in a list: call the post-processor without return_coco_annotation")
    array = to_numpy(segmentation, "segmentation")
    if array.ndim == 2:
        return [np.asarray(array == info["id"]) for info in infos]
    if array.ndim == 3 and len(array) == len(infos):  # return_binary_maps=True
        return [binarize(mask, "segmentation") for mask in array]
    raise InputError(f"segmentation: expected (H, W), or (N, H, W) for {len(infos)} segments, got {array.shape}")
