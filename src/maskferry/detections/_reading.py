"""`read_detections`: makes `Detections` of whatever a model has returned for one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from maskferry._arguments import foreign, real
from maskferry.detections import registry
from maskferry.detections._columns import fitted, from_columns
from maskferry.detections._detections import Detections, Names
from maskferry.errors import InputError, MaskferryError
from maskferry.masks._binarize import binarize
from maskferry.masks._convert import as_masks, checked_size, listed, one_channel, stacked

__all__ = ["detect_kind", "read_detections", "read_given"]


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
        value: what the model returned: a kind that `detections.registry` lists, or that a plugin reads; or plain
            masks, as `masks.as_masks` takes them, or COCO's RLEs; or {object id: mask}. None of the models' packages is
            imported. A list with a single one of these is read as this one. None, ``[]``, a stack of no masks and
            whatever else is empty say that nothing was found.
        size_hw: of the video. Masks of another size are resized to it, with a warning.
        min_score: leave out what has a lower score.
        names: names of classes by number, where the result has numbers only.

    Returns:
        What was found, in the model's order. Rows whose mask is empty are left out, and a line in the log counts them.

    Raises:
        InputError: this is none of these, or of several pictures, or a result of another task than segmentation of
            objects, or masks are malformed.

    Warns:
        MaskResizedWarning: the masks do not have the size of the video.
    """
    size_hw, min_score = checked_size(size_hw), real(min_score, "min_score")
    with foreign("masks"):
        return _read(*_find(value), size_hw, names).at_least(min_score)


def read_given(value: Any, size_hw: tuple[int, int]) -> Detections:  # noqa: ANN401
    """Read masks that a person gives: as `read_detections`, but there must be some, and no plain mask may be empty.

    Raises:
        InputError: as `read_detections`, or nothing is there.
    """
    size_hw = checked_size(size_hw)
    with foreign("masks"):
        spec, value = _find(value)
        found = _read_strictly(value, size_hw) if spec is None else _read(spec, value, size_hw, None)
    if not len(found):
        raise InputError("masks: expected at least one mask, but nothing was found on this picture")
    return found


def _read_strictly(value: Any, size_hw: tuple[int, int]) -> Detections:  # noqa: ANN401
    """Read plain masks, none of which may be empty or missing."""
    if _is_by_id(value):
        return Detections(as_masks(list(value.values()), size_hw), object_ids=[int(i) for i in value])
    if _is_plain(value) and not _is_nothing(value):
        return Detections(as_masks(value, size_hw))
    found = _read(None, value, size_hw, None)
    if isinstance(value, list | tuple) and 0 < len(found) < len(value):
        raise InputError(f"masks: {len(value) - len(found)} of {len(value)} are empty or None: leave them out")
    return found


def _read(
    spec: registry.ReaderSpec | None,
    value: Any,  # noqa: ANN401
    size_hw: tuple[int, int],
    names: Names | None,
) -> Detections:
    """Read a value with its reader or, where it has none, as plain masks."""
    if isinstance(value, Detections):
        masks = [binarize(one_channel(mask, f"masks[{i}]"), f"masks[{i}]") for i, mask in enumerate(value.masks)]
        return fitted(replace(value, masks=masks), size_hw, "masks")
    if spec is not None:
        return _read_with(spec, value, size_hw, names)
    if _is_nothing(value):
        return Detections([])
    if _is_by_id(value):
        return from_columns(list(value.values()), size_hw, "masks", ids=list(value))
    if _is_rle(value) or (_is_array(value) and not hasattr(value, "shape")):  # the latter: a picture of Pillow
        value = [value]
    if isinstance(value, list | tuple):
        _check_one_picture(value)
    elif not _is_array(value):
        raise InputError(_explain(value))
    return from_columns(stacked(value, size_hw, "masks"), size_hw, "masks")


# --- what a value is ------------------------------------------------------------------------------------------------


def _find(value: Any) -> tuple[registry.ReaderSpec | None, Any]:  # noqa: ANN401
    """The reader of a value, or None, and the value without the lists around a single result, which models return that
    take several pictures at once."""
    while not isinstance(value, Detections) and not _is_plain(value):
        spec = registry.find_reader(value)
        if spec is not None or isinstance(value, Mapping) or not isinstance(value, Iterable):
            return spec, value
        if not isinstance(value, list | tuple):
            value = listed(value, "masks", "masks")
        elif len(value) != 1 or _is_mask(value[0]):
            break
        else:
            value = value[0]
    return None, _unwrapped(value)


