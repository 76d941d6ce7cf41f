"""Which masks of one set belong to which of another: overlap of every pair, and the best assignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import foreign, real
from maskferry.data import Mask
from maskferry.masks._convert import to_numpy
from maskferry.rle import Rle

__all__ = ["assign", "iou_matrix", "share_matrix"]

Box = tuple[int, int, int, int]  # xyxy, pixels, x2 and y2 exclusive


@foreign("masks.iou_matrix")
def iou_matrix(first: Sequence[Rle], second: Sequence[Rle]) -> NDArray[np.float32]:
    """Intersection over union of every pair, float32 (N, M); 0 where a mask is empty.

    Masks are decoded once each, inside their boxes; pairs whose boxes do not touch cost nothing.
    """
    shared, a, b = _intersections(first, second)
    union = a[:, None] + b[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).astype(np.float32)


@foreign("masks.share_matrix")
def share_matrix(first: Sequence[Rle], second: Sequence[Rle]) -> NDArray[np.float32]:
    """How much of each mask of ``first`` lies inside each of ``second``, float32 (N, M); 0 where a mask is empty."""
    shared, a, _ = _intersections(first, second)
    return np.divide(shared, a[:, None], out=np.zeros_like(shared), where=a[:, None] > 0).astype(np.float32)


def _intersections(
    first: Sequence[Rle], second: Sequence[Rle]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Pixels shared by every pair (N, M), and the areas (N,), (M,)."""
    crops_a, crops_b = [_crop(rle) for rle in first], [_crop(rle) for rle in second]
    shared = np.zeros((len(first), len(second)))
    for j, (box_b, mask_b) in enumerate(crops_b):
        for i, (box_a, mask_a) in enumerate(crops_a):
            common = _common(box_a, box_b)
            if common is not None:
                shared[i, j] = np.count_nonzero(_part(mask_a, box_a, common) & _part(mask_b, box_b, common))
    areas_a, areas_b = (np.array([np.count_nonzero(m) for _, m in crops], dtype=float) for crops in (crops_a, crops_b))
    return shared, areas_a, areas_b


def _crop(rle: Rle) -> tuple[Box, Mask]:
    """The bounding box and the mask inside of it, bool (h, w); of no size where the mask is empty."""
    return rle.decode_crop() or ((0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_))


def _common(a: Box, b: Box) -> Box | None:
    """Where two boxes overlap; None where they do not."""
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _part(mask: Mask, box: Box, common: Box) -> Mask:
    """A view of the pixels of ``common``, given the mask inside of ``box``."""
    return mask[common[1] - box[1] : common[3] - box[1], common[0] - box[0] : common[2] - box[0]]


@foreign("masks.assign")
def assign(likeness: NDArray[np.floating[Any]], least: float) -> list[tuple[int, int]]:
    """The pairing of rows and columns with the greatest total likeness (Kuhn-Munkres), as scipy computes it.

    Args:
        likeness: (N, M), higher is more alike.
        least: pairs below this are never made.

    Returns:
        (row, column), by ascending row; each row and each column at most once.
    """
    likeness, least = to_numpy(likeness, "likeness"), real(least, "least")
    worth = np.where(likeness >= least, likeness - least + 1e-6, 0)
    from scipy.optimize import linear_sum_assignment  # a third of a second, which most programs need not wait for

    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0]
