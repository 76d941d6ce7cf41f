"""Whatever a caller has for a mask -> a bool mask at the size of the video."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from maskferry._arguments import foreign, whole
from maskferry.data import Mask
from maskferry.errors import InputError, MaskResizedWarning
from maskferry.limits import check_size_hw
from maskferry.masks._binarize import binarize

__all__ = [
    "as_mask",
    "as_masks",
    "checked_size",
    "listed",
    "one_channel",
    "resize_mask",
    "resize_masks",
    "stacked",
    "to_numpy",
]


def as_mask(value: ArrayLike, size_hw: tuple[int, int], *, what: str = "mask") -> Mask:
    """Read one mask in any usual form.

    Args:
        value: (H, W), (1, H, W) or (H, W, 1); bool, whole numbers (non-zero is the object) or floats (probabilities:
            the object is > 0.5; or 0 to 255, halved likewise); `binarize` has the whole rule.
            A torch tensor is read through its ``cpu().numpy()``.
        size_hw: the video's size. Another size is resized to it, nearest neighbour, with a warning.
        what: how errors call this mask.

    Returns:
        bool (H, W), a fresh array.

    Raises:
        InputError: wrong rank or channels, NaN, logits, a label map of several objects, or no pixel set.
    """
    size_hw = checked_size(size_hw)
    array = one_channel(value, what)
    mask = binarize(array, what)
    if not mask.any():
        raise InputError(f"{what} is empty: no pixel of {array.shape[1]}x{array.shape[0]} belongs to the object")
    resized = resize_mask(mask, size_hw, what=what)
    if not resized.any():
        raise InputError(f"{what} is too small: nothing is left of it at the size of the video, {_size(size_hw)}")
    return resized


def one_channel(value: Any, what: str) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """The values of one mask, (H, W), with at least one pixel.

    Raises:
        InputError: another shape, or no numbers.
    """
    array = to_numpy(value, what)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    elif array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2:
        raise InputError(_explain_shape(array, what))
    if not array.size:
        raise InputError(f"{what}: expected (H, W) with at least one pixel, got shape {array.shape}")
    return array


def as_masks(values: Any, size_hw: tuple[int, int], *, what: str = "masks") -> list[Mask]:  # noqa: ANN401
    """Read several masks: a stack (N, H, W) or (N, 1, H, W), or a sequence of anything `as_mask` reads.

    Raises:
        InputError: no masks at all, or one of them is refused; the message says which.
    """
    size_hw = checked_size(size_hw)
    items = stacked(values, size_hw, what)
    if not items:
        raise InputError(f"{what}: expected at least one mask, got none")
    return [as_mask(item, size_hw, what=f"{what}[{i}]") for i, item in enumerate(items)]


def stacked(values: Any, size_hw: tuple[int, int], what: str) -> list[Any]:  # noqa: ANN401
    """The masks of a stack or a sequence, as they are; a single one, (H, W), will do.

    Raises:
        InputError: a stack with its masks along the last axis, a picture in colour, or nothing that has items.
    """
    with foreign(what):
        shape = tuple(getattr(values, "shape", ()))
    if len(shape) == 2:
        return [values]
    if len(shape) == 3 and shape[:2] == size_hw != shape[1:]:
        raise InputError(f"{what}: expected a stack (N, H, W), got (H, W, N) = {shape}: pass np.moveaxis(masks, 2, 0)")
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4:
        raise InputError(f"{what}: expected a stack (N, H, W), got {shape}: this is a colour picture, or (H, W, N)")
    return listed(values, what, "a stack (N, H, W) or a list of masks")


def listed(values: Any, what: str, expected: str) -> list[Any]:  # noqa: ANN401
    """The items of anything that has some; one without an end is refused.

    Raises:
        InputError: it has none, fails, or has more than `MOST_ITEMS`.
    """
    if not isinstance(values, Iterable):
        raise InputError(f"{what}: expected {expected}, got {type(values).__name__}")
    with foreign(what):
        items = list(itertools.islice(values, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise InputError(f"{what}: expected {expected}, of {MOST_ITEMS} at most, got more")
    return items


MOST_ITEMS = 100_000
"""Masks of one frame."""


def checked_size(size_hw: Any) -> tuple[int, int]:  # noqa: ANN401
    """(height, width) in pixels, as plain ints.

    Raises:
        InputError: it is none.
    """
    with foreign("size_hw: expected (height, width)"):
        height, width = size_hw
    return check_size_hw(whole(height, "size_hw: height"), whole(width, "size_hw: width"), "size_hw")


def resize_mask(mask: Mask, size_hw: tuple[int, int], *, what: str = "mask") -> Mask:
    """Bring a mask to ``size_hw``, nearest neighbour, and warn where it was another size."""
    return resize_masks([mask], size_hw, what=what, stacklevel=4)[0]


def resize_masks(
    masks: Sequence[Mask], size_hw: tuple[int, int], *, what: str = "masks", stacklevel: int = 3
) -> list[Mask]:
    """Bring masks to ``size_hw``, nearest neighbour, and warn once for each other size that some of them had."""
    for shape in dict.fromkeys(mask.shape for mask in masks if mask.shape != size_hw and mask.any()):
        warnings.warn(MaskResizedWarning(_explain_size(shape, size_hw, what)), stacklevel=stacklevel)
    return [mask if mask.shape == size_hw else _resized(mask, size_hw) for mask in masks]


def _explain_size(shape: tuple[int, ...], size_hw: tuple[int, int], what: str) -> str:
    (h, w), (height, width) = shape, size_hw
    message = f"{what} is {_size(shape)} but the video is {_size(size_hw)}: resized, nearest neighbour"
    if abs(w * height - h * width) > max(height, width, h, w):
        message += (
            f". THE ASPECT RATIO DIFFERS ({w / h:.3f} against {width / height:.3f}): the mask is stretched and will "
            "not lie on its object if it came from a cropped or padded picture; undo the crop or the padding first"
        )
    return message


def _resized(mask: Mask, size_hw: tuple[int, int]) -> Mask:
    resized = cv2.resize(mask.view(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(np.bool_)


def _size(size_hw: tuple[int, ...]) -> str:
    return f"{size_hw[1]}x{size_hw[0]}"


def to_numpy(value: Any, what: str) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """Read numbers or bools of any shape: whatever numpy reads, and tensors of torch, wherever they lie.

    Raises:
        InputError: it is no array of numbers; named by ``what``.
    """
    try:
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":  # a type that numpy does not have
            value = value.float()
        for step in ("detach", "cpu", "numpy"):
            if not isinstance(value, np.ndarray) and callable(method := getattr(value, step, None)):
                value = method()
        array = np.asarray(value)
    except Exception as err:  # ragged lists, types that numpy does not have, objects that raise anything
        raise InputError(f"{what}: cannot be read as an array: {err}") from err
    if array.dtype.kind not in "buif":
        raise InputError(f"{what}: expected numbers or bools, got dtype {array.dtype}")
    return array


def _explain_shape(array: np.ndarray[Any, Any], what: str) -> str:
    message = f"{what}: expected (H, W), (1, H, W) or (H, W, 1), got shape {array.shape}"
    if array.ndim == 3 and array.shape[2] in (3, 4):
        return f"{message}: this is a colour picture; pass one channel, or compare it with the object's colour"
    if array.ndim == 3:
        return (
            f"{message}: for several masks at once use add_masks_prompt; of several guesses at one object, as SAM "
            "makes them, pass the best (`masks[scores.argmax()]`)"
        )
    return message
