"""Roboflow's ``inference``: the responses of its models, as objects or as the dictionaries that its servers send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskferry.data import Mask
from maskferry.detections._columns import decode_rle, fill_outline, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError

__all__ = ["matches", "read"]

_WHAT = "Roboflow's predictions"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like a response: it has predictions."""
    return "predictions" in value if isinstance(value, Mapping) else hasattr(value, "predictions")


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read outlines (``points``), RLEs (``rle``), and those of SAM (``masks``); ids are those of a tracker.

    Raises:
        InputError: boxes, keypoints or classes only; or an outline or an RLE is malformed.
    """
    found = _get(value, "predictions")
    if not isinstance(found, list | tuple):
        raise InputError(f"{_WHAT}: expected a list of objects, got {type(found).__name__}: {_ADVICE}")
    own_size = _picture_size(value, size_hw)
    masks = [_mask(item, own_size, f"{_WHAT}[{i}]") for i, item in enumerate(found)]
    without = sum(mask is None for mask in masks)
    if without:
        raise InputError(f"{_WHAT}: {without} of {len(found)} have no outline and no mask: {_ADVICE}")
    scores = [_get(item, "confidence") for item in found]
    return from_columns(
        masks,
        size_hw,
        _WHAT,
        scores=None if None in scores else scores,
        labels=[_label(item) for item in found],
        ids=[_get(item, "tracker_id") for item in found],
    )


_ADVICE = "use a model of instance segmentation"


def _get(value: Any, name: str) -> Any:  # noqa: ANN401
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _label(item: Any) -> str | None:  # noqa: ANN401
    name = _get(item, "class") or _get(item, "class_name")
    return None if name is None else str(name)


def _picture_size(value: Any, size_hw: tuple[int, int]) -> tuple[int, int]:  # noqa: ANN401
    """The size of the picture that outlines belong to; that of the video where the response does not say."""
    image = _get(value, "image")
    image = image[0] if isinstance(image, list | tuple) and image else image
    height, width = (_get(image, name) for name in ("height", "width"))
    return size_hw if not height or not width else (int(height), int(width))


def _mask(item: Any, size_hw: tuple[int, int], what: str) -> Mask | None:  # noqa: ANN401
    """The mask of an object; None where the model has found none."""
    for name in ("rle", "rle_mask", "masks"):
        rle = _get(item, name)
        if isinstance(rle, Mapping):
            return decode_rle(rle, f"{what}.{name}")
    outline, several = _get(item, "points"), _get(item, "masks")
    if outline is None and several is None:
        return None
    outlines = [outline] if outline is not None else list(several)
    mask = np.zeros(size_hw, dtype=np.bool_)
    for points in outlines:
        mask |= fill_outline([_xy(point) for point in points], size_hw, what)
    return mask


def _xy(point: Any) -> tuple[float, float]:  # noqa: ANN401
    """A point as ``{"x", "y"}``, as an object of both, or as the pair."""
    if isinstance(point, Mapping) or hasattr(point, "x"):
        return float(_get(point, "x")), float(_get(point, "y"))
    x, y = point
    return float(x), float(y)
