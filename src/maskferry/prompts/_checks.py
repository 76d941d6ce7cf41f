"""Checks and conversions of what a caller prompts with: points, boxes. All raise `InputError`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskferry.data import BoxPrompt, PointPrompt, VideoInfo
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["box_prompt", "point_prompt"]


def point_prompt(frame: int, object_id: int, points: ArrayLike, labels: ArrayLike, video: VideoInfo) -> PointPrompt:
    """Points (K, 2) as (x, y) in pixels, inside the picture, with labels (K,) of which one at least is 1."""
    points_xy, flags = to_numpy(points, "points"), to_numpy(labels, "labels")
    if points_xy.ndim != 2 or points_xy.shape[1] != 2 or flags.shape != points_xy.shape[:1] or not flags.size:
        raise InputError(f"points: expected (K, 2) and labels (K,), got {points_xy.shape} and {flags.shape}")
    if not np.isin(flags, (0, 1)).all() or not flags.any():
        raise InputError(f"labels: expected 1 (on the object, at least once) and 0 (off it), got {_few(flags)}")
    if not ((points_xy >= 0) & (points_xy < (video.width, video.height))).all():
        raise InputError(f"points: expected (x, y) inside {video.width}x{video.height}, got {_few(points_xy)}")
    return PointPrompt(frame, object_id, points_xy.astype(np.float64), flags.astype(np.int64))


def box_prompt(frame: int, object_id: int, box: Sequence[float], video: VideoInfo) -> BoxPrompt:
    """A box xyxy in pixels, not empty, inside the picture."""
    corners = to_numpy(box, "box")
    inside = f"expected x1 < x2 and y1 < y2 inside {video.width}x{video.height}, got {_few(corners)}"
    if corners.shape != (4,):
        raise InputError(f"box: {inside}")
    x1, y1, x2, y2 = corners.astype(np.float64).tolist()
    if not (0 <= x1 < x2 <= video.width and 0 <= y1 < y2 <= video.height):
        raise InputError(f"box: {inside}")
    return BoxPrompt(frame, object_id, (x1, y1, x2, y2))


def _few(values: np.ndarray[Any, Any]) -> str:
    """The values in a message, where these are few; else their shape."""
    return str(values.tolist()) if values.size <= 32 else f"values of shape {values.shape}"
