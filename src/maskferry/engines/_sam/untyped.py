"""Names for what comes from transformers without usable types."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["DetectorModel", "Layer", "ModelClass", "ModelConfig", "Tokenizer", "VideoModel"]

VideoModel: TypeAlias = Any
"""Sam3TrackerVideoModel, Sam2VideoModel or EdgeTamVideoModel: their attributes are found out by name."""

DetectorModel: TypeAlias = Any
"""Sam3Model."""

Layer: TypeAlias = Any
"""A submodule of one of these models, with submodules of its own."""

ModelClass: TypeAlias = Any
"""A class of these models, with ``from_pretrained``."""

ModelConfig: TypeAlias = Any
"""A model's configuration."""

Tokenizer: TypeAlias = Any
"""The tokenizer of a checkpoint."""
