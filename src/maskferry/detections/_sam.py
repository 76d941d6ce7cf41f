"""SAM's automatic mask generator: a list of ``{"segmentation", "predicted_iou", "bbox", "area", ...}``.

So are the annotations of a picture in SA-1B (``{"image", "annotations"}``), COCO's results and COCO's annotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskferry.detections._columns import class_name, decode_rle, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._polygons import rasterize

__all__ = ["matches", "read"]

_WHAT = "SAM's masks"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the generator's list, one of its dictionaries, or a file of SA-1B."""
    if isinstance(value, Mapping):
        return _is_record(value) or isinstance(value.get("annotations"), list)
    records = isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    return records and all(map(_is_record, value))


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read masks, RLEs, compressed or not, or polygons; ``predicted_iou`` or ``score`` is the score.

    Only COCO's have classes; they are numbers, and ``names`` turns them into words.

    Raises:
        InputError: a malformed RLE or polygon; the message says which. Or there are several pictures.
    """
    records = _records(value)
    own_size = _picture_size(value, size_hw)
    masks = [_pixels(item, own_size, f"{_WHAT}[{i}].segmentation") for i, item in enumerate(records)]
    scores = [item.get("predicted_iou", item.get("score")) for item in records]
    if names is None and isinstance(value, Mapping):
        names = {one["id"]: one["name"] for one in value.get("categories") or ()}
    labels = [class_name(item["category_id"], names) if "category_id" in item else None for item in records]
    return from_columns(masks, size_hw, _WHAT, scores=None if None in scores else scores, labels=labels)


def _is_record(value: Mapping[Any, Any]) -> bool:
    return "segmentation" in value and "segments_info" not in value


def _records(value: Any) -> list[Mapping[Any, Any]]:  # noqa: ANN401
    """The dictionaries of one picture.

    Raises:
        InputError: they are of several pictures, or some have no segmentation.
    """
    if not isinstance(value, Mapping):
        found = list(value)
    else:
        found = [value] if _is_record(value) else list(value["annotations"])
    pictures = {str(item.get("image_id")) for item in found if isinstance(item, Mapping)}
    if len(pictures) > 1:
        raise InputError(f"{_WHAT}: got those of {len(pictures)} pictures; pass those with the image_id of one")
    without = sum(not (isinstance(item, Mapping) and _is_record(item)) for item in found)
    if without:
        raise InputError(f"{_WHAT}: {without} of {len(found)} have no segmentation: boxes cannot be tracked")
    return found


def _picture_size(value: Any, size_hw: tuple[int, int]) -> tuple[int, int]:  # noqa: ANN401
    """The size that a file of SA-1B or COCO gives its picture; by default the video's."""
    images = [value.get("image"), *(value.get("images") or ())] if isinstance(value, Mapping) else []
    sizes = {(int(i["height"]), int(i["width"])) for i in images if isinstance(i, Mapping)}
    return sizes.pop() if len(sizes) == 1 else size_hw


def _pixels(item: Mapping[Any, Any], size_hw: tuple[int, int], what: str) -> Any:  # noqa: ANN401
    """A mask as it is, an RLE decoded, the polygons of COCO, lists of numbers x, y, x, y, ..., filled."""
    value = item["segmentation"]
    if isinstance(value, Mapping):
        return decode_rle(value, what)
    if not isinstance(value, list) or not all(_is_polygon(part) for part in value):
        return value
    mask = np.zeros(size_hw, dtype=np.bool_)
    for part in value:
        if len(part) % 2:
            raise InputError(f"{what}: expected polygons [x, y, x, y, ...], got one of {len(part)} numbers")
        mask |= rasterize(np.asarray(part, dtype=np.float64).reshape(-1, 2), size_hw).decode()
    return mask


def _is_polygon(part: Any) -> bool:  # noqa: ANN401
    """Whether these are the numbers of a polygon, and no row of a mask: some are no 0 or 1, and no bool."""
    if not isinstance(part, list) or len(part) < 6:
        return False
    return any(isinstance(v, float) or (isinstance(v, int) and v not in (0, 1)) for v in part)
