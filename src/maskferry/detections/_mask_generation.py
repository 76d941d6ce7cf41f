"""Dictionaries of masks and scores without names, as Hugging Face transformers has them: of the pipeline
"mask-generation", and of ``post_process_instance_segmentation`` of SAM 3, which gives ``boxes`` as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import from_columns
from maskferry.detections._detections import Detections, Names

__all__ = ["matches", "read"]


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the dictionary of the pipeline "mask-generation"."""
    return isinstance(value, Mapping) and {"masks", "scores"} <= set(value) and "labels" not in value


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read ``{"masks", "scores"}``; the masks have no names."""
    columns = _of_one_picture(value)
    return from_columns(columns["masks"], size_hw, "mask-generation", scores=columns["scores"])


def _of_one_picture(value: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns, without the batch of one picture around each of them."""
    columns = {key: value[key] for key in ("masks", "scores")}
    if all(len(column) == 1 and len(getattr(column[0], "shape", ())) > 0 for column in columns.values()):
        is_batch = len(columns["masks"][0].shape) >= 3 and len(columns["scores"][0].shape) == 1
        return {key: column[0] for key, column in columns.items()} if is_batch else columns
    return columns
