"""``supervision.Detections``: attributes ``xyxy``, ``mask``, ``confidence``, ``class_id``, ``tracker_id``, ``data``."""

from __future__ import annotations

from typing import Any

from maskferry.detections._columns import class_name, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read"]

_WHAT = "supervision.Detections"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like ``Detections``."""
    return all(hasattr(value, name) for name in ("xyxy", "mask", "confidence", "tracker_id"))


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
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
        labels = [class_name(c, names) for c in to_numpy(value.class_id, f"{_WHAT}.class_id")]
    return from_columns(value.mask, size_hw, _WHAT, scores=value.confidence, labels=labels, ids=value.tracker_id)
