"""SAM's automatic mask generator: a list of ``{"segmentation", "predicted_iou", "bbox", "area", ...}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import Detections, Names, build
from maskferry.errors import InputError
from maskferry.rle import Rle

__all__ = ["is_sam", "read_sam"]

_WHAT = "SAM's masks"


def is_sam(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the generator's list."""
    records = isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    return records and all("segmentation" in item and "segments_info" not in item for item in value)


def read_sam(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read masks or RLEs, compressed or not; ``predicted_iou`` is the score. There are no names.

    Raises:
        InputError: a malformed RLE; the message says which.
    """
    masks = [_decode(item["segmentation"], f"{_WHAT}[{i}].segmentation") for i, item in enumerate(value)]
    scores = [item.get("predicted_iou") for item in value]
    return build(masks, size_hw, _WHAT, scores=None if None in scores else scores)


def _decode(value: Any, what: str) -> Any:  # noqa: ANN401
    if not isinstance(value, Mapping):
        return value
    try:
        return Rle.from_coco(dict(value)).decode()
    except InputError as err:
        raise InputError(f"{what}: {err}") from err
