"""Results of ultralytics (YOLO, SAM, ...): attributes ``orig_shape``, ``names``, ``boxes``, ``masks``.

``masks.data`` (N, h, w) lies at the size at which the model looked, with borders that keep the picture's proportions,
unless ``retina_masks=True``; these borders are taken away as ``scale_masks`` of ``ultralytics/utils/ops.py`` does.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from maskferry.data import Mask
from maskferry.detections._columns import class_name, fill_outline, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._binarize import binarize
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read", "undo_letterbox"]

_WHAT = "ultralytics Results"

_OTHER_TASKS = ("obb", "probs", "keypoints", "semantic_mask", "depth")
"""What results of other tasks have; ``_keys`` names them all, where it is there."""

_ADVICE = "use a model that segments objects, such as one whose name ends in -seg"
_SEMANTIC = {
    "semantic_mask": "it says which class each pixel has, not what the objects are: pass a mask of each class that is "
    f"an object (`result.semantic_mask.data == number`), or {_ADVICE}"
}


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like ``Results``."""
    return all(hasattr(value, name) for name in ("orig_shape", "boxes", "masks"))


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read ``Results``; tracked ids (``boxes.id``) are the objects' ids. Results of SAM may have no boxes.

    Raises:
        InputError: the model has found boxes only, or does another task.
    """
    if value.masks is None:
        _check_task(value)
        return Detections([])
    height, width = (int(v) for v in value.orig_shape[:2])
    masks = _masks(value.masks, (height, width))
    boxes, called = value.boxes, getattr(value, "names", None) or names
    if boxes is None:
        return from_columns(masks, size_hw, _WHAT)
    classes = getattr(boxes, "cls", None)
    labels = None if classes is None else [class_name(c, called) for c in to_numpy(classes, _WHAT).reshape(-1)]
    ids = getattr(boxes, "id", None)
    return from_columns(masks, size_hw, _WHAT, scores=getattr(boxes, "conf", None), labels=labels, ids=ids)


def _check_task(value: Any) -> None:  # noqa: ANN401
    """Refuse results without masks that are not just those of a picture on which nothing was found.

    Raises:
        InputError: there are boxes, or the model does another task than segmentation of objects.
    """
    for name in dict.fromkeys((*_OTHER_TASKS, *getattr(value, "_keys", ()))):
        if name not in ("boxes", "masks") and getattr(value, name, None) is not None:
            raise InputError(f"{_WHAT} without masks, of another task ({name}): {_SEMANTIC.get(name, _ADVICE)}")
    if value.boxes is not None and len(value.boxes):
        raise InputError(f"{_WHAT} without masks: {_ADVICE}")


def undo_letterbox(mask: Mask, size_hw: tuple[int, int]) -> Mask:
    """Cut the borders off that a picture of ``size_hw`` was given on its way to the size of ``mask``, and enlarge."""
    (h, w), (height, width) = mask.shape, size_hw
    if (h, w) == size_hw:
        return mask
    gain = min(h / height, w / width)
    pad_x, pad_y = (w - width * gain) / 2, (h - height * gain) / 2
    top, left = round(pad_y - 0.1), round(pad_x - 0.1)
    inner = mask[top : h - round(pad_y + 0.1), left : w - round(pad_x + 0.1)]
    if not inner.size:
        raise InputError(f"{_WHAT}: masks of {h}x{w} cannot be of a picture of {height}x{width} (height, width)")
    return np.asarray(cv2.resize(inner.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)


def _masks(masks: Any, size_hw: tuple[int, int]) -> list[Mask]:  # noqa: ANN401
    data = getattr(masks, "data", None)
    if data is None:
        return [fill_outline(points, size_hw, f"{_WHAT}.masks.xy") for points in masks.xy]
    stack = to_numpy(data, f"{_WHAT}.masks.data")
    if stack.ndim != 3:
        raise InputError(f"{_WHAT}.masks.data: expected (N, h, w), got {stack.shape}")
    return [undo_letterbox(binarize(mask, f"{_WHAT}.masks.data"), size_hw) for mask in stack]
