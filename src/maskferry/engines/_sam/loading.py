"""Loading a model onto a device: network, compiled stages, streams and detector."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from maskferry.engines._sam.checkpoint import CheckpointKind, load_model
from maskferry.engines._sam.compiling import CompiledStages
from maskferry.engines._sam.folder_detector import FolderDetector
from maskferry.engines._sam.loaded_model import LoadedModel, Track, fingerprint
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.stage_types import Features, MemoryBatch, Predictions
from maskferry.engines._sam.streams import Streams
from maskferry.engines._sam.text_detector import TextDetector
from maskferry.errors import EngineError

__all__ = ["Checkpoint", "load_on_device"]

log = logging.getLogger(__name__)

ATTENTION_KERNELS = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""On CUDA, by preference: cuDNN's is the fastest, and the one that takes values narrower than keys."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's weights on the disk.

    Attributes:
        engine: the engine's name.
        folder: that holds them.
        kind: of the checkpoint.
    """

    engine: str
    folder: Path
    kind: CheckpointKind


def load_on_device(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    *,
    compile_stages: bool | Literal["auto"],
    max_batch: int,
    memory_selection: bool,
) -> LoadedModel:
    """Load a model onto one device.

    Args:
        checkpoint: of the model.
        device: where it runs.
        dtype: of its features.
        compile_stages: as `SamEngine` takes ``compile``.
        max_batch: objects at a time.
        memory_selection: remember frames by how well objects were in sight.

    Raises:
        EngineError: the weights do not fit, or the device has too little memory.
        MissingExtraError: the model needs a package that is not installed.
    """
    name, folder, kind = checkpoint.engine, checkpoint.folder, checkpoint.kind
    on_cuda = device.type == "cuda"
    network = Network(load_model(name, folder, kind, device, dtype), dtype, narrow=on_cuda)
    if memory_selection and network.attention.heads > 1:
        raise EngineError(
            f"engine {name!r}: memory selection needs memory attention with one head, this checkpoint has "
            f"{network.attention.heads}: pass memory_selection=False"
        )
    stages: CompiledStages | Network = network
    if compile_stages is True or (compile_stages == "auto" and on_cuda):
        stages = CompiledStages(network, at_once=compile_stages is True)
    log.info("engine %s: %s, %s, %s", name, folder, device, dtype)
    return LoadedModel(
        name=name,
        network=network,
        encode=stages.encode,
        track=_with_fast_attention(stages.track) if on_cuda else stages.track,
        mean_std=kind.mean_std,
        streams=Streams(device),
        max_batch=max_batch,
        memory_selection=memory_selection,
        detector=TextDetector(FolderDetector(name, folder, network)) if kind.takes_text else None,
        identity={
            "engine": name,
            "weights": fingerprint(network),
            "precision": str(dtype),
            "memory_selection": "on" if memory_selection else "off",
        },
    )


def _with_fast_attention(track: Track) -> Track:
    """The same function, run with the preferred attention kernels."""

    def run(features: Features, batch: MemoryBatch) -> tuple[Predictions, Tensor]:
        with sdpa_kernel(ATTENTION_KERNELS, set_priority=True):
            return track(features, batch)

    return run
