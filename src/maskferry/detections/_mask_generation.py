"""Hugging Face transformers: the dictionary that the pipeline "mask-generation" returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskferry.detections._columns import from_columns
from maskferry.detections._reading import Detections, Names

__all__ = ["matches", "read"]


def matches(value: Any) -> bool:  # noqa: ANN401
    """Whether this looks like the dictionary of the pipeline "mask-generation"."""
    return isinstance(value, Mapping) and {"masks", "scores"} <= set(value) and "labels" not in value


def read(value: Any, size_hw: tuple[int, int], names: Names | None = None) -> Detections:  # noqa: ANN401
    """Read ``{"masks", "scores"}``; the masks have no names."""
    return from_columns(value["masks"], size_hw, "mask-generation", scores=value["scores"])
