"""Masks as samgeo takes them: whatever is above 0 belongs to the object, whatever the type."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.errors import InputError
from maskferry.masks import to_numpy
from maskferry.samgeo._messages import say

__all__ = ["is_empty", "list_masks"]


def list_masks(masks: Any, size_hw: tuple[int, int]) -> Any:  # noqa: ANN401
    """The masks of a batch, floats among them cut above 0.

    Args:
        masks: (N, H, W), with any more axes of length 1; a list of arrays or files; or anything else.
        size_hw: of the video.

    Returns:
        A list with a mask for each object where that can be told; otherwise what came: whoever reads it knows what
        other models make, and says what is wrong.
    """
    if isinstance(masks, list | tuple):
        return [mask if isinstance(mask, str | Path) else _one(mask, f"masks[{i}]") for i, mask in enumerate(masks)]
    if not hasattr(masks, "shape") or not hasattr(masks, "dtype"):
        return masks
    array = _cut(to_numpy(masks, "masks"), "masks")
    if array.shape == size_hw:
        return [array]
    is_stack = array.ndim > 2 and array.shape[-2:] == size_hw and math.prod(array.shape[1:-2]) == 1
    return list(array.reshape(-1, *size_hw)) if is_stack else array


def _one(mask: Any, what: str) -> Any:  # noqa: ANN401
    """One mask, (H, W), also where more axes of length 1 are around it."""
    try:
        array = _cut(to_numpy(mask, what), what)
    except InputError:
        return mask  # what another model has found
    sides = [side for side in array.shape if side != 1]
    return array.reshape(sides) if array.ndim > 2 and len(sides) == 2 else array


def _cut(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Floats, above 0, unless one of them is NaN; other types as they are."""
    if array.dtype.kind != "f" or np.isnan(array).any():
        return array
    found = array > 0
    if array.size and array.min() >= 0 and array.max() <= 1 and (array[found] <= 0.5).any():
        say(f"{what}: all values above 0 belong to the object, as in samgeo; for another cut, pass `mask > 0.5`.")
    return np.asarray(found)


def is_empty(mask: Any) -> bool:  # noqa: ANN401
    """Whether this is an array without a pixel of an object."""
    return isinstance(mask, np.ndarray) and mask.size > 0 and not mask.any()
