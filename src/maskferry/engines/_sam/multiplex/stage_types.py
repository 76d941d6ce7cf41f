"""What passes between the stages of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

__all__ = ["Candidates", "FrameFeatures", "MemoryBatch", "Predictions", "PromptFeatures", "Stages"]


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """One encoded frame.

    Attributes:
        fine: (1, C / 8, 4h, 4w), for the mask decoder.
        middle: (1, C / 4, 2h, 2w), for the mask decoder.
        top: (1, HW, C), the level at which objects are remembered.
        trunk: (1, W, h, w), from which the features of prompts are made where there are any, and those of a detector.
    """

    fine: Tensor
    middle: Tensor
    top: Tensor
    trunk: Tensor


@dataclass(frozen=True, slots=True)
class PromptFeatures:
    """The same frame as prompts are decoded on it; shapes as those of `FrameFeatures`."""

    fine: Tensor
    middle: Tensor
    top: Tensor


class Candidates(NamedTuple):
    """What a mask decoder predicts; A candidates for each of M slots.

    Attributes:
        kernels: (B, M, A, c), which make logits of the picture.
        quality: (B, M, A), the IoU that the model expects of each mask; float32.
        tokens: (B, M, A, C).
        presence: (B, M, 1), logits; > 0 where the object is in sight; float32.
        picture: (B, c, 4h, 4w).
    """

    kernels: Tensor
    quality: Tensor
    tokens: Tensor
    presence: Tensor
    picture: Tensor


@dataclass(frozen=True, slots=True)
class Predictions:
    """B buckets, or B prompted objects (with one slot each), on one frame.

    Attributes:
        logits: (B, M, h, w), > 0 inside the mask.
        pointer: (B, M, C).
        presence: (B, M), logits; > 0 where the object is in sight.
        quality: (B, M), the IoU that the model expects of its mask.
    """

    logits: Tensor
    pointer: Tensor
    presence: Tensor
    quality: Tensor

    def rows(self, start: int, stop: int) -> Predictions:
        """Some of the B."""
        return Predictions(*(t[start:stop] for t in (self.logits, self.pointer, self.presence, self.quality)))


@dataclass(frozen=True, slots=True)
class MemoryBatch:
    """The memories of B buckets, as `Network.attend_to_memory` takes them.

    Attributes:
        keys: of each frame that is read, (B, layers, heads, HW, d).
        values: of each frame that is read, the same shape.
        codes: (1, F, heads, HW, d), turned codes of these F frames.
        pointers: (B, P * M, C), frame by frame.
        distances: (1, P), how long ago each of P frames was, as a share of the longest.
        valid: bool (B, M), slots that hold an object.
        steady: all memories are full; the shapes stay as they are.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    codes: Tensor
    pointers: Tensor
    distances: Tensor
    valid: Tensor
    steady: bool = False

    def rows(self, start: int, stop: int) -> MemoryBatch:
        """Some of the B."""
        keys, values = ([t[start:stop] for t in tensors] for tensors in (self.keys, self.values))
        pointers, valid = self.pointers[start:stop], self.valid[start:stop]
        return MemoryBatch(keys, values, self.codes, pointers, self.distances, valid, self.steady)


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of `Network.track`, plain or compiled; see the methods of `Network` with these names."""

    attend_to_memory: Callable[..., Tensor]
    decode_candidates: Callable[[Tensor, Tensor, Tensor, Tensor], Candidates]
    encode_predicted: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
