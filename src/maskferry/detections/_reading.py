"""``Detections``, and `read_detections`, which makes them of whatever a model has returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from maskferry._arguments import foreign, real
from maskferry.data import Mask
from maskferry.detections import registry
from maskferry.errors import InputError, MaskferryError
from maskferry.masks._convert import as_mask, as_masks, checked_size

__all__ = ["Detections", "Names", "detect_kind", "read_detections"]

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

    @foreign("detections")
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
        least = real(min_score, "min_score")
        kept = [i for i, score in enumerate(self.scores) if score is None or score >= least]
        return Detections(
            [self.masks[i] for i in kept],
            [self.scores[i] for i in kept],
            [self.labels[i] for i in kept],
            None if self.object_ids is None else [self.object_ids[i] for i in kept],
        )


def detect_kind(value: Any) -> str | None:  # noqa: ANN401
    """The name of the kind of result that this is, see `detections.registry`; None for plain arrays and all else.

    >>> detect_kind({"masks": [], "scores": []})
    'mask-generation pipeline'
    """
    with foreign("value"):
        spec = None if _is_plain(value) else registry.find_reader(value)
    return None if spec is None else spec.name


def read_detections(
    value: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    *,
    min_score: float = 0.0,
    names: Names | None = None,
) -> Detections:
    """Read what a model has found on one picture.

    Args:
        value: what the model returned: ultralytics Results; Detectron2 Instances, a predictor's dictionary or panoptic
            output; the dictionary of torchvision's Mask R-CNN; what the pipelines image-segmentation and
            mask-generation of transformers return, or its post-processors of instances; the pair (result of
            GroundingDINO, masks of SAM); the list of SAM's mask generator; supervision.Detections; or a kind that a
            plugin reads (`detections.registry`). A list with one of these, of one picture, will do. Or plain masks, as
            `masks.as_masks` takes them. None of these packages is imported.
        size_hw: of the video. Masks of another size are resized to it, with a warning.
        min_score: leave out what has a lower score.
        names: names of classes by number, where the result has numbers only.

    Returns:
        What was found, in the model's order; without rows whose mask is empty.

    Raises:
        InputError: this is none of these, or there are boxes without masks, or masks are malformed.

    Warns:
        MaskResizedWarning: the masks do not have the size of the video.
    """
    size_hw, min_score = checked_size(size_hw), real(min_score, "min_score")
    with foreign("masks"):
        return _read(value, size_hw, names).at_least(min_score)


def _read(value: Any, size_hw: tuple[int, int], names: Names | None) -> Detections:  # noqa: ANN401
    if isinstance(value, Detections):
        masks = [as_mask(mask, size_hw, what=f"masks[{i}]") for i, mask in enumerate(value.masks)]
        return replace(value, masks=masks)
    found = None if _is_plain(value) else _find(value)
    if found is not None:
        spec, result = found
        return _read_with(spec, result, size_hw, names)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise InputError(_explain(value))
    return Detections(as_masks(value, size_hw))


def _is_plain(value: Any) -> bool:  # noqa: ANN401
    """Whether this is an array, a list of arrays or a path, so that no reader needs to be asked."""
    if isinstance(value, list | tuple):
        return all(_is_array(item) for item in value)
    return _is_array(value) or isinstance(value, str | PurePath)


def _is_array(value: Any) -> bool:  # noqa: ANN401
    """Whether this is an array of numpy, or a tensor of any other library."""
    return isinstance(value, np.ndarray) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def _find(value: Any) -> tuple[registry.ReaderSpec, Any] | None:  # noqa: ANN401
    """The reader of a value, and the value without the list around a single result; None where there is no reader."""
    spec = registry.find_reader(value)
    if spec is not None:
        return spec, value
    if not isinstance(value, list | tuple) or not value:
        return None
    spec = registry.find_reader(value[0])
    if spec is None or not spec.batched:
        return None
    if len(value) != 1:
        raise InputError(
            f"masks: got {spec.name} of {len(value)} pictures; pass that of one picture, such as results[0]"
        )
    return spec, value[0]


def _read_with(
    spec: registry.ReaderSpec,
    value: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    names: Names | None,
) -> Detections:
    """Let a reader read a value; what a plugin does wrong is said with its name."""
    reader, is_plugin = registry.load_reader(spec), spec not in registry.BUILT_IN
    try:
        found = reader.read(value, size_hw, names)
    except Exception as err:
        if isinstance(err, MaskferryError):
            raise
        if is_plugin:
            raise InputError(f"masks: the detections plugin {spec.name!r} ({spec.target}) failed: {err!r}") from err
        raise InputError(f"masks: {spec.name} of a form that is unknown here: {type(err).__name__}: {err}") from err
    if not isinstance(found, Detections):
        raise InputError(
            f"masks: read() of the detections plugin {spec.name!r} ({spec.target}) returned "
            f"{type(found).__name__}, expected Detections"
        )
    return found


def _explain(value: Any) -> str:  # noqa: ANN401
    """Why a value cannot be read, and what can."""
    keys = f" with the keys {', '.join(map(str, list(value)[:8]))}" if isinstance(value, Mapping) else ""
    name = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    kinds = ", ".join(spec.name for spec in registry.known_readers())
    return f"masks: cannot read {name}{keys}; expected a stack or a list of masks, or one of: {kinds}"
