"""Hugging Face transformers: the list that the pipeline "image-segmentation" returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import from_columns
from maskferry.detections._detections import Detections, Names

__all__ = ["matches", "read"]


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the list of the pipeline "image-segmentation"."""
    records = isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    return records and all({"mask", "label"} <= set(item) for item in value)


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read a list of ``{"score", "label", "mask"}``, whose masks are pictures of 0 and 255."""
    scores = [item.get("score") for item in value]
    return from_columns(
        [item["mask"] for item in value],
        size_hw,
        "image-segmentation",
        scores=None if None in scores else scores,
        labels=[str(item["label"]) for item in value],
    )
