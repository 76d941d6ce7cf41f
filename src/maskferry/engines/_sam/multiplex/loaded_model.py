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
from maskferry.engines._sam.text_detector import TextDetector
from maskferry.engines._sam.torch_errors import translate_torch_errors
from maskferry.errors import PromptNotSupportedError

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
        detector: where the file holds one.
        identity: what a snapshot must agree with.
    """

    name: str
    network: MultiplexNetwork
    encode: Encode
    track: Track
    mean_std: MeanStd
    streams: Streams
    max_buckets: int
    detector: TextDetector | None = None
    identity: dict[str, str] = field(default_factory=dict)

    def features_of(self, tensors: Sequence[Tensor]) -> FrameFeatures:
        """One frame's features, of what `encode` gives for it."""
        return FrameFeatures(*tensors)

    @property
    def takes_text(self) -> bool:
        """Whether there is a detector."""
        return self.detector is not None

    @property
    def text_detector(self) -> TextDetector:
        """The detector.

        Raises:
            PromptNotSupportedError: the file holds none.
        """
        if self.detector is None:
            raise PromptNotSupportedError(
                f"engine {self.name!r} takes no text here: its file of weights holds no detector, that of "
                "facebook/sam3.1 does"
            )
        return self.detector

    @contextmanager
    def tracking(self, frame: Frame) -> Generator[None]:
        """In this context the network tracks into a frame; errors of torch become `EngineError`."""
        with translate_torch_errors(self.name, frame.index, "bucket"), torch.inference_mode(), self.streams.tracking():
            yield
