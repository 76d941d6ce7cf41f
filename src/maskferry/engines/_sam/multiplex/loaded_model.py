"""What the engine has loaded on one device; all its sessions use it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskferry.data import Frame
from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines._sam.multiplex.stage_types import FrameFeatures, MemoryBatch, Predictions
from maskferry.engines._sam.preprocessing import MeanStd
from maskferry.engines._sam.streams import Streams
from maskferry.engines._sam.torch_errors import translate_torch_errors

__all__ = ["LoadedMultiplex", "Track"]

Encode = Callable[[Tensor], Sequence[Tensor]]
Track = Callable[[FrameFeatures, MemoryBatch], tuple[Predictions, tuple[Tensor, Tensor, Tensor]]]


@dataclass(frozen=True, slots=True)
class LoadedMultiplex:
    """A network and how it is to be used.

    Attributes:
        name: of the engine.
        network: the stages.
        encode: `MultiplexNetwork.encode`, or a compiled one.
        track: `MultiplexNetwork.track`, or a compiled one.
        mean_std: of the pictures that it was trained on.
        streams: that all its sessions work on.
        max_buckets: that go through the network at a time.
        identity: what a snapshot must agree with.
    """

    name: str
    network: MultiplexNetwork
    encode: Encode
    track: Track
    mean_std: MeanStd
    streams: Streams
    max_buckets: int
    identity: dict[str, str] = field(default_factory=dict)

    def features_of(self, tensors: Sequence[Tensor]) -> FrameFeatures:
        """One frame's features, of what `encode` gives for it."""
        return FrameFeatures(*tensors)

    @contextmanager
    def tracking(self, frame: Frame) -> Generator[None]:
        """In this context the network tracks into a frame; errors of torch become `EngineError`."""
        with translate_torch_errors(self.name, frame.index), torch.inference_mode(), self.streams.tracking():
            yield
