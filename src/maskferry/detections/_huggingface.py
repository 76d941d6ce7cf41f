"""Hugging Face transformers: the pipelines "image-segmentation" and "mask-generation", and what
``post_process_instance_segmentation`` and ``post_process_panoptic_segmentation`` return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskferry.data import Mask
from maskferry.detections._columns import Detections, Names, build, name_of
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = [
    "is_image_segmentation",
    "is_mask_generation",
    "is_post_processed",
    "read_image_segmentation",
    "read_mask_generation",
    "read_post_processed",
]


def is_image_segmentation(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the list of the pipeline "image-segmentation"."""
    records = isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    return records and all({"mask", "label"} <= set(item) for item in value)


def read_image_segmentation(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read a list of ``{"score", "label", "mask"}``, whose masks are pictures of 0 and 255."""
    scores = [item.get("score") for item in value]
    return build(
        [item["mask"] for item in value],
        size_hw,
        "image-segmentation",
        scores=None if None in scores else scores,
        labels=[str(item["label"]) for item in value],
    )


def is_mask_generation(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the dictionary of the pipeline "mask-generation"."""
    return isinstance(value, Mapping) and {"masks", "scores"} <= set(value) and "labels" not in value


def read_mask_generation(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read ``{"masks", "scores"}``; the masks have no names."""
    return build(value["masks"], size_hw, "mask-generation", scores=value["scores"])


def is_post_processed(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like ``{"segmentation", "segments_info"}``."""
    return isinstance(value, Mapping) and {"segmentation", "segments_info"} <= set(value)


def read_post_processed(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
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
    labels = [name_of(info["label_id"], names) if "label_id" in info else None for info in infos]
    return build(masks, size_hw, what, scores=None if None in scores else scores, labels=labels)


def _segments(segmentation: Any, infos: list[Any]) -> list[Mask]:  # noqa: ANN401
    if isinstance(segmentation, list):
        raise InputError("segmentation: run lengths in a list: call the post-processor without return_coco_annotation")
    array = to_numpy(segmentation, "segmentation")
    if array.ndim == 2:
        return [np.asarray(array == info["id"]) for info in infos]
    if array.ndim == 3 and len(array) == len(infos):  # return_binary_maps=True
        return [np.asarray(mask > 0.5) for mask in array]
    raise InputError(f"segmentation: expected (H, W), or (N, H, W) for {len(infos)} segments, got {array.shape}")
