"""Whatever a model has returned -> `Detections`: which kind it is, and who reads that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from maskferry.detections._columns import Detections, Names, single
from maskferry.detections._detectron2 import is_detectron2, read_detectron2
from maskferry.detections._grounding import is_grounding, read_grounding
from maskferry.detections._huggingface import (
    is_image_segmentation,
    is_mask_generation,
    is_post_processed,
    read_image_segmentation,
    read_mask_generation,
    read_post_processed,
)
from maskferry.detections._sam import is_sam, read_sam
from maskferry.detections._supervision import is_supervision, read_supervision
from maskferry.detections._torchvision import is_torchvision, read_torchvision
from maskferry.detections._ultralytics import is_ultralytics, read_ultralytics
from maskferry.errors import InputError
from maskferry.masks._convert import as_mask, as_masks

__all__ = ["KINDS", "detect_kind", "read_detections"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of result.

    Attributes:
        matches: whether a value is of this kind.
        read: (value, size_hw, names) -> what is in it.
        batched: models return a list of these, one for each picture.
    """

    matches: Callable[[Any], bool]
    read: Callable[[Any, tuple[int, int], Names | None], Detections]
    batched: bool = False


KINDS = {
    "ultralytics Results": Kind(is_ultralytics, read_ultralytics, batched=True),
    "supervision.Detections": Kind(is_supervision, read_supervision),
    "Detectron2 output": Kind(is_detectron2, read_detectron2, batched=True),
    "segmentation with segments_info": Kind(is_post_processed, read_post_processed, batched=True),
    "SAM's mask generator": Kind(is_sam, read_sam),
    "image-segmentation pipeline": Kind(is_image_segmentation, read_image_segmentation),
    "torchvision Mask R-CNN": Kind(is_torchvision, read_torchvision, batched=True),
    "GroundingDINO + SAM": Kind(is_grounding, read_grounding, batched=True),
    "mask-generation pipeline": Kind(is_mask_generation, read_mask_generation),
}
"""{name: kind}, in the order in which they are asked."""


def detect_kind(value: Any) -> str | None:  # noqa: ANN401
    """The name of the kind of result that this is, of `KINDS`; None for anything else, such as plain arrays.

    >>> detect_kind({"masks": [], "scores": []})
    'mask-generation pipeline'
    """
    return next((name for name, kind in KINDS.items() if kind.matches(value)), None)


def read_detections(
    value: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    *,
    min_score: float = 0.0,
    names: Names | None = None,
) -> Detections:
    """Read what a model has found on one picture.

    Args:
        value: what the model returned: ultralytics Results; Detectron2 Instances, a predictor's dictionary or panoptic
            output; the dictionary of torchvision's Mask R-CNN; what the pipelines image-segmentation and
            mask-generation of transformers return, or its post-processors of instances; the pair (result of
            GroundingDINO, masks of SAM); the list of SAM's mask generator; supervision.Detections. A list with one of
            these, of one picture, will do. Or plain masks, as `masks.convert.as_masks` takes them. None of these
            packages is imported.
        size_hw: of the video. Masks of another size are resized to it, with a warning.
        min_score: leave out what has a lower score.
        names: names of classes by number, where the result has numbers only.

    Returns:
        What was found, in the model's order; without rows whose mask is empty.

    Raises:
        InputError: this is none of these, or there are boxes without masks, or masks are malformed.

    Warns:
        MaskResizedWarning: the masks do not have the size of the video.
    """
    if isinstance(value, Detections):
        masks = [as_mask(mask, size_hw, what=f"masks[{i}]") for i, mask in enumerate(value.masks)]
        return replace(value, masks=masks).at_least(min_score)
    kind = detect_kind(value)
    if kind is None and isinstance(value, list | tuple) and value:
        inner = detect_kind(value[0])
        if inner is not None and KINDS[inner].batched:
            kind, value = inner, single(value, inner)
    if kind is not None:
        return KINDS[kind].read(value, size_hw, names).at_least(min_score)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        keys = f" with the keys {', '.join(map(str, list(value)[:8]))}" if isinstance(value, Mapping) else ""
        name = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
        raise InputError(
            f"masks: cannot read {name}{keys}; expected a stack or a list of masks, or one of: {', '.join(KINDS)}"
        )
    return Detections(as_masks(value, size_hw))
