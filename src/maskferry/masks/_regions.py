"""Measures of one or two masks: box, centroid, overlap, distance, parts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import foreign
from maskferry.data import Mask
from maskferry.rle import Rle

__all__ = ["box_xyxy", "centroid_of_rle_xy", "centroid_xy", "intersection_over_union", "signed_distance"]


@foreign("masks.box_xyxy")
def box_xyxy(mask: Mask) -> tuple[int, int, int, int] | None:
    """Bounding box in pixels, x2 and y2 exclusive; None where the mask is empty."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not ys.size:
        return None
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


@foreign("masks.centroid_xy")
def centroid_xy(mask: Mask) -> tuple[float, float] | None:
    """Mean position of the object's pixels, (x, y) in pixels; None where the mask is empty."""
    box = box_xyxy(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    crop = mask[y1:y2, x1:x2]
    total = crop.sum()
    x = float((crop.sum(axis=0) * np.arange(x1, x2)).sum() / total)
    y = float((crop.sum(axis=1) * np.arange(y1, y2)).sum() / total)
    return x, y


@foreign("masks.centroid_of_rle_xy")
def centroid_of_rle_xy(rle: Rle) -> tuple[float, float] | None:
    """`centroid_xy` of a mask that stays encoded: what it takes grows with the runs, not with the pixels."""
    height = rle.size_hw[0]
    edges = np.cumsum(rle.runs)
    stops = edges[1::2]
    starts = edges[: 2 * stops.size : 2]
    area = int((stops - starts).sum())
    if not area:
        return None

    def columns_before(position: NDArray[np.int64]) -> NDArray[np.int64]:  # sum of x over all pixels before it
        x, y = position // height, position % height
        return height * (x * (x - 1) // 2) + y * x

    sum_x = int((columns_before(stops) - columns_before(starts)).sum())
    sum_positions = int(((starts + stops - 1) * (stops - starts) // 2).sum())
    return sum_x / area, (sum_positions - height * sum_x) / area


@foreign("masks.intersection_over_union")
def intersection_over_union(a: Mask, b: Mask) -> float:
    """IoU of two masks of one size, in [0, 1]; 1 where both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


@foreign("masks.signed_distance")
def signed_distance(mask: Mask) -> NDArray[np.float32]:
    """Distance to the boundary in pixels, positive inside; float32 (H, W). All one sign where there is no boundary."""
    inside = mask.astype(np.uint8)
    if not inside.any() or inside.all():
        size = float(sum(mask.shape))
        return np.full(mask.shape, size if inside.any() else -size, dtype=np.float32)
    near = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    far = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    return np.asarray(np.where(mask, near - 0.5, 0.5 - far), dtype=np.float32)
