"""From the columns of a model's result (masks, scores, names, ids) to `Detections`: what the readers share."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from maskferry._arguments import foreign
from maskferry.data import Mask
from maskferry.detections._detections import Detections
from maskferry.errors import InputError
from maskferry.masks._binarize import binarize
from maskferry.masks._convert import listed, one_channel, resize_masks, to_numpy
from maskferry.rle import Rle

__all__ = ["class_name", "decode_rle", "fill_outline", "fitted", "from_columns"]

log = logging.getLogger(__name__)


def from_columns(
    masks: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    what: str,
    *,
    scores: Any = None,  # noqa: ANN401
    labels: Sequence[str | None] | None = None,
    ids: Any = None,  # noqa: ANN401
) -> Detections:
    """Make `Detections` of the columns of a model's result; rows with an empty mask are left out and logged.

    Args:
        masks: (N, H, W) or (N, 1, H, W), bool or soft, or a sequence of N masks, of COCO's RLEs, or of None, which is
            an empty one.
        size_hw: of the video; masks of another size are resized to it, with a warning.
        what: how errors call the result.
        scores: (N,), limited to [0, 1]; or None.
        labels: N names; or None.
        ids: (N,), of a tracker; they become the objects' ids if all are whole numbers from 1 and differ. Or None.

    Raises:
        InputError: masks are malformed, or the lengths differ.
    """
    items = listed(masks, f"{what}: masks", "masks (N, H, W)")
    count = len(items)
    read = [_read_mask(item, f"{what}: masks[{i}]") for i, item in enumerate(items)]
    found = Detections(
        read,
        _scores(scores, count, f"{what}.scores"),
        _labels(labels, count, what),
        _tracker_ids(ids, count, what),
    )
    return fitted(found, size_hw, what)


def fitted(found: Detections, size_hw: tuple[int, int], what: str) -> Detections:
    """The same with masks of the size of the video, without rows whose mask is empty, which are counted in the log."""
    masks = resize_masks(found.masks, size_hw, what=f"{what}: a mask")
    kept = [i for i, mask in enumerate(masks) if mask.any()]
    if len(kept) < len(masks):
        log.warning("%s: %d of %d masks are empty: left out", what, len(masks) - len(kept), len(masks))
    return Detections(
        [masks[i] for i in kept],
        [found.scores[i] for i in kept],
        [found.labels[i] for i in kept],
        None if found.object_ids is None else [found.object_ids[i] for i in kept],
    )


def _read_mask(value: Any, what: str) -> Mask:  # noqa: ANN401
    """A mask at its own size, from whatever `masks.as_mask` takes or COCO's RLE; None is an empty one."""
    if value is None:
        return np.zeros((1, 1), dtype=np.bool_)
    if isinstance(value, Mapping):
        return decode_rle(value, what)
    return binarize(one_channel(value, what), what)


def decode_rle(value: Mapping[Any, Any], what: str) -> Mask:
    """Decode one of COCO's RLEs, ``{"size", "counts"}``, compressed or not.

    Raises:
        InputError: it is malformed.
    """
    try:
        return Rle.from_coco(dict(value)).decode()
    except InputError as err:
        raise InputError(f"{what}: {err}") from err


def fill_outline(points_xy: Any, size_hw: tuple[int, int], what: str) -> Mask:  # noqa: ANN401
    """The inside of an outline (K, 2) that goes through the middles of pixels, as OpenCV traces them; those belong to
    it. Without three points there is no inside.

    Raises:
        InputError: the points are not finite numbers.
    """
    mask = np.zeros(size_hw, dtype=np.uint8)
    points = to_numpy(points_xy, what)
    if not np.isfinite(points).all() or (points.size and np.abs(points).max() > FARTHEST):
        raise InputError(f"{what}: expected points of an outline in pixels, (K, 2), got some far outside or infinite")
    if points.size:
        cv2.fillPoly(mask, [np.rint(points.reshape(-1, 2)).astype(np.int32)], 1)
    return mask.astype(np.bool_)


FARTHEST = 1 << 20
"""Pixels from the corner of a picture; OpenCV counts in 16 bits before its fractions."""


def _labels(value: Sequence[str | None] | None, count: int, what: str) -> list[str | None]:
    with foreign(f"{what}.labels"):
        labels: list[str | None] = [None] * count if value is None else list(value)
    if len(labels) != count:
        raise InputError(f"{what}.labels: expected one for each of {count} masks, got {len(labels)}")
    return labels


def _scores(value: Any, count: int, what: str) -> list[float | None]:  # noqa: ANN401
    """A column of scores, limited to [0, 1]; None for each mask where the model gives none."""
    if value is None:
        return [None] * count
    return [min(1.0, max(0.0, score)) for score in _column(value, count, what)]


def _column(value: Any, count: int, what: str) -> list[float]:  # noqa: ANN401
    """A column of numbers, (N,) or (N, 1).

    Raises:
        InputError: another shape, or values that are not finite.
    """
    array = to_numpy(value, what).astype(np.float64).reshape(-1) if count else np.empty(0)
    if array.size != count or not np.isfinite(array).all():
        raise InputError(f"{what}: expected a finite number for each of {count} masks, got {array.size}")
    found: list[float] = array.tolist()
    return found


def _tracker_ids(value: Any, count: int, what: str) -> list[int] | None:  # noqa: ANN401
    """The ids of a tracker, where all are whole numbers from 1 and differ; otherwise None, and a line in the log."""
    if value is None or not count or (isinstance(value, list | tuple) and all(i is None for i in value)):
        return None
    try:
        ids = [int(v) for v in _column(value, count, f"{what}.ids")]
    except InputError:
        ids = []
    if not ids or min(ids) < 1 or len(set(ids)) < len(ids):
        log.warning("%s: its ids are no object ids (from 1, each once): left out", what)
        return None
    return ids


def class_name(number: Any, names: Any) -> str:  # noqa: ANN401
    """The name of a class: "dog", or "class 3" where it has none."""
    index = int(number)
    try:
        return str(names[index]) if names is not None and index >= 0 else f"class {index}"
    except (KeyError, IndexError):
        return f"class {index}"
