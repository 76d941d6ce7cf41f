"""Boxes of a detector that is prompted with words (GroundingDINO, OWL-ViT), with the masks that SAM made of them.

They come from two models: pass the pair ``(result, masks)``, where ``result`` has ``labels`` (or ``text_labels``) and
``scores``, or a dictionary of the result with ``masks`` put into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import class_name, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError
from maskferry.masks._convert import to_numpy

__all__ = ["matches", "read"]

_WHAT = "GroundingDINO + SAM"


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like a result with boxes and labels, alone, with masks in it, or in a pair with masks."""
    if isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[1], Mapping):
        value = _alone(value[0])
    return isinstance(value, Mapping) and "boxes" in value and ("labels" in value or "text_labels" in value)


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read them; masks are (N, H, W) or (N, 1, H, W), in the order of the boxes.

    Raises:
        InputError: there are no masks, several for each box, or not as many as boxes.
    """
    is_pair = not isinstance(value, Mapping)
    result, masks = (_alone(value[0]), value[1]) if is_pair else (value, value.get("masks"))
    if is_pair and not len(result["boxes"]) and (masks is None or not len(masks)):
        return Detections([])
    masks = _one_mask_a_box(masks)
    found = result.get("text_labels")
    called = _listed(result["labels"] if found is None else found)
    labels = [name if isinstance(name, str) else class_name(name, names) for name in called]
    if len(masks) != len(result["boxes"]):
        raise InputError(f"{_WHAT}: expected a mask for each of {len(result['boxes'])} boxes, got {len(masks)}")
    return from_columns(masks, size_hw, _WHAT, scores=result.get("scores"), labels=labels)


def _alone(value: Any) -> Any:  # noqa: ANN401
    """The result without the list that a post-processor puts around that of one picture."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _one_mask_a_box(masks: Any) -> Any:  # noqa: ANN401
    """The masks as they came, without the batch that SAM's processor puts around those of one picture.

    Raises:
        InputError: there are none, or several for each box.
    """
    if masks is None:
        raise InputError(f"{_WHAT}: boxes without masks: segment them (with SAM) and pass the pair (result, masks)")
    if isinstance(masks, list) and len(masks) == 1 and getattr(masks[0], "ndim", 0) == 4:
        masks = masks[0]  # as SAM's processor gives them, for a batch of one picture
    shape = tuple(getattr(masks, "shape", ()))
    if len(shape) == 4 and shape[1] != 1:
        raise InputError(f"{_WHAT}: {shape[1]} masks for each box: call SAM with multimask_output=False")
    return masks


def _listed(labels: Any) -> list[Any]:  # noqa: ANN401
    return list(labels) if isinstance(labels, list | tuple) else list(to_numpy(labels, f"{_WHAT}.labels"))
