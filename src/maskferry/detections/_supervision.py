"""``supervision.Detections``: attributes ``xyxy``, ``mask``, ``confidence``, ``class_id``, ``tracker_id``, ``data``."""

from __future__ import annotations

from typing import Any

from maskferry.detections._columns import Detections, Names, build, name_of
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["is_supervision", "read_supervision"]

_WHAT = "supervision.Detections"


def is_supervision(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like ``Detections``."""
    return all(hasattr(value, name) for name in ("xyxy", "mask", "confidence", "tracker_id"))


def read_supervision(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read them; tracked ids (``tracker_id``) are the objects' ids, ``data["class_name"]`` the names.

    Raises:
        InputError: there are boxes only.
    """
    if not len(value.xyxy):
        return Detections([])
    if value.mask is None:
        raise InputError(f"{_WHAT} without masks: use a model that segments")
    called = (getattr(value, "data", None) or {}).get("class_name")
    labels = None if called is None else [str(name) for name in called]
    if labels is None and value.class_id is not None:
        labels = [name_of(c, names) for c in to_numpy(value.class_id, f"{_WHAT}.class_id")]
    return build(value.mask, size_hw, _WHAT, scores=value.confidence, labels=labels, ids=value.tracker_id)
