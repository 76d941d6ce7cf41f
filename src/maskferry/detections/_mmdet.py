"""MMDetection: ``DetDataSample``, the ``InstanceData`` in it, and the dictionaries of ``DetInferencer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import class_name, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read"]

_WHAT = "MMDetection's instances"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like one of them."""
    if isinstance(value, Mapping):
        inner = value.get("predictions")
        return _is_dictionary(value) or (isinstance(inner, list) and bool(inner) and all(map(_is_dictionary, inner)))
    return callable(getattr(value, "metainfo_keys", None)) or hasattr(value, "pred_instances")


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read instances, those that a tracker has followed (``pred_track_instances``) before others.

    Classes are numbers; ``names`` (``model.dataset_meta["classes"]``) turns them into words.

    Raises:
        InputError: there are boxes or a semantic map only, masks of another size than the picture, or several pictures.
    """
    instances = _instances(value)
    masks = _field(instances, "masks")
    if masks is None:
        raise InputError(f"{_WHAT} without masks: use a model that segments, such as Mask R-CNN or RTMDet-Ins")
    masks = _pixels(masks)
    _check_size(value, masks)
    classes = _field(instances, "labels")
    called = None if classes is None else [class_name(c, names) for c in to_numpy(classes, f"{_WHAT}.labels")]
    scores, ids = _field(instances, "scores"), _field(instances, "instances_id")
    return from_columns(masks, size_hw, _WHAT, scores=scores, labels=called, ids=ids)


def _is_dictionary(value: Any) -> bool:  # noqa: ANN401
    """Whether these are the predictions for one picture; torchvision calls its boxes otherwise."""
    if not isinstance(value, Mapping) or not {"labels", "scores"} <= set(value):
        return False
    return "boxes" not in value and ("bboxes" in value or "masks" in value)


def _instances(value: Any) -> Any:  # noqa: ANN401
    """The instances of one picture.

    Raises:
        InputError: there are none, or there are several pictures.
    """
    if isinstance(value, Mapping):
        pictures = value.get("predictions", [value])
        if len(pictures) > 1:
            raise InputError(f"{_WHAT} of {len(pictures)} pictures: pass those of one, such as predictions[0]")
        return pictures[0]
    found = [_field(value, name) for name in ("pred_track_instances", "pred_instances")]
    found = [one for one in found if one is not None and _field(one, "masks") is not None] or found[1:]
    if found[0] is not None:
        return found[0]
    if any(_field(value, name) is not None for name in ("pred_sem_seg", "pred_panoptic_seg", "gt_instances")):
        raise InputError(
            "MMDetection's sample without pred_instances: a semantic or panoptic map does not say what the objects "
            "are; use a model of instances, or pass a mask of each object (`sem_seg == number`)"
        )
    return value


def _field(value: Any, name: str) -> Any:  # noqa: ANN401
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _pixels(masks: Any) -> Any:  # noqa: ANN401
    """Masks (N, H, W), or RLEs, from ``BitmapMasks`` and ``PolygonMasks`` too."""
    return masks.to_ndarray() if callable(getattr(masks, "to_ndarray", None)) else getattr(masks, "masks", masks)


def _check_size(value: Any, masks: Any) -> None:  # noqa: ANN401
    """Refuse masks of what the model saw, which may have borders that the picture has not.

    Raises:
        InputError: they do not have the size of the picture, where that is known.
    """
    original, shape = _field(value, "ori_shape"), tuple(getattr(masks, "shape", ()))
    if original is not None and len(shape) == 3 and shape[0] and shape[1:] != tuple(original[:2]):
        raise InputError(
            f"{_WHAT}: expected masks of ori_shape {tuple(original[:2])}, got {shape[1:]}: predict with rescale=True"
        )
