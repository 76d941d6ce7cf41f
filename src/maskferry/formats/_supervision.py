"""One frame's objects as ``supervision.Detections``; the way back is in `detections`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskferry.data import FrameMasks
from maskferry.errors import MissingExtraError

__all__ = ["to_supervision"]


def to_supervision(masks: FrameMasks, labels: Mapping[int, str] | None = None) -> Any:  # noqa: ANN401
    """Make ``supervision.Detections`` of what is seen on a frame; objects that are lost are left out.

    Args:
        masks: one frame, such as ``tracks[12]``.
        labels: {object id: name}, such as ``tracks.labels``; "object" where there is none.

    Returns:
        Detections with ``xyxy`` float32 (n, 4), ``mask`` bool (n, H, W), ``confidence``, ``tracker_id`` (the object's
        id), ``class_id`` (the place of the name among all names, sorted) and ``data["class_name"]``. The states of
        objects are lost.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    supervision = _import_supervision()
    names = labels or {}
    every = sorted({*names.values(), "object"})
    seen = [row for row in masks if row.rle.area]
    stack = np.zeros((len(seen), *masks.size_hw), dtype=np.bool_)
    for i, row in enumerate(seen):
        stack[i] = row.rle.decode()
    called = [names.get(row.object_id, "object") for row in seen]
    return supervision.Detections(
        xyxy=np.array([row.rle.box_xyxy for row in seen], dtype=np.float32).reshape(-1, 4),
        mask=stack,
        confidence=np.array([row.score for row in seen], dtype=np.float32),
        class_id=np.array([every.index(name) for name in called], dtype=np.int64),
        tracker_id=np.array([row.object_id for row in seen], dtype=np.int64),
        data={"class_name": np.array(called, dtype=np.str_)},
    )


def _import_supervision() -> Any:  # noqa: ANN401
    try:
        import supervision
    except ModuleNotFoundError as err:
        raise MissingExtraError("to_supervision needs supervision: pip install supervision") from err
    return supervision
