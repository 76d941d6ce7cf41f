"""From the columns of a model's result (masks, scores, names, ids) to `Detections`: what the readers share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskferry._arguments import foreign
from maskferry.detections._reading import Detections
from maskferry.errors import InputError
from maskferry.masks._convert import as_mask, listed, to_numpy

__all__ = ["class_name", "from_columns"]

log = logging.getLogger(__name__)


def from_columns(
    masks: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    what: str,
    *,
    scores: Any = None,  # noqa: ANN401
    labels: Sequence[str | None] | None = None,
    ids: Any = None,  # noqa: ANN401
) -> Detections:
    """Make `Detections` of the columns of a model's result; rows with an empty mask are left out and logged.

    Args:
        masks: (N, H, W) or (N, 1, H, W), bool or soft, or a sequence of N masks.
        size_hw: of the video; masks of another size are resized to it, with a warning.
        what: how errors call the result.
        scores: (N,), limited to [0, 1]; or None.
        labels: N names; or None.
        ids: (N,), of a tracker; they become the objects' ids if all are whole numbers from 1 and differ. Or None.

    Raises:
        InputError: masks are malformed, or the lengths differ.
    """
    items = listed(masks, f"{what}: masks", "masks (N, H, W)")
    count = len(items)
    all_scores = _scores(scores, count, f"{what}.scores")
    all_labels = _labels(labels, count, what)
    all_ids = _tracker_ids(ids, count, what)
    arrays = [to_numpy(item, f"{what}: masks[{i}]") for i, item in enumerate(items)]
    kept = [i for i, array in enumerate(arrays) if _has_object(array)]
    if len(kept) < count:
        log.warning("%s: %d of %d masks are empty: left out", what, count - len(kept), count)
    return Detections(
        [as_mask(arrays[i], size_hw, what=f"{what}: masks[{i}]") for i in kept],
        [all_scores[i] for i in kept],
        [all_labels[i] for i in kept],
        None if all_ids is None else [all_ids[i] for i in kept],
    )


def _has_object(mask: np.ndarray[Any, Any]) -> bool:
    """Whether any pixel of a mask, bool or soft, belongs to the object."""
    return bool((mask > 0.5 if mask.dtype.kind == "f" else mask).any())


def _labels(value: Sequence[str | None] | None, count: int, what: str) -> list[str | None]:
    with foreign(f"{what}.labels"):
        labels: list[str | None] = [None] * count if value is None else list(value)
    if len(labels) != count:
        raise InputError(f"{what}.labels: expected one for each of {count} masks, got {len(labels)}")
    return labels


def _scores(value: Any, count: int, what: str) -> list[float] | list[None]:  # noqa: ANN401
    """A column of scores, limited to [0, 1]; None for each mask where the model gives none."""
    if value is None:
        return [None] * count
    return [min(1.0, max(0.0, score)) for score in _column(value, count, what)]


def _column(value: Any, count: int, what: str) -> list[float]:  # noqa: ANN401
    """A column of numbers, (N,) or (N, 1).

    Raises:
        InputError: another shape, or values that are not finite.
    """
    array = to_numpy(value, what).astype(np.float64).reshape(-1) if count else np.empty(0)
    if array.size != count or not np.isfinite(array).all():
        raise InputError(f"{what}: expected a finite number for each of {count} masks, got {array.size}")
    found: list[float] = array.tolist()
    return found


def _tracker_ids(value: Any, count: int, what: str) -> list[int] | None:  # noqa: ANN401
    """The ids of a tracker, where all are whole numbers from 1 and differ; otherwise None, and a line in the log."""
    if value is None or not count:
        return None
    try:
        ids = [int(v) for v in _column(value, count, f"{what}.ids")]
    except InputError:
        ids = []
    if not ids or min(ids) < 1 or len(set(ids)) < len(ids):
        log.warning("%s: its ids are no object ids (from 1, each once): left out", what)
        return None
    return ids


def class_name(number: Any, names: Any) -> str:  # noqa: ANN401
    """The name of a class: "dog", or "class 3" where it has none."""
    index = int(number)
    try:
        return str(names[index]) if names is not None and index >= 0 else f"class {index}"
    except (KeyError, IndexError):
        return f"class {index}"
