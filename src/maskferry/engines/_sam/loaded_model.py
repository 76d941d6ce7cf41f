"""What an engine has loaded on one device; all its sessions use it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskferry.data import Frame
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.preprocessing import MeanStd
from maskferry.engines._sam.stage_types import Features, MemoryBatch, Predictions
from maskferry.engines._sam.streams import Streams
from maskferry.engines._sam.text_detector import TextDetector
from maskferry.engines._sam.torch_errors import translate_torch_errors
from maskferry.errors import EngineError, PromptNotSupportedError

__all__ = ["LoadedModel", "digest_of", "fingerprint"]

Encode = Callable[[Tensor], Sequence[Tensor]]
Track = Callable[[Features, MemoryBatch], tuple[Predictions, Tensor]]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network and how it is to be used.

    Attributes:
        name: of the engine.
        network: the stages.
        encode: `Network.encode`, or a compiled one.
        track: `Network.track`, or a compiled one.
        mean_std: of the pictures that it was trained on.
        streams: that all its sessions work on.
        max_batch: objects at a time.
        memory_selection: remember frames by how well objects were in sight; see `memory_selection`.
        detector: where the checkpoint takes text.
        identity: what a snapshot must agree with.
    """

    name: str
    network: Network
    encode: Encode
    track: Track
    mean_std: MeanStd
    streams: Streams
    max_batch: int
    memory_selection: bool = False
    detector: TextDetector | None = None
    identity: dict[str, str] = field(default_factory=dict)

    def features_of(self, tensors: Sequence[Tensor]) -> Features:
        """One frame's features, of what `encode` gives for it."""
        return Features(*tensors)

    def trunk_of(self, features: Features) -> Tensor:
        """The backbone's output for a frame, (1, D, h, w), as the detector takes it.

        Raises:
            EngineError: the encoder keeps none.
        """
        if features.trunk is None:
            raise EngineError(f"engine {self.name!r}: its encoder keeps no output of the backbone to detect on")
        trunk: Tensor = features.trunk.transpose(1, 2).unflatten(2, self.network.grid_hw)
        return trunk

    @property
    def takes_text(self) -> bool:
        """Whether there is a detector."""
        return self.detector is not None

    @property
    def text_detector(self) -> TextDetector:
        """The detector.

        Raises:
            PromptNotSupportedError: the model takes no text.
        """
        if self.detector is None:
            raise PromptNotSupportedError(
                f"engine {self.name!r} takes no text here: use engine 'sam3' or 'sam3.1' with a checkpoint that holds "
                "the detector (facebook/sam3, facebook/sam3.1)"
            )
        return self.detector

    @contextmanager
    def tracking(self, frame: Frame) -> Generator[None]:
        """In this context the network tracks into a frame; errors of torch become `EngineError`."""
        with translate_torch_errors(self.name, frame.index), torch.inference_mode(), self.streams.tracking():
            yield


def fingerprint(network: Network) -> str:
    """Tells one set of weights from another, by a few of them."""
    model = network.model
    parts = (model.memory_temporal_positional_encoding, model.mask_decoder.mask_tokens.weight, model.no_object_pointer)
    return digest_of(parts)


def digest_of(parts: Iterable[Tensor]) -> str:
    """The same for the same tensors, in whatever precision they are used."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.detach().to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()[:16]
