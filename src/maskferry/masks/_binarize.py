"""Which pixels belong to the object: the one rule for masks of bools, whole numbers and floats."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from maskferry._arguments import foreign
from maskferry.data import Mask
from maskferry.errors import InputError

__all__ = ["binarize"]

Array = np.ndarray[Any, Any]

BEYOND = 0.25
"""How far soft values may lie outside of their range, as a share of it: bicubic resizing goes a fifth beyond."""

SLOPES = 0.5
"""Of the pixels between 0 and full, the least share with a lower and a higher neighbour in a soft mask: blurred edges
have 0.65 and more; touching areas of random numbers, 3 pixels wide, have 0.2."""


@foreign("masks.binarize")
def binarize(values: Array, what: str = "mask") -> Mask:
    """Say which pixels belong to the object.

    | values | read as |
    |---|---|
    | bool | as they are |
    | whole numbers: 0 and one other | everything but 0 is the object |
    | whole numbers: a soft mask, from 0 to 255 or 65535 with steps along the edge | the object is above half |
    | whole numbers: several others, each in an area of its own | refused: a label map, of several objects |
    | floats from 0 to 1, and up to a quarter beyond, as resizing and sums leave them | probabilities: above 0.5 |
    | floats up to 255, and a quarter beyond | the object is above 127.5 |
    | floats that are whole numbers | as whole numbers |
    | floats that go further below 0 | refused: logits |
    | floats between the two ranges | refused: nobody can say what they are |
    | NaN, infinite | refused |

    Args:
        values: (H, W), bool, whole numbers or floats.
        what: how errors call them.

    Returns:
        bool (H, W), a fresh array; it may be empty.

    Raises:
        InputError: a label map, logits, or values of a range that is unknown.
    """
    if values.dtype.kind == "b":
        return np.array(values)
    if values.dtype.kind != "f":
        return _of_whole_numbers(values, what)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise InputError(f"{what}: {bad} of {values.size} values are NaN or infinite")
    return _of_floats(values, what)


def _of_floats(values: Array, what: str) -> Mask:
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low >= -BEYOND and high <= 1 + BEYOND:
        return np.asarray(values > 0.5)
    if low >= 0 and (values == np.rint(values)).all():
        return _of_whole_numbers(values, what)
    if 127.5 < high <= (1 + BEYOND) * 255 and low >= -BEYOND * 255:
        return np.asarray(values > 127.5)
    if low < 0:
        raise InputError(
            f"{what}: expected probabilities in [0, 1] or 0/255, got a minimum of {low:.3g}: "
            "these look like logits; pass a sigmoid of them, or `logits > 0`"
        )
    raise InputError(
        f"{what}: expected probabilities in [0, 1] or 0/255, got a maximum of {high:.3g}: scale them, or say which "
        "belong to the object (`values > threshold`)"
    )


def _of_whole_numbers(values: Array, what: str) -> Mask:
    mask = np.asarray(values != 0)
    others = values[mask]
    if not others.size:
        return mask
    if others.min() < 0:
        raise InputError(
            f"{what}: expected 0 and 1 or 0 and 255, got a minimum of {int(others.min())}: if these are numbers of "
            "objects, pass a mask of each (`values == number`)"
        )
    if (others == others[0]).all():
        return mask
    full = 255 if others.max() <= 255 else 65535
    if full / 2 < others.max() <= full and _is_soft(values, full):
        return np.asarray(values > full / 2)
    raise InputError(_explain_label_map(others, what))


def _is_soft(values: Array, full: int) -> bool:
    """Whether what lies between 0 and full is the slope of an edge, and not areas of one number each."""
    heights = values.astype(np.uint16)
    between = (heights > 0) & (heights < full)
    around = np.ones((3, 3), dtype=np.uint8)
    is_slope = (cv2.erode(heights, around) < heights) & (heights < cv2.dilate(heights, around))
    return int(np.count_nonzero(between & is_slope)) >= SLOPES * int(np.count_nonzero(between))


def _explain_label_map(others: Array, what: str) -> str:
    numbers = np.unique(others)
    some = ", ".join(str(int(n)) for n in numbers[:6]) + (", ..." if numbers.size > 6 else "")
    return (
        f"{what}: expected the mask of one object, got a label map of {numbers.size} numbers beside 0 ({some}). "
        "Pass `maskferry.masks.split_labels(label_map)` to add_masks_prompt, if each number but 0 is an object, or "
        "`label_map == number` for one of them (0 too, if it is a class); if it is a soft mask, `values > threshold`"
    )