def _unwrapped(value: Any) -> Any:  # noqa: ANN401
    """A stack without the list around it."""
    is_list_of_stack = isinstance(value, list | tuple) and len(value) == 1 and not _is_mask(value[0])
    return value[0] if is_list_of_stack and _is_array(value[0]) else value


def _is_plain(value: Any) -> bool:  # noqa: ANN401
    """Whether this is an array, a list of arrays, a path, or nothing, so that no reader needs to be asked."""
    if isinstance(value, list | tuple):
        return all(_is_array(item) for item in value)
    return _is_array(value) or value is None or isinstance(value, str | bytes | PurePath)


def _is_array(value: Any) -> bool:  # noqa: ANN401
    """Whether this is an array of numpy, a tensor of any other library, or a picture of Pillow."""
    return isinstance(value, np.ndarray) or hasattr(value, "__array_interface__") or _is_tensor(value)


def _is_tensor(value: Any) -> bool:  # noqa: ANN401
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_nothing(value: Any) -> bool:  # noqa: ANN401
    """Whether this says, in any of the ways in which libraries say it, that nothing was found."""
    if _is_tensor(value):
        shape = tuple(value.shape)
        return shape[:1] == (0,) or (len(shape) == 3 and shape[2] == 0 < shape[1])
    if isinstance(value, list | tuple):
        return all(item is None for item in value)
    return value is None or (isinstance(value, Mapping) and not value)


def _is_rle(value: Any) -> bool:  # noqa: ANN401
    """Whether this is one of COCO's RLEs."""
    return isinstance(value, Mapping) and {"size", "counts"} <= set(value)


def _is_by_id(value: Any) -> bool:  # noqa: ANN401
    """Whether this is {object id: mask}."""
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(key, int | np.integer) and not isinstance(key, bool) and key >= 1 for key in value)


def _is_mask(value: Any) -> bool:  # noqa: ANN401
    """Whether an only item is one mask, and no stack of several: an array of two dimensions, or a list of numbers."""
    if _is_array(value):
        shape = tuple(getattr(value, "shape", ()))
        return len(shape) < 3 or (len(shape) == 3 and 1 in (shape[0], shape[2]))
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float | np.generic)


def _check_one_picture(items: list[Any] | tuple[Any, ...]) -> None:
    """Refuse a list of which some are no masks, saying what they are.

    Raises:
        InputError: they are the results of several pictures, or of a kind that nobody reads.
    """
    for item in items:
        if _is_array(item) or item is None or _is_rle(item) or _is_mask(item):
            continue
        spec = registry.find_reader(item)
        if spec is None and not isinstance(item, list | tuple):
            raise InputError(_explain(item))
        what = "lists" if spec is None else spec.name
        raise InputError(f"masks: got {what} of {len(items)} pictures; pass that of one picture, such as results[0]")


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


# --- what cannot be read --------------------------------------------------------------------------------------------


def _explain(value: Any) -> str:  # noqa: ANN401
    """Why a value cannot be read, and what can."""
    name = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    keys = list(map(str, value)) if isinstance(value, Mapping) else []
    with_keys = f" with the keys {', '.join(keys[:8])}" if keys else ""
    known = ", ".join(spec.name for spec in registry.known_readers())
    advice = next((f". {advice}" for of_task, advice in OTHER_TASKS if of_task & set(keys)), "")
    if any("logits" in key for key in keys):
        advice = f". {RAW_OUTPUT}"
    return f"masks: cannot read {name}{with_keys}; expected a stack or a list of masks, or one of: {known}{advice}"


RAW_OUTPUT = (
    "This looks like the raw output of a model: pass what its processor makes of it, such as "
    "post_process_instance_segmentation"
)

OTHER_TASKS = (
    (
        {"sem_seg", "out", "semantic_mask"},
        "A semantic segmentation says which class each pixel has, not what the objects are: pass a mask of each class "
        "that is an object (`class_map == number`)",
    ),
    ({"predicted_depth", "depth"}, "A depth map shows no objects: use a model that segments"),
    (
        {"box", "boxes", "bbox", "bboxes", "pred_boxes", "proposals"},
        "There are boxes without masks: use a model that segments, or pass the pair (result, masks), masks that SAM "
        "made of the boxes",
    ),
    ({"keypoints"}, "There are keypoints without masks: use a model that segments"),
    ({"label", "labels", "probs"}, "There are classes of a whole picture: use a model that segments"),
)
"""Keys of results that show no objects as masks, and what to do."""
