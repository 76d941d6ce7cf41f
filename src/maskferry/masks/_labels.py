"""Masks <-> label map, and the one policy for pixels that several objects claim."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskferry._arguments import foreign
from maskferry.data import FrameMasks, Mask, ObjectMask
from maskferry.errors import InputError
from maskferry.limits import most_pixels
from maskferry.masks._convert import one_channel

__all__ = ["Overlap", "label_dtype", "split_labels", "to_label_map"]

Overlap = Literal["smallest", "score", "first", "last"]
"""Who gets a pixel that several objects claim: the smallest object (so that none disappears under another), the
one with the best score, or the one with the first or the last id. Ties go to the lower id."""


_FULL_MASKS = 16
"""Masks of the largest size that a label map may be taken apart into; of smaller ones, as many more."""


@foreign("masks.label_dtype")
def label_dtype(largest_id: int) -> type[np.uint8] | type[np.uint16]:
    """uint8, or uint16 as soon as an id is above 255.

    Raises:
        InputError: the id is above 65535, more than a label map can hold.
    """
    if largest_id > 65535:
        raise InputError(f"a label map holds ids up to 65535, got {largest_id}")
    return np.uint8 if largest_id <= 255 else np.uint16


@foreign("masks.to_label_map")
def to_label_map(
    masks: FrameMasks, *, overlap: Overlap = "smallest", dtype: type[np.unsignedinteger[Any]] | None = None
) -> NDArray[np.unsignedinteger[Any]]:
    """Paint all objects of a frame into one map (H, W): 0 is background, n is object n.

    Args:
        masks: the frame's objects.
        overlap: who gets a pixel that several objects claim, see `Overlap`.
        dtype: uint8 or uint16; by default the smallest that holds every id.

    Raises:
        InputError: an id does not fit the dtype, or the overlap policy is unknown.
    """
    largest = max(masks.object_ids, default=0)
    dtype = dtype or label_dtype(largest)
    if largest > np.iinfo(dtype).max:
        raise InputError(f"object id {largest} does not fit into {np.dtype(dtype).name}; use uint16")
    out = np.zeros(masks.size_hw, dtype=dtype)
    for row in sorted(masks.objects, key=_paint_key(overlap)):
        if (found := row.rle.decode_crop()) is not None:
            (x1, y1, x2, y2), mask = found
            out[y1:y2, x1:x2][mask] = row.object_id
    return out


def _paint_key(overlap: Overlap) -> Any:  # noqa: ANN401
    """Sort key that puts the winner last, as it is painted over the others."""

    def smallest(row: ObjectMask) -> tuple[float, int]:
        return -row.rle.area, -row.object_id

    def score(row: ObjectMask) -> tuple[float, int]:
        return row.score, -row.object_id

    keys = {
        "smallest": smallest,
        "score": score,
        "first": lambda row: -row.object_id,
        "last": lambda row: row.object_id,
    }
    if overlap not in keys:
        raise InputError(f"overlap: expected one of {', '.join(get_args(Overlap))}, got {overlap!r}")
    return keys[overlap]


@foreign("masks.split_labels")
def split_labels(label_map: ArrayLike, *, void: int | None = None) -> dict[int, Mask]:
    """Take a label map apart: {object id: bool (H, W)}, by ascending id, without ids below 1 and ``void``.

    `MaskTracker.add_masks_prompt` and `track` take what it returns. In a map of classes, 0 may be a class as well; its
    mask is ``label_map == 0``.

    Args:
        label_map: (H, W), (1, H, W) or (H, W, 1), whole numbers of any type; a tensor of torch will do.
        void: a number that is no object.

    Raises:
        InputError: it is no label map, or the masks of all objects together would fill the memory.
    """
    label_map = one_channel(label_map, "label_map")
    if label_map.dtype.kind == "f" and not (label_map == np.rint(label_map)).all():
        raise InputError("label_map: expected whole numbers, got fractions: this is a soft mask, or no label map")
    ids = [int(i) for i in np.unique(label_map) if i > 0 and i != void]
    most = _FULL_MASKS * most_pixels()
    if len(ids) * label_map.size > most:
        raise InputError(
            f"a label map of {label_map.shape[1]}x{label_map.shape[0]} with {len(ids)} objects: their masks take "
            f"{len(ids) * label_map.size} bytes, {most} are allowed: make it smaller, or track fewer objects at a time"
        )
    return {i: label_map == i for i in ids}
