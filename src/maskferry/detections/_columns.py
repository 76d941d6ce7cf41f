"""``Detections``: what a model has found on one picture; and what the readers of all models share."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskferry.data import Mask
from maskferry.errors import InputError
from maskferry.masks._convert import as_mask, to_numpy

__all__ = ["Detections", "Names", "build", "name_of", "numbers", "object_ids", "single"]

log = logging.getLogger(__name__)

Names = Mapping[int, str] | Sequence[str]
"""Names of classes by number, for models whose results have numbers only."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found on one picture.

    Attributes:
        masks: bool (H, W) each, at the size of the video, none empty.
        scores: in [0, 1]; None where the model gives none.
        labels: names; None where the model gives none.
        object_ids: from 1, each once; None where the model does not track.
    """

    masks: list[Mask]
    scores: list[float | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    object_ids: list[int] | None = None

    def __post_init__(self) -> None:
        count = len(self.masks)
        for name in ("scores", "labels"):
            if not getattr(self, name):
                object.__setattr__(self, name, [None] * count)
        lengths = (len(self.scores), len(self.labels), count if self.object_ids is None else len(self.object_ids))
        if lengths != (count,) * 3:
            raise InputError(f"expected scores, labels and ids for each of {count} masks, got {lengths}")

    def __len__(self) -> int:
        return len(self.masks)

    def at_least(self, min_score: float) -> Detections:
        """Those with this score or a better one; what has no score is kept."""
        kept = [i for i, score in enumerate(self.scores) if score is None or score >= min_score]
        return Detections(
            [self.masks[i] for i in kept],
            [self.scores[i] for i in kept],
            [self.labels[i] for i in kept],
            None if self.object_ids is None else [self.object_ids[i] for i in kept],
        )


def build(
    masks: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    what: str,
    *,
    scores: Any = None,  # noqa: ANN401
    labels: Sequence[str | None] | None = None,
    ids: Any = None,  # noqa: ANN401
) -> Detections:
    """Put a model's columns together; rows with an empty mask are left out and logged.

    Args:
        masks: (N, H, W) or (N, 1, H, W), bool or soft, or a sequence of N masks.
        size_hw: of the video; masks of another size are resized to it, with a warning.
        what: how errors call the result.
        scores: (N,), or None.
        labels: N names, or None.
        ids: (N,), or None.

    Raises:
        InputError: masks are malformed, or the lengths differ.
    """
    items = list(masks)
    values = None if scores is None else [min(1.0, max(0.0, v)) for v in numbers(scores, len(items), f"{what}.scores")]
    if labels is not None and len(labels) != len(items):
        raise InputError(f"{what}.labels: expected one for each of {len(items)} masks, got {len(labels)}")
    found = object_ids(ids, len(items), what)
    arrays = [to_numpy(item, f"{what}: masks[{i}]") for i, item in enumerate(items)]
    kept = [i for i, array in enumerate(arrays) if (array > 0.5 if array.dtype.kind == "f" else array).any()]
    if len(kept) < len(items):
        log.warning("%s: %d of %d masks are empty: left out", what, len(items) - len(kept), len(items))
    return Detections(
        [as_mask(arrays[i], size_hw, what=f"{what}: masks[{i}]") for i in kept],
        [None if values is None else values[i] for i in kept],
        [None if labels is None else labels[i] for i in kept],
        None if found is None else [found[i] for i in kept],
    )


def numbers(value: Any, count: int, what: str) -> list[float]:  # noqa: ANN401
    """A column of numbers, (N,) or (N, 1).

    Raises:
        InputError: another shape, or values that are not finite.
    """
    array = to_numpy(value, what).astype(np.float64).reshape(-1) if count else np.empty(0)
    if array.size != count or not np.isfinite(array).all():
        raise InputError(f"{what}: expected a finite number for each of {count} masks, got {array.size}")
    found: list[float] = array.tolist()
    return found


def object_ids(value: Any, count: int, what: str) -> list[int] | None:  # noqa: ANN401
    """The ids of a tracker, where all are whole numbers from 1 and differ; otherwise None, and a line in the log."""
    if value is None or not count:
        return None
    try:
        ids = [int(v) for v in numbers(value, count, f"{what}.ids")]
    except InputError:
        ids = []
    if not ids or min(ids) < 1 or len(set(ids)) < len(ids):
        log.warning("%s: its ids are no object ids (from 1, each once): left out", what)
        return None
    return ids


def name_of(number: Any, names: Any) -> str:  # noqa: ANN401
    """The name of a class: "dog", or "class 3" where it has none."""
    index = int(number)
    try:
        return str(names[index]) if names is not None and index >= 0 else f"class {index}"
    except (KeyError, IndexError):
        return f"class {index}"


def single(value: Any, kind: str) -> Any:  # noqa: ANN401
    """The one element of a list of results, as models give it that take several pictures at once.

    Raises:
        InputError: there are several.
    """
    if len(value) != 1:
        raise InputError(f"masks: got {kind} of {len(value)} pictures; pass that of one picture, such as results[0]")
    return value[0]
