"""What passes between the stages of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Features", "MemoryBatch", "Predictions", "PromptEmbedding", "Stages"]


@dataclass(frozen=True, slots=True)
class Features:
    """One encoded frame.

    Attributes:
        fine: (1, c, 4h, 4w), for the mask decoder.
        middle: (1, c, 2h, 2w), for the mask decoder.
        top: (1, HW, C), the level at which objects are remembered.
        trunk: (1, HW, D), the backbone's own output, of which the detector makes its features; None where the network
            gives none.
    """

    fine: Tensor
    middle: Tensor
    top: Tensor
    trunk: Tensor | None = None


@dataclass(frozen=True, slots=True)
class MemoryBatch:
    """The memories of B objects, as `Network.attend_to_memory` takes them.

    Attributes:
        memory: (B, S, 64): memories of frames, then pointers.
        position: (B or 1, S, 64), their position codes.
        padding: (B, pointer_tokens), 1 for tokens that only stand in for pointers that an object does not have, else
            0; (B, 0) where there are none.
        pointer_tokens: tokens at the end that are pointers.
        memory_frames: of how many frames the other tokens are.
    """

    memory: Tensor
    position: Tensor
    padding: Tensor
    pointer_tokens: int
    memory_frames: int


@dataclass(frozen=True, slots=True)
class PromptEmbedding:
    """What the prompt encoder makes of prompts: (B or 1, 1, K, C) and (B or 1, C, h, w)."""

    sparse: Tensor
    dense: Tensor


@dataclass(frozen=True, slots=True)
class Predictions:
    """B objects on one frame.

    Attributes:
        logits: (B, 1, 4h, 4w), > 0 inside the mask.
        pointer: (B, C).
        presence: (B, 1), logit; > 0 where the object is in sight.
        quality: (B,), the IoU that the model expects of its mask, in [0, 1]; float32.
    """

    logits: Tensor
    pointer: Tensor
    presence: Tensor
    quality: Tensor


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of `Network.track`, plain or compiled; see the methods of `Network` with these names."""

    attend_to_memory: Callable[[Tensor, Tensor, Tensor, Tensor, int, int], Tensor]
    decode_candidates: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor, Tensor]]
    encode_predicted: Callable[[Tensor, Tensor, Tensor], Tensor]
