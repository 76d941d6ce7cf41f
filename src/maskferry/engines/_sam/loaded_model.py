"""What an engine has loaded and all its sessions use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from maskferry.data import Frame, Mask
from maskferry.engines._sam.frame_encoder import Mean
from maskferry.engines._sam.memory_bank import Bundle
from maskferry.engines._sam.network import Features, Found, Network
from maskferry.engines._sam.streams import Lanes
from maskferry.engines._sam.torch_errors import translated

__all__ = ["Finder", "SamModel", "fingerprint"]


class Finder(Protocol):
    """Finds what words name."""

    def __call__(self, frame: Frame, text: str) -> list[tuple[Mask, float]]:
        """Masks (H, W) and scores, the best first."""
        ...


Encode = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
Follow = Callable[[Features, Bundle], tuple[Found, Tensor]]


@dataclass(frozen=True, slots=True)
class SamModel:
    """A network and how it is to be used.

    Attributes:
        name: of the engine.
        network: the stages.
        encode: `Network.encode`, or a compiled one.
        follow: `Network.follow` over a bundle, or a compiled one.
        mean: of the pictures that it was trained on.
        lanes: the streams that all its sessions work on.
        max_batch: objects at a time.
        finder: where the checkpoint takes text.
        identity: what a snapshot must agree with.
    """

    name: str
    network: Network
    encode: Encode
    follow: Follow
    mean: Mean
    lanes: Lanes
    max_batch: int
    finder: Finder | None = None
    identity: dict[str, str] = field(default_factory=dict)

    @property
    def takes_text(self) -> bool:
        """Whether `find` can be called."""
        return self.finder is not None

    @contextmanager
    def at_work(self, frame: Frame) -> Generator[None]:
        """In this context the network tracks into a frame; errors of torch become `EngineError`."""
        with translated(self.name, frame.index), torch.inference_mode(), self.lanes.tracking():
            yield

    def find(self, frame: Frame, text: str) -> list[tuple[Mask, float]]:
        """Masks and scores of what words name on a frame."""
        return [] if self.finder is None else self.finder(frame, text)


def fingerprint(network: Network) -> str:
    """Tells one set of weights from another, by a few of them."""
    model = network.model
    parts = (model.memory_temporal_positional_encoding, model.mask_decoder.mask_tokens.weight, model.no_object_pointer)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.detach().to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()[:16]
